//! How a flat parameter vector is divided into named blocks.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// One named block of a parameter vector, for instance a weight matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// A path such as `hidden.0.weight`; unique in its layout.
    pub name: String,
    /// The shape, row-major; empty for a scalar.
    pub shape: Vec<usize>,
    /// Where the block starts in the vector.
    pub offset: usize,
}

impl Block {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a dimension is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the block lies in the vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The number of a block in its [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockId(pub usize);

/// The blocks of a parameter vector, in order and without gaps.
///
/// Parameters, gradients and updates are plain slices; the layout gives their parts names and shapes.
///
/// ```
/// use thalweg_descent::Layout;
///
/// let mut layout = Layout::default();
/// let weight = layout.push("weight", &[2, 3]);
/// let bias = layout.push("bias", &[2]);
/// assert_eq!(layout.len(), 8);
/// let parameters = [0., 1., 2., 3., 4., 5., 6., 7.];
/// assert_eq!(layout.slice(bias, &parameters), [6., 7.]);
/// assert_eq!(layout.block(weight).shape, [2, 3]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Layout {
    blocks: Vec<Block>,
}

/// A layout as a file has it, before it is known to be one.
#[derive(Deserialize)]
struct Unchecked {
    blocks: Vec<Block>,
}

impl TryFrom<Unchecked> for Layout {
    type Error = String;

    fn try_from(Unchecked { blocks }: Unchecked) -> Result<Self, String> {
        let mut names = HashSet::new();
        let mut end = 0usize;
        for Block { name, shape, offset } in &blocks {
            if !names.insert(name) {
                return Err(format!("two parameter blocks are named {name:?}"));
            }
            if *offset != end {
                return Err(format!("block {name:?} begins at {offset}, but the one before it ends at {end}"));
            }
            let length = shape.iter().try_fold(1usize, |length, &size| length.checked_mul(size));
            end = length
                .and_then(|length| end.checked_add(length))
                .ok_or_else(|| format!("block {name:?} is too large: {shape:?}"))?;
        }
        Ok(Self { blocks })
    }
}

impl Layout {
    /// A single block, for parameters without parts.
    pub fn single(name: &str, shape: &[usize]) -> Self {
        let mut layout = Self::default();
        layout.push(name, shape);
        layout
    }

    /// Appends a block.
    ///
    /// # Panics
    /// When the name is taken: two blocks of one name are a defect of the network's code.
    pub fn push(&mut self, name: &str, shape: &[usize]) -> BlockId {
        assert!(self.find(name).is_none(), "two parameter blocks are named {name:?}");
        let offset = self.len();
        self.blocks.push(Block { name: name.to_owned(), shape: shape.to_vec(), offset });
        BlockId(self.blocks.len() - 1)
    }

    /// The length of the whole vector.
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.offset + block.len())
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All blocks in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// One block.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0]
    }

    /// The block of that name.
    pub fn find(&self, name: &str) -> Option<BlockId> {
        self.blocks.iter().position(|block| block.name == name).map(BlockId)
    }

    /// A block's part of a vector.
    pub fn slice<'a, F>(&self, id: BlockId, vector: &'a [F]) -> &'a [F] {
        &vector[self.block(id).range()]
    }

    /// A block's part of a vector, to write.
    pub fn slice_mut<'a, F>(&self, id: BlockId, vector: &'a mut [F]) -> &'a mut [F] {
        &mut vector[self.block(id).range()]
    }
}
