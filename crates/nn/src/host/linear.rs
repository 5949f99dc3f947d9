//! Affine maps of rows.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

use super::matrix::{Matrix, MatrixMut, Target, multiply};
use super::operation::Operation;
use super::tensor::{Scalar, by_type};

/// How a weight matrix maps a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// `z = a W` with `W` of shape `[inputs, outputs]`.
    Forwards,
    /// `z = a W^T` with `W` of shape `[outputs, inputs]`: an embedding's table as output projection.
    Transposed,
}

/// `z = a W + b` for each row `a`.
#[derive(Clone, Debug)]
pub(crate) struct LinearMap {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) orientation: Orientation,
    pub(crate) weight: FlexTensor,
    pub(crate) bias: Option<FlexTensor>,
}

impl Operation for LinearMap {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        by_type!(input, F => self.output::<F>(&input.to_contiguous()))
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        by_type!(delta, F => self.input_gradient::<F>(&delta.to_contiguous()))
    }
}

impl LinearMap {
    fn matrix<F: Scalar>(&self) -> Matrix<'_, F> {
        let weight = F::slice(&self.weight);
        match self.orientation {
            Orientation::Forwards => Matrix::new(weight, self.inputs, self.outputs),
            Orientation::Transposed => Matrix::new(weight, self.outputs, self.inputs).transposed(),
        }
    }

    fn output<F: Scalar>(&self, input: &FlexTensor) -> FlexTensor {
        let rows = F::slice(input).len() / self.inputs;
        let (mut output, target) = match &self.bias {
            Some(bias) => (F::slice(bias).repeat(rows), Target::Add),
            None => (vec![F::default(); rows * self.outputs], Target::Overwrite),
        };
        let input_rows = Matrix::new(F::slice(input), rows, self.inputs);
        multiply(F::from_f64(1.0), input_rows, self.matrix(), MatrixMut::new(&mut output, rows, self.outputs), target);
        F::tensor(output, with_last(input, self.outputs))
    }

    fn input_gradient<F: Scalar>(&self, delta: &FlexTensor) -> FlexTensor {
        let rows = F::slice(delta).len() / self.outputs;
        let mut gradient = vec![F::default(); rows * self.inputs];
        let deltas = Matrix::new(F::slice(delta), rows, self.outputs);
        let target = MatrixMut::new(&mut gradient, rows, self.inputs);
        multiply(F::from_f64(1.0), deltas, self.matrix().transposed(), target, Target::Overwrite);
        F::tensor(gradient, with_last(delta, self.inputs))
    }
}

/// The tensor's shape with another last dimension.
fn with_last(tensor: &FlexTensor, last: usize) -> Shape {
    let mut dims = tensor.layout().shape().to_vec();
    if let Some(dim) = dims.last_mut() {
        *dim = last;
    }
    Shape::from(dims)
}
