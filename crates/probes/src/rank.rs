//! How many singular values count: an explicit rule, never an implicit cut.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which of the singular values count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RankRule {
    /// Those above this share of the largest.
    Relative(f64),
    /// Those above this value.
    Absolute(f64),
    /// The first so many.
    Fixed(usize),
    /// The fewest whose squares sum to this share of all squares.
    Energy(f64),
}

impl RankRule {
    /// For matrices computed in `f64`, when counting dimensions: a relative 1e-12.
    pub const DOUBLE: Self = Self::Relative(1e-12);

    /// How many of the singular values (not increasing) count.
    ///
    /// ```
    /// use thalweg_probes::RankRule;
    ///
    /// assert_eq!(RankRule::Relative(0.01).rank(&[2.0, 1.0, 0.001])?, 2);
    /// assert_eq!(RankRule::Energy(0.75).rank(&[2.0, 1.0, 0.001])?, 1);
    /// # Ok::<(), thalweg_probes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a threshold that is negative or not finite, a share outside (0, 1], and a fixed rank of 0 or above the
    /// number of values.
    pub fn rank(self, values: &[f64]) -> Result<usize> {
        let above = |threshold: f64| values.iter().filter(|&&value| value > threshold).count();
        let threshold = |what: &str, given: f64| match given.is_finite() && given >= 0.0 {
            true => Ok(given),
            false => Err(Error::value(what, given, "finite, 0 or more")),
        };
        match self {
            Self::Relative(share) => {
                let share = threshold("the relative rank threshold", share)?;
                Ok(above(share * values.first().copied().unwrap_or(0.0)))
            }
            Self::Absolute(value) => Ok(above(threshold("the absolute rank threshold", value)?)),
            Self::Fixed(k) if (1..=values.len()).contains(&k) => Ok(k),
            Self::Fixed(k) => {
                Err(Error::value("the fixed rank", k, format!("1 to {}, the number of singular values", values.len())))
            }
            Self::Energy(share) if share > 0.0 && share <= 1.0 => Ok(energy_rank(values, share)),
            Self::Energy(share) => Err(Error::value("the share of energy", share, "in (0, 1]")),
        }
    }
}

impl std::fmt::Display for RankRule {
    /// As [`FromStr`](std::str::FromStr) reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Relative(share) => write!(f, "relative:{share:?}"),
            Self::Absolute(value) => write!(f, "absolute:{value:?}"),
            Self::Fixed(k) => write!(f, "fixed:{k}"),
            Self::Energy(share) => write!(f, "energy:{share:?}"),
        }
    }
}

impl std::str::FromStr for RankRule {
    type Err = Error;

    /// `relative:SHARE`, `absolute:VALUE`, `fixed:K` or `energy:SHARE`.
    fn from_str(text: &str) -> Result<Self> {
        let rule = text.split_once(':').and_then(|(rule, value)| match rule {
            "relative" => Some(Self::Relative(value.parse().ok()?)),
            "absolute" => Some(Self::Absolute(value.parse().ok()?)),
            "fixed" => Some(Self::Fixed(value.parse().ok()?)),
            "energy" => Some(Self::Energy(value.parse().ok()?)),
            _ => None,
        });
        let rule = rule.ok_or_else(|| {
            Error::value("the rank rule", text, "relative:SHARE, absolute:VALUE, fixed:K or energy:SHARE, such as relative:1e-6")
        })?;
        // What no matrix can meet is said now.
        let values = vec![1.0; if let Self::Fixed(k) = rule { k.max(1) } else { 1 }];
        rule.rank(&values).map(|_| rule)
    }
}

fn energy_rank(values: &[f64], share: f64) -> usize {
    let total: f64 = values.iter().map(|value| value * value).sum();
    let mut sum = 0.0;
    for (at, value) in values.iter().enumerate() {
        if total == 0.0 || sum >= share * total {
            return at;
        }
        sum += value * value;
    }
    values.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_as_they_say() {
        let values = [4.0, 2.0, 1.0, 1e-15];
        assert_eq!(RankRule::DOUBLE.rank(&values).unwrap(), 3);
        assert_eq!(RankRule::Relative(0.0).rank(&values).unwrap(), 4);
        assert_eq!(RankRule::Absolute(1.0).rank(&values).unwrap(), 2);
        assert_eq!(RankRule::Fixed(4).rank(&values).unwrap(), 4);
        assert_eq!(RankRule::Energy(16.0 / 21.0).rank(&values).unwrap(), 1);
        assert_eq!(RankRule::Energy(0.9).rank(&values).unwrap(), 2);
        assert_eq!(RankRule::Energy(1.0).rank(&values).unwrap(), 3);
        for rule in [RankRule::DOUBLE, RankRule::Absolute(0.1), RankRule::Energy(0.5)] {
            assert_eq!(rule.rank(&[]).unwrap(), 0);
            assert_eq!(rule.rank(&[0.0, 0.0]).unwrap(), 0);
        }
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for rule in [RankRule::Relative(1e-6), RankRule::Absolute(0.25), RankRule::Fixed(3), RankRule::Energy(0.9)] {
            assert_eq!(rule.to_string().parse::<RankRule>().unwrap(), rule);
        }
        for wrong in ["", "relative", "relative:x", "rank:3", "fixed:0", "fixed:-1", "energy:2", "energy:NaN", "relative:-1"] {
            assert!(wrong.parse::<RankRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bad_rules_are_refused_by_name() {
        let refused = |rule: RankRule| rule.rank(&[1.0, 0.5]).unwrap_err().to_string();
        assert!(refused(RankRule::Fixed(0)).contains("1 to 2"));
        assert!(refused(RankRule::Fixed(3)).contains("fixed rank is 3"));
        assert!(refused(RankRule::Relative(-1.0)).contains("relative"));
        assert!(refused(RankRule::Absolute(f64::NAN)).contains("absolute"));
        assert!(refused(RankRule::Energy(0.0)).contains("energy"));
        assert!(refused(RankRule::Energy(1.1)).contains("energy"));
    }
}
