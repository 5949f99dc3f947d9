//! Correlated noise, one vector a step: the rows of `C^{-1} Z` for independent standard normal Z.
//!
//! # What the randomness protects
//! The values come from ChaCha20 under a key of the operating system, so that nobody without the key can predict or subtract
//! them. They are `f32` numbers: the guarantee is that of the continuous Gaussian, as in every system that trains in floating
//! point. An adversary who sees the low bits of single released numbers is not covered; one who sees the trained model is.
//! [`grid`](crate::grid) covers both, for independent noise.

mod buffered;
pub mod discrete;
pub mod gaussian;
pub mod key;
mod moving_average;
mod place;
mod recurrence;
mod recursive;
mod ring;
pub mod stream;
#[cfg(feature = "train")]
pub mod tensor;

pub use discrete::{DiscreteGaussian, LARGEST_VARIANCE as LARGEST_DISCRETE_VARIANCE, NoiseKind};
pub use gaussian::{CHUNK, Gaussian, Innovations};
pub use key::NoiseKey;
pub use stream::{Memory, NoiseStream, StreamingMatrix};
#[cfg(feature = "train")]
pub use tensor::TensorNoise;
