//! The buffered linear Toeplitz strategy with the smallest error.

use super::{Form, Name, Strategy};
use crate::blt::Blt;
use crate::error::{Error, Result};
use crate::evaluation::{Objective, evaluate};
use crate::optimise::Buffered;
use crate::pattern::Pattern;
use crate::workload::Workload;

/// Beyond this many buffers rounding decides their weights, and nothing is gained.
pub const MOST_BUFFERS: usize = 10;

/// A buffer, two vectors of memory, is added only for a gain of this fraction.
const WORTH_A_BUFFER: f64 = 0.01;

impl Strategy {
    /// The buffered linear Toeplitz strategy with the smallest error (arXiv 2404.16706, 2408.08868): `c_0 = 1`,
    /// `c_i = sum_j omega_j theta_j^{i-1}` with positive weights, so that its sensitivity is exact for every pattern.
    ///
    /// With a number of buffers, at most so many; without, they are added while each gains 1 %, up to 10. Never worse than
    /// independent noise, the one without buffers. A constant rate and single participation take milliseconds for any n;
    /// a step of the descent otherwise O(n d^2 + n k) time, and there are hundreds.
    ///
    /// ```
    /// use thalweg_private::{Objective, Pattern, Ratios, Strategy, Workload, evaluate};
    ///
    /// let workload = Workload::new(Ratios::constant(1000)?);
    /// let strategy = Strategy::blt(&workload, Some(2), Pattern::Single, Objective::Max)?;
    /// let error = evaluate(&workload, &strategy, Pattern::Single)?.max_se;
    /// assert!(error < 1.04 * (1.0 + 1000f64.ln() / std::f64::consts::PI)); // 4 % above what no strategy can be far below
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for more than 10 buffers; as [`evaluate`].
    pub fn blt(workload: &Workload, buffers: Option<usize>, pattern: Pattern, objective: Objective) -> Result<Self> {
        match buffers {
            Some(buffers) if buffers > MOST_BUFFERS => {
                Err(Error::value("the number of buffers", buffers, &format!("at most {MOST_BUFFERS}")))
            }
            Some(buffers) => Self::grown(workload, buffers, 0.0, pattern, objective),
            None => Self::grown(workload, MOST_BUFFERS, WORTH_A_BUFFER, pattern, objective),
        }
    }

    /// [`blt`](Self::blt) with buffers added while they are worth it, in the memory of p - 1 vectors: a buffer takes two.
    pub(super) fn blt_within(workload: &Workload, bands: usize, pattern: Pattern, objective: Objective) -> Result<Self> {
        super::check_bands(bands, workload.steps())?;
        Self::grown(workload, ((bands - 1) / 2).min(MOST_BUFFERS), WORTH_A_BUFFER, pattern, objective)
    }

    /// Adds buffers, up to `most`, while each gains more than the fraction `worth`.
    fn grown(workload: &Workload, most: usize, worth: f64, pattern: Pattern, objective: Objective) -> Result<Self> {
        let of = |blt: Blt| Self::new(Name::Blt, workload.steps(), Form::Buffered { blt });
        let error = |strategy: &Self| evaluate(workload, strategy, pattern).map(|found| found.get(objective));
        let descent = Buffered::new(workload, pattern, objective);
        let mut strategy = of(Blt::new(vec![], vec![])?)?;
        let mut least = error(&strategy)?;
        let mut free = vec![];
        for buffers in 1..=most {
            let Some((there, decays)) = descent.descend(buffers, &free) else { break };
            let (theta, inverse) = decays.values();
            let Ok(wider) = Blt::from_decays(theta, &inverse).and_then(of) else { break };
            let Ok(smaller) = error(&wider) else { break };
            if smaller >= least * (1.0 - worth) {
                break;
            }
            (strategy, least, free) = (wider, smaller, there);
        }
        Ok(strategy)
    }
}
