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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers of size 1 without a pattern that a wrong index would hide in.
    fn numbers(count: usize, salt: f64) -> Vec<f64> {
        (0..count).map(|i| (1.7 * i as f64 + salt).sin() + 0.3 * (0.31 * (i * i) as f64 + salt).cos()).collect()
    }

    /// The definition, entry by entry.
    fn by_definition(g: &Geometry, image: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let (high, wide) = (g.output_height(), g.output_width());
        let (in_group, of_group) = (g.channels / g.groups, g.filters / g.groups);
        let mut output = vec![0.0; g.features()];
        for (place, value) in output.iter_mut().enumerate() {
            let (filter, y, x) = (place / (high * wide), place / wide % high, place % wide);
            *value = bias[filter];
            for tap in 0..g.patch() {
                let (channel, v, u) = (tap / (g.kernel[0] * g.kernel[1]), tap / g.kernel[1] % g.kernel[0], tap % g.kernel[1]);
                let row = (y * g.stride[0] + v * g.dilation[0]).checked_sub(g.padding[0]).filter(|row| *row < g.height);
                let column = (x * g.stride[1] + u * g.dilation[1]).checked_sub(g.padding[1]).filter(|column| *column < g.width);
                if let (Some(row), Some(column)) = (row, column) {
                    let channel = filter / of_group * in_group + channel;
                    *value += weight[filter * g.patch() + tap] * image[(channel * g.height + row) * g.width + column];
                }
            }
        }
        output
    }

    #[track_caller]
    fn close(found: &[f64], expected: &[f64]) {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= 1e-8 * expected.abs().max(1.0), "entry {i}: {found}, expected {expected}");
        }
    }

    /// Central differences of `loss` in every entry of `at`.
    fn differences(at: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        const H: f64 = 1e-4;
        let shifted = |i: usize, h: f64| {
            let mut moved = at.to_vec();
            moved[i] += h;
            loss(&moved)
        };
        (0..at.len()).map(|i| (shifted(i, H) - shifted(i, -H)) / (2.0 * H)).collect()
    }

    fn geometries() -> impl Strategy<Value = Geometry> {
        let small = 1usize..3;
        let axes =
            ((1usize..4, 1usize..4), (small.clone(), small.clone()), (0usize..3, 0usize..3), (small.clone(), small.clone()));
        (axes, (1usize..3, small.clone(), small), (3usize..7, 3usize..7)).prop_filter_map(
            "the kernel fits",
            |(axes, sizes, image)| {
                let ((k0, k1), (s0, s1), (p0, p1), (d0, d1)) = axes;
                let (groups, in_group, of_group) = sizes;
                let geometry = Geometry {
                    channels: groups * in_group,
                    height: image.0,
                    width: image.1,
                    filters: groups * of_group,
                    kernel: [k0, k1],
                    stride: [s0, s1],
                    padding: [p0, p1],
                    dilation: [d0, d1],
                    groups,
                };
                geometry.output().map(|_| geometry)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// All strides, paddings, dilations and groups: the output against the definition, both gradients against central
        /// differences of a loss that is not linear in the output.
        #[test]
        fn outputs_and_gradients_are_those_of_the_definition(g in geometries()) {
            let image = numbers(g.image(), 0.1);
            let weight = numbers(g.filters * g.patch(), 0.7);
            let bias = numbers(g.filters, 1.3);
            let mut columns = Vec::new();
            let mut output = vec![0.0; g.features()];
            convolve(&g, &image, &weight, Some(&bias), &mut columns, &mut output);
            close(&output, &by_definition(&g, &image, &weight, &bias));

            let loss = |image: &[f64], weight: &[f64]| by_definition(&g, image, weight, &bias).iter().map(|z| z.sin()).sum::<f64>();
            let delta: Vec<f64> = output.iter().map(|z| z.cos()).collect();
            let mut by_image = vec![0.0; g.image()];
            convolve_back(&g, &delta, &weight, &mut columns, &mut by_image);
            let mut by_weight = vec![0.0; weight.len()];
            add_weight_gradient(&g, &image, &delta, 1.0, &mut columns, &mut by_weight);
            // Central differences at h = 1e-4 err by h^2 times the third derivative, below 1e-6 here.
            for (found, expected) in [
                (by_image, differences(&image, |image| loss(image, &weight))),
                (by_weight, differences(&weight, |weight| loss(&image, weight))),
            ] {
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{:?}: {} against {}", g, found, expected);
                }
            }
        }
    }

    #[test]
    fn bands_of_a_large_image_join_without_a_seam() {
        let g = Geometry {
            channels: 16,
            height: 70,
            width: 65,
            filters: 3,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        assert!(g.bands().count() > 1, "the image must be large enough for several bands");
        let (image, weight, bias) = (numbers(g.image(), 0.1), numbers(g.filters * g.patch(), 0.7), numbers(g.filters, 1.3));
        let mut columns = Vec::new();
        let mut output = vec![0.0; g.features()];
        convolve(&g, &image, &weight, Some(&bias), &mut columns, &mut output);
        close(&output, &by_definition(&g, &image, &weight, &bias));
        // <conv(x), d> = <x, conv_back(d)> without a bias: the gradient is the adjoint.
        let delta = numbers(g.features(), 2.9);
        let mut back = vec![0.0; g.image()];
        convolve_back(&g, &delta, &weight, &mut columns, &mut back);
        let plain: Vec<f64> = output.iter().zip(0..).map(|(z, i)| z - bias[i / g.positions()]).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&plain, &delta), dot(&image, &back));
        assert!((left - right).abs() < 1e-9 * left.abs().max(1.0), "{left} against {right}");
    }
}
