//! Pooling: the largest or mean value of each window, or of a whole image or sequence.

use burn::Tensor;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Bool, module};

use crate::host::max_pool::MaxPool;
use crate::host::operation::apply;
use crate::host::tensor::is_covered;
use crate::pass::{Place, place_of};
use crate::{Error, Result};

/// The largest value of each window of images `[n, channels, height, width]`; windows lie inside the image.
///
/// The gradient goes to the first of equal values.
///
/// # Errors
/// [`Error::Shape`] when a window is empty or larger than the image, or the stride is 0.
pub fn max_pool2d(input: Tensor<4>, kernel: [usize; 2], stride: [usize; 2]) -> Result<Tensor<4>> {
    let [_, _, height, width] = input.dims();
    check_windows("max pooling", input.dims(), kernel, stride)?;
    if place_of(&input.device()) == Place::Host && is_covered(input.dtype()) {
        return Ok(apply(MaxPool::new([height, width], kernel, stride), input));
    }
    Ok(module::max_pool2d(input, MaxPoolOptions::new(kernel).with_stride(stride)))
}

/// The mean of each window of images `[n, channels, height, width]`; windows lie inside the image.
///
/// # Errors
/// [`Error::Shape`] as for [`max_pool2d`].
pub fn avg_pool2d(input: Tensor<4>, kernel: [usize; 2], stride: [usize; 2]) -> Result<Tensor<4>> {
    check_windows("average pooling", input.dims(), kernel, stride)?;
    Ok(module::avg_pool2d(input, AvgPoolOptions::new(kernel).with_stride(stride)))
}

/// The mean of each channel over all pixels: from `[n, channels, height, width]` to `[n, channels]`.
pub fn global_avg_pool2d(input: Tensor<4>) -> Tensor<2> {
    let [n, channels, height, width] = input.dims();
    input.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels])
}

/// The mean over the positions of each sequence that are not padding: from `[n, length, width]` to `[n, width]`.
///
/// `padding` is true where a position is padding; every sequence has at least one position that is not.
pub fn mean_over_positions(input: Tensor<3>, padding: Option<Tensor<2, Bool>>) -> Tensor<2> {
    let [n, length, width] = input.dims();
    let Some(padding) = padding else { return input.mean_dim(1).reshape([n, width]) };
    let present = padding.bool_not().float().reshape([n, length, 1]);
    let counts = present.clone().sum_dim(1);
    ((input * present).sum_dim(1) / counts).reshape([n, width])
}

/// The last position of each sequence: from `[n, length, width]` to `[n, width]`.
pub fn last_position(input: Tensor<3>) -> Tensor<2> {
    let [n, length, width] = input.dims();
    input.slice([0..n, length - 1..length, 0..width]).reshape([n, width])
}

fn check_windows(layer: &str, dims: [usize; 4], kernel: [usize; 2], stride: [usize; 2]) -> Result<()> {
    let [_, _, height, width] = dims;
    let fits = (1..=height).contains(&kernel[0]) && (1..=width).contains(&kernel[1]);
    if fits && stride[0].min(stride[1]) > 0 {
        return Ok(());
    }
    let expected = format!("images that hold a window of {kernel:?} at a stride of {stride:?}, both at least 1");
    Err(Error::Shape { layer: layer.to_owned(), expected, found: dims.to_vec() })
}
