//! Means with their intervals.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanInterval {
    /// The mean.
    pub mean: f64,
    /// Half the interval's width; infinite for a single value.
    pub half_width: f64,
}

impl MeanInterval {
    /// The lower end.
    pub fn low(&self) -> f64 {
        self.mean - self.half_width
    }

    /// The upper end.
    pub fn high(&self) -> f64 {
        self.mean + self.half_width
    }
}

/// The mean of independent values with Student's t interval at that confidence, in (0, 1); `None` without values.
///
/// ```
/// use thalweg::study::mean_interval;
///
/// let interval = mean_interval(&[1.0, 2.0, 3.0], 0.95).unwrap();
/// assert_eq!(interval.mean, 2.0);
/// assert!((interval.half_width - 2.484_138).abs() < 1e-5); // t = 4.302653 at 2 degrees of freedom, over sqrt(3)
/// ```
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<MeanInterval> {
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return Some(MeanInterval { mean, half_width: f64::INFINITY });
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    let quantile = student.inverse_cdf(0.5 + confidence / 2.0);
    Some(MeanInterval { mean, half_width: quantile * (variance / count).sqrt() })
}

/// A share in per cent, to two places.
pub(crate) fn percent(share: f64) -> f64 {
    (1e4 * share).round() / 1e2
}
