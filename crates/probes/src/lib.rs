//! What can be watched on any descent.
//!
//! A probe is a piece at the `observe` seam: it looks at a step and writes numbers into its record.
//!
//! | probe | what it writes |
//! |---|---|
//! | [`Loss`] | the mean loss of the batch, where the guard shows it |
//! | [`Norms`] | the norms of parameters and update |
//! | [`Balance`] | the balance of neighbouring layers, its drift, and the drift that the step size predicts |
//!
//! Sums are in `f64`, whatever the parameters are in.

#![forbid(unsafe_code)]

pub mod balance;
pub mod loss;
pub mod norms;

pub use balance::Balance;
pub use loss::Loss;
pub use norms::Norms;
