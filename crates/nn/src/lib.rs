//! Networks on Burn whose layers give per-example gradients by taps.
//!
//! A network is a value without state: it says what its parameters are called and how they start, and a [`Pass`] brings it a flat
//! vector of them. In a tapped pass the weights are constants; each layer's output is tapped, and one backward pass of the summed
//! loss gives, for every example, what its own gradient is made of ([`PerExample`]): norms for clipping, and a weighted sum, without
//! storing a gradient for each example where its norm is cheaper to have otherwise.
//!
//! | to find | look in |
//! |---|---|
//! | layers | [`layers`]: dense, convolution, embedding, normalisation, attention, pooling, residuals |
//! | whole networks | [`zoo`], described by [`NetworkConfig`] |
//! | examples and objectives | [`Samples`], [`Classification`], [`NextToken`], [`Regression`]; several [`Views`] of an example |
//! | the average of the iterates | [`MovingAverage`] |
//! | weights in files | [`weights`] |
//!
//! Layers compose into a network of one's own:
//!
//! ```
//! use burn::Tensor;
//! use rand::SeedableRng;
//! use thalweg_descent::{Contributions, Weights};
//! use thalweg_nn::{Linear, LinearConfig, Pass, Plan, Result, cross_entropy, relu};
//!
//! struct TwoLayers {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl TwoLayers {
//!     fn new(plan: &mut Plan) -> Result<Self> {
//!         Ok(Self { hidden: LinearConfig::new(4, 8).build(plan, "hidden")?, output: LinearConfig::new(8, 3).build(plan, "output")? })
//!     }
//!
//!     fn forward(&self, pass: &Pass<'_>, x: Tensor<2>) -> Result<Tensor<2>> {
//!         self.output.forward(pass, relu(self.hidden.forward(pass, x)?))
//!     }
//! }
//!
//! let mut plan = Plan::new();
//! let network = TwoLayers::new(&mut plan)?;
//! let parameters = plan.init(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
//! let device = thalweg_nn::Device::Cpu.open()?;
//! let pass = Pass::tapped(plan.layout(), &parameters, 5, &device)?;
//! let logits = network.forward(&pass, Tensor::ones([5, 4], &device))?;
//! let mut gradients = pass.backward(cross_entropy(logits, &[0, 1, 2, 0, 1], 0.0)?)?;
//! let norms = gradients.squared_norms()?;
//! assert_eq!((norms.units(), norms.blocks()), (5, 4));
//! let mut sum = vec![0.0; parameters.len()];
//! Box::new(gradients).add_weighted_sum(&Weights::One, &mut sum)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

pub mod classification;
pub mod device;
pub mod error;
mod host;
pub mod layers;
pub mod loss;
pub mod moving_average;
pub mod next_token;
mod norms;
pub mod pass;
pub mod per_example;
pub mod plan;
pub mod regression;
pub mod samples;
mod tap;
mod uses;
pub mod views;
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
pub use layers::pooling::{avg_pool2d, global_avg_pool2d, last_position, max_pool2d, mean_over_positions};
pub use layers::residual::{join, residual};
pub use loss::cross_entropy;
pub use moving_average::{Average, MovingAverage};
pub use next_token::NextToken;
pub use pass::Pass;
pub use per_example::PerExample;
pub use plan::{Initial, Plan};
pub use regression::{Draw, Pairs, Regression};
pub use samples::{Inputs, Samples, Tokens};
pub use views::{Augmentation, Mirror, Views};
pub use zoo::attention_only::{AttentionOnly, AttentionOnlyConfig};
pub use zoo::bag::{Bag, BagConfig};
pub use zoo::cnn::{Cnn, CnnConfig};
pub use zoo::mlp::{Mlp, MlpConfig};
pub use zoo::network::{Network, NetworkConfig};
pub use zoo::resnet::{Normalisation, ResNet, ResNetConfig};
pub use zoo::transformer::{Head, Norms, Transformer, TransformerConfig};
