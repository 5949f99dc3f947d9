//! The largest value of each window, and where it stood.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

use super::operation::Operation;
use super::parallel::for_each_unit;
use super::tensor::{Scalar, by_type};

/// Max-pooling of images `[n, channels, height, width]` over windows that lie inside the image.
#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// For each output, which entry of its window was the largest; the first of equals.
    winners: Vec<u32>,
}

impl MaxPool {
    /// `kernel` fits into the image.
    pub(crate) fn new([height, width]: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        Self { height, width, kernel, stride, winners: Vec::new() }
    }

    /// Windows of 2 x 2 side by side: the usual case, with loops that the compiler turns into vector instructions.
    fn halves(&self) -> bool {
        self.kernel == [2, 2] && self.stride == [2, 2]
    }

    fn output(&self) -> [usize; 2] {
        [(self.height - self.kernel[0]) / self.stride[0] + 1, (self.width - self.kernel[1]) / self.stride[1] + 1]
    }

    fn pool<F: Scalar>(&mut self, input: &FlexTensor) -> FlexTensor {
        let dims = input.layout().shape().to_vec();
        let [tall, wide] = self.output();
        let images = F::slice(input);
        let planes = dims[0] * dims[1];
        let mut values = vec![F::default(); planes * tall * wide];
        let mut winners = vec![0; planes * tall * wide];
        let mut columns = vec![(F::default(), 0); self.width];
        let rows = values.chunks_exact_mut(wide).zip(winners.chunks_exact_mut(wide)).enumerate();
        for (row, (values, winners)) in rows {
            let corner = (row / tall * self.height + row % tall * self.stride[0]) * self.width;
            if self.halves() {
                let (top, bottom) = images[corner..][..2 * self.width].split_at(self.width);
                pool_pairs(top, bottom, &mut columns, values, winners);
            } else {
                self.pool_row(&images[corner..], values, winners);
            }
        }
        self.winners = winners;
        F::tensor(values, Shape::from([dims[0], dims[1], tall, wide]))
    }

    /// One row of windows; `image` begins at the corner of the first.
    fn pool_row<F: Scalar>(&self, image: &[F], values: &mut [F], winners: &mut [u32]) {
        for (value, corner) in values.iter_mut().zip(image.iter().step_by(self.stride[1])) {
            *value = *corner;
        }
        for entry in 1..self.kernel[0] * self.kernel[1] {
            let start = entry / self.kernel[1] * self.width + entry % self.kernel[1];
            let candidates = image[start..].iter().step_by(self.stride[1]);
            for ((value, winner), candidate) in values.iter_mut().zip(&mut *winners).zip(candidates) {
                let wins = later_wins(*value, *candidate);
                *value = if wins { *candidate } else { *value };
                *winner = if wins { entry as u32 } else { *winner };
            }
        }
    }

    fn spread<F: Scalar>(&self, delta: &FlexTensor) -> FlexTensor {
        let dims = delta.layout().shape().to_vec();
        let [tall, wide] = self.output();
        let deltas = F::slice(delta);
        let plane_size = self.height * self.width;
        let mut gradient = vec![F::default(); dims[0] * dims[1] * plane_size];
        for_each_unit(
            &mut gradient,
            plane_size,
            || (),
            |(), plane, gradient| {
                let range = plane * tall * wide..(plane + 1) * tall * wide;
                if self.halves() {
                    return spread_pairs(&deltas[range.clone()], &self.winners[range], wide, self.width, gradient);
                }
                for (at, (delta, winner)) in deltas[range.clone()].iter().zip(&self.winners[range]).enumerate() {
                    let corner = at / wide * self.stride[0] * self.width + at % wide * self.stride[1];
                    let entry = *winner as usize;
                    gradient[corner + entry / self.kernel[1] * self.width + entry % self.kernel[1]] += *delta;
                }
            },
        );
        F::tensor(gradient, Shape::from([dims[0], dims[1], self.height, self.width]))
    }
}

/// One row of 2 x 2 windows from two rows of the image: first the larger of each column, then of each pair of columns.
///
/// Written without anything that needs a branch, since which entry wins is a coin toss; `columns` is scratch.
fn pool_pairs<F: Scalar>(top: &[F], bottom: &[F], columns: &mut [(F, u32)], values: &mut [F], winners: &mut [u32]) {
    for ((column, top), bottom) in columns.iter_mut().zip(top).zip(bottom) {
        let down = later_wins(*top, *bottom);
        *column = (if down { *bottom } else { *top }, 2 * u32::from(down));
    }
    let pairs = columns.as_chunks::<2>().0;
    for ((value, winner), [left, right]) in values.iter_mut().zip(winners).zip(pairs) {
        let earlier_equal = (right.0 == left.0) & (right.1 < left.1);
        let across = later_wins(left.0, right.0) | earlier_equal;
        *value = if across { right.0 } else { left.0 };
        *winner = if across { right.1 + 1 } else { left.1 };
    }
}

