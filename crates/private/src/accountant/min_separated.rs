//! Losses of b-min-sep sampling (arXiv 2602.09338): an example that took part waits b-1 steps, then takes part in each step with
//! probability p until it does. The run starts as if it had gone on forever.
//!
//! For a C of at most b bands the columns of one example's steps do not overlap, so the likelihood ratio against pure noise is a
//! recursion: with `v_t = e^{<c_t, x>/sigma^2 - |c_t|^2/(2 sigma^2)}` and A_t the ratio of all from step t on for an example that is
//! free, `A_t = (1-p) A_{t+1} + p v_t A_{t+b}`.

use rand::RngExt;
use thalweg_descent::streams::StreamRng;

use super::Neighbours;
use super::columns::Columns;
use super::monte_carlo::{Directions, LANES, Losses, Normals};
use crate::error::{Error, Result};

/// The most entries of the banded columns.
const MOST_ENTRIES: usize = 100_000_000;

/// What does not depend on the noise.
pub(super) struct Separated {
    steps: usize,
    /// b.
    separation: usize,
    /// p: the chance to take part of an example that is free.
    chance: f64,
    /// p0: the share of its steps in which an example takes part.
    rate: f64,
    bands: usize,
    /// `C[t + j, t]` at `t * bands + j`.
    columns: Vec<f64>,
    neighbours: Neighbours,
}

impl Separated {
    pub(super) fn new(columns: &Columns, separation: u64, rate: f64, neighbours: Neighbours) -> Result<Self> {
        let bands = columns.bands();
        if bands as u64 > separation {
            let reason = format!("it has {bands} bands, and b-min-sep sampling covers at most its separation, {separation}");
            return Err(Error::unsuitable("the strategy", reason));
        }
        let steps = columns.steps();
        if steps.saturating_mul(bands) > MOST_ENTRIES {
            return Err(Error::value("steps times bands", steps.saturating_mul(bands), &format!("at most {MOST_ENTRIES}")));
        }
        let chance = (rate / (1.0 - rate * (separation as f64 - 1.0))).min(1.0);
        let separation = usize::try_from(separation).unwrap_or(usize::MAX);
        Ok(Self { steps, separation, chance, rate, bands, columns: columns.banded(bands), neighbours })
    }

    /// The losses under a noise multiplier.
    pub(super) fn with_noise(&self, sigma: f64) -> SeparatedLosses<'_> {
        let columns: Vec<f64> = self.columns.iter().map(|entry| entry / sigma).collect();
        let half = |column: &[f64]| -0.5 * column.iter().map(|entry| entry * entry).sum::<f64>();
        let halves = columns.chunks(self.bands).map(half).collect();
        SeparatedLosses { of: self, columns, halves }
    }

    /// The steps of one example.
    fn participations(&self, chance: &mut StreamRng) -> Vec<usize> {
        // Each of the b-1 waits is under way with probability p0 when the run starts.
        let place = (chance.random::<f64>() / self.rate) as usize;
        let mut free = if place < self.separation - 1 { place + 1 } else { 0 };
        let mut steps = Vec::new();
        loop {
            let tries = if self.chance < 1.0 { (1.0 - chance.random::<f64>()).ln() / (-self.chance).ln_1p() } else { 0.0 };
            let step = free.saturating_add(tries as usize);
            if step >= self.steps {
                return steps;
            }
            steps.push(step);
            free = step.saturating_add(self.separation);
        }
    }
}

/// Draws the losses.
pub(super) struct SeparatedLosses<'a> {
    of: &'a Separated,
    /// Over sigma.
    columns: Vec<f64>,
    /// `-|c_t|^2 / (2 sigma^2)`.
    halves: Vec<f64>,
}

/// What a run releases, over sigma, in each of some draws.
type Outputs = Vec<[f64; LANES]>;

