//! The error of banded Toeplitz strategies as a function of their coefficients, and its descent.

use super::measure::Measure;
use super::quasi_newton::{Sample, Stop, minimise};
use crate::coefficients;
use crate::evaluation::{Gram, Objective, ToeplitzErrors};
use crate::pattern::Pattern;
use crate::sensitivity;
use crate::workload::Workload;

/// Which of the two matrices is banded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `C^{-1} = toep(x)`.
    Inverse,
    /// `C = toep(x)`.
    Direct,
}

/// The objective on all strategies with p bands whose first coefficient is 1.
pub(crate) struct Band<'a> {
    steps: usize,
    pattern: Pattern,
    side: Side,
    objective: Objective,
    errors: ToeplitzErrors<'a>,
    gram: Option<Gram>,
}

impl<'a> Band<'a> {
    pub(crate) fn new(workload: &'a Workload, bands: usize, pattern: Pattern, side: Side, objective: Objective) -> Self {
        let small = side == Side::Inverse && objective == Objective::Mean;
        let gram = small.then(|| Gram::new(workload, bands));
        Self { steps: workload.steps(), pattern, side, objective, errors: ToeplitzErrors::new(workload), gram }
    }

    /// Descends from a strategy with these p coefficients, the first of them 1. None where it cannot be evaluated.
    pub(crate) fn descend(&self, start: &[f64]) -> Option<Vec<f64>> {
        const STOP: Stop = Stop { iterations: 400, gain: 1e-9 };
        let mut free = start[1..].to_vec();
        for measure in Measure::stages(self.objective) {
            free = minimise(&free, STOP, |free| self.sample(*measure, free))?;
        }
        Some(with_unit(&free))
    }

    /// The logarithm of sensitivity times error, and its derivatives in the coefficients after the first.
    fn sample(&self, measure: Measure, free: &[f64]) -> Sample {
        let x = with_unit(free);
        let inverse = coefficients::inverse(&x, self.steps);
        let (c, ct) = match self.side {
            Side::Inverse => (&inverse, &x),
            Side::Direct => (&x, &inverse),
        };
        let (squared, in_c) = sensitivity::squared_with_gradient(c, self.steps, self.pattern);
        let (error, in_ct) = self.error(measure, significant_part(ct));
        if !(squared.is_finite() && error.is_finite()) {
            return None;
        }
        let in_c: Vec<f64> = in_c.iter().map(|value| value / squared).collect();
        let (mut gradient, in_inverse) = match self.side {
            Side::Inverse => (in_ct, in_c),
            Side::Direct => (in_c, in_ct),
        };
        add_through_inverse(&x, &inverse, &in_inverse, &mut gradient);
        let halves = gradient[1..].iter().map(|value| 0.5 * value).collect();
        Some((0.5 * (squared.ln() + error), halves))
    }

    /// The logarithm of the measured square, and its derivative in ct.
    fn error(&self, measure: Measure, ct: &[f64]) -> (f64, Vec<f64>) {
        if let (Measure::Mean, Some(gram)) = (measure, &self.gram) {
            let (total, mut gradient) = gram.of(ct);
            gradient.iter_mut().for_each(|value| *value /= total);
            return ((total / self.steps as f64).ln(), gradient);
        }
        let squares = self.errors.squares(ct);
        let (logarithm, weights) = measure.of(&squares);
        (logarithm, self.errors.gradient(ct, &weights))
    }
}

/// Without the end that changes no entry of B in double precision: inverses of bands decay, and a short ct is quick to apply.
fn significant_part(ct: &[f64]) -> &[f64] {
    const NEGLIGIBLE: f64 = 1e-15;
    let mut tail = 0.0;
    let last = ct.iter().rposition(|value| {
        tail += value.abs();
        tail.is_nan() || tail >= NEGLIGIBLE * ct[0].abs()
    });
    &ct[..last.map_or(1, |last| last + 1)]
}

fn with_unit(free: &[f64]) -> Vec<f64> {
    std::iter::once(1.0).chain(free.iter().copied()).collect()
}

/// Adds to the derivatives in x those that come through the inverse series y of x: with `toep(x)^T l = in_inverse`,
/// `d = -sum_t l_t y_{t-k}` for the coefficient k.
fn add_through_inverse(x: &[f64], inverse: &[f64], in_inverse: &[f64], gradient: &mut [f64]) {
    let n = in_inverse.len();
    let mut multipliers = vec![0.0; n];
    for t in (0..n).rev() {
        let carried: f64 = x[1..].iter().zip(&multipliers[t + 1..]).map(|(x, multiplier)| x * multiplier).sum();
        multipliers[t] = (in_inverse[t] - carried) / x[0];
    }
    for (k, gradient) in gradient.iter_mut().enumerate().take(n) {
        *gradient -= multipliers[k..].iter().zip(inverse).map(|(multiplier, value)| multiplier * value).sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    #[test]
    fn derivatives_are_difference_quotients() {
        let plain = Workload::new(Ratios::linear(30, 0.2).unwrap());
        let exponential = Workload::new(Ratios::exponential(30, 0.1).unwrap()).with_momentum(0.6).unwrap();
        let decayed = plain.clone().with_momentum(0.5).unwrap().with_decay(0.1).unwrap();
        let patterns = [Pattern::Single, Pattern::separated(8, 4).unwrap(), Pattern::separated(3, 7).unwrap()];
        let starts = [vec![0.45, 0.3, 0.21, 0.19], vec![-0.45, -0.14, -0.07, -0.05]];
        for (workload, pattern) in
            [plain, exponential, decayed].iter().flat_map(|workload| patterns.map(|pattern| (workload, pattern)))
        {
            for (side, free) in [(Side::Direct, &starts[0]), (Side::Inverse, &starts[1])] {
                for (objective, measure) in
                    [(Objective::Mean, Measure::Mean), (Objective::Max, Measure::Norm(8.0)), (Objective::Max, Measure::Max)]
                {
                    let band = Band::new(workload, 5, pattern, side, objective);
                    let (_, gradient) = band.sample(measure, free).unwrap();
                    for k in 0..free.len() {
                        let at = |change: f64| {
                            let mut moved = free.clone();
                            moved[k] += change;
                            band.sample(measure, &moved).unwrap().0
                        };
                        let quotient = (at(1e-5) - at(-1e-5)) / 2e-5;
                        let close = (quotient - gradient[k]).abs() < 1e-8 * (1.0 + quotient.abs());
                        assert!(close, "{side:?} {measure:?} {pattern} {k}: {quotient} {}", gradient[k]);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_of_an_inverse_changes_nothing() {
        let ct = coefficients::inverse(&[1.0, 0.6, 0.2], 4000);
        let part = significant_part(&ct);
        assert!((10..200).contains(&part.len()), "{}", part.len());
        let workload = Workload::new(Ratios::cosine(4000, 0.2).unwrap());
        let errors = ToeplitzErrors::new(&workload);
        for (short, whole) in errors.squares(part).iter().zip(errors.squares(&ct)) {
            assert!((short / whole - 1.0).abs() < 1e-13);
        }
        assert_eq!(significant_part(&[1.0, 0.5]), [1.0, 0.5]);
        assert_eq!(significant_part(&[1.0, 0.0, 0.0]), [1.0]);
        assert_eq!(significant_part(&[1.0, f64::NAN, 0.0]).len(), 2);
    }
}
