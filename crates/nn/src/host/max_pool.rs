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
        let mut pairs = vec![(F::default(), 0u16); planes * tall * wide];
        for_each_unit(
            &mut pairs,
            tall * wide,
            || (),
            |(), plane, pairs| {
                let image = &images[plane * self.height * self.width..(plane + 1) * self.height * self.width];
                self.pool_plane(image, pairs);
            },
        );
        self.winners = pairs.iter().map(|(_, winner)| *winner).collect();
        F::tensor(pairs.into_iter().map(|(value, _)| value).collect(), Shape::from([dims[0], dims[1], tall, wide]))
    }

    fn pool_plane<F: Scalar>(&self, image: &[F], pairs: &mut [(F, u16)]) {
        let [_, wide] = self.output();
        for (at, pair) in pairs.iter_mut().enumerate() {
            let corner = at / wide * self.stride[0] * self.width + at % wide * self.stride[1];
            *pair = (image[corner], 0);
            for entry in 1..self.kernel[0] * self.kernel[1] {
                let value = image[corner + entry / self.kernel[1] * self.width + entry % self.kernel[1]];
                // A NaN wins over everything, so that it shows.
                if value > pair.0 || value.partial_cmp(&value).is_none() {
                    *pair = (value, entry as u16);
                }
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
