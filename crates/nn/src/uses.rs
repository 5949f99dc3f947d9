//! The gradient that one use of a block gives one unit, in the forms that norms and sums need.

use std::borrow::Cow;

use burn::backend::flex::FlexTensor;
use thalweg_descent::Block;

use crate::host::columns::Geometry;
use crate::host::convolution::{add_weight_gradient, band_columns};
use crate::host::linear::Orientation;
use crate::host::matrix::{Matrix, MatrixMut, Target, multiply};
use crate::host::tensor::Scalar;
use crate::tap::{Kind, Tapped};

/// One factor of a matrix use: a row for each position of a unit.
pub(crate) enum Rows<'a> {
    Dense(Matrix<'a, f32>),
    /// Row `t` is 1 at `ids[t]` and 0 elsewhere.
    OneHot(&'a [u32]),
}

impl Tapped {
    /// Positions of one unit: T.
    pub(crate) fn positions(&self, units: usize) -> usize {
        match &self.kind {
            Kind::Linear { outputs, .. } => len(&self.delta) / outputs / units,
            Kind::Convolution { geometry, .. } => len(&self.delta) / geometry.filters / units,
            Kind::Lookup { ids, .. } => ids.len() / units,
            Kind::Channel { channels, .. } => len(&self.delta) / channels / units,
        }
    }

    /// How many diagonal blocks the gradient falls into: the groups of a convolution.
    pub(crate) fn groups(&self) -> usize {
        match &self.kind {
            Kind::Convolution { geometry, .. } => geometry.groups,
            _ => 1,
        }
    }

    /// Rows and columns of one group's gradient matrix.
    pub(crate) fn matrix_shape(&self, block: &Block) -> [usize; 2] {
        match &self.kind {
            Kind::Convolution { geometry, .. } => [geometry.group_filters(), geometry.patch()],
            _ => [block.shape[0], block.len() / block.shape[0].max(1)],
        }
    }

    /// Whether it is a bias or gain.
    pub(crate) fn is_channel(&self) -> bool {
        matches!(self.kind, Kind::Channel { .. })
    }

    /// Whether a convolution saw several images of one unit: their columns would all be needed at once.
    pub(crate) fn has_several_images(&self, units: usize) -> bool {
        matches!(&self.kind, Kind::Convolution { geometry, .. } if self.positions(units) > geometry.positions())
    }

    /// The factors whose sum of outer products is the gradient of one group: `sum_t left_t right_t^T`.
    ///
    /// `scratch` takes the columns of a convolution.
    pub(crate) fn factors<'a>(&'a self, units: usize, unit: usize, group: usize, scratch: &'a mut Vec<f32>) -> [Rows<'a>; 2] {
        let delta = part(&self.delta, units, unit);
        match &self.kind {
            Kind::Linear { inputs, outputs, orientation, input } => {
                let rows = delta.len() / outputs;
                let input = Rows::Dense(Matrix::new(part(input, units, unit), rows, *inputs));
                let delta = Rows::Dense(Matrix::new(delta, rows, *outputs));
                match orientation {
                    Orientation::Forwards => [input, delta],
                    Orientation::Transposed => [delta, input],
                }
            }
            Kind::Lookup { ids, width } => {
                let positions = ids.len() / units;
                let ids = &ids[unit * positions..(unit + 1) * positions];
                [Rows::OneHot(ids), Rows::Dense(Matrix::new(delta, positions, *width))]
            }
            Kind::Convolution { geometry, input } => {
                let filters = geometry.group_filters() * geometry.positions();
                let delta = &delta[group * filters..(group + 1) * filters];
                let delta = Matrix::new(delta, geometry.group_filters(), geometry.positions()).transposed();
                let image = &part(input, units, unit)[group * geometry.group_image()..(group + 1) * geometry.group_image()];
                let columns = band_columns(geometry, image, 0..geometry.output_height(), scratch);
                [Rows::Dense(delta), Rows::Dense(columns.transposed())]
            }
            Kind::Channel { .. } => unreachable!("a bias or gain is a vector"),
        }
    }

    /// Adds `scale` times the gradient of one unit to the block's `gradient`.
    pub(crate) fn add_gradient(&self, units: usize, unit: usize, scale: f32, scratch: &mut Vec<f32>, gradient: &mut [f32]) {
        let delta = part(&self.delta, units, unit);
        match &self.kind {
            Kind::Linear { inputs, outputs, orientation, input } => {
                let rows = delta.len() / outputs;
                let input = Matrix::new(part(input, units, unit), rows, *inputs);
                add_linear(*orientation, scale, input, Matrix::new(delta, rows, *outputs), gradient);
            }
            Kind::Convolution { geometry, input } => {
                let input = part(input, units, unit);
                for_each_image(geometry, input, delta, |image, delta| {
                    add_weight_gradient(geometry, image, delta, scale, scratch, gradient);
                });
            }
            Kind::Lookup { ids, width } => {
                let positions = ids.len() / units;
                let ids = &ids[unit * positions..(unit + 1) * positions];
                for (id, delta) in ids.iter().zip(delta.chunks_exact(*width)) {
                    let start = *id as usize * width;
                    add_scaled(scale, delta, &mut gradient[start..start + width]);
                }
            }
            Kind::Channel { inner, factor, .. } => {
                let factor = factor.as_ref().map(|factor| part(factor, units, unit));
                add_channels(*inner, scale, delta, factor, gradient);
            }
        }
    }

    /// Adds the weighted sum over all units to the block's `gradient`.
    pub(crate) fn add_weighted(&self, units: usize, weight: &dyn Fn(usize) -> f32, gradient: &mut [f32]) {
        if let Kind::Linear { inputs, outputs, orientation, input } = &self.kind {
            return self.add_weighted_linear(units, weight, [*inputs, *outputs], *orientation, input, gradient);
        }
        let mut scratch = Vec::new();
        for unit in 0..units {
            let weight = weight(unit);
            if weight != 0.0 {
                self.add_gradient(units, unit, weight, &mut scratch, gradient);
            }
        }
    }

    /// Book-keeping: `a^T diag(c) delta` over all units in one product.
    fn add_weighted_linear(
        &self,
        units: usize,
        weight: &dyn Fn(usize) -> f32,
        [inputs, outputs]: [usize; 2],
        orientation: Orientation,
        input: &FlexTensor,
        gradient: &mut [f32],
    ) {
        let mut weights: Vec<f32> = (0..units).map(weight).collect();
        let (mut input, mut delta) = (Cow::from(f32::slice(input)), Cow::from(f32::slice(&self.delta)));
        if weights.contains(&0.0) {
            // Left out, not multiplied by 0: it may be no number.
            (input, delta) = (kept(&input, &weights).into(), kept(&delta, &weights).into());
            weights.retain(|weight| *weight != 0.0);
        }
        let Some(first) = weights.first() else { return };
        let (input, delta) = (&*input, &*delta);
        let rows = delta.len() / outputs;
        let matrix = |values, columns| Matrix::new(values, rows, columns);
        if weights.iter().all(|weight| weight == first) {
            return add_linear(orientation, *first, matrix(input, inputs), matrix(delta, outputs), gradient);
        }
        if inputs < outputs {
            let input = scaled(input, &weights);
            add_linear(orientation, 1.0, matrix(&input, inputs), matrix(delta, outputs), gradient);
        } else {
            let delta = scaled(delta, &weights);
            add_linear(orientation, 1.0, matrix(input, inputs), matrix(&delta, outputs), gradient);
        }
    }
}

