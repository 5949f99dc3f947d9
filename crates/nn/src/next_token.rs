//! Next-token prediction as an objective: each sequence is a unit.

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::TensorData;
use thalweg_descent::{Batch, Contributions, Differentiate};

use crate::loss::cross_entropy;
use crate::samples::{Inputs, Tokens};
use crate::{Device, Error, Network, Pass, PerExample, Result, Samples};

/// The mean cross-entropy of each token given those before it, over the real tokens of a sequence; the network attends
/// backwards only (a transformer with [`View::Causal`](crate::zoo::transformer::View::Causal)).
#[derive(Clone, Debug)]
pub struct NextToken {
    network: Arc<Network>,
    samples: Arc<Samples>,
    device: burn::tensor::Device,
}

impl NextToken {
    /// On sequences of at least two real tokens.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is not compiled in.
    pub fn new(network: Arc<Network>, samples: Arc<Samples>, device: Device) -> Result<Self> {
        Ok(Self { network, samples, device: device.open()? })
    }

    /// The gradients of the sequences of these indices.
    ///
    /// # Errors
    /// When an index is out of range, a sequence has fewer than two tokens, or the network does not take them.
    pub fn per_example(&self, parameters: &[f32], indices: &[usize]) -> Result<PerExample<'_>> {
        let layout = self.network.layout();
        if indices.is_empty() {
            return Ok(PerExample::empty(layout));
        }
        let pass = Pass::tapped(layout, parameters, indices.len(), &self.device)?;
        let (inputs, _) = self.samples.gather(indices, &self.device)?;
        let logits = self.network.token_logits(&pass, &inputs)?;
        let Inputs::Tokens(tokens) = &inputs else {
            return Err(Error::Samples("next tokens need sequences of tokens, not features".to_owned()));
        };
        pass.backward(next_token_losses(logits, tokens)?)
    }
}

/// The loss of each sequence, `[n]`, from scores `[n, length, vocabulary]`.
///
/// # Errors
/// [`Error::Example`] when a sequence has fewer than two real tokens.
pub fn next_token_losses(logits: Tensor<3>, tokens: &Tokens) -> Result<Tensor<1>> {
    let [n, length, vocabulary] = logits.dims();
    if let Some(example) = tokens.lengths().iter().position(|real| *real < 2) {
        let reason = "it has one token; predicting the next needs at least two".to_owned();
        return Err(Error::Example { example, reason });
    }
    let predictions = logits.slice([0..n, 0..length - 1, 0..vocabulary]).reshape([n * (length - 1), vocabulary]);
    let targets: Vec<u32> = tokens.ids().chunks_exact(length).flat_map(|ids| ids[1..].iter().copied()).collect();
    let losses = cross_entropy(predictions, &targets, 0.0)?.reshape([n, length - 1]);
    let shares = tokens.lengths().iter().flat_map(|real| {
        let share = 1.0 / (real - 1) as f32;
        (1..length).map(move |t| if t < *real { share } else { 0.0 })
    });
    let shares = TensorData::new(shares.collect(), [n, length - 1]);
    let shares = Tensor::<2>::from_data(shares, &losses.device().without_autodiff());
    Ok((losses * shares).sum_dim(1).reshape([n]))
}

impl Differentiate<Batch, f32> for NextToken {
    fn differentiate<'a>(
        &'a self,
        parameters: &'a [f32],
        shard: &'a Batch,
    ) -> thalweg_descent::Result<Box<dyn Contributions<f32> + 'a>> {
        Ok(Box::new(self.per_example(parameters, &shard.indices)?))
    }
}
