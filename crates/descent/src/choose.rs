//! The first seam: on which examples, weights, masks or imagined futures is the gradient taken?

use crate::{Participation, Record, Result, Stateful};

/// Where the descent stands when a step begins.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a, F> {
    /// The step about to be taken, counted from 0.
    pub step: u64,
    /// The parameters, flat.
    pub parameters: &'a [F],
    /// What was observed at the step before.
    pub last: Option<&'a Record>,
}

/// Chooses what a step's gradient is taken on.
pub trait Choose<X, F>: Stateful + Send {
    /// How units take part over the whole run. A guard reads it before the first step.
    fn participation(&self) -> Participation;

    /// The choice for one step, as shards in a fixed order.
    ///
    /// A shard is differentiated on its own and the shards' sums are joined in this order, so the number of threads never
    /// changes a bit. Most choosers return one shard; several bound the memory (micro-batches) or feed several workers.
    ///
    /// # Errors
    /// When no choice can be made.
    fn choose(&mut self, position: &Position<'_, F>) -> Result<Vec<X>>;
}

/// Always the same choice: for objectives without data.
#[derive(Clone, Debug)]
pub struct Always<X>(pub X);

impl<X> Stateful for Always<X> {}

impl<X: Clone + Send, F> Choose<X, F> for Always<X> {
    fn participation(&self) -> Participation {
        Participation::NoUnits
    }

    fn choose(&mut self, _: &Position<'_, F>) -> Result<Vec<X>> {
        Ok(vec![self.0.clone()])
    }
}