/// Adds `scale input^T delta` to a matrix of shape `[inputs, outputs]`, or its transpose to one of shape `[outputs, inputs]`.
fn add_linear(orientation: Orientation, scale: f32, input: Matrix<'_, f32>, delta: Matrix<'_, f32>, gradient: &mut [f32]) {
    let (left, right) = match orientation {
        Orientation::Forwards => (input, delta),
        Orientation::Transposed => (delta, input),
    };
    let target = MatrixMut::new(gradient, left.columns(), right.columns());
    multiply(scale, left.transposed(), right, target, Target::Add);
}

fn for_each_image(geometry: &Geometry, input: &[f32], delta: &[f32], mut work: impl FnMut(&[f32], &[f32])) {
    for (image, delta) in input.chunks_exact(geometry.image()).zip(delta.chunks_exact(geometry.features())) {
        work(image, delta);
    }
}

fn add_channels(inner: usize, scale: f32, delta: &[f32], factor: Option<&[f32]>, gradient: &mut [f32]) {
    let channels = gradient.len();
    for (run, delta) in delta.chunks_exact(inner).enumerate() {
        let sum = match factor {
            Some(factor) => crate::host::standardise::dot(delta, &factor[run * inner..(run + 1) * inner]),
            None => crate::host::standardise::sum(delta, |d| d),
        };
        gradient[run % channels] += scale * sum;
    }
}

pub(crate) fn add_scaled(scale: f32, values: &[f32], sum: &mut [f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * *value;
    }
}

/// The parts of the units whose weight is not 0.
fn kept(values: &[f32], weights: &[f32]) -> Vec<f32> {
    let parts = values.chunks_exact(values.len() / weights.len()).zip(weights);
    parts.filter(|(_, weight)| **weight != 0.0).flat_map(|(part, _)| part).copied().collect()
}

/// Each unit's part of the values times its weight.
fn scaled(values: &[f32], weights: &[f32]) -> Vec<f32> {
    let length = values.len() / weights.len();
    let mut scaled = Vec::with_capacity(values.len());
    for (values, weight) in values.chunks_exact(length).zip(weights) {
        scaled.extend(values.iter().map(|value| value * weight));
    }
    scaled
}

/// One unit's part of a tensor whose first dimension runs over units.
fn part(tensor: &FlexTensor, units: usize, unit: usize) -> &[f32] {
    let values = f32::slice(tensor);
    let length = values.len() / units;
    &values[unit * length..(unit + 1) * length]
}

fn len(tensor: &FlexTensor) -> usize {
    f32::slice(tensor).len()
}