impl SeparatedLosses<'_> {
    /// `log dP/dQ` of outputs, or of their negatives.
    fn log_ratios(&self, outputs: &Outputs, sign: f64) -> [f64; LANES] {
        let (n, b, bands, p) = (self.of.steps, self.of.separation, self.of.bands, self.of.chance);
        // A_t, ..., A_{t+b-1}; beyond the end they are 1. A lane's numbers have a common factor e^{-scale}.
        let mut ring = vec![[1.0; LANES]; b.min(n)];
        let mut one = [1.0; LANES];
        let mut scale = [0.0; LANES];
        let mut next = [1.0; LANES];
        for t in (0..n).rev() {
            let mut statistic = [0.0; LANES];
            let column = &self.columns[t * bands..(t + 1) * bands];
            for (entry, output) in column.iter().zip(&outputs[t..]) {
                statistic.iter_mut().zip(output).for_each(|(sum, output)| *sum += entry * output);
            }
            let slot = t % ring.len();
            for lane in 0..LANES {
                let ratio = (sign * statistic[lane] + self.halves[t]).exp();
                next[lane] = (1.0 - p) * next[lane] + p * ratio * ring[slot][lane];
            }
            ring[slot] = next;
            if slot == 0 {
                rescale(&mut ring, &mut next, &mut one, &mut scale);
            }
        }
        // An example is free at the start, or waits for step 1, ..., b-1.
        let free = 1.0 - self.of.rate * (b as f64 - 1.0);
        let beyond = (b - ring.len()) as f64;
        std::array::from_fn(|lane| {
            let mut waiting: f64 = ring[1..].iter().map(|values| values[lane]).sum();
            if beyond > 0.0 {
                waiting += beyond * one[lane];
            }
            scale[lane] + (free * ring[0][lane] + self.of.rate * waiting).ln()
        })
    }
}

/// Takes a common factor out of each lane that has left the middle of the range of doubles. Between two visits an example takes part
/// at most once, so that no value can leave the range itself.
fn rescale(ring: &mut [[f64; LANES]], next: &mut [f64; LANES], one: &mut [f64; LANES], scale: &mut [f64; LANES]) {
    for lane in 0..LANES {
        let largest = ring.iter().fold(0.0f64, |largest, values| largest.max(values[lane]));
        if (1e-50..1e50).contains(&largest) {
            continue;
        }
        ring.iter_mut().for_each(|values| values[lane] /= largest);
        next[lane] /= largest;
        one[lane] /= largest;
        scale[lane] += largest.ln();
    }
}

