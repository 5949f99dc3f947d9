//! How many directions weight matrices use, along a run.

use faer::Mat;
use thalweg_descent::{Observe, Real, Record, Stateful, View};

use super::{NamedMatrix, is_due, watching};
use crate::error::Result;
use crate::rank::RankRule;
use crate::spectrum::EffectiveRank;
use crate::{spectrum, svd};

/// Writes, for each matrix, `spectrum.NAME.effective_rank`, `spectrum.NAME.marginal_rank` (without the leading singular values) and
/// `spectrum.NAME.rank` (how many count by the rule).
#[derive(Clone, Debug)]
pub struct Spectra {
    matrices: Vec<NamedMatrix>,
    rule: RankRule,
    dropped: usize,
    every: u64,
}

impl Spectra {
    /// Watches matrices after every `every` steps and the last; the marginal rank leaves out the first `dropped` singular values.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) when a matrix cannot have the rank that a fixed rule asks for.
    pub fn new(matrices: Vec<NamedMatrix>, rule: RankRule, dropped: usize, every: u64) -> Result<Self> {
        for matrix in &matrices {
            rule.rank(&vec![1.0; matrix.least_side()])?;
        }
        Ok(Self { matrices, rule, dropped, every })
    }

    /// The whole effective rank and the marginal one.
    fn ranks(&self, matrix: &Mat<f64>) -> Result<[EffectiveRank; 2]> {
        let values = svd::singular_values(matrix.as_ref())?;
        Ok([spectrum::of_values(&values, self.rule, 0)?, spectrum::of_values(&values, self.rule, self.dropped)?])
    }
}

impl Stateful for Spectra {}

impl<F: Real> Observe<F> for Spectra {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        if !is_due(view, self.every) {
            return Ok(());
        }
        for matrix in &self.matrices {
            let [whole, marginal] = self.ranks(&matrix.of(view.parameters)).map_err(watching("watching spectra"))?;
            let name = &matrix.name;
            record.put_number(&format!("spectrum.{name}.effective_rank"), whole.value);
            record.put_number(&format!("spectrum.{name}.marginal_rank"), marginal.value);
            record.put(&format!("spectrum.{name}.rank"), whole.rank);
        }
        Ok(())
    }
}
