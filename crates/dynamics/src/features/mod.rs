//! Private learning from a feature perspective: a signal patch, a noise patch, and who learns which.
//!
//! | question | type |
//! |---|---|
//! | what are the examples made of? | [`Synthetic`], or any [`Patches`] |
//! | what is trained, and how? | [`Network`], [`NoisyGd`], step by step in a [`NoisyDescent`] |
//! | which part of a filter is signal, memorised noise, neither? | [`Decomposition`] |
//! | is noise memorised, or only injected? | [`Alignment`], beside the control of the same noise without gradients |
//! | whole runs over seeds, with accuracy on unseen examples | [`Simulation`] |
//!
//! After Ding, Lei, Fu, Wang, Wang and Xu (2025) on the model of Cao, Chen, Belkin and Gu (2022). Their analysis adds noise without
//! clipping; here every example's gradient is clipped, so that the guarantee is exact.

mod activation;
mod alignment;
mod decomposition;
mod filters;
mod gradients;
mod network;
mod noisy_gd;
mod outside;
mod patches;
mod simulation;
mod synthetic;
mod tiles;
mod unseen;

pub use activation::Activation;
pub use alignment::Alignment;
pub use decomposition::{Coefficients, Decomposition};
pub use filters::FilterMatrix;
pub use gradients::Gradients;
pub use network::{Network, logistic_loss};
pub use noisy_gd::{NoisyDescent, NoisyGd, Protection, Seen};
pub use patches::Patches;
pub use simulation::{Mean, Record, Regime, Report, Simulation};
pub use synthetic::Synthetic;
