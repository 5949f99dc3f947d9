//! The rule that decides a claim, written before the first run.

use serde::{Deserialize, Serialize};

use crate::study::{MeanInterval, Verdict, mean_interval};

/// How the claims of a study are decided.
///
/// A [`Claim`] is an inequality: the mean over seeds of `quantity(better) - quantity(than)`, paired by seed, is above a threshold.
/// With the interval of that mean at `confidence` it *holds* when the interval lies above the threshold, *does not hold* when it lies
/// below, and is *inconclusive* when the interval covers the threshold or there are fewer than `least_seeds` seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A number of the event log; its last value counts.
    pub quantity: String,
    /// Whether more of the quantity is better, as for an accuracy, or less, as for a loss.
    #[serde(default)]
    pub direction: Direction,
    /// In (0, 1), such as 0.95.
    pub confidence: f64,
    /// No verdict but *inconclusive* with fewer.
    pub least_seeds: usize,
}

/// That one setting is better than another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim, in a sentence.
    pub says: String,
    /// The setting that is claimed to be better.
    pub better: String,
    /// The setting it is compared with.
    pub than: String,
    /// The difference that must be exceeded.
    #[serde(default)]
    pub threshold: f64,
}

impl Claim {
    pub(crate) fn validate(&self) -> Result<(), String> {
        if !self.threshold.is_finite() {
            return Err(format!("claim.threshold = {}; it must be a number", self.threshold));
        }
        if self.better == self.than {
            return Err(format!("claim: {:?} is compared with itself", self.better));
        }
        Ok(())
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// As for an accuracy.
    #[default]
    MoreIsBetter,
    /// As for a loss.
    LessIsBetter,
}

impl Direction {
    /// 1 or -1: times the quantity, more is better.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Self::MoreIsBetter => 1.0,
            Self::LessIsBetter => -1.0,
        }
    }
}

/// What the rule says of the measured values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The verdict.
    #[serde(serialize_with = "as_words")]
    pub verdict: Verdict,
    /// The mean difference and its interval; `None` without seeds.
    pub measured: Option<MeanInterval>,
    /// The differences by seed, positive where the claim is right.
    pub differences: Vec<f64>,
    /// Why, in words.
    pub reason: String,
}

fn as_words<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}

impl Rule {
    pub(crate) fn validate(&self) -> Result<(), String> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(format!("rule.confidence = {}; it must be above 0 and below 1, such as 0.95", self.confidence));
        }
        if self.least_seeds < 2 {
            return Err(format!("rule.least_seeds = {}; an interval needs at least 2", self.least_seeds));
        }
        Ok(())
    }

    /// Decides on values paired by seed.
    pub fn decide(&self, threshold: f64, better: &[f64], than: &[f64]) -> Decision {
        let sign = self.direction.sign();
        let differences: Vec<f64> = better.iter().zip(than).map(|(a, b)| sign * (a - b)).collect();
        let measured = mean_interval(&differences, self.confidence);
        let decided = |verdict, reason: String| Decision { verdict, measured, differences: differences.clone(), reason };
        let seeds = differences.len();
        let (Some(interval), true) = (measured, seeds >= self.least_seeds) else {
            return decided(Verdict::Inconclusive, format!("{seeds} seeds, but the rule asks for at least {}", self.least_seeds));
        };
        let percent = 100.0 * self.confidence;
        if interval.low() > threshold {
            decided(Verdict::Holds, format!("the {percent} % interval lies above {threshold}"))
        } else if interval.high() < threshold {
            decided(Verdict::DoesNotHold, format!("the {percent} % interval lies below {threshold}"))
        } else {
            decided(Verdict::Inconclusive, format!("the {percent} % interval covers {threshold}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(direction: Direction) -> Rule {
        Rule { quantity: "q".to_owned(), direction, confidence: 0.95, least_seeds: 4 }
    }

    #[track_caller]
    fn check(differences: &[f64], verdict: Verdict) {
        let zeros = vec![0.0; differences.len()];
        assert_eq!(rule(Direction::MoreIsBetter).decide(0.0, differences, &zeros).verdict, verdict, "{differences:?}");
        assert_eq!(rule(Direction::LessIsBetter).decide(0.0, &zeros, differences).verdict, verdict, "{differences:?}");
    }

    #[test]
    fn every_verdict_can_come_out() {
        check(&[1.0, 1.1, 0.9, 1.0], Verdict::Holds);
        check(&[-1.0, -1.1, -0.9, -1.0], Verdict::DoesNotHold);
        check(&[1.0, -1.0, 0.5, -0.4], Verdict::Inconclusive);
        check(&[1.0, 1.1, 0.9], Verdict::Inconclusive);
        check(&[], Verdict::Inconclusive);
        check(&[0.0; 4], Verdict::Inconclusive);
    }

    #[test]
    fn intervals_cover_the_true_mean_as_often_as_they_say() {
        use rand::RngExt;
        let mut rng = thalweg_descent::Seed(5).stream("coverage").at(0);
        let mut normal = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let trials = 4000;
        let covered = (0..trials).filter(|_| {
            let values: Vec<f64> = (0..10).map(|_| normal()).collect();
            mean_interval(&values, 0.95).is_some_and(|interval| interval.low() < 0.0 && interval.high() > 0.0)
        });
        // 4,000 trials at 95 % have a standard deviation of 13.8; five of them: one false alarm in 1.7 million.
        let covered = covered.count() as f64;
        assert!((covered - 0.95 * f64::from(trials)).abs() < 5.0 * 13.8, "{covered}");
    }
}
