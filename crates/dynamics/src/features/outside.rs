//! The weights outside the span of the training patches.

use thalweg_descent::streams::StreamRng;

use super::filters::FilterMatrix;
use super::network::fill_normal;

/// The part of the weights that no training patch sees: no gradient reaches it, so it is its start and the sum of what noise has added.
///
/// The descent does not depend on it, so it is drawn when it is looked at. The last sum is drawn first and those before it from
/// their law given the last (a Brownian bridge), so that looking never changes where the descent ends.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    initial: FilterMatrix,
    injected: FilterMatrix,
    last: FilterMatrix,
    draw: FilterMatrix,
    rng: StreamRng,
    std: f64,
    step: u64,
    steps: u64,
}

impl Outside {
    /// `std` is that of one step's noise in a weight.
    pub(crate) fn new(initial: FilterMatrix, std: f64, steps: u64, mut rng: StreamRng) -> Self {
        let zeros = FilterMatrix::zeros(initial.rows(), initial.width());
        let mut last = zeros.clone();
        if std > 0.0 {
            fill_normal(&mut last, &mut rng);
            let scale = std * (steps as f64).sqrt();
            last.padded_mut().iter_mut().for_each(|value| *value *= scale);
        }
        Self { initial, injected: zeros.clone(), last, draw: zeros, rng, std, step: 0, steps }
    }

    /// Goes on to a later step, at most the last.
    pub(crate) fn advance(&mut self, step: u64) {
        if step <= self.step || self.std == 0.0 {
            return;
        }
        if step >= self.steps {
            self.injected.clone_from(&self.last);
            self.step = self.steps;
            return;
        }
        let (taken, left, after) = ((step - self.step) as f64, (self.steps - self.step) as f64, (self.steps - step) as f64);
        fill_normal(&mut self.draw, &mut self.rng);
        let share = taken / left;
        let std = self.std * (taken * after / left).sqrt();
        let values = self.injected.padded_mut().iter_mut().zip(self.last.padded()).zip(self.draw.padded());
        values.for_each(|((now, last), draw)| *now += share * (last - *now) + std * draw);
        self.step = step;
    }

    /// What noise has added.
    pub(crate) fn injected(&self) -> &FilterMatrix {
        &self.injected
    }

    /// The weights.
    pub(crate) fn weights(&self) -> FilterMatrix {
        let mut weights = self.initial.clone();
        weights.add_scaled(1.0, &self.injected);
        weights
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::Seed;

    use super::*;

    fn at(looks: &[u64], seed: u64) -> Vec<FilterMatrix> {
        let initial = FilterMatrix::zeros(50, 2);
        let mut outside = Outside::new(initial, 0.3, 20, Seed(seed).stream("outside").at(0));
        let look = |&step: &u64| {
            outside.advance(step);
            outside.injected().clone()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn looking_does_not_change_the_end() {
        assert_eq!(at(&[20], 1)[0], at(&[3, 4, 11, 20], 1)[3]);
        assert_eq!(at(&[20, 25], 1)[1], at(&[20], 1)[0]);
    }

    /// Of each weight, from one look to the next.
    fn increments(walks: &[Vec<f64>]) -> impl Iterator<Item = [f64; 4]> {
        let before = |look: usize, weight: usize| if look == 0 { 0.0 } else { walks[look - 1][weight] };
        (0..walks[0].len()).map(move |weight| std::array::from_fn(|look| walks[look][weight] - before(look, weight)))
    }

    /// Increments are independent with variance 0.09 a step. 100 repetitions of 200 values: the variance of each increment is known
    /// to 1 %, a correlation to 0.7 %; the bound of 4.5 standard errors has a false alarm in 10^5.
    #[test]
    fn increments_are_those_of_a_random_walk() {
        let looks = [5, 6, 14, 20];
        let mut moments = [[0.0f64; 4]; 4];
        for seed in 0..100 {
            let sums = at(&looks, seed);
            let walks: Vec<Vec<f64>> = sums.iter().map(|sum| sum.iter_rows().flatten().copied().collect()).collect();
            for increments in increments(&walks) {
                for (a, row) in moments.iter_mut().enumerate() {
                    row.iter_mut().enumerate().for_each(|(b, moment)| *moment += increments[a] * increments[b] / 20_000.0);
                }
            }
        }
        let variance = [5.0, 1.0, 8.0, 6.0].map(|steps: f64| 0.09 * steps);
        for a in 0..4 {
            assert!((moments[a][a] / variance[a] - 1.0).abs() < 0.045, "{a}: {}", moments[a][a]);
            for b in 0..a {
                assert!((moments[a][b] / (variance[a] * variance[b]).sqrt()).abs() < 0.032, "{a} {b}");
            }
        }
    }
}
