//! Tables of vectors by number: tokens and positions.

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{Int, Shape, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_descent::BlockId;

use crate::error::at_least_one;
use crate::host::linear::Orientation;
use crate::host::lookup::Lookup;
use crate::layers::linear::map_rows;
use crate::pass::Place;
use crate::plan::Initial;
use crate::tap::{Kind, Use};
use crate::{Error, Pass, Plan, Result};

/// Describes an [`Embedding`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// How many vectors there are.
    pub entries: usize,
    /// Numbers in each.
    pub width: usize,
}

impl EmbeddingConfig {
    /// A table of `entries` vectors of `width` numbers.
    pub fn new(entries: usize, width: usize) -> Self {
        Self { entries, width }
    }

    /// Registers `name.table` of shape `[entries, width]`, normal with standard deviation 0.02.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<Embedding> {
        at_least_one(name, "entries", self.entries)?;
        at_least_one(name, "width", self.width)?;
        let initial = Initial::Normal { deviation: 0.02 };
        let table = plan.block(&format!("{name}.table"), &[self.entries, self.width], initial)?;
        Ok(Embedding { entries: self.entries, width: self.width, table })
    }
}

/// A learned vector for each number below `entries`.
#[derive(Clone, Debug)]
pub struct Embedding {
    entries: usize,
    width: usize,
    table: BlockId,
}

impl Embedding {
    /// The vectors of `rows` sequences of ids that lie one after another: `[rows, ids / rows, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the ids are not whole sequences or one is not below `entries`.
    pub fn forward(&self, pass: &Pass<'_>, ids: &[u32], rows: usize) -> Result<Tensor<3>> {
        let length = ids.len().checked_div(rows).unwrap_or(0);
        let wrong = |expected: String| {
            let layer = pass.layout().block(self.table).name.clone();
            Error::Shape { layer, expected, found: vec![rows, length] }
        };
        if rows == 0 || length == 0 || rows * length != ids.len() {
            return Err(wrong(format!("{rows} sequences of one length, at least 1; there are {} ids", ids.len())));
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.entries) {
            return Err(wrong(format!("ids below {}, but one is {id}", self.entries)));
        }
        let ids: Arc<[u32]> = ids.into();
        let dims = [rows, length, self.width];
        let nothing = Tensor::<1>::zeros([rows], &pass.device());
        let kind = Kind::Lookup { ids: ids.clone(), width: self.width };
        let uses = pass.uses(&nothing, |_| vec![Use { block: self.table, kind }])?;
        if pass.place() == Place::Host {
            let table = pass.host_parameter(self.table);
            return Ok(pass.apply(Lookup { ids, width: self.width, table, shape: Shape::from(dims) }, nothing, uses));
        }
        let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, length]), &pass.device());
        let vectors = pass.parameter::<2>(self.table).select(0, ids.reshape([rows * length]));
        Ok(pass.tap(vectors.reshape(dims), uses))
    }

    /// The vectors of the positions `0..length`, the same for each of `rows` sequences: `[rows, length, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are fewer entries than positions.
    pub fn positions(&self, pass: &Pass<'_>, rows: usize, length: usize) -> Result<Tensor<3>> {
        let ids: Vec<u32> = (0..rows).flat_map(|_| 0..length as u32).collect();
        self.forward(pass, &ids, rows)
    }

    /// The table as output projection (tied weights): the inner product of each row with each vector,
    /// from `[.., width]` to `[.., entries]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the last dimension is not `width`.
    pub fn project<const D: usize>(&self, pass: &Pass<'_>, input: Tensor<D>) -> Result<Tensor<D>> {
        map_rows(pass, input, [self.width, self.entries], Orientation::Transposed, self.table, None)
    }
}
