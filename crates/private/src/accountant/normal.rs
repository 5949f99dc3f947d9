//! The standard normal distribution, also far out.

use libm::erfc;

/// Phi(x).
pub(crate) fn cdf(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// log Phi(x), accurate where Phi(x) itself would be 0.
pub(crate) fn log_cdf(x: f64) -> f64 {
    if x > -30.0 {
        return cdf(x).ln();
    }
    // Mills' ratio; the next term is below 1e-7 of the sum here.
    let square = x * x;
    let series = 1.0 - 1.0 / square + 3.0 / square.powi(2) - 15.0 / square.powi(3);
    -0.5 * square - (-x).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln() + series.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_tail_joins_on() {
        assert!((log_cdf(-29.999_999) - log_cdf(-30.000_001)).abs() < 1e-4);
        // Phi(-40) = 3.655893540915029e-350 (computed with 50 digits).
        assert!((log_cdf(-40.0) - (3.655_893_540_915_029f64.ln() - 350.0 * 10f64.ln())).abs() < 1e-9);
        assert!((cdf(1.0) - 0.841_344_746_068_542_9).abs() < 1e-12);
    }
}