impl Losses for SeparatedLosses<'_> {
    fn draw(&self, noise: &mut Normals<'_>, chance: &mut StreamRng, losses: &mut Directions) {
        let mut outputs = vec![[0.0; LANES]; self.of.steps];
        noise.fill(outputs.as_flattened_mut());
        if self.of.neighbours != Neighbours::ReplaceOne {
            losses[1] = self.log_ratios(&outputs, 1.0).map(|log| -log);
        }
        for lane in 0..LANES {
            for t in self.of.participations(chance) {
                let column = &self.columns[t * self.of.bands..(t + 1) * self.of.bands];
                outputs[t..].iter_mut().zip(column).for_each(|(output, entry)| output[lane] += entry);
            }
        }
        losses[0] = self.log_ratios(&outputs, 1.0);
        if self.of.neighbours == Neighbours::ReplaceOne {
            let opposite = self.log_ratios(&outputs, -1.0);
            losses[0].iter_mut().zip(opposite).for_each(|(loss, opposite)| *loss -= opposite);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::balls_in_bins::Bins;
    use super::super::monte_carlo::tally;
    use super::super::{Composition, Mechanism};
    use super::*;
    use crate::strategy::{Form, Name, Strategy};
    use thalweg_descent::Seed;

    fn separated(strategy: Option<&Strategy>, steps: u64, b: u64, rate: f64, neighbours: Neighbours) -> Separated {
        Separated::new(&Columns::of(strategy, steps).unwrap(), b, rate, neighbours).unwrap()
    }

    /// All sets of steps with their probabilities, by the chain's definition.
    fn samples(of: &Separated) -> Vec<(f64, Vec<usize>)> {
        fn go(of: &Separated, free: usize, share: f64, steps: &[usize], out: &mut Vec<(f64, Vec<usize>)>) {
            if free >= of.steps {
                out.push((share, steps.to_vec()));
                return;
            }
            go(of, free + 1, share * (1.0 - of.chance), steps, out);
            go(of, free + of.separation, share * of.chance, &[steps, &[free]].concat(), out);
        }
        let mut out = Vec::new();
        go(of, 0, 1.0 - of.rate * (of.separation as f64 - 1.0), &[], &mut out);
        (1..of.separation).for_each(|free| go(of, free, of.rate, &[], &mut out));
        out
    }

    #[test]
    fn likelihood_ratios_are_sums_over_all_samples() {
        let toeplitz = Strategy::new(Name::Bandmf, 9, Form::Direct { coefficients: vec![1.0, -0.5, 0.25] }).unwrap();
        for (strategy, b, rate) in
            [(Some(&toeplitz), 3, 0.2), (Some(&toeplitz), 4, 0.25), (None, 1, 0.3), (None, 2, 0.1), (None, 12, 0.05)]
        {
            let of = separated(strategy, 9, b, rate, Neighbours::AddRemove);
            let losses = of.with_noise(0.8);
            let outputs: Outputs = (0..9).map(|t| std::array::from_fn(|lane| ((7 * t + 3 * lane) as f64).sin() * 2.0)).collect();
            let all = samples(&of);
            assert!((all.iter().map(|sample| sample.0).sum::<f64>() - 1.0).abs() < 1e-12);
            for (sign, found) in [1.0, -1.0].map(|sign| (sign, losses.log_ratios(&outputs, sign))) {
                for lane in 0..LANES {
                    let ratio = |steps: &[usize]| {
                        let moved = |t: usize| {
                            steps
                                .iter()
                                .filter(|s| (**s..**s + of.bands).contains(&t))
                                .map(|s| losses.columns[s * of.bands + t - s])
                                .sum::<f64>()
                        };
                        (0..9).map(|t| moved(t) * (sign * outputs[t][lane] - 0.5 * moved(t))).sum::<f64>().exp()
                    };
                    let expected: f64 = all.iter().map(|(share, steps)| share * ratio(steps)).sum();
                    assert!((found[lane] - expected.ln()).abs() < 1e-12 * (1.0 + expected.ln().abs()), "{b} {rate}");
                }
            }
        }
    }

    #[test]
    fn examples_take_part_at_the_declared_rate_and_distance() {
        let of = separated(None, 200, 5, 0.08, Neighbours::AddRemove);
        let mut chance = Seed(4).stream("test").at(0);
        let mut counts = vec![0u32; 200];
        for _ in 0..20_000 {
            let steps = of.participations(&mut chance);
            assert!(steps.windows(2).all(|pair| pair[1] - pair[0] >= 5));
            steps.into_iter().for_each(|t| counts[t] += 1);
        }
        // 1600 expected of each, standard deviation 38; 6 of them for 200 steps: a false alarm in 2.5 million.
        assert!(counts.iter().all(|count| count.abs_diff(1600) < 230), "{counts:?}");
        // Without the warm start the first step would have another rate.
        assert!((of.chance * 20_000.0 - 1600.0).abs() > 230.0);
    }

    #[test]
    fn its_limits_are_poisson_sampling_and_balls_in_bins() {
        for neighbours in Neighbours::ALL {
            let of = separated(None, 50, 1, 0.05, neighbours);
            let exact = Composition::of(neighbours, Mechanism::Poisson { noise_multiplier: 1.0, rate: 0.05 }, 50).unwrap();
            let worst =
                |tallies: Vec<super::super::tally::Tally>| tallies.iter().map(|tally| tally.epsilon(1e-2)).fold(0.0, f64::max);
            let found = worst(tally(&of.with_noise(1.0), neighbours, 25 * 4096, 5));
            let exact = exact.epsilon(1e-2).unwrap();
            assert!((found / exact - 1.0).abs() < 0.03, "{neighbours}: {found}, exact {exact}");

            let of = separated(None, 60, 6, 1.0 / 6.0, neighbours);
            assert!((of.chance - 1.0).abs() < 1e-12);
            let found = worst(tally(&of.with_noise(3.0), neighbours, 25 * 4096, 6));
            let bins = Bins::new(&Columns::of(None, 60).unwrap(), 6, neighbours).unwrap();
            let expected = worst(tally(&bins.with_noise(3.0).unwrap(), neighbours, 25 * 4096, 7));
            assert!((found / expected - 1.0).abs() < 0.03, "{neighbours}: {found}, in bins {expected}");
        }
    }

    #[test]
    fn long_runs_neither_overflow_nor_vanish() {
        for (steps, b, rate, sigma) in [(3000, 1, 0.9, 0.5), (3000, 10, 0.1, 0.3), (5, 1000, 1e-4, 1.0)] {
            let of = separated(None, steps, b, rate, Neighbours::AddRemove);
            let outputs: Outputs = vec![[-1.0; LANES]; steps as usize];
            for sign in [1.0, -1.0] {
                assert!(of.with_noise(sigma).log_ratios(&outputs, sign).iter().all(|log| log.is_finite()));
            }
        }
    }

    #[test]
    fn more_bands_than_the_separation_are_refused() {
        let strategy = Strategy::new(Name::Bandmf, 9, Form::Direct { coefficients: vec![1.0, 0.5, 0.25] }).unwrap();
        let columns = Columns::of(Some(&strategy), 9).unwrap();
        let error = Separated::new(&columns, 2, 0.1, Neighbours::AddRemove).map(drop).unwrap_err().to_string();
        assert!(error.contains("3 bands"), "{error}");
    }
}
