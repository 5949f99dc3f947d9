//! The rule that decides a claim, written before the first run.

use serde::{Deserialize, Serialize};

use crate::study::statistics::percent;
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
    /// What the confidence is of, where the study has several claims.
    #[serde(default)]
    pub simultaneous: Simultaneous,
    /// No verdict but *inconclusive* with fewer.
    pub least_seeds: usize,
}

/// What [`Rule::confidence`] is the confidence of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Simultaneous {
    /// Each interval by itself: of many claims, some are misjudged by chance.
    #[default]
    None,
    /// All intervals of the study together (Bonferroni): of m claims each has the confidence `1 - (1 - confidence) / m`, so that with
    /// at least the confidence asked for no claim of the study is misjudged by chance, however they hang together.
    Bonferroni,
}

impl Simultaneous {
    /// The spelling of study files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bonferroni => "bonferroni",
        }
    }
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

    /// The confidence of each interval in a study of that many claims.
    ///
    /// ```
    /// use thalweg::study::{Rule, Simultaneous};
    ///
    /// let rule = "quantity = 'test.accuracy'\nconfidence = 0.95\nleast_seeds = 5\nsimultaneous = 'bonferroni'";
    /// let rule: Rule = toml::from_str(rule).unwrap();
    /// assert_eq!(rule.simultaneous, Simultaneous::Bonferroni);
    /// assert!((rule.confidence_of_each(5) - 0.99).abs() < 1e-12);
    /// ```
    pub fn confidence_of_each(&self, claims: usize) -> f64 {
        match self.simultaneous {
            Simultaneous::None => self.confidence,
            Simultaneous::Bonferroni => 1.0 - (1.0 - self.confidence) / claims.max(1) as f64,
        }
    }

    /// Decides one of a study's claims on values paired by seed.
    pub fn decide(&self, claims: usize, threshold: f64, better: &[f64], than: &[f64]) -> Decision {
        let sign = self.direction.sign();
        let confidence = self.confidence_of_each(claims);
        let differences: Vec<f64> = better.iter().zip(than).map(|(a, b)| sign * (a - b)).collect();
        let measured = mean_interval(&differences, confidence);
        let decided = |verdict, reason: String| Decision { verdict, measured, differences: differences.clone(), reason };
        let seeds = differences.len();
        let (Some(interval), true) = (measured, seeds >= self.least_seeds) else {
            return decided(Verdict::Inconclusive, format!("{seeds} seeds, but the rule asks for at least {}", self.least_seeds));
        };
        let percent = percent(confidence);
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
        Rule { quantity: "q".to_owned(), direction, confidence: 0.95, simultaneous: Simultaneous::None, least_seeds: 4 }
    }

    #[track_caller]
    fn check(differences: &[f64], verdict: Verdict) {
        let zeros = vec![0.0; differences.len()];
        assert_eq!(rule(Direction::MoreIsBetter).decide(1, 0.0, differences, &zeros).verdict, verdict, "{differences:?}");
        assert_eq!(rule(Direction::LessIsBetter).decide(1, 0.0, &zeros, differences).verdict, verdict, "{differences:?}");
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

    /// `normal` values of mean 0, nearly.
    fn normals() -> impl FnMut() -> f64 {
        use rand::RngExt;
        let mut rng = thalweg_descent::Seed(5).stream("coverage").at(0);
        move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn of_several_true_limits_none_is_crossed_as_often_as_the_rule_says() {
        let mut normal = normals();
        let (claims, trials) = (6, 2000);
        let mut misjudged = |simultaneous| {
            let rule = Rule { simultaneous, ..rule(Direction::MoreIsBetter) };
            let mut values = || (0..8).map(|_| normal()).collect::<Vec<f64>>();
            // The arms share one partner, so that the claims hang together.
            let trial = |_: &i32| {
                let than = values();
                (0..claims).any(|_| rule.decide(claims, 0.0, &values(), &than).verdict != Verdict::Inconclusive)
            };
            (0..trials).filter(trial).count() as f64 / f64::from(trials)
        };
        // At most 5 %, with five standard deviations (0.49 % each) of 2,000 trials: one false alarm in 3.5 million.
        let together = misjudged(Simultaneous::Bonferroni);
        assert!(together < 0.05 + 5.0 * 0.0049, "{together}");
        let each = misjudged(Simultaneous::None);
        assert!(each > 0.12, "a control: intervals of 95 % each misjudge far more often, {each}");
    }

    #[test]
    fn intervals_cover_the_true_mean_as_often_as_they_say() {
        let mut normal = normals();
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
