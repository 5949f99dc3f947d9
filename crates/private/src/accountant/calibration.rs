//! From a bound on epsilon to the least noise.

use crate::error::{Error, Result, positive, probability};

/// The largest noise multiplier that a calibration tries.
pub(super) const LIMIT: f64 = 1e9;
/// The relative width at which a calibration ends.
const WIDTH: f64 = 1e-7;

/// The least noise multiplier whose epsilon (falling in it) is at most `epsilon`, found on its safe side.
pub(super) fn calibrate(epsilon: f64, delta: f64, epsilon_of: impl Fn(f64) -> Result<f64>) -> Result<f64> {
    to_width(WIDTH, epsilon, delta, epsilon_of)
}

/// The same, to a relative width.
pub(super) fn to_width(width: f64, epsilon: f64, delta: f64, epsilon_of: impl Fn(f64) -> Result<f64>) -> Result<f64> {
    let epsilon = positive("epsilon", epsilon)?;
    probability("delta", delta)?;
    let probe = |sigma: f64| {
        // Logarithms make the function nearly straight.
        epsilon_of(sigma).map(|found| Probe { log_sigma: sigma.ln(), excess: found.max(1e-300).ln() - epsilon.ln() })
    };
    let mut high = probe(1.0)?;
    let mut low = high;
    while high.excess > 0.0 {
        low = high;
        if high.sigma() >= LIMIT {
            let hint = "choose a larger epsilon or delta, a smaller rate, or fewer steps".to_owned();
            return Err(Error::Unreachable { epsilon, delta, limit: LIMIT, hint });
        }
        high = probe(high.sigma() * 2.0)?;
    }
    while low.excess <= 0.0 {
        high = low;
        low = probe(low.sigma() * 0.5)?;
    }
    illinois(width, low, high, probe)
}

/// A noise multiplier and by how much its epsilon exceeds the bound.
#[derive(Clone, Copy)]
struct Probe {
    log_sigma: f64,
    excess: f64,
}

impl Probe {
    fn sigma(&self) -> f64 {
        self.log_sigma.exp()
    }
}

/// The root of a falling function by the Illinois method, on its safe side: `low.excess > 0 >= high.excess`.
fn illinois(width: f64, mut low: Probe, mut high: Probe, probe: impl Fn(f64) -> Result<Probe>) -> Result<f64> {
    let (mut low_weight, mut high_weight) = (1.0, 1.0);
    while high.log_sigma - low.log_sigma > width && high.excess < -0.1 * width {
        let (up, down) = (low_weight * low.excess, high_weight * high.excess);
        let place = (low.log_sigma * down - high.log_sigma * up) / (down - up);
        let place = place.clamp(low.log_sigma + 0.25 * width, high.log_sigma - 0.25 * width);
        // An epsilon of 0 has no logarithm to go by.
        let place = if high.excess < -100.0 { 0.5 * (low.log_sigma + high.log_sigma) } else { place };
        let found = probe(place.exp())?;
        if found.excess > 0.0 {
            (low, low_weight, high_weight) = (found, 1.0, 0.5 * high_weight);
        } else {
            (high, high_weight, low_weight) = (found, 1.0, 0.5 * low_weight);
        }
    }
    Ok(high.sigma())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_its_safe_side_in_few_steps() {
        for root in [1e-3, 0.7, 1.0, 55.0, 1e6] {
            let calls = std::cell::Cell::new(0);
            let found = calibrate(2.0, 1e-5, |sigma| {
                calls.set(calls.get() + 1);
                Ok((2.0 * (root / sigma).powf(1.3)).min(1e3))
            });
            let found = found.unwrap();
            assert!(found >= root && found < root * (1.0 + 2.0 * WIDTH), "{found} {root}");
            assert!(calls.get() < 60, "{}", calls.get());
        }
    }

    #[test]
    fn what_no_noise_reaches_is_an_error() {
        let error = calibrate(1.0, 1e-5, |_| Ok(1.5)).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(calibrate(epsilon, 1e-5, Ok).is_err());
        }
        assert!(calibrate(1.0, 1.0, Ok).is_err());
    }
}
