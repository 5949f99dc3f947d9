//! The exact and the approximate ways back through an equilibrium.
//!
//! With J the map's Jacobian at its fixed point, the implicit gradient needs `(I - J^T)^{-1}`. The approximations replace this
//! inverse by a short sum in J^T.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A way back through an equilibrium.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Backward {
    /// The implicit gradient, `(I - J)^{-1}`.
    Exact,
    /// Jacobian-free: `I` (Fung and others, 2022).
    Jfb,
    /// The first terms of Neumann's series: `sum_{j<terms} J^j`.
    Neumann {
        /// How many terms, 1 or more; 1 is Jacobian-free.
        terms: usize,
    },
    /// The series of the damped map at the fixed point: `damping sum_{j<terms} ((1 - damping) I + damping J)^j`.
    Damped {
        /// How many terms, 1 or more.
        terms: usize,
        /// The share of the map in a damped iteration, in (0, 1].
        damping: f64,
    },
    /// Phantom gradients (Geng and others, 2021): a few damped iterations from the solver's point, unrolled. With an exact
    /// solution it is the damped series; with an inexact one each term has its own Jacobian and the loss sees the last iterate.
    Phantom {
        /// How many iterations, 1 or more.
        terms: usize,
        /// The share of the map in a damped iteration, in (0, 1].
        damping: f64,
    },
}

/// The damping of a series that names none.
const DAMPING: f64 = 0.5;

impl Backward {
    /// What replaces `1 / (1 - a)` for a scalar map of slope a.
    pub fn factor(self, a: f64) -> f64 {
        match self {
            Self::Exact => 1.0 / (1.0 - a),
            Self::Jfb => 1.0,
            Self::Neumann { terms } => geometric_sum(a, terms),
            Self::Damped { terms, damping } | Self::Phantom { terms, damping } => {
                damping * geometric_sum(1.0 - damping + damping * a, terms)
            }
        }
    }

    /// The share of the map in each term and the number of terms: the sum `share sum_{j<terms} ((1 - share) I + share J)^j`;
    /// `None` for the exact inverse.
    pub(crate) fn series(self) -> Option<(f64, usize)> {
        match self {
            Self::Exact => None,
            Self::Jfb => Some((1.0, 1)),
            Self::Neumann { terms } => Some((1.0, terms)),
            Self::Damped { terms, damping } | Self::Phantom { terms, damping } => Some((damping, terms)),
        }
    }

    /// # Errors
    /// [`Error::Value`] for no terms, or a damping outside (0, 1].
    pub(crate) fn check(self) -> Result<()> {
        let Some((damping, terms)) = self.series() else { return Ok(()) };
        if terms == 0 || terms > Self::MOST_TERMS {
            return Err(Error::value("the number of terms of the backward series", terms, format!("1 to {}", Self::MOST_TERMS)));
        }
        if damping > 0.0 && damping <= 1.0 {
            return Ok(());
        }
        Err(Error::value("the damping of the backward series", damping, "in (0, 1]"))
    }

    /// More terms than this are a slow way to an inverse.
    pub const MOST_TERMS: usize = 1000;
}

/// `1 + a + ... + a^{terms-1}`, by Horner's rule.
fn geometric_sum(a: f64, terms: usize) -> f64 {
    (1..terms).fold(1.0, |sum, _| 1.0 + a * sum)
}

impl fmt::Display for Backward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let damped = |f: &mut fmt::Formatter<'_>, name: &str, terms: usize, damping: f64| {
            if damping == DAMPING { write!(f, "{name}{terms}") } else { write!(f, "{name}{terms}:{damping}") }
        };
        match *self {
            Self::Exact => f.write_str("exact"),
            Self::Jfb => f.write_str("jfb"),
            Self::Neumann { terms } => write!(f, "neumann{terms}"),
            Self::Damped { terms, damping } => damped(f, "damped", terms, damping),
            Self::Phantom { terms, damping } => damped(f, "phantom", terms, damping),
        }
    }
}

impl FromStr for Backward {
    type Err = Error;

    /// Reads `exact`, `jfb`, `neumann3`, `damped2`, `phantom5`, and `damped2:0.3` with a damping other than 0.5.
    fn from_str(name: &str) -> Result<Self> {
        let wrong = || {
            let expected = "exact, jfb, neumann3, damped2, phantom5, or damped2:0.3 with a damping in (0, 1]";
            Error::value("the backward pass", format!("{name:?}"), expected)
        };
        let (series, damping) = match name.split_once(':') {
            Some((series, damping)) => (series, Some(damping.parse::<f64>().map_err(|_| wrong())?)),
            None => (name, None),
        };
        let terms = |prefix: &str| series.strip_prefix(prefix)?.parse::<usize>().ok();
        let given = damping.unwrap_or(DAMPING);
        let backward = match (series, damping) {
            ("exact", None) => Self::Exact,
            ("jfb", None) => Self::Jfb,
            _ => {
                let neumann = terms("neumann").filter(|_| damping.is_none()).map(|terms| Self::Neumann { terms });
                let damped = terms("damped").map(|terms| Self::Damped { terms, damping: given });
                let phantom = terms("phantom").map(|terms| Self::Phantom { terms, damping: given });
                neumann.or(damped).or(phantom).ok_or_else(wrong)?
            }
        };
        backward.check()?;
        Ok(backward)
    }
}

impl TryFrom<String> for Backward {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Backward> for String {
    fn from(backward: Backward) -> Self {
        backward.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_the_published_ones() {
        for a in [-1.5, -0.3, 0.0, 0.4, 0.9] {
            let factor = |name: &str| name.parse::<Backward>().unwrap().factor(a);
            assert_eq!(factor("exact"), 1.0 / (1.0 - a));
            assert_eq!(factor("jfb"), 1.0);
            assert!((factor("neumann2") - (1.0 + a)).abs() < 1e-15);
            assert!((factor("neumann3") - (1.0 + a + a * a)).abs() < 1e-15);
            assert!((factor("damped2") - 0.5 * (1.5 + 0.5 * a)).abs() < 1e-15);
            assert_eq!(factor("phantom5"), factor("damped5"));
            assert_eq!(factor("damped4:1"), factor("neumann4"));
        }
    }

    #[test]
    fn long_series_reach_the_inverse() {
        for a in [-0.8, 0.5] {
            for name in ["neumann200", "damped400", "phantom400"] {
                let backward: Backward = name.parse().unwrap();
                assert!((backward.factor(a) * (1.0 - a) - 1.0).abs() < 1e-12, "{name}");
            }
        }
    }

    #[test]
    fn names_are_read_as_written() {
        for name in ["exact", "jfb", "neumann2", "damped2", "phantom5", "damped3:0.25"] {
            assert_eq!(name.parse::<Backward>().unwrap().to_string(), name);
        }
        for wrong in ["", "neumann", "neumann0", "damped2:0", "damped2:1.5", "jfb:0.5", "neumann2:0.5", "exact1", "phantom99999"]
        {
            assert!(wrong.parse::<Backward>().is_err(), "{wrong}");
        }
    }
}
