//! Exact learning dynamics: small models whose descent can be read step by step.
//!
//! | question | module |
//! |---|---|
//! | which part of a private model's weights is signal, which memorised noise, which injected noise? | [`features`] |

#![forbid(unsafe_code)]

pub mod error;
pub mod features;

pub use error::{Error, Result};
