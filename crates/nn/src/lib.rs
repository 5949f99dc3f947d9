//! Networks on Burn whose layers give per-example gradients by taps.

#![deny(unsafe_code)]

pub mod classification;
pub mod device;
pub mod error;
mod host;
pub mod layers;
pub mod loss;
pub mod next_token;
mod norms;
pub mod pass;
pub mod per_example;
pub mod plan;
pub mod samples;
mod tap;
mod uses;
pub mod weights;
pub mod zoo;

pub use classification::{Accuracy, Classification, Evaluation, evaluate};
pub use device::Device;
pub use error::{Error, Result};
pub use layers::activation::{Activation, relu};
pub use layers::attention::{Attention, AttentionConfig, Mask};
pub use layers::conv2d::{Conv2d, Conv2dConfig};
pub use layers::embedding::{Embedding, EmbeddingConfig};
pub use layers::group_norm::{GroupNorm, GroupNormConfig};
pub use layers::layer_norm::{LayerNorm, LayerNormConfig};
pub use layers::linear::{Linear, LinearConfig};
pub use layers::pooling::{avg_pool2d, global_avg_pool2d, max_pool2d, mean_over_positions};
pub use layers::residual::{join, residual};
pub use loss::cross_entropy;
pub use next_token::NextToken;
pub use pass::Pass;
pub use per_example::PerExample;
pub use plan::{Initial, Plan};
pub use samples::{Inputs, Samples, Tokens};
pub use zoo::cnn::{Cnn, CnnConfig};
pub use zoo::mlp::{Mlp, MlpConfig};
pub use zoo::network::{Network, NetworkConfig};
pub use zoo::resnet::{Normalisation, ResNet, ResNetConfig};
pub use zoo::transformer::{Head, Transformer, TransformerConfig};
