//! How the optimised strategies are found: exact objectives with derivatives, and descents on them.
//!
//! Objectives are logarithms of `sens(C)` times the error of `B`, so that they do not depend on the scale of C.

mod band;
mod buffered;
mod constant_rate;
mod decays;
mod dense;
mod line;
mod measure;
mod quasi_newton;

pub(crate) use band::{Band, Side};
pub(crate) use buffered::Buffered;
pub(crate) use dense::{inverse_factor, mean_optimum};
pub(crate) use line::minimise_on;
