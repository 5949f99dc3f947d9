//! Classification by deep ReLU networks, trained by full-batch gradient descent on the logistic loss.
//!
//! | question | module |
//! |---|---|
//! | which points, which labels? | [`examples`]; the noisy 2-XOR problem with its margin in closed form, [`xor`] |
//! | outputs, gradients, the kernel of finite width | [`network`] |
//! | the kernel of infinite width | [`kernel`] |
//! | training, with flips, distances and drifts | [`training`] |
//! | the theorem's certificate beside what is measured | [`certificate`] |
//! | the published experiment's network, with biases and both layers trained | [`two_layer`] |
//! | one margin, one training, growth with depth | [`experiment`] |
//! | error against d^2 / n in both protocols | [`study`] |
//!
//! Margins come with certified brackets from [`thalweg_probes::margin`]. After Li, Guo, Lei and Ying, *Optimal Rates for
//! Generalization of Gradient Descent for Deep ReLU Classification* (2025).

pub mod certificate;
pub mod examples;
pub mod experiment;
pub mod kernel;
pub mod network;
pub mod study;
pub mod training;
pub mod two_layer;
pub mod xor;

pub use certificate::Certificate;
pub use examples::Examples;
pub use experiment::{MarginExperiment, MarginReport, TrainExperiment, TrainReport};
pub use kernel::Start;
pub use network::{Network, Shape};
pub use study::{Protocol, Study};
pub use training::{Probe, Training};
pub use two_layer::TwoLayer;
