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
//!
//! Each family has *exact* dynamics: closed forms, small flows, conserved quantities, certificates that can be computed. The crate
//! computes the theory, runs the descent in `f64`, and lays one over the other. Nothing needs a tensor library:
//!
//! ```
//! use thalweg_dynamics::deq::{Backward, Descent, LinearDeq};
//!
//! // Gradient flow keeps this model on a circle; each step of descent leaves it by exactly rate^2 |gradient|^2.
//! let mut model = LinearDeq::scalar(1.0 / 3.0, 2.0)?;
//! let run = Descent { rate: 0.01, steps: 200, backward: Backward::Exact, record: vec![] }.run(&mut model, &[0.1, 0.2])?;
//! let radius = run.radius_squared;
//! assert!(radius.end > radius.start && (radius.end - radius.predicted_end).abs() < 1e-14);
//! # Ok::<(), thalweg_dynamics::Error>(())
//! ```

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
