//! From scores to a lower bound on epsilon: a method, and a rule for choosing the threshold.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use super::one_run::Guesses;
use super::scores::{Counts, Scores};
use super::{clopper_pearson, gdp, one_run, one_run_fdp};
use crate::error::{Error, Result, probability};

/// How counts become a lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Two exact confidence bounds: [`clopper_pearson`]. Each score from a training of its own.
    ClopperPearson,
    /// The fit of mu-GDP: [`gdp`]. Each score from a training of its own, by a mechanism that claims a Gaussian trade-off curve.
    Gdp,
    /// All scores from one training, each canary in by a fair coin flip: [`one_run`].
    OneRun,
    /// The same, by a mechanism that claims a Gaussian trade-off curve: [`one_run_fdp`].
    OneRunFdp,
}

impl Method {
    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClopperPearson => "clopper-pearson",
            Self::Gdp => "gdp",
            Self::OneRun => "one-run",
            Self::OneRunFdp => "one-run-fdp",
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the threshold is chosen, and how the significance pays for the choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thresholds {
    /// One, known before the scores.
    Fixed(f64),
    /// A random half of the scores chooses it, the other half gives the bound.
    Split {
        /// Of the halves.
        seed: u64,
    },
    /// The median of the bounds of several splits, at half the significance.
    MultiSplit {
        /// How many, at least 1.
        splits: usize,
        /// Of the halves.
        seed: u64,
    },
    /// Several, known before the scores; they share the significance.
    Bonferroni(Vec<f64>),
    /// The corners of the ROC curve's concave frontier share the significance. Peers do so; their number depends on the scores,
    /// so that this is no proof.
    BonferroniFrontier,
    /// One above all scores and one at each distinct score share the significance. Strict: it covers every threshold.
    ///
    /// The bound is sought at the corners of the ROC curve's concave frontier alone.
    #[default]
    BonferroniAll,
}

/// A lower bound on epsilon, at a delta and significance.
///
/// ```
/// use thalweg_private::audit::{Audit, Method, Scores};
///
/// let outside: Vec<f64> = (0..1000).map(|i| (f64::from(i) * 0.37).sin()).collect();
/// let inside = outside.iter().map(|score| score + 1.5).collect();
/// let bound = Audit::at(1e-5)?.bound(Method::ClopperPearson, &Scores::new(inside, outside)?)?;
/// assert!(bound.epsilon > 3.0);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    delta: f64,
    significance: f64,
    thresholds: Thresholds,
}

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The lower bound on epsilon; wrong with at most the probability of the significance.
    pub epsilon: f64,
    /// The lower bound on mu, for the methods that fit a Gaussian trade-off curve; above 0.
    pub mu: Option<f64>,
    /// The threshold that gave it; `None` where nothing was refuted, or where it stands for several.
    pub threshold: Option<f64>,
    /// How many thresholds shared the significance.
    pub shared_by: usize,
}

/// The best of some thresholds: epsilon, or mu where the method fits one.
#[derive(Clone, Copy, Debug)]
struct Best {
    value: f64,
    threshold: Option<f64>,
}

impl Audit {
    /// At this delta, with significance 0.05 and [`Thresholds::BonferroniAll`].
    ///
    /// # Errors
    /// [`Error::Value`] when it is not in (0, 1).
    pub fn at(delta: f64) -> Result<Self> {
        Ok(Self { delta: probability("delta", delta)?, significance: 0.05, thresholds: Thresholds::default() })
    }

    /// The probability that the bound may be wrong.
    ///
    /// # Errors
    /// [`Error::Value`] when it is not in (0, 1).
    pub fn with_significance(mut self, significance: f64) -> Result<Self> {
        self.significance = probability("the significance", significance)?;
        Ok(self)
    }

    /// The rule for the threshold.
    ///
    /// # Errors
    /// [`Error::Value`] for no thresholds, one that is not finite, or no splits.
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Result<Self> {
        match &thresholds {
            Thresholds::Bonferroni(all) if all.is_empty() => return Err(Error::value("the thresholds", "empty", "at least one")),
            Thresholds::MultiSplit { splits: 0, .. } => return Err(Error::value("the number of splits", 0, "at least 1")),
            Thresholds::Fixed(threshold) => check_threshold(*threshold)?,
            Thresholds::Bonferroni(all) => all.iter().try_for_each(|threshold| check_threshold(*threshold))?,
            _ => {}
        }
        self.thresholds = thresholds;
        Ok(self)
    }

    /// The delta.
    pub fn delta(&self) -> f64 {
        self.delta
    }

    /// The significance.
    pub fn significance(&self) -> f64 {
        self.significance
    }