/// Whether the later of two entries is the larger. A NaN wins over everything, so that it shows.
fn later_wins<F: Scalar>(earlier: F, later: F) -> bool {
    (later > earlier) | is_nan(later)
}

#[expect(clippy::eq_op, reason = "only NaN differs from itself, and one comparison is what vector instructions have")]
fn is_nan<F: Scalar>(value: F) -> bool {
    value != value
}

/// Writes each delta to where its 2 x 2 window had its winner; `gradient` comes filled with zeros.
fn spread_pairs<F: Scalar>(deltas: &[F], winners: &[u32], wide: usize, width: usize, gradient: &mut [F]) {
    let rows = deltas.chunks_exact(wide).zip(winners.chunks_exact(wide)).zip(gradient.chunks_exact_mut(2 * width));
    for ((deltas, winners), gradient) in rows {
        for (x, (delta, winner)) in deltas.iter().zip(winners).enumerate() {
            let entry = *winner as usize;
            gradient[(entry >> 1) * width + 2 * x + (entry & 1)] = *delta;
        }
    }
}

impl Operation for MaxPool {
    fn forward(&mut self, input: FlexTensor) -> FlexTensor {
        by_type!(input, F => self.pool::<F>(&input.to_contiguous()))
    }

    fn backward(self, delta: FlexTensor) -> FlexTensor {
        by_type!(delta, F => self.spread::<F>(&delta.to_contiguous()))
    }
}

#[cfg(test)]
mod tests {
    use burn::Tensor;
    use burn::tensor::ops::MaxPoolOptions;
    use burn::tensor::{Device, TensorData};

    /// Values and gradients against Burn's own pooling.
    #[track_caller]
    fn check(dims: [usize; 4], kernel: [usize; 2], stride: [usize; 2]) {
        let length = dims.iter().product::<usize>();
        let image: Vec<f32> = (0..length).map(|i| ((i * 7919) % 1009) as f32).collect();
        let leaf = || Tensor::<4>::from_data(TensorData::new(image.clone(), dims), &Device::flex()).autodiff().require_grad();
        let run = |pool: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let input = leaf();
            let output = pool(input.clone());
            let gradients = output.clone().powf_scalar(2.0).sum().backward();
            let values: Vec<f32> = output.inner().into_data().iter().collect();
            (values, input.grad(&gradients).unwrap().into_data().iter::<f32>().collect::<Vec<_>>())
        };
        let ours = run(&|x| crate::max_pool2d(x, kernel, stride).unwrap());
        let theirs = run(&|x| burn::tensor::module::max_pool2d(x, MaxPoolOptions::new(kernel).with_stride(stride)));
        assert_eq!(ours, theirs, "{dims:?} {kernel:?} {stride:?}");
    }

    #[test]
    fn values_and_gradients_are_burns() {
        for (dims, kernel, stride) in [
            ([2, 3, 8, 6], [2, 2], [2, 2]),
            ([1, 2, 7, 5], [2, 2], [2, 2]),
            ([2, 1, 9, 9], [3, 3], [2, 2]),
            ([2, 2, 6, 7], [3, 2], [1, 3]),
            ([1, 1, 4, 4], [4, 4], [1, 1]),
            ([3, 1, 1, 5], [1, 2], [1, 2]),
        ] {
            check(dims, kernel, stride);
        }
    }

    #[test]
    fn the_first_of_equals_takes_the_gradient_and_nan_shows() {
        let leaf = |values: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values, [1, 1, 2, 2]), &Device::flex()).autodiff().require_grad()
        };
        for stride in [[2, 2], [1, 1]] {
            let equal = leaf(vec![1.0; 4]);
            let gradients = crate::max_pool2d(equal.clone(), [2, 2], stride).unwrap().sum().backward();
            let gradient: Vec<f32> = equal.grad(&gradients).unwrap().into_data().iter().collect();
            assert_eq!(gradient, [1.0, 0.0, 0.0, 0.0]);
            for at in 0..4 {
                let mut values = vec![5.0; 4];
                values[at] = f32::NAN;
                let output: Vec<f32> =
                    crate::max_pool2d(leaf(values).inner(), [2, 2], stride).unwrap().into_data().iter().collect();
                assert!(output[0].is_nan(), "NaN at {at}");
            }
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let image = Tensor::<4>::zeros([1, 1, 3, 3], &Device::flex());
        for (kernel, stride) in [([4, 1], [1, 1]), ([0, 1], [1, 1]), ([2, 2], [1, 0])] {
            assert!(crate::max_pool2d(image.clone(), kernel, stride).is_err());
        }
    }
}
