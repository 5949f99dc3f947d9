//! How far the rows of target matrices are from the row spaces of weight matrices, along a run.

use faer::Mat;
use thalweg_descent::{Observe, Real, Record, Stateful, View};

use super::{NamedMatrix, is_due, watching};
use crate::error::Result;
use crate::rank::RankRule;
use crate::subspace;

/// Writes, for each matrix, `subspace.NAME.distance` (relative), `subspace.NAME.rank`, and `subspace.NAME.vacuous` where the matrix
/// has full row space, so that the distance is 0 whatever the target is.
#[derive(Clone, Debug)]
pub struct Subspaces {
    matrices: Vec<(NamedMatrix, Mat<f64>)>,
    rule: RankRule,
    every: u64,
}

impl Subspaces {
    /// Watches matrices after every `every` steps and the last; `target` has the parameters whose matrices are the targets, such as the
    /// end of an earlier run, or this one's start.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) when a matrix cannot have the rank that a fixed rule asks for.
    ///
    /// # Panics
    /// When the target is shorter than the parameters.
    pub fn new<F: Real>(matrices: Vec<NamedMatrix>, target: &[F], rule: RankRule, every: u64) -> Result<Self> {
        for matrix in &matrices {
            rule.rank(&vec![1.0; matrix.least_side()])?;
        }
        let with_target = |matrix: NamedMatrix| {
            let target = matrix.of(target);
            (matrix, target)
        };
        Ok(Self { matrices: matrices.into_iter().map(with_target).collect(), rule, every })
    }
}

impl Stateful for Subspaces {}

impl<F: Real> Observe<F> for Subspaces {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        if !is_due(view, self.every) {
            return Ok(());
        }
        for (matrix, target) in &self.matrices {
            let found = subspace::distance(matrix.of(view.parameters).as_ref(), target.as_ref(), self.rule)
                .map_err(watching("watching subspaces"))?;
            let name = &matrix.name;
            record.put_number(&format!("subspace.{name}.distance"), found.relative);
            record.put(&format!("subspace.{name}.rank"), found.rank);
            if found.vacuous {
                record.put(&format!("subspace.{name}.vacuous"), true);
            }
        }
        Ok(())
    }
}
