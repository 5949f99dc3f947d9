//! Rows with mean 0 and variance 1.

use burn::backend::flex::FlexTensor;

use super::operation::Operation;
use super::parallel::for_each_unit;
use super::tensor::{Scalar, by_type};

/// `(x - mean) / sqrt(variance + epsilon)` over each run of `length` consecutive numbers; the variance divides by `length`.
#[derive(Clone, Debug)]
pub(crate) struct Standardise {
    pub(crate) length: usize,
    pub(crate) epsilon: f64,
    /// The output, and `1 / sqrt(variance + epsilon)` of each run.
    kept: Option<(FlexTensor, FlexTensor)>,
}

impl Standardise {
    pub(crate) fn new(length: usize, epsilon: f64) -> Self {
        Self { length, epsilon, kept: None }
    }

    fn output<F: Scalar>(&mut self, input: &FlexTensor) -> FlexTensor {
        let mut values = F::slice(input).to_vec();
        let runs = values.len() / self.length;
        let mut scales = vec![F::default(); runs];
        let n = F::from_f64(self.length as f64);
        for (values, scale) in values.chunks_exact_mut(self.length).zip(&mut scales) {
            let mean = sum(values, |x| x) / n;
            let variance = sum(values, |x| (x - mean) * (x - mean)) / n;
            *scale = F::from_f64(1.0) / Scalar::sqrt(variance + F::from_f64(self.epsilon));
            values.iter_mut().for_each(|x| *x = (*x - mean) * *scale);
        }
        let output = F::tensor(values, input.layout().shape().clone());
        self.kept = Some((output.clone(), F::tensor(scales, [runs].into())));
        output
    }

    /// `dx = scale (d - mean(d) - y mean(d y))`.
    fn input_gradient<F: Scalar>(&self, delta: &FlexTensor) -> FlexTensor {
        let (output, scales) = self.kept.as_ref().expect("backward comes after forward");
        let (output, scales) = (F::slice(output), F::slice(scales));
        let mut gradient = F::slice(delta).to_vec();
        let n = F::from_f64(self.length as f64);
        for_each_unit(
            &mut gradient,
            self.length,
            || (),
            |(), run, gradient| {
                let output = &output[run * self.length..(run + 1) * self.length];
                let mean = sum(gradient, |d| d) / n;
                let along = dot(gradient, output) / n;
                for (d, y) in gradient.iter_mut().zip(output) {
                    *d = scales[run] * (*d - mean - *y * along);
                }
            },
        );
        F::tensor(gradient, delta.layout().shape().clone())
    }
}

impl Operation for Standardise {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        by_type!(input, F => self.output::<F>(&input.to_contiguous()))
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        by_type!(delta, F => self.input_gradient::<F>(&delta.to_contiguous()))
    }
}

/// Eight partial sums let the compiler use vector registers; their order of addition is fixed.
pub(crate) fn sum<F: Scalar>(values: &[F], term: impl Fn(F) -> F) -> F {
    let mut partial = [F::default(); 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (sum, value) in partial.iter_mut().zip(chunk) {
            *sum += term(*value);
        }
    }
    let tail: F = rest.iter().map(|value| term(*value)).sum();
    partial.into_iter().sum::<F>() + tail
}

/// The inner product, with partial sums as in [`sum`].
pub(crate) fn dot<F: Scalar>(a: &[F], b: &[F]) -> F {
    let mut partial = [F::default(); 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in partial.iter_mut().zip(a).zip(b) {
            *sum += *a * *b;
        }
    }
    let tail: F = a_rest.iter().zip(b_rest).map(|(a, b)| *a * *b).sum();
    partial.into_iter().sum::<F>() + tail
}
