//! The layers: values that know the numbers of their parameter blocks, and how to run in a [`Pass`](crate::Pass).
//!
//! Each is described by a serialisable configuration (`XConfig::new(required).with_y(..)`) whose `build` checks everything
//! and registers the blocks in a [`Plan`](crate::Plan).

pub mod activation;
pub mod attention;
pub mod conv2d;
pub mod embedding;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod pooling;
pub mod residual;
mod standardised;
