//! The error of buffered linear Toeplitz strategies as a function of their decays, and its descent.

use super::constant_rate::{squared_error, squared_norm};
use super::decays::{Decays, Exponentials, Slopes};
use super::measure::Measure;
use super::quasi_newton::{Sample, Stop, minimise};
use crate::evaluation::{BufferedErrors, Objective, ToeplitzErrors};
use crate::pattern::Pattern;
use crate::sensitivity;
use crate::workload::Workload;

/// The objective on all strategies with d buffers.
///
/// All their columns c are positive and fall, so that the leading steps are the worst and the sensitivity is exact.
pub(crate) struct Buffered<'a> {
    workload: &'a Workload,
    steps: usize,
    pattern: Pattern,
    objective: Objective,
    /// Whether the error has a closed form: at a constant rate.
    constant: bool,
    /// Whether the columns of the workload are one another's shifts, but for a factor.
    shifted: bool,
}

impl<'a> Buffered<'a> {
    pub(crate) fn new(workload: &'a Workload, pattern: Pattern, objective: Objective) -> Self {
        let constant = workload.is_plain() && workload.ratios().is_constant();
        let shifted = workload.shift_factor().is_some();
        Self { workload, steps: workload.steps(), pattern, objective, constant, shifted }
    }

    /// Descends with d buffers: a little from each of [`starts`], one of them d - 1 buffers that have been descended with already,
    /// then all the way from the best.
    pub(crate) fn descend(&self, buffers: usize, fewer: &[f64]) -> Option<(Vec<f64>, Decays)> {
        const ROUGH: Stop = Stop { iterations: 30, gain: 1e-3 };
        let fine = Stop { iterations: 400, gain: if self.constant { 1e-9 } else { 1e-7 } };
        let measures = if self.constant { &[Measure::Max] } else { Measure::stages(self.objective) };
        let first = *measures.first()?;
        let rough = |start: Vec<f64>| {
            let free = minimise(&start, ROUGH, |free| self.sample(first, free))?;
            Some((self.sample(first, &free)?.0, free))
        };
        let starts = starts(buffers, self.steps, fewer).into_iter();
        let (_, best) = starts.filter_map(rough).min_by(|a, b| a.0.total_cmp(&b.0))?;
        let end = |free: Vec<f64>, measure: &Measure| minimise(&free, fine, |free| self.sample(*measure, free));
        let free = measures.iter().try_fold(best, end)?;
        let decays = Decays::of_free(&free)?;
        Some((free, decays))
    }

    /// The logarithm of sensitivity times error, and its derivatives in the free numbers.
    fn sample(&self, measure: Measure, free: &[f64]) -> Sample {
        let decays = Decays::of_free(free)?;
        let (c, ct) = decays.sides();
        let (squared, mut in_c) = self.squared_sensitivity(&c);
        let (error, in_ct) = if self.constant {
            logarithm(squared_error(&ct, self.steps, self.objective))
        } else if self.shifted {
            self.error_by_column(measure, &ct)
        } else {
            let (error, more) = self.error(measure, &c);
            in_c.add(&more);
            (error, Slopes::none(&ct))
        };
        let value = 0.5 * (squared + error);
        let gradient = decays.pull_back(in_c, in_ct).iter().map(|slope| 0.5 * slope).collect();
        value.is_finite().then_some((value, gradient))
    }

    /// The logarithm of the squared sensitivity.
    fn squared_sensitivity(&self, c: &Exponentials) -> (f64, Slopes) {
        if self.pattern.at_most(self.steps) == 1 {
            return logarithm(squared_norm(c, self.steps));
        }
        let (squared, in_column) = sensitivity::squared_with_gradient(&c.column(self.steps), self.steps, self.pattern);
        logarithm((squared, c.slopes(&in_column)))
    }

    /// The logarithm of the measured square where one column of B tells all: at exponential rates. O(n d), with few operations.
    fn error_by_column(&self, measure: Measure, ct: &Exponentials) -> (f64, Slopes) {
        let (errors, column) = (ToeplitzErrors::new(self.workload), ct.column(self.steps));
        let (error, weights) = measure.of(&errors.squares(&column));
        (error, ct.slopes(&errors.gradient(&column, &weights)))
    }

