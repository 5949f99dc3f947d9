//! Correlated noise, one vector a step: the rows of `C^{-1} Z` for independent standard normal Z.

pub mod gaussian;
pub mod key;

pub use gaussian::{CHUNK, Gaussian, Innovations};
pub use key::NoiseKey;
