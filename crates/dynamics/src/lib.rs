//! Exact learning dynamics: small models whose descent can be read step by step.
//!
//! | question | module |
//! |---|---|
//! | how does a linear transformer learn to learn in context? | [`icl`] |
//! | how does a deep ReLU network learn to classify? | [`relu`] |
//! | how do deep equilibrium models descend, and what do they conserve? | [`deq`] |
//! | which part of a private model's weights is signal, which memorised noise, which injected noise? | [`features`] |
//! | how is a gradient flow followed? | [`ode`] |
//! | does it agree with published and reference values? | [`mod@check`] |

#![forbid(unsafe_code)]

pub mod check;
pub mod deq;
pub mod error;
pub mod features;
pub mod icl;
pub mod ode;
pub mod relu;

mod matrix;
mod quadrature;
mod vector;

pub use check::{Checked, check};
pub use error::{Error, Result};
