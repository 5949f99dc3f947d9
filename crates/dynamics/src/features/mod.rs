//! Private learning from a feature perspective: a signal patch, a noise patch, and who learns which.

mod activation;
mod alignment;
mod decomposition;
mod filters;
mod gradients;
mod network;
mod noisy_gd;
mod patches;
mod synthetic;
mod tiles;

pub use activation::Activation;
pub use alignment::Alignment;
pub use decomposition::{Coefficients, Decomposition};
pub use filters::FilterMatrix;
pub use gradients::Gradients;
pub use network::{Network, logistic_loss};
pub use noisy_gd::{NoisyDescent, NoisyGd, Protection, Seen};
pub use patches::Patches;
pub use synthetic::Synthetic;
