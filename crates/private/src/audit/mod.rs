//! Auditing: what an attack on the running system proves about its privacy, from below.
//!
//! An accountant says how much a mechanism leaks at most, if the code does what the theory says. An audit attacks the code and
//! says how much it leaks at least. A lower bound above the accountant's upper one is a defect.
//!
//! | question | module |
//! |---|---|
//! | how well does an attack tell canaries in from canaries out? | [`Scores`] |
//! | which epsilon do its scores refute? | [`Audit`], by a [`Method`] and [`Thresholds`] |
//! | the formulas alone | [`clopper_pearson`], [`gdp`], [`one_run`], [`one_run_fdp`] |
//! | does the guard of a plan hide one unit as well as it claims? | [`MechanismAudit`] |
//! | does a whole training, batches and loop included? | [`TrainingAudit`] with [`CanaryGradients`] |
//! | would the audit notice if it did not? | [`Fault`] |
//! | what is told of it? | [`AuditReport`] |
//!
//! An attack that finds nothing proves nothing: a lower bound of 0 is no upper bound.

mod binomial;
mod bound;
mod canaries;
pub mod clopper_pearson;
mod fault;
pub mod gdp;
mod matched_filter;
mod mechanism;
pub mod one_run;
pub mod one_run_fdp;
mod report;
mod scores;
mod training;

pub use bound::{Audit, Bound, Method, Thresholds};
pub use canaries::{CANARIES, CanaryGradients, Direction};
pub use fault::{Fault, NOISE_DIVISOR};
pub use mechanism::{MechanismAudit, TRIALS};
pub use report::{AuditReport, Histogram, Verdict};
pub use scores::{Counts, Scores};
pub use training::TrainingAudit;

/// The largest value of at least `least` for which `is_refuted`, which holds up to some value and not beyond; `least` where it
/// holds nowhere above.
fn largest_refuted(least: f64, is_refuted: impl Fn(f64) -> bool) -> f64 {
    if !is_refuted(least) {
        return least;
    }
    let (mut low, mut high) = (least, least + 1.0);
    // What refutes everything that a number can hold is refuted up to 1e6.
    while is_refuted(high) && high < 1e6 {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if is_refuted(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
