//! Per-example gradients as contributions to a descent.

use thalweg_descent::{BlockId, Contributions, Layout, SquaredNorms, Weights};

use crate::norms::{KEPT, block_norms};
use crate::tap::Tapped;
use crate::uses::add_scaled;

/// The gradients of the units of a tapped pass: their norms and weighted sums, from activations and deltas.
///
/// The gradients themselves are made only where their norm is cheaper that way, and are then kept for the sum as long as
/// they are small (64 MiB in all).
#[derive(Debug)]
pub struct PerExample<'a> {
    layout: &'a Layout,
    losses: Vec<f64>,
    /// The uses of each block; empty without units.
    uses: Vec<Vec<Tapped>>,
    /// The gradients of each block, unit after unit, where they are known.
    gradients: Vec<Option<Vec<f32>>>,
}

impl<'a> PerExample<'a> {
    pub(crate) fn new(layout: &'a Layout, losses: Vec<f64>, uses: Vec<Vec<Tapped>>) -> Self {
        let gradients = vec![None; layout.blocks().len()];
        Self { layout, losses, uses, gradients }
    }

    /// The contributions of an empty batch: no units, and nothing added.
    pub fn empty(layout: &'a Layout) -> Self {
        Self::new(layout, Vec::new(), vec![Vec::new(); layout.blocks().len()])
    }
}

impl Contributions<f32> for PerExample<'_> {
    fn units(&self) -> usize {
        self.losses.len()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> thalweg_descent::Result<SquaredNorms> {
        let (units, blocks) = (self.units(), self.uses.len());
        let mut values = vec![0.0; units * blocks];
        let mut room = KEPT;
        for (at, uses) in self.uses.iter().enumerate().filter(|(_, uses)| !uses.is_empty()) {
            let norms = block_norms(&self.layout.blocks()[at], uses, units, room);
            room -= norms.gradients.as_ref().map_or(0, Vec::len);
            self.gradients[at] = norms.gradients;
            for (unit, squared) in norms.squared.into_iter().enumerate() {
                values[unit * blocks + at] = squared;
            }
        }
        Ok(SquaredNorms::new(blocks, values))
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [f32]) -> thalweg_descent::Result<()> {
        let units = self.units();
        weights.check(units)?;
        if sum.len() != self.layout.len() {
            return Err(crate::Error::Parameters { expected: self.layout.len(), found: sum.len() }.into());
        }
        for (at, (uses, gradients)) in self.uses.iter().zip(&self.gradients).enumerate() {
            let block = BlockId(at);
            let weight = |unit| weights.get(unit, block) as f32;
            let sum = self.layout.slice_mut(block, sum);
            match gradients {
                Some(gradients) => add_kept(gradients, weight, sum),
                None => uses.iter().for_each(|used| used.add_weighted(units, &weight, sum)),
            }
        }
        Ok(())
    }
}

/// Adds the weighted sum of gradients that lie unit after unit.
fn add_kept(gradients: &[f32], weight: impl Fn(usize) -> f32, sum: &mut [f32]) {
    for (unit, gradient) in gradients.chunks_exact(sum.len()).enumerate() {
        let weight = weight(unit);
        // Left out, not multiplied by 0: it may be no number.
        if weight != 0.0 {
            add_scaled(weight, gradient, sum);
        }
    }
}
