//! What a tapped pass records: every use of parameters, and the gradient with respect to its output.
//!
//! A layer computes `z = f(a, w)` with its parameters as constants. The backward pass of the summed loss yields
//! `delta_i = dL_i / dz_i` for each example `i`, and a use's gradient for example `i` is a simple function of what it saw:
//!
//! - a **matrix** use: `sum_t left_t right_t^T` over the positions `t` of the example, where one of the two is the
//!   activation and the other delta (or the columns of a convolution, or the one-hot rows of an embedding);
//! - a **channel** use (a bias or gain): the sum of `delta` or of `delta x` over the entries of a channel.

use std::sync::Arc;

use burn::Tensor;
use burn::backend::flex::FlexTensor;
use burn::tensor::Gradients;
use thalweg_descent::BlockId;

use crate::host::columns::Geometry;
use crate::host::linear::Orientation;
use crate::host::operation::Sink;

/// How a parameter block was used.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// `z = a W`, or `z = a W^T`, row by row.
    Linear { inputs: usize, outputs: usize, orientation: Orientation, input: FlexTensor },
    /// A two-dimensional convolution.
    Convolution { geometry: Geometry, input: FlexTensor },
    /// Rows of a table.
    Lookup { ids: Arc<[u32]>, width: usize },
    /// `z = ... + b[c]`, or `z = b[c] x` with a factor `x`; entry `i` belongs to channel `i / inner % channels`.
    Channel { channels: usize, inner: usize, factor: Option<FlexTensor> },
}

/// One use of one block.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) block: BlockId,
    pub(crate) kind: Kind,
}

/// Where the delta of a use will be found.
#[derive(Debug)]
pub(crate) enum Tap {
    /// Our own operations leave it there.
    Sink(Sink),
    /// A tensor of zeros was added to the output: its gradient is delta.
    Zeros(Box<Tensor<1>>),
}

impl Tap {
    /// Delta, contiguous, after the backward pass.
    pub(crate) fn delta(&self, gradients: &Gradients) -> Option<FlexTensor> {
        match self {
            Self::Sink(sink) => sink.get().map(FlexTensor::to_contiguous),
            Self::Zeros(zeros) => zeros.grad(gradients).map(|delta| FlexTensor::from_data(delta.into_data())),
        }
    }
}

/// One use with its delta.
#[derive(Clone, Debug)]
pub(crate) struct Tapped {
    pub(crate) kind: Kind,
    pub(crate) delta: FlexTensor,
}
