//! Thalweg, a workbench for gradient descent: the library's front door.
//!
//! The crates behind it, each useful alone:
//!
//! | module | what it is |
//! |---|---|
//! | [`descent`] | the loop with its five seams, schedules, random streams, the run store |
//! | [`nn`] | networks on Burn with per-example gradients |
//! | [`data`] | real data sets and formats |
//! | [`probes`] | what can be watched on any run |
//! | [`dynamics`] | exact learning dynamics of small models |
//! | [`private`] | private training with correlated noise |
//! | [`vote`] | secure majority vote on gradient signs |
//! | [`report`] | plots and pages |
//!
//! What joins them is here: [`compose`] makes a descent of a configuration, [`study`] puts published claims to the test, [`tour`]
//! shows private training small, and [`pages`] draws what came of it. The binary `thalweg` is thin over this library.

#![forbid(unsafe_code)]

pub use thalweg_data as data;
pub use thalweg_descent as descent;
pub use thalweg_dynamics as dynamics;
pub use thalweg_nn as nn;
pub use thalweg_private as private;
pub use thalweg_probes as probes;
pub use thalweg_report as report;
pub use thalweg_vote as vote;

pub mod compose;
pub mod pages;
pub mod study;
pub mod tour;

/// The version of this build, as `--version` and every report give it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
