//! What an audit says, for people and machines.

use serde::{Deserialize, Serialize};

use super::bound::{Audit, Bound, Method, Thresholds};
use super::fault::Fault;
use super::scores::Scores;
use crate::error::Result;

/// Whether an audit's lower bound and the claimed upper bound can both be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// They can: no proof that the claim holds, but none against it.
    Consistent,
    /// They cannot, but for the chance of the significance.
    Violated,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Consistent => "consistent",
            Self::Violated => "violated",
        })
    }
}

/// The outcome of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// What the attack proves to be leaked at least, at `delta`.
    pub epsilon_lower_bound: f64,
    /// What is claimed to be leaked at most.
    pub epsilon_upper_bound: f64,
    /// Whether both can be true.
    pub verdict: Verdict,
    /// Of both bounds.
    pub delta: f64,
    /// The probability of `violated` for a sound system is at most this.
    pub significance: f64,
    /// How scores became the lower bound.
    pub method: Method,
    /// How the threshold was chosen.
    pub thresholds: Thresholds,
    /// How many thresholds shared the significance.
    pub shared_by: usize,
    /// The threshold that gave the bound.
    pub threshold: Option<f64>,
    /// Canaries, or runs with the canary.
    pub canaries_inside: usize,
    /// Canaries that were left out, or runs without the canary.
    pub canaries_outside: usize,
    /// The lower bound on mu, of the methods that fit one.
    pub mu_hat: Option<f64>,
    /// The fault that was planted, in a negative control.
    pub fault: Option<Fault>,
    /// The scores.
    pub histogram: Histogram,
}

/// How often scores fell into each of some bins of equal width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The left end of the first bin: the least score.
    pub low: f64,
    /// The right end of the last bin: the largest score.
    pub high: f64,
    /// Scores of canaries that took part, by bin.
    pub inside: Vec<u64>,
    /// Scores of canaries that did not.
    pub outside: Vec<u64>,
}

impl Histogram {
    /// The scores in so many bins, at least 1.
    pub fn of(scores: &Scores, bins: usize) -> Self {
        let bins = bins.max(1);
        let (inside, outside) = (scores.inside(), scores.outside());
        let low = inside[0].min(outside[0]);
        let high = inside[inside.len() - 1].max(outside[outside.len() - 1]);
        let count = |scores: &[f64]| {
            let mut counts = vec![0; bins];
            for score in scores {
                // Halves keep the width finite for any finite scores.
                let place = (0.5 * score - 0.5 * low) / (0.5 * high - 0.5 * low) * bins as f64;
                counts[(place as usize).min(bins - 1)] += 1;
            }
            counts
        };
        Self { low, high, inside: count(inside), outside: count(outside) }
    }
}

/// Bins of a report's histogram.
const BINS: usize = 64;

impl Audit {
    /// Compares the bound of these scores with a claimed upper bound on epsilon.
    ///
    /// # Errors
    /// As [`bound`](Self::bound).
    pub fn report(&self, method: Method, scores: &Scores, claimed_epsilon: f64) -> Result<AuditReport> {
        Ok(self.compare(method, scores, self.bound(method, scores)?, claimed_epsilon))
    }

    pub(super) fn compare(&self, method: Method, scores: &Scores, bound: Bound, claimed_epsilon: f64) -> AuditReport {
        let violated = bound.epsilon > claimed_epsilon;
        AuditReport {
            epsilon_lower_bound: bound.epsilon,
            epsilon_upper_bound: claimed_epsilon,
            verdict: if violated { Verdict::Violated } else { Verdict::Consistent },
            delta: self.delta(),
            significance: self.significance(),
            method,
            thresholds: self.thresholds().clone(),
            shared_by: bound.shared_by,
            threshold: bound.threshold,
            canaries_inside: scores.inside().len(),
            canaries_outside: scores.outside().len(),
            mu_hat: bound.mu,
            fault: None,
            histogram: Histogram::of(scores, BINS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let outside: Vec<f64> = (0..200).map(|i| f64::from(i) / 200.0).collect();
        Scores::new(outside.iter().map(|score| score + 0.5).collect(), outside).unwrap()
    }

    #[test]
    fn the_verdict_compares_both_bounds_and_json_keeps_everything() {
        let audit = Audit::at(1e-5).unwrap();
        let report = audit.report(Method::ClopperPearson, &scores(), 100.0).unwrap();
        assert_eq!(report.verdict, Verdict::Consistent);
        let found = report.epsilon_lower_bound;
        assert!(found > 0.5);
        let exceeded = audit.report(Method::ClopperPearson, &scores(), found - 1e-9).unwrap();
        assert_eq!(exceeded.verdict, Verdict::Violated);

        let json = serde_json::to_value(&exceeded).unwrap();
        assert_eq!(json["verdict"], "violated");
        assert_eq!(json["epsilon_lower_bound"].as_f64(), Some(found));
        assert_eq!(json["epsilon_upper_bound"].as_f64(), Some(found - 1e-9));
        assert_eq!((&json["method"], &json["thresholds"]), (&"clopper-pearson".into(), &"bonferroni-all".into()));
        assert_eq!(serde_json::from_value::<AuditReport>(json).unwrap(), exceeded);
    }

    #[test]
    fn histograms_count_every_score_once() {
        let histogram = Histogram::of(&scores(), 3);
        assert_eq!((histogram.low, histogram.high), (0.0, 1.495));
        assert_eq!(histogram.outside, [100, 100, 0]);
        assert_eq!(histogram.inside, [0, 100, 100]);
        let wide = Scores::new(vec![f64::MAX], vec![f64::MIN, 0.0]).unwrap();
        let histogram = Histogram::of(&wide, 2);
        assert_eq!((histogram.inside, histogram.outside), (vec![0, 1], vec![1, 1]));
    }
}
