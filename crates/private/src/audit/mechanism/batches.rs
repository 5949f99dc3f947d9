//! The batches of the trials: with the canary, and without.

use thalweg_descent::differentiate::UnitGradients;
use thalweg_descent::{Contributions, Guard, Layout};

use crate::error::Result;
use crate::noise::NoiseKey;
use crate::plan::PrivacyPlan;

/// Gradients of so many other units are added up: beyond, the rounding of the sum would hide the noise.
const MOST_OTHERS: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    With,
    Without,
}

impl World {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::With => "audit with the canary",
            Self::Without => "audit without the canary",
        }
    }
}

/// A batch after clipping.
pub(super) struct Batch {
    pub(super) units: usize,
    pub(super) sum: Vec<f32>,
}

/// The three batches that occur, clipped by the plan's guard.
pub(super) struct Batches {
    /// In steps without the canary.
    pub(super) other: Batch,
    /// In its steps, where it takes part.
    pub(super) with: Batch,
    /// In its steps, where it does not.
    pub(super) without: Batch,
    /// What it adds, clipped.
    pub(super) canary: Vec<f64>,
    /// What 1 in a sum stands for: the unit of the grid of discrete noise.
    pub(super) unit: f64,
}

impl Batches {
    pub(super) fn of(plan: &PrivacyPlan) -> Result<Self> {
        // No noise is drawn with this key.
        let guard = plan.guard(&NoiseKey::insecure(0));
        let other = plan.clip.hardest();
        let canary: Vec<f32> = other.iter().map(|value| -value).collect();
        let mut layout = Layout::default();
        (0..other.len()).for_each(|block| {
            layout.push(&block.to_string(), &[]);
        });
        let clipped = |gradient: Vec<f32>| -> Result<Vec<f32>> {
            if let Some(grid) = plan.grid() {
                let mut rounded = vec![0; gradient.len()];
                grid.clip(&gradient, 0, &mut rounded)?;
                return Ok(rounded.into_iter().map(|value| value as f32).collect());
            }
            let mut unit = Box::new(UnitGradients::new(&layout, vec![0.0], gradient)?);
            let weights = guard.weigh(&mut *unit)?;
            let mut sum = vec![0.0; layout.len()];
            unit.add_weighted_sum(&weights, &mut sum)?;
            Ok(sum)
        };
        let (other, canary) = (clipped(other)?, clipped(canary)?);
        let size = (plan.expected_batch.round() as usize).max(1);
        let others =
            |count: usize| Batch { units: count, sum: other.iter().map(|value| count.min(MOST_OTHERS) as f32 * value).collect() };
        let without = others(size - 1);
        let with = Batch { units: size, sum: without.sum.iter().zip(&canary).map(|(others, canary)| others + canary).collect() };
        let unit = plan.grid().map_or(1.0, |grid| grid.unit());
        let canary = canary.into_iter().map(|value| unit * f64::from(value)).collect();
        Ok(Self { other: others(size), with, without, canary, unit })
    }

    pub(super) fn at(&self, world: World, canary_takes_part: bool) -> &Batch {
        match (canary_takes_part, world) {
            (false, _) => &self.other,
            (true, World::With) => &self.with,
            (true, World::Without) => &self.without,
        }
    }

    pub(super) fn blocks(&self) -> usize {
        self.canary.len()
    }

    pub(super) fn canary_length(&self) -> f64 {
        self.canary.iter().map(|value| value * value).sum::<f64>().sqrt()
    }
}
