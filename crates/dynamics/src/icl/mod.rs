//! In-context learning of a linear transformer.
//!
//! Columns (x; y) of a context and a query (x; 0) go through one layer of linear attention, `Z + W^P (Z Z^T / N) W^Q Z`, and the
//! query's lower half is the prediction of y = W x. The loss is half the squared error, summed over tasks; the clock of all theories is
//! **t = steps x rate x tasks**.
//!
//! | question | module |
//! |---|---|
//! | what do the theories need to know? | [`modes`] |
//! | the published logistic curve of each mode | [`published`] |
//! | the exact dynamics at finite context length | [`exact`], and where it ends, [`plateau`] |
//! | the exact dynamics of full matrices | [`matrix_flow`], of a [`problem`] |
//! | theory and descent side by side | [`experiment`] |
//! | the model itself, with all its blocks | [`transformer`] |
//! | stochastic descent and its band over seeds | [`sgd`], on contexts from [`sampler`] |
//! | which tasks make the theories exact? | [`tasks`] |
//!
//! After Mainali and Teixeira, *Exact Learning Dynamics of In-Context Learning in Linear Transformers* (2025).

mod ahead;
pub mod exact;
pub mod experiment;
mod lanes;
pub mod matrix_flow;
pub mod modes;
pub mod plateau;
pub mod problem;
pub mod published;
pub mod sampler;
pub mod sgd;
mod side_by_side;
pub mod tasks;
pub mod transformer;

pub use experiment::Experiment;
pub use modes::{Modes, Weights};
pub use plateau::Plateau;
pub use problem::Problem;
pub use published::Published;
pub use sampler::Sampler;
pub use tasks::Tasks;
pub use transformer::Transformer;
