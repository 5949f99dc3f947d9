//! What can be watched on any descent.
//!
//! A probe is a piece at the `observe` seam: it looks at a step and writes numbers into its record.
//!
//! | probe | what it writes |
//! |---|---|
//! | [`Loss`] | the mean loss of the batch, where the guard shows it |
//! | [`Norms`] | the norms of parameters and update |
//! | [`Monitor`] | any conserved quantity, its drift, and whether that is the predicted one |
//! | [`watch::Invariants`] | several conserved quantities at once, and what a disagreement means |
//! | [`watch::Spectra`], [`watch::Subspaces`] | effective ranks of weight matrices, and how far their rows are from others' |
//! | [`watch::Forgetting`] | how fast the loss forgets itself |
//! | [`watch::NoiseScale`] | how noisy gradients are against their mean |
//! | [`Balance`] | the balance of neighbouring layers, its drift, and the drift that the step size predicts |
//!
//! Mathematics of any run, on plain matrices:
//!
//! | question | module |
//! |---|---|
//! | what does gradient flow conserve, and by how much does a step move it? | [`conserved`], [`monitor`] |
//! | which singular values and eigenvalues does a matrix have, surely? | [`svd`], [`eigen`] |
//! | how many directions does it use, by which rule? | [`spectrum`], [`rank`] |
//! | how far is its row space from another's? | [`subspace`] |
//! | how fast does a loss forget itself? | [`mod@autocorrelation`] |
//! | with which margin does a kernel separate labelled points, surely? | [`margin`] |
//! | how far is a run from a theory of it? | [`overlay`] |
//!
//! Sums are in `f64`, whatever the parameters are in.

#![forbid(unsafe_code)]

pub mod autocorrelation;
pub mod balance;
pub mod conserved;
pub mod eigen;
pub mod error;
pub mod loss;
pub mod margin;
pub mod monitor;
pub mod norms;
pub mod overlay;
pub mod rank;
pub mod spectrum;
pub mod subspace;
pub mod svd;
pub mod watch;

pub use balance::Balance;
pub use conserved::Conserved;
pub use error::{Error, Result};
pub use loss::Loss;
pub use margin::Margin;
pub use monitor::Monitor;
pub use norms::Norms;
pub use rank::RankRule;
