//! Operations on the processor's memory with backward passes of our own.
//!
//! Burn's tensors on the `flex` device are plain slices. These operations work on them directly, join Burn's graph through
//! [`operation`], and leave the gradient of their parameters to the taps.

pub(crate) mod affine;
pub(crate) mod columns;
pub(crate) mod convolution;
pub(crate) mod linear;
pub(crate) mod lookup;
pub(crate) mod matrix;
pub(crate) mod max_pool;
pub(crate) mod operation;
pub(crate) mod parallel;
pub(crate) mod relu;
pub(crate) mod standardise;
pub(crate) mod tensor;
