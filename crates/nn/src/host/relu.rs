//! The rectifier, in place where nobody else holds its input.

use burn::backend::flex::FlexTensor;

use super::operation::Operation;
use super::tensor::{Scalar, by_type};

/// `max(x, 0)`; NaN stays NaN.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rectifier {
    output: Option<FlexTensor>,
}

impl Operation for Rectifier {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        let output = by_type!(input, F => {
            let zero = F::default();
            map(input, |x| if x < zero { zero } else { x })
        });
        self.output = Some(output.clone());
        output
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        let output = self.output.expect("backward comes after forward");
        by_type!(delta, F => mask::<F>(delta, &output))
    }
}

fn map<F: Scalar>(input: FlexTensor, function: impl Fn(F) -> F) -> FlexTensor {
    let mut tensor = input.to_contiguous();
    drop(input);
    if let Some(values) = F::slice_mut(&mut tensor) {
        values.iter_mut().for_each(|x| *x = function(*x));
        return tensor;
    }
    let shape = tensor.layout().shape().clone();
    F::tensor(F::slice(&tensor).iter().map(|x| function(*x)).collect(), shape)
}

/// `delta` where the output is positive, else 0.
fn mask<F: Scalar>(delta: FlexTensor, output: &FlexTensor) -> FlexTensor {
    let mut tensor = delta.to_contiguous();
    drop(delta);
    let (zero, output) = (F::default(), F::slice(output));
    let pass = |delta: F, output: F| if output > zero { delta } else { zero };
    if let Some(values) = F::slice_mut(&mut tensor) {
        values.iter_mut().zip(output).for_each(|(delta, output)| *delta = pass(*delta, *output));
        return tensor;
    }
    let shape = tensor.layout().shape().clone();
    F::tensor(F::slice(&tensor).iter().zip(output).map(|(delta, output)| pass(*delta, *output)).collect(), shape)
}