    /// The rule for the threshold.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// The lower bound that a method finds in the scores.
    ///
    /// # Errors
    /// [`Error::Value`] when there are too few scores to split.
    pub fn bound(&self, method: Method, scores: &Scores) -> Result<Bound> {
        let (best, shared_by) = match &self.thresholds {
            Thresholds::Fixed(threshold) => self.shared(method, &at(scores, &[*threshold]), 1),
            Thresholds::Bonferroni(thresholds) => self.shared(method, &at(scores, thresholds), thresholds.len()),
            Thresholds::BonferroniFrontier => {
                let corners = scores.frontier();
                self.shared(method, &corners, corners.len())
            }
            // The corners are as good as all points, and few.
            Thresholds::BonferroniAll => self.shared(method, &scores.frontier(), scores.distinct() + 1),
            Thresholds::Split { seed } => {
                (self.split(method, scores, self.significance, &mut ChaCha12Rng::seed_from_u64(*seed))?, 1)
            }
            Thresholds::MultiSplit { splits, seed } => (self.median(method, scores, *splits, *seed)?, 1),
        };
        let (epsilon, mu) = match method {
            Method::ClopperPearson | Method::OneRun => (best.value, None),
            Method::Gdp | Method::OneRunFdp => (gdp::to_epsilon(best.value, self.delta)?, Some(best.value)),
        };
        Ok(Bound { epsilon, mu, threshold: best.threshold, shared_by })
    }

    /// The best of the points, where so many share the significance.
    fn shared(&self, method: Method, points: &[(f64, Counts)], shared_by: usize) -> (Best, usize) {
        (self.best(method, points, self.significance / shared_by as f64), shared_by)
    }

    /// The best of the points, each at this level of significance.
    fn best(&self, method: Method, points: &[(f64, Counts)], level: f64) -> Best {
        let mut best = Best { value: 0.0, threshold: None };
        for &(threshold, counts) in strides(points) {
            let value = self.value(method, &counts, best.value, level);
            if value > best.value {
                best = Best { value, threshold: Some(threshold) };
            }
        }
        best
    }

    /// Epsilon or mu of one point; anything of at most `least` where it is below that.
    fn value(&self, method: Method, counts: &Counts, least: f64, level: f64) -> f64 {
        let guesses = Guesses {
            canaries: counts.inside + counts.outside,
            made: counts.true_positives + counts.false_positives,
            right: counts.true_positives,
        };
        match method {
            Method::ClopperPearson => clopper_pearson::epsilon(counts, self.delta, level),
            Method::Gdp => gdp::mu(counts, level),
            Method::OneRun => one_run::epsilon_above(&guesses, self.delta, level, least),
            Method::OneRunFdp => one_run_fdp::mu_above(&guesses, level, least),
        }
    }

    /// A half chooses among its own thresholds as if each were the only one; the other half gives the bound.
    fn split(&self, method: Method, scores: &Scores, level: f64, rng: &mut ChaCha12Rng) -> Result<Best> {
        let ([inside, inside_rest], [outside, outside_rest]) = (halves(scores.inside(), rng), halves(scores.outside(), rng));
        if inside.is_empty() || outside.is_empty() {
            let found = format!("{} inside and {} outside", scores.inside().len(), scores.outside().len());
            return Err(Error::value("the number of scores to split", found, "at least 2 of each"));
        }
        let choosing = Scores::sorted(inside, outside).frontier();
        let chosen = self.best(method, &choosing, level).threshold.unwrap_or(f64::INFINITY);
        Ok(self.best(method, &at(&Scores::sorted(inside_rest, outside_rest), &[chosen]), level))
    }

    fn median(&self, method: Method, scores: &Scores, splits: usize, seed: u64) -> Result<Best> {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut bound = || Ok(self.split(method, scores, self.significance / 2.0, &mut rng)?.value);
        let mut values = (0..splits).map(|_| bound()).collect::<Result<Vec<f64>>>()?;
        values.sort_by(f64::total_cmp);
        // The lower of two middle ones: it is wrong only where half of all bounds are.
        Ok(Best { value: values[(splits - 1) / 2], threshold: None })
    }
}

fn check_threshold(threshold: f64) -> Result<()> {
    if threshold.is_finite() { Ok(()) } else { Err(Error::value("a threshold", threshold, "a finite number")) }
}

fn at(scores: &Scores, thresholds: &[f64]) -> Vec<(f64, Counts)> {
    thresholds.iter().map(|&threshold| (threshold, scores.counts(threshold))).collect()
}

/// A random half of sorted values, and the rest, both sorted.
fn halves(values: &[f64], rng: &mut ChaCha12Rng) -> [Vec<f64>; 2] {
    let mut shuffled = values.to_vec();
    shuffled.shuffle(rng);
    let mut rest = shuffled.split_off(values.len() / 2);
    shuffled.sort_by(f64::total_cmp);
    rest.sort_by(f64::total_cmp);
    [shuffled, rest]
}

