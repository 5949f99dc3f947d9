//! Private training with matrix-factorisation noise under learning-rate schedules.

#![forbid(unsafe_code)]

pub mod blt;
pub mod coefficients;
pub mod error;
pub mod evaluation;
pub mod lower_bound;
pub mod noise;
pub mod pattern;
pub mod sensitivity;
pub mod strategy;
pub mod workload;

pub use blt::Blt;
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Objective, evaluate};
pub use lower_bound::lower_bound;
pub use noise::NoiseKey;
pub use pattern::Pattern;
pub use sensitivity::{Kind, Sensitivity};
pub use strategy::{Form, Name, Strategy};
pub use workload::{Ratios, Workload};
