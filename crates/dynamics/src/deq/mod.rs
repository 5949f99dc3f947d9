//! Gradient descent of deep equilibrium models.
//!
//! A deep equilibrium model's output is the fixed point of a map, `y = f(y, x)`. Its gradient goes back through the fixed point, by
//! implicit differentiation or an approximation of it.
//!
//! | question | module |
//! |---|---|
//! | how is the fixed point found? | [`fixed_point`] for vectors, [`mod@unit`] for one unit |
//! | how does the gradient come back? | [`backward`] |
//! | a linear model: conserved sphere, certificate, closed form | [`linear`] |
//! | a matrix model: a conserved matrix | [`matrix`], one descent of it [`matrix_experiment`] |
//! | a non-linear unit on data, and its curvature at the target | [`single_index`], [`local`] |
//! | one descent on random inputs, or on published ones | [`experiment`], [`published`] |
//! | descent step by step, and the exact drift of what flow conserves | [`descent`] |
//!
//! After Dandapanthula and Ramdas, *Gradient flow for deep equilibrium single-index models* (2025).

pub mod activation;
pub mod backward;
pub mod descent;
pub mod experiment;
pub mod fixed_point;
pub mod linear;
pub mod local;
pub mod matrix;
pub mod matrix_experiment;
pub mod published;
mod side_by_side;
pub mod single_index;
pub mod unit;

pub use activation::Activation;
pub use backward::Backward;
pub use descent::{Descent, Model, Outcome, RadiusSquared, Snapshot, Warning};
pub use experiment::Experiment;
pub use linear::LinearDeq;
pub use matrix::MatrixDeq;
pub use single_index::SingleIndex;
