//! The score of a canary: how likely what was released is with it, and without.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thalweg_descent::Participation;

use super::Log;
use crate::audit::matched_filter::{MatchedFilter, Matrix};
use crate::error::Result;
use crate::plan::PrivacyPlan;

/// Turns responses into scores: the most powerful statistic of an adversary who knows the steps of a canary in a fixed order, and
/// how it is drawn under sampling.
///
/// Whatever the score, the audit is sound; a better one sees more. Under b-min-sep sampling it counts the steps as if they were
/// independent, which they are not quite.
pub(super) struct Scorer<'a> {
    plan: &'a PrivacyPlan,
    /// The deviation of the noise in a response: the claimed one in a fixed order, where it only sets the scale of the scores,
    /// and the measured one under sampling.
    std: f64,
    matrix: Matrix,
    filters: HashMap<Vec<usize>, MatchedFilter>,
}

impl<'a> Scorer<'a> {
    pub(super) fn new(plan: &'a PrivacyPlan, log: &Log, is_sampled: bool) -> Result<Self> {
        // However little noise there is, nothing is divided by 0.
        let std = if is_sampled { measured_deviation(&log.responses).max(1e-6 * plan.sum_std()) } else { plan.sum_std() };
        Ok(Self { plan, std, matrix: Matrix::of(&plan.strategy, log.responses.len())?, filters: HashMap::new() })
    }

    /// The score from a canary's responses, the steps in which it was drawn, and its length.
    pub(super) fn score(&mut self, responses: impl Iterator<Item = f64>, drawn: Vec<u64>, length: f64) -> f64 {
        let log_ratio = |response: f64, square: f64| {
            let shift = length / self.std;
            shift * response / self.std - 0.5 * shift * shift * square
        };
        match self.plan.summary().participation {
            Participation::Poisson { rate } => {
                return responses.map(|response| log_mixture(rate, log_ratio(response, 1.0))).sum();
            }
            Participation::CyclicPoisson { groups, rate } => {
                let steps = self.matrix.each_step(&responses.collect::<Vec<f64>>());
                let rate = groups as f64 * rate;
                let of_group = |group: u64| {
                    let taken = steps.iter().skip(group as usize).step_by(groups as usize);
                    taken.map(|(response, square)| log_mixture(rate, log_ratio(*response, *square))).sum()
                };
                return log_mean_exp(&(0..groups).map(of_group).collect::<Vec<f64>>());
            }
            Participation::BMinSep { rate, .. } => {
                let steps = self.matrix.each_step(&responses.collect::<Vec<f64>>());
                return steps.iter().map(|(response, square)| log_mixture(rate, log_ratio(*response, *square))).sum();
            }
            Participation::BallsInBins { bins } => {
                let responses: Vec<f64> = responses.collect();
                let mut of_bin = |bin: u64| {
                    let steps = (bin as usize..responses.len()).step_by(bins as usize).collect();
                    let filter = filter_of(&mut self.filters, &self.matrix, steps);
                    let response = responses.iter().zip(&filter.weights).map(|(response, weight)| weight * response).sum();
                    log_ratio(response, filter.length.powi(2))
                };
                return log_mean_exp(&(0..bins.min(responses.len() as u64)).map(&mut of_bin).collect::<Vec<f64>>());
            }
            _ => {}
        }
        let steps: Vec<usize> = drawn.into_iter().map(|step| step as usize).collect();
        let filter = filter_of(&mut self.filters, &self.matrix, steps);
        responses.zip(&filter.weights).map(|(response, weight)| weight * response).sum::<f64>() / (self.std * filter.length)
    }
}

fn filter_of<'f>(filters: &'f mut HashMap<Vec<usize>, MatchedFilter>, matrix: &Matrix, steps: Vec<usize>) -> &'f MatchedFilter {
    match filters.entry(steps) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let filter = MatchedFilter::of_steps(matrix, entry.key());
            entry.insert(filter)
        }
    }
}

/// `log(mean(e^x))`.
fn log_mean_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0.0;
    }
    largest + (values.iter().map(|value| (value - largest).exp()).sum::<f64>() / values.len() as f64).ln()
}

/// The standard deviation of most responses, of those without the canary in them: from the median of their sizes.
fn measured_deviation(responses: &[Vec<f64>]) -> f64 {
    let mut sizes: Vec<f64> = responses.iter().flatten().map(|response| response.abs()).collect();
    let middle = sizes.len() / 2;
    if sizes.is_empty() {
        return 0.0;
    }
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    // The median of |x| for a standard normal x.
    *median / 0.674_489_750_196_081_7
}

/// `log(1 - q + q e^x)`.
fn log_mixture(rate: f64, x: f64) -> f64 {
    if x > 700.0 { rate.ln() + x } else { (rate * x.exp_m1()).ln_1p() }
}
