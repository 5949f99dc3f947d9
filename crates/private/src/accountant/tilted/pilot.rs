//! What tilt and which grid suit a sum of losses, before there is a grid.

use super::super::losses::{Grid, Spacing};
use super::super::pair::Pair;
use super::{Steps, count};

/// The farthest tail of a normal distribution that doubles represent.
pub(super) const FARTHEST: f64 = 38.0;
/// How much of epsilon the grid may add where its step is free.
const EXCESS: f64 = 2e-5;
/// The most points of the transform where the step is free; beyond, the step grows.
const ROOMY: f64 = 4e6;
/// Beyond, doubles do not tell the tilted mean from the largest loss.
pub(super) const LARGEST_TILT: f64 = 1e12;

/// The losses of each pair at evenly spaced places: cumulants without a grid of losses.
pub(super) struct Pilot {
    parts: Vec<(Vec<(f64, f64)>, f64)>,
}

/// Of the tilted sum.
pub(super) struct Cumulants {
    pub(super) tilt: f64,
    /// `log E[e^{tilt loss}]`.
    pub(super) log_moment: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Cumulants {
    /// A bound on the log of delta at the tilted mean, as Chernoff's, from `1 - e^{-x} <= e^{t x} t^t / (1+t)^{1+t}`.
    pub(super) fn log_delta(&self) -> f64 {
        let t = self.tilt;
        self.log_moment - t * self.mean - t.ln_1p() - t * (1.0 / t).ln_1p()
    }

    /// The coarsest grid that adds little to epsilon, with steps of at most `finest` as far as there is room.
    pub(super) fn grid(&self, steps: &Steps, finest: f64) -> Grid {
        let deviation = self.variance.sqrt();
        // A grid of step h adds h^2/12 (t^2 + t) to the log of E[e^{t loss}], and 1/t of that to epsilon.
        let wanted = EXCESS * self.mean.max(0.1 * deviation);
        // That holds as long as the tilt does not change much from point to point.
        let step = (12.0 * wanted / (count(steps) * (self.tilt + 1.0))).sqrt().min(1.0 / self.tilt);
        Grid { step: step.min(finest).max(20.0 * deviation / ROOMY), spacing: Spacing::Widening }
    }
}

impl Pilot {
    pub(super) fn of(steps: &Steps) -> Self {
        let part = |&(pair, count): &(Pair, u64)| {
            let (start, end) = pair.range(FARTHEST);
            // The losses have poles pi/mu beside the line; a third of that resolves them.
            let width = (1.0 / pair.mu()).clamp(1.0 / 1024.0, 0.5);
            let places = (0..=((end - start) / width) as usize).map(|i| start + i as f64 * width);
            let log_scale = (width / (2.0 * std::f64::consts::PI).sqrt()).ln();
            let nodes = places.map(|z| {
                let loss = pair.loss(z);
                (loss, log_scale + pair.log_base(z) + loss)
            });
            (nodes.collect(), count as f64)
        };
        Self { parts: steps.iter().map(part).collect() }
    }

    fn cumulants(&self, tilt: f64) -> Cumulants {
        let mut sum = Cumulants { tilt, log_moment: 0.0, mean: 0.0, variance: 0.0 };
        for (nodes, count) in &self.parts {
            let largest = nodes.iter().map(|(loss, log)| tilt * loss + log).fold(f64::NEG_INFINITY, f64::max);
            let [mut zeroth, mut first, mut second] = [0.0; 3];
            for (loss, log) in nodes {
                let mass = (tilt * loss + log - largest).exp();
                zeroth += mass;
                first += mass * loss;
                second += mass * loss * loss;
            }
            let mean = first / zeroth;
            sum.log_moment += count * (largest + zeroth.ln());
            sum.mean += count * mean;
            sum.variance += count * (second / zeroth - mean * mean).max(0.0);
        }
        sum
    }

    /// The cumulants at the least tilt >= 0, roughly, from which on the condition holds.
    pub(super) fn at(&self, holds: impl Fn(&Cumulants) -> bool) -> Cumulants {
        let (mut low, mut high) = (0.0, self.cumulants(1.0));
        while !holds(&high) && high.tilt < LARGEST_TILT {
            low = high.tilt;
            high = self.cumulants(2.0 * high.tilt);
        }
        while high.tilt - low > 1e-3 * high.tilt.max(1e-6) {
            let middle = self.cumulants(0.5 * (low + high.tilt));
            if holds(&middle) { high = middle } else { low = middle.tilt }
        }
        high
    }
}
