//! The optimum over all strategies.

use super::{Form, Name, Strategy};
use crate::error::{Error, Result};
use crate::optimise::{inverse_factor, mean_optimum};
use crate::workload::Workload;

/// Above this many steps the optimum over all matrices is not computed: each of its 10 to 40 iterations takes O(n^3) time.
pub const LARGEST_OPTIMUM: usize = 512;

impl Strategy {
    /// The strategy with the least MeanSE of all, for single participation (arXiv 2202.08312): a full matrix whose noise stream
    /// keeps n - 1 vectors, so a yardstick for the others, or for short runs.
    ///
    /// It is that optimum for every pattern and objective. For several participations it is evaluated under the pattern with a
    /// valid sensitivity, often an upper bound, and other mechanisms may be better there; so may they for
    /// [`Objective::Max`](crate::Objective::Max).
    ///
    /// ```
    /// use thalweg_private::{Pattern, Ratios, Strategy, Workload, evaluate};
    ///
    /// let workload = Workload::new(Ratios::constant(64)?);
    /// let error = evaluate(&workload, &Strategy::dense(&workload)?, Pattern::Single)?.mean_se;
    /// assert!((error - 2.099856).abs() < 1e-6);
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsuitable`] above [`LARGEST_OPTIMUM`] steps; [`Error::NoConvergence`] when the optimum is not proved to 1e-8 by
    /// its dual, which takes rates many orders of magnitude apart.
    pub fn dense(workload: &Workload) -> Result<Self> {
        let n = workload.steps();
        if n > LARGEST_OPTIMUM {
            let reason = format!(
                "the optimum over all matrices takes n^3 time an iteration and n vectors of memory; it is computed up to n = \
                 {LARGEST_OPTIMUM}, and here n = {n}; take bandmf, bandinvmf or blt"
            );
            return Err(Error::unsuitable(Name::Dense, reason));
        }
        let inverse = inverse_factor(&mean_optimum(workload)?)?;
        let entry = |m: usize, lag: usize| if lag <= m { inverse[(m, m - lag)] } else { 0.0 };
        let rows = (0..n).flat_map(|m| (0..n).map(move |lag| entry(m, lag))).collect();
        Self::new(Name::Dense, n, Form::InverseRows { band: n, rows })
    }
}
