//! How fast a loss forgets itself: its autocorrelation and the curvature of that.

use crate::error::{Error, Result};

/// `A(k) = mean over t of L(t) L(t + k)`, for k = 0 to `most_lag`.
///
/// The window is the whole series; cut it beforehand to look at a part.
///
/// # Errors
/// [`Error::Value`] for a series with a value that is not finite, and when the largest lag is not below its length.
pub fn autocorrelation(series: &[f64], most_lag: usize) -> Result<Vec<f64>> {
    if most_lag >= series.len() {
        return Err(Error::value("the largest lag", most_lag, format!("below {}, the length of the series", series.len())));
    }
    if let Some(at) = series.iter().position(|value| !value.is_finite()) {
        return Err(Error::value(format!("value {at} of the series"), series[at], "finite"));
    }
    let at_lag = |lag: usize| {
        let sum: f64 = series.iter().zip(&series[lag..]).map(|(now, later)| now * later).sum();
        sum / (series.len() - lag) as f64
    };
    Ok((0..=most_lag).map(at_lag).collect())
}

/// The second difference `A(k - 1) - 2 A(k) + A(k + 1)` of an autocorrelation, for k = 1 to its last lag but one.
///
/// ```
/// use thalweg_probes::autocorrelation::{autocorrelation, curvature};
///
/// let loss: Vec<f64> = (0..50).map(|t| 1.0 / (1.0 + 0.1 * f64::from(t))).collect();
/// let bend = curvature(&autocorrelation(&loss, 2)?);
/// assert!((bend[0] - 9.854_652_977e-4).abs() < 1e-13);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
pub fn curvature(autocorrelation: &[f64]) -> Vec<f64> {
    autocorrelation.windows(3).map(|at| at[0] - 2.0 * at[1] + at[2]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_and_edges() {
        assert_eq!(autocorrelation(&[1.0, 2.0, 3.0], 2).unwrap(), [14.0 / 3.0, 4.0, 3.0]);
        assert_eq!(autocorrelation(&[2.0], 0).unwrap(), [4.0]);
        assert!(autocorrelation(&[2.0], 1).unwrap_err().to_string().contains("below 1"));
        assert!(autocorrelation(&[], 0).is_err());
        assert!(autocorrelation(&[1.0, f64::NAN], 1).unwrap_err().to_string().contains("value 1"));
        assert!(curvature(&[1.0, 2.0]).is_empty());
        assert_eq!(curvature(&[1.0, 3.0, 4.0]), [-1.0]);
    }
}
