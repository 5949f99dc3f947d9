//! Residual composition.

use burn::Tensor;

use crate::{Error, Result};

/// `x + f(x)`.
///
/// # Errors
/// Those of `branch`, and [`Error::Shape`] when its output has another shape than its input.
pub fn residual<const D: usize>(input: Tensor<D>, branch: impl FnOnce(Tensor<D>) -> Result<Tensor<D>>) -> Result<Tensor<D>> {
    let output = branch(input.clone())?;
    join(input, output)
}

/// The sum of two branches of one shape.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn join<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Result<Tensor<D>> {
    if first.dims() == second.dims() {
        return Ok(first + second);
    }
    let expected = format!("a branch that ends with {:?}", first.dims());
    Err(Error::Shape { layer: "residual".to_owned(), expected, found: second.dims().to_vec() })
}
