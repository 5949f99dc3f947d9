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
    winners: Vec<u16>,
}

impl MaxPool {
    /// `kernel` fits into the image and has fewer than 65,536 entries.
    pub(crate) fn new([height, width]: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        Self { height, width, kernel, stride, winners: Vec::new() }
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
        let rows = values.chunks_exact_mut(wide).zip(winners.chunks_exact_mut(wide)).enumerate();
        for (row, (values, winners)) in rows {
            let corner = (row / tall * self.height + row % tall * self.stride[0]) * self.width;
            self.pool_row(&images[corner..], values, winners);
        }
        self.winners = winners;
        F::tensor(values, Shape::from([dims[0], dims[1], tall, wide]))
    }

    /// One row of windows; `image` begins at the corner of the first.
    fn pool_row<F: Scalar>(&self, image: &[F], values: &mut [F], winners: &mut [u16]) {
        for (value, corner) in values.iter_mut().zip(image.iter().step_by(self.stride[1])) {
            *value = *corner;
        }
        for entry in 1..self.kernel[0] * self.kernel[1] {
            let start = entry / self.kernel[1] * self.width + entry % self.kernel[1];
            let candidates = image[start..].iter().step_by(self.stride[1]);
            for ((value, winner), candidate) in values.iter_mut().zip(&mut *winners).zip(candidates) {
                // A NaN wins over everything, so that it shows. Selected without a branch: which entry wins is a coin toss.
                let wins = (*candidate > *value) | candidate.partial_cmp(candidate).is_none();
                *value = if wins { *candidate } else { *value };
                *winner = if wins { entry as u16 } else { *winner };
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
                for (at, (delta, winner)) in deltas[range.clone()].iter().zip(&self.winners[range]).enumerate() {
                    let corner = at / wide * self.stride[0] * self.width + at % wide * self.stride[1];
                    let entry = usize::from(*winner);
                    gradient[corner + entry / self.kernel[1] * self.width + entry % self.kernel[1]] += *delta;
                }
            },
        );
        F::tensor(gradient, Shape::from([dims[0], dims[1], self.height, self.width]))
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