    /// The logarithm of the measured square for any rates, by second moments. O(n d^2).
    fn error(&self, measure: Measure, c: &Exponentials) -> (f64, Slopes) {
        let decays: Vec<f64> = (0..c.gap.len()).map(|j| c.decay(j)).collect();
        let errors = BufferedErrors::new(self.workload, &c.weight, &decays);
        let (error, weights) = measure.of(&errors.squares());
        let (weight, decay) = errors.gradient(&weights);
        (error, Slopes { decay, weight })
    }
}

fn logarithm((value, mut slopes): (f64, Slopes)) -> (f64, Slopes) {
    slopes.decay.iter_mut().chain(&mut slopes.weight).for_each(|slope| *slope /= value);
    (value.ln(), slopes)
}

/// Where descents begin: chains of equal distances in the logits.
///
/// With the distances of a rational approximation to the square root, in which decays and those of the inverse alternate evenly;
/// stretched from a memory of n steps down to one step; and d - 1 buffers with one more.
fn starts(buffers: usize, steps: usize, fewer: &[f64]) -> Vec<Vec<f64>> {
    let half = buffers.div_ceil(2) as f64;
    let even = |highest: f64, distance: f64| -> Vec<f64> {
        std::iter::once(highest).chain(std::iter::repeat_n(distance.ln(), 2 * buffers - 1)).collect()
    };
    let distance = 1.6 * std::f64::consts::PI / (2.0 * (half + 1.0)).sqrt();
    let highest = (steps as f64).ln();
    let stretched = (highest + 2.0) / (2 * buffers - 1) as f64;
    let mut starts = vec![even(distance * (2.0 * half + 1.0), distance), even(highest, stretched)];
    if !fewer.is_empty() {
        starts.push(fewer.iter().copied().chain([0.0, 0.0]).collect());
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    const FREE: [f64; 6] = [3.1, 0.1, 0.4, -0.3, 0.6, -0.1];

    #[test]
    fn derivatives_are_difference_quotients() {
        let constant = Workload::new(Ratios::constant(60).unwrap());
        let exponential = Workload::new(Ratios::exponential(60, 0.1).unwrap()).with_momentum(0.6).unwrap();
        let decayed = Workload::new(Ratios::cosine(60, 0.2).unwrap()).with_momentum(0.5).unwrap().with_decay(0.1).unwrap();
        let patterns = [Pattern::Single, Pattern::separated(15, 4).unwrap()];
        for (workload, pattern) in
            [constant, exponential, decayed].iter().flat_map(|workload| patterns.map(|pattern| (workload, pattern)))
        {
            for (objective, measure) in
                [(Objective::Mean, Measure::Mean), (Objective::Max, Measure::Norm(8.0)), (Objective::Max, Measure::Max)]
            {
                let buffered = Buffered::new(workload, pattern, objective);
                let (_, gradient) = buffered.sample(measure, &FREE).unwrap();
                for k in 0..FREE.len() {
                    let at = |change: f64| {
                        let mut moved = FREE;
                        moved[k] += change;
                        buffered.sample(measure, &moved).unwrap().0
                    };
                    let quotient = (at(1e-5) - at(-1e-5)) / 2e-5;
                    let close = (quotient - gradient[k]).abs() < 1e-9 * (1.0 + quotient.abs());
                    assert!(close, "{measure:?} {pattern} {k}: {quotient} {}", gradient[k]);
                }
            }
        }
    }

    #[test]
    fn closed_forms_are_those_of_the_recursion_and_the_column() {
        for n in [1, 2, 60, 2000] {
            let workload = Workload::new(Ratios::constant(n).unwrap());
            let (c, ct) = Decays::of_free(&FREE).unwrap().sides();
            let norm = c.column(n).iter().map(|value| value * value).sum::<f64>();
            assert!((squared_norm(&c, n).0 / norm - 1.0).abs() < 1e-13);
            for (objective, measure) in [(Objective::Mean, Measure::Mean), (Objective::Max, Measure::Max)] {
                let closed = logarithm(squared_error(&ct, n, objective)).0;
                let recursion = Buffered::new(&workload, Pattern::Single, objective).error(measure, &c).0;
                assert!((closed - recursion).abs() < 1e-12, "{n} {objective:?}: {closed} {recursion}");
            }
        }
    }
}