/// All items in strides near the golden ratio: a good one comes early, and what follows is compared with it alone.
fn strides<T>(items: &[T]) -> impl Iterator<Item = &T> {
    let n = items.len();
    let stride = (1..=n * 618 / 1000).rev().find(|&step| gcd(step, n) == 1).unwrap_or(1);
    (0..n).map(move |i| &items[i * stride % n])
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::gdp::quantile;

    /// n scores inside and n outside at the quantiles of N(mu, 1) and N(0, 1).
    fn normal(mu: f64, n: usize) -> Scores {
        let outside: Vec<f64> = (0..n).map(|i| quantile((i as f64 + 0.5) / n as f64)).collect();
        Scores::new(outside.iter().map(|score| score + mu).collect(), outside).unwrap()
    }

    fn audit(delta: f64, thresholds: Thresholds) -> Audit {
        Audit::at(delta).unwrap().with_thresholds(thresholds).unwrap()
    }

    #[test]
    fn golden_bounds_of_normal_scores() {
        let audit = audit(1e-6, Thresholds::BonferroniFrontier);
        for (mu, corners, one_run, one_run_fdp) in
            [(1.0, 386, 1.13346, 2.164749), (2.0, 374, 2.311945, 4.7218075), (4.0, 140, 4.395568, 9.133752), (0.0, 2, 0.0, 0.0)]
        {
            let scores = normal(mu, 10_000);
            let found = audit.bound(Method::OneRun, &scores).unwrap();
            assert_eq!(found.shared_by, corners);
            assert!((found.epsilon - one_run).abs() < 1e-6, "{mu}: {} instead of {one_run}", found.epsilon);
            let found = audit.bound(Method::OneRunFdp, &scores).unwrap();
            assert!((found.epsilon - one_run_fdp).abs() < 1e-6, "{mu}: {} instead of {one_run_fdp}", found.epsilon);
        }
    }

    #[test]
    fn no_rule_for_thresholds_exceeds_the_truth_and_all_find_much_of_it() {
        let scores = normal(1.0, 10_000);
        let truth = gdp::to_epsilon(1.0, 1e-5).unwrap();
        let rules = [
            (Thresholds::Fixed(0.5), 0.94),
            (Thresholds::Split { seed: 1 }, 0.86),
            (Thresholds::MultiSplit { splits: 9, seed: 1 }, 0.86),
            (Thresholds::Bonferroni(vec![0.0, 0.5, 1.0]), 0.92),
            (Thresholds::BonferroniFrontier, 0.88),
            (Thresholds::BonferroniAll, 0.85),
        ];
        for (rule, share) in rules {
            let found = audit(1e-5, rule.clone()).bound(Method::Gdp, &scores).unwrap();
            assert!(found.epsilon <= truth && found.epsilon >= share * truth, "{rule:?}: {found:?} of {truth}");
            assert!(found.mu.unwrap() < 1.0);
        }
        let all = audit(1e-5, Thresholds::BonferroniAll);
        assert_eq!(all.bound(Method::Gdp, &scores).unwrap().shared_by, 20_001);
    }

    #[test]
    fn one_threshold_is_the_plain_formula() {
        let scores = normal(1.5, 500);
        let counts = scores.counts(1.0);
        let audit = audit(1e-3, Thresholds::Fixed(1.0));
        let guesses =
            Guesses { canaries: 1000, made: counts.true_positives + counts.false_positives, right: counts.true_positives };
        for (method, expected) in [
            (Method::ClopperPearson, clopper_pearson::epsilon(&counts, 1e-3, 0.05)),
            (Method::Gdp, gdp::to_epsilon(gdp::mu(&counts, 0.05), 1e-3).unwrap()),
            (Method::OneRun, one_run::epsilon(&guesses, 1e-3, 0.05)),
            (Method::OneRunFdp, one_run_fdp::epsilon(&guesses, 1e-3, 0.05).unwrap()),
        ] {
            let found = audit.bound(method, &scores).unwrap();
            assert!(expected > 0.0 && found.epsilon == expected, "{method}: {found:?} {expected}");
            assert_eq!((found.threshold, found.shared_by), (Some(1.0), 1));
        }
    }

    #[test]
    fn strides_visit_everything_once() {
        for n in 1..60 {
            let items: Vec<usize> = (0..n).collect();
            let mut visited: Vec<usize> = strides(&items).copied().collect();
            visited.sort_unstable();
            assert_eq!(visited, items);
        }
    }

    #[test]
    fn wishes_out_of_range_are_named() {
        for delta in [0.0, 1.0, -1e-5, f64::NAN] {
            assert!(Audit::at(delta).unwrap_err().to_string().contains("delta"));
        }
        let good = || Audit::at(1e-5).unwrap();
        for significance in [0.0, 1.0, f64::NAN] {
            assert!(good().with_significance(significance).unwrap_err().to_string().contains("significance"));
        }
        for thresholds in [
            Thresholds::Fixed(f64::NAN),
            Thresholds::Bonferroni(vec![]),
            Thresholds::Bonferroni(vec![0.0, f64::NAN]),
            Thresholds::MultiSplit { splits: 0, seed: 1 },
        ] {
            assert!(good().with_thresholds(thresholds).is_err());
        }
        let few = Scores::new(vec![1.0], vec![0.0, 0.5]).unwrap();
        let split = audit(1e-5, Thresholds::Split { seed: 1 });
        assert!(split.bound(Method::Gdp, &few).unwrap_err().to_string().contains("at least 2"));
    }
}
