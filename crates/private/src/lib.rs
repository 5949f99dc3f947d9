//! Private training with matrix-factorisation noise under learning-rate schedules.
//!
//! SGD with rates `eta chi_t` computes a linear map of its gradients, the [`workload`]. Instead of fresh noise each step, a
//! [`strategy`] correlates the noise of different steps so that it largely cancels in that map. What it costs is exact:
//! [`sensitivity`] and [`evaluation`] give the error of the iterates, an [`accountant`] the noise for (epsilon, delta).
//!
//! | question | module |
//! |---|---|
//! | which map does my optimiser compute? | [`workload`] |
//! | which noise suits it, and how large is the error? | [`comparison`], [`strategy`], [`evaluation`], [`mod@lower_bound`] |
//! | how much can one example move it? | [`pattern`], [`sensitivity`], [`clip`] |
//! | how much noise for (epsilon, delta)? | [`accountant`], [`sampler`], [`plan`] |
//! | how does it get into the training? | [`noise`] on slices, and on Burn's tensors with the feature `train`; [`guard`] in a descent; [`grid`] without floating point |
//! | does the running system keep its promise? | [`audit`] |
//!
//! Everything else works on plain slices and needs no tensor library:
//!
//! ```
//! use thalweg_descent::Participation;
//! use thalweg_private::noise::{Gaussian, Memory, NoiseStream};
//! use thalweg_private::{Name, NoiseKey, PrivacyPlan, Ratios, Workload};
//!
//! // 10 epochs of 22 batches, the rate falls to a tenth.
//! let workload = Workload::new(Ratios::exponential(220, 0.1)?);
//! let batches = Participation::Separated { separation: 22, at_most: 10 };
//! let plan = PrivacyPlan::new(4.0, 1e-5, Name::LrRoot, workload, batches).with_expected_batch(64.0).build()?;
//! assert!((plan.summary().noise_multiplier - 1.081_161_85).abs() < 1e-6);
//! let guard = plan.guard(&NoiseKey::generate()?);
//! # drop(guard);
//! # Ok::<(), thalweg_private::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod accountant;
pub mod audit;
pub mod blt;
pub mod clip;
pub mod coefficients;
pub mod comparison;
pub mod error;
pub mod evaluation;
pub mod grid;
pub mod guard;
pub mod lower_bound;
pub mod noise;
mod optimise;
pub mod pattern;
pub mod plan;
pub mod sampler;
pub mod sensitivity;
pub mod strategy;
pub mod workload;

pub use blt::Blt;
pub use clip::{Clip, OnNonFinite, Shares};
pub use comparison::{CompareOptions, Comparison, compare, compare_watched};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Objective, evaluate};
pub use guard::{Ledger, PrivateGuard};
pub use lower_bound::lower_bound;
pub use noise::{NoiseKey, NoiseKind};
pub use pattern::Pattern;
pub use plan::{PlanBuilder, PlanSummary, PrivacyPlan};
pub use sensitivity::{Kind, Sensitivity};
pub use strategy::{BuildOptions, Form, Name, Strategy};
pub use workload::{Ratios, Workload};
