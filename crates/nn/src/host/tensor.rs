//! Flex tensors as slices and back.

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape, TensorData};
use thalweg_descent::Real;

/// A number that a tensor of the `flex` device may hold.
pub(crate) trait Scalar: Real {
    /// The entries of a contiguous tensor of this type.
    fn slice(tensor: &FlexTensor) -> &[Self];
    /// The entries to write, where nobody else holds them.
    fn slice_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]>;
    /// A tensor that takes over the entries.
    fn tensor(values: Vec<Self>, shape: Shape) -> FlexTensor;
    fn sqrt(self) -> Self {
        Real::sqrt(self)
    }
}

macro_rules! scalar {
    ($type:ty) => {
        impl Scalar for $type {
            fn slice(tensor: &FlexTensor) -> &[Self] {
                tensor.as_slice().expect("callers pass contiguous tensors of this type")
            }
            fn slice_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]> {
                let (start, end) = tensor.layout().contiguous_offsets()?;
                tensor.try_storage_mut().map(|storage| &mut storage[start..end])
            }
            fn tensor(values: Vec<Self>, shape: Shape) -> FlexTensor {
                FlexTensor::from_data(TensorData::new(values, shape))
            }
        }
    };
}

scalar!(f32);
scalar!(f64);

/// Runs a generic function for the tensor's type of number.
macro_rules! by_type {
    ($tensor:expr, $F:ident => $body:expr) => {
        match $tensor.dtype() {
            burn::tensor::DType::F32 => {
                type $F = f32;
                $body
            }
            burn::tensor::DType::F64 => {
                type $F = f64;
                $body
            }
            other => unreachable!("networks hold f32 or f64, not {other:?}"),
        }
    };
}
pub(crate) use by_type;

/// Whether our operations cover the type; others take Burn's.
pub(crate) fn is_covered(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}
