//! Two-dimensional convolution by columns and matrix products, and its gradients.
//!
//! The columns are not kept for the backward pass. Those of one image fit the cache, where making them again costs less
//! than fetching them from memory; and a batch's columns are many times as large as the batch.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;
use thalweg_descent::Real;

use super::columns::{Geometry, column_stride, gather, scatter};
use super::matrix::{Matrix, MatrixMut, Target, multiply};
use super::operation::Operation;
use super::parallel::for_each_unit;
use super::tensor::{Scalar, by_type};

/// The convolution of a batch of images `[n, channels, height, width]` with weights `[filters, channels / groups, tall, wide]`.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) weight: FlexTensor,
    pub(crate) bias: Option<FlexTensor>,
}

impl Operation for Convolution {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        by_type!(input, F => self.output::<F>(&input.to_contiguous()))
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        by_type!(delta, F => self.input_gradient::<F>(&delta.to_contiguous()))
    }
}

impl Convolution {
    fn output<F: Scalar>(&self, input: &FlexTensor) -> FlexTensor {
        let geometry = &self.geometry;
        let (images, weight) = (F::slice(input), F::slice(&self.weight));
        let bias = self.bias.as_ref().map(F::slice);
        let n = images.len() / geometry.image();
        let mut output = vec![F::default(); n * geometry.features()];
        for_each_unit(&mut output, geometry.features(), Vec::new, |columns, unit, output| {
            let image = &images[unit * geometry.image()..(unit + 1) * geometry.image()];
            convolve(geometry, image, weight, bias, columns, output);
        });
        F::tensor(output, Shape::from([n, geometry.filters, geometry.output_height(), geometry.output_width()]))
    }

    fn input_gradient<F: Scalar>(&self, delta: &FlexTensor) -> FlexTensor {
        let geometry = &self.geometry;
        let (deltas, weight) = (F::slice(delta), F::slice(&self.weight));
        let n = deltas.len() / geometry.features();
        let mut gradient = vec![F::default(); n * geometry.image()];
        for_each_unit(&mut gradient, geometry.image(), Vec::new, |columns, unit, gradient| {
            let delta = &deltas[unit * geometry.features()..(unit + 1) * geometry.features()];
            convolve_back(geometry, delta, weight, columns, gradient);
        });
        F::tensor(gradient, Shape::from([n, geometry.channels, geometry.height, geometry.width]))
    }
}

/// `output = weight * image + bias` for one image; `columns` is scratch.
pub(crate) fn convolve<F: Real>(
    geometry: &Geometry,
    image: &[F],
    weight: &[F],
    bias: Option<&[F]>,
    columns: &mut Vec<F>,
    output: &mut [F],
) {
    let (filters, patch, positions) = (geometry.group_filters(), geometry.patch(), geometry.positions());
    for (group, output) in output.chunks_exact_mut(filters * positions).enumerate() {
        let image = &image[group * geometry.group_image()..(group + 1) * geometry.group_image()];
        let weight = Matrix::new(&weight[group * filters * patch..(group + 1) * filters * patch], filters, patch);
        let target = if let Some(bias) = bias {
            let bias = &bias[group * filters..(group + 1) * filters];
            output.chunks_exact_mut(positions).zip(bias).for_each(|(row, bias)| row.fill(*bias));
            Target::Add
        } else {
            Target::Overwrite
        };
        for rows in geometry.bands() {
            let first = rows.start * geometry.output_width();
            let band = rows.len() * geometry.output_width();
            let columns = band_columns(geometry, image, rows, columns);
            let output = MatrixMut::strided(&mut output[first..], filters, band, positions);
            multiply(F::from_f64(1.0), weight, columns, output, target);
        }
    }
}

/// The gradient with respect to one image, from that with respect to its output. `gradient` comes filled with zeros.
pub(crate) fn convolve_back<F: Real>(geometry: &Geometry, delta: &[F], weight: &[F], columns: &mut Vec<F>, gradient: &mut [F]) {
    let (filters, patch, positions) = (geometry.group_filters(), geometry.patch(), geometry.positions());
    let one = F::from_f64(1.0);
    for (group, gradient) in gradient.chunks_exact_mut(geometry.group_image()).enumerate() {
        let delta = &delta[group * filters * positions..(group + 1) * filters * positions];
        let weight = Matrix::new(&weight[group * filters * patch..(group + 1) * filters * patch], filters, patch);
        for rows in geometry.bands() {
            let first = rows.start * geometry.output_width();
            let band = rows.len() * geometry.output_width();
            let delta = Matrix::strided(&delta[first..], filters, band, positions);
            if geometry.is_pointwise() {
                multiply(one, weight.transposed(), delta, MatrixMut::new(gradient, patch, band), Target::Overwrite);
                continue;
            }
            columns.resize(patch * column_stride(band), F::default());
            let target = MatrixMut::strided(columns, patch, band, column_stride(band));
            multiply(one, weight.transposed(), delta, target, Target::Overwrite);
            scatter(geometry, columns, rows, gradient);
        }
    }
}

/// Adds `scale` times the gradient of one image's loss with respect to the weights.
pub(crate) fn add_weight_gradient<F: Real>(
    geometry: &Geometry,
    image: &[F],
    delta: &[F],
    scale: F,
    columns: &mut Vec<F>,
    gradient: &mut [F],
) {
    let (filters, patch, positions) = (geometry.group_filters(), geometry.patch(), geometry.positions());
    for (group, gradient) in gradient.chunks_exact_mut(filters * patch).enumerate() {
        let image = &image[group * geometry.group_image()..(group + 1) * geometry.group_image()];
        let delta = &delta[group * filters * positions..(group + 1) * filters * positions];
        for rows in geometry.bands() {
            let first = rows.start * geometry.output_width();
            let band = rows.len() * geometry.output_width();
            let delta = Matrix::strided(&delta[first..], filters, band, positions);
            let columns = band_columns(geometry, image, rows, columns);
            multiply(scale, delta, columns.transposed(), MatrixMut::new(gradient, filters, patch), Target::Add);
        }
    }
}

/// The columns `[patch, band]` of a band of output rows of one group's image.
pub(crate) fn band_columns<'a, F: Real>(
    geometry: &Geometry,
    image: &'a [F],
    rows: std::ops::Range<usize>,
    columns: &'a mut Vec<F>,
) -> Matrix<'a, F> {
    let (patch, band) = (geometry.patch(), rows.len() * geometry.output_width());
    if geometry.is_pointwise() {
        let first = rows.start * geometry.output_width();
        return Matrix::strided(&image[first..], patch, band, geometry.positions());
    }
    columns.resize(patch * column_stride(band), F::default());
    gather(geometry, image, rows, columns);
    Matrix::strided(columns, patch, band, column_stride(band))
}
