//! Rows of a table by number.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

use super::operation::Operation;
use super::tensor::{Scalar, by_type};

/// The rows `ids` of a table, in their order; the input is not looked at.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) ids: Arc<[u32]>,
    pub(crate) width: usize,
    pub(crate) table: FlexTensor,
    /// Of the output; its last dimension is `width`.
    pub(crate) shape: Shape,
}

impl Operation for Lookup {
    fn forward(&mut self, _: FlexTensor) -> FlexTensor {
        by_type!(self.table, F => {
            let table = F::slice(&self.table);
            let rows = self.ids.iter().flat_map(|id| {
                let start = *id as usize * self.width;
                &table[start..start + self.width]
            });
            F::tensor(rows.copied().collect(), self.shape.clone())
        })
    }

    fn backward(self, _: FlexTensor) -> FlexTensor {
        unreachable!("ids have no gradient: the input is a constant outside the graph")
    }
}
