//! The two number types a descent works in.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A real number as the machine has it: `f32` or `f64`.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
    + 'static
    + sealed::Sealed
{
    /// The name of the type in a checkpoint.
    const NAME: &'static str;
    /// Bytes of one number.
    const BYTES: usize;

    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// Widens, exactly.
    fn to_f64(self) -> f64;
    /// The square root.
    fn sqrt(self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// Appends the little-endian bytes of a slice.
    fn extend_bytes(values: &[Self], bytes: &mut Vec<u8>);
    /// Reads little-endian bytes, as many numbers as fit.
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! real {
    ($type:ty, $name:literal) => {
        impl Real for $type {
            const NAME: &'static str = $name;
            const BYTES: usize = size_of::<$type>();

            fn from_f64(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn extend_bytes(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.reserve(values.len() * Self::BYTES);
                for value in values {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
            fn from_bytes(bytes: &[u8]) -> Vec<Self> {
                let (numbers, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                numbers.iter().copied().map(<$type>::from_le_bytes).collect()
            }
        }
    };
}

real!(f32, "F32");
real!(f64, "F64");

/// The Euclidean norm, summed in `f64`.
pub fn norm<F: Real>(values: &[F]) -> f64 {
    // Eight partial sums let the compiler use vector registers; their order of addition is fixed.
    let mut partial = [0.0f64; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (sum, value) in partial.iter_mut().zip(chunk) {
            let value = value.to_f64();
            *sum += value * value;
        }
    }
    let tail: f64 = rest.iter().map(|value| value.to_f64() * value.to_f64()).sum();
    (partial.iter().sum::<f64>() + tail).sqrt()
}
