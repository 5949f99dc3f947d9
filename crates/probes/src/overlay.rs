//! A measured series and a theory's series on one clock: how far apart they are.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A reason for which a theory need not apply to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caveat {
    /// The theory is one of many examples; the run has few.
    FiniteN,
    /// The inputs' variances differ.
    Anisotropic,
    /// The layers start unbalanced.
    Unbalanced,
    /// The weights do not start in the inputs' eigenbasis.
    Misaligned,
    /// Odd moments of the tasks do not vanish.
    OddTaskMoments,
    /// The weights have left the radius in which the model is nearly linear.
    LazyRadius,
    /// The activation is not the theory's.
    NonlinearActivation,
    /// The step is no plain gradient step.
    NonPlainOptimizer,
    /// The steps are too large for a flow.
    StepTooLarge,
}

/// How far a measured series is from a theory's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The largest distance.
    pub largest: f64,
    /// The root of the mean squared distance.
    pub rms: f64,
    /// The largest distance in standard errors of the measurement, where a spread was given.
    pub z: Option<f64>,
    /// The first time at which the distance exceeds the tolerance.
    pub exceeded_at: Option<f64>,
}

/// Compares a measured series with a theory's at the same times.
///
/// `standard_errors` are those of the measured values, where several seeds were measured; points with a standard error of 0 (a common
/// start, say) have no z. `tolerance` decides [`Gap::exceeded_at`].
///
/// # Errors
/// [`Error::Value`] for series of different lengths or none, values that are not finite, and times that do not increase.
pub fn gap(times: &[f64], measured: &[f64], theory: &[f64], standard_errors: Option<&[f64]>, tolerance: f64) -> Result<Gap> {
    let n = times.len();
    let lengths = [measured.len(), theory.len(), standard_errors.map_or(n, <[f64]>::len)];
    if n == 0 || lengths.iter().any(|&length| length != n) {
        return Err(Error::value(
            "the lengths of the series",
            format!("{lengths:?}"),
            format!("{n}, the number of times, and not 0"),
        ));
    }
    if let Some(at) = measured.iter().chain(theory).position(|value| !value.is_finite()) {
        let what = if at < n { "measured" } else { "theory's" };
        return Err(Error::value(format!("{what} value {}", at % n), "not finite", "finite"));
    }
    if let Some(at) = times.windows(2).position(|pair| pair[1].partial_cmp(&pair[0]) != Some(std::cmp::Ordering::Greater)) {
        return Err(Error::value(format!("time {}", at + 1), times[at + 1], format!("above {}", times[at])));
    }
    let gaps: Vec<f64> = measured.iter().zip(theory).map(|(a, b)| (a - b).abs()).collect();
    let z = |errors: &[f64]| {
        gaps.iter().zip(errors).filter(|(_, error)| **error > 0.0).map(|(gap, error)| gap / error).fold(0.0, f64::max)
    };
    Ok(Gap {
        largest: gaps.iter().copied().fold(0.0, f64::max),
        rms: (gaps.iter().map(|gap| gap * gap).sum::<f64>() / n as f64).sqrt(),
        z: standard_errors.map(z),
        exceeded_at: gaps.iter().position(|&gap| gap > tolerance).map(|at| times[at]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_of_known_series() {
        let found = gap(&[0.0, 1.0, 2.0], &[1.0, 2.0, 4.0], &[1.0, 2.5, 3.0], Some(&[0.0, 0.1, 0.5]), 0.6).unwrap();
        assert_eq!((found.largest, found.z, found.exceeded_at), (1.0, Some(5.0), Some(2.0)));
        assert!((found.rms - (1.25f64 / 3.0).sqrt()).abs() < 1e-15);
        let same = gap(&[0.0], &[1.0], &[1.0], None, 0.0).unwrap();
        assert_eq!((same.largest, same.z, same.exceeded_at), (0.0, None, None));
    }

    #[test]
    fn bad_series_are_refused() {
        assert!(gap(&[], &[], &[], None, 0.1).is_err());
        assert!(gap(&[0.0, 1.0], &[1.0], &[1.0, 1.0], None, 0.1).is_err());
        assert!(gap(&[0.0, 1.0], &[1.0, f64::NAN], &[1.0, 1.0], None, 0.1).unwrap_err().to_string().contains("measured value 1"));
        assert!(gap(&[0.0, 1.0], &[1.0, 1.0], &[1.0, f64::NAN], None, 0.1).unwrap_err().to_string().contains("theory's value 1"));
        assert!(gap(&[0.0, 0.0], &[1.0, 1.0], &[1.0, 1.0], None, 0.1).unwrap_err().to_string().contains("time 1"));
        assert!(gap(&[0.0, f64::NAN], &[1.0, 1.0], &[1.0, 1.0], None, 0.1).is_err());
    }
}
