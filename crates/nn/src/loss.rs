//! Losses of single examples.

use burn::Tensor;
use burn::tensor::{Int, TensorData, activation};

use crate::{Error, Result};

/// The cross-entropy of each row of `logits` (`[n, classes]`) with its label: `[n]`.
///
/// With label smoothing `s`, the target is `1 - s` at the label plus `s / classes` everywhere.
///
/// # Errors
/// [`Error::Samples`] when there is not one label a row, or one is not below the number of classes.
pub fn cross_entropy(logits: Tensor<2>, labels: &[u32], smoothing: f64) -> Result<Tensor<1>> {
    let [n, classes] = logits.dims();
    if labels.len() != n {
        return Err(Error::Samples(format!("{} labels for {n} rows of scores", labels.len())));
    }
    if let Some(example) = labels.iter().position(|label| *label as usize >= classes) {
        let reason = format!("its label is {}, but the network scores {classes} classes", labels[example]);
        return Err(Error::Example { example, reason });
    }
    let device = logits.device().without_autodiff();
    let labels: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [n, 1]), &device);
    let logarithms = activation::log_softmax(logits, 1);
    let at_label = logarithms.clone().gather(1, labels).reshape([n]);
    if smoothing == 0.0 {
        return Ok(-at_label);
    }
    let everywhere = logarithms.mean_dim(1).reshape([n]);
    Ok(-(at_label * (1.0 - smoothing) + everywhere * smoothing))
}
