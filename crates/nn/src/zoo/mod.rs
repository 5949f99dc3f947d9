//! Networks ready to use, described by values that a run's configuration can name.

pub mod attention_only;
pub mod bag;
pub mod cnn;
pub mod mlp;
pub mod network;
pub mod resnet;
pub mod transformer;
