//! A gain and an offset for each channel.

use burn::backend::flex::FlexTensor;

use super::operation::Operation;
use super::tensor::{Scalar, by_type};

/// `y = gain[c] x + offset[c]`, where number `i` of the tensor belongs to channel `c = i / inner % channels`.
#[derive(Clone, Debug)]
pub(crate) struct ChannelAffine {
    pub(crate) inner: usize,
    pub(crate) gain: FlexTensor,
    pub(crate) offset: FlexTensor,
}

impl Operation for ChannelAffine {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        by_type!(input, F => {
            let offset = F::slice(&self.offset);
            self.map::<F>(&input.to_contiguous(), |c, gain, x| gain * x + offset[c])
        })
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        by_type!(delta, F => self.map::<F>(&delta.to_contiguous(), |_, gain, d| gain * d))
    }
}

impl ChannelAffine {
    fn map<F: Scalar>(&self, input: &FlexTensor, function: impl Fn(usize, F, F) -> F) -> FlexTensor {
        let gain = F::slice(&self.gain);
        let mut values = F::slice(input).to_vec();
        if self.inner == 1 {
            for row in values.chunks_exact_mut(gain.len()) {
                row.iter_mut().zip(gain).enumerate().for_each(|(c, (x, gain))| *x = function(c, *gain, *x));
            }
        } else {
            for (run, values) in values.chunks_exact_mut(self.inner).enumerate() {
                let c = run % gain.len();
                values.iter_mut().for_each(|x| *x = function(c, gain[c], *x));
            }
        }
        F::tensor(values, input.layout().shape().clone())
    }
}
