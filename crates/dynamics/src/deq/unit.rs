//! The fixed point of one unit: `y = activation(drive + v y)`.

use super::activation::Activation;
use crate::error::{Error, Result};

/// The fixed point and the slope `v activation'(drive + v y)` of the map there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equilibrium {
    /// The fixed point.
    pub y: f64,
    /// The activation's slope at the fixed point's pre-activation.
    pub slope: f64,
}

/// An unbounded activation's bracket is widened up to here.
const FARTHEST: f64 = 1e6;

const MOST_NEWTON_STEPS: usize = 100;

/// Solves `y = activation(drive + v y)` by Newton's method from a guess (the last step's solution, say), and by bisection where
/// Newton's steps do not arrive. For v <= 0 and a non-decreasing activation the solution is the only one.
///
/// # Errors
/// [`Error::NoFixedPoint`] when there is none within 1e6.
pub fn solve(activation: Activation, drive: f64, v: f64, guess: f64, tolerance: f64) -> Result<Equilibrium> {
    let mut y = guess;
    for _ in 0..MOST_NEWTON_STEPS {
        let z = drive + v * y;
        let slope = activation.slope(z);
        let step = (y - activation.value(z)) / (1.0 - v * slope);
        y -= step;
        if !y.is_finite() || y.abs() > FARTHEST {
            break;
        }
        if step.abs() <= tolerance * (1.0 + y.abs()) {
            return Ok(Equilibrium { y, slope: activation.slope(drive + v * y) });
        }
    }
    let y = bisect(|y| y - activation.value(drive + v * y), activation, guess)?;
    Ok(Equilibrium { y, slope: activation.slope(drive + v * y) })
}

/// The root of an increasing-at-its-ends function, to the last bit.
fn bisect(gap: impl Fn(f64) -> f64, activation: Activation, guess: f64) -> Result<f64> {
    let (mut low, mut high) = bracket(&gap, activation, guess)?;
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return Ok(middle);
        }
        if gap(middle) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
}

/// An interval with `gap(low) <= 0 <= gap(high)`: the activation's range where it is bounded.
fn bracket(gap: &impl Fn(f64) -> f64, activation: Activation, guess: f64) -> Result<(f64, f64)> {
    let (least, greatest) = activation.range();
    let centre = if guess.is_finite() { guess.clamp(-FARTHEST, FARTHEST) } else { 0.0 };
    let mut width = 1.0;
    while width <= 4.0 * FARTHEST {
        let low = (centre - width).max(least);
        let high = (centre + width).min(greatest);
        if gap(low) <= 0.0 && gap(high) >= 0.0 {
            return Ok((low, high));
        }
        width *= 2.0;
    }
    Err(Error::no_fixed_point(MOST_NEWTON_STEPS, gap(centre).abs(), f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn linear_units_have_a_closed_form_on_both_branches() {
        for v in [-3.0, -1.0, 0.0, 0.5, 0.99, 1.5] {
            let found = solve(Activation::Linear, 0.7, v, 0.0, 1e-14).unwrap();
            assert!((found.y - 0.7 / (1.0 - v)).abs() < 1e-12 * found.y.abs().max(1.0), "{v}");
        }
        let error = solve(Activation::Linear, 0.7, 1.0, 0.0, 1e-14).unwrap_err();
        assert!(matches!(error, Error::NoFixedPoint { .. }) && error.to_string().contains("does not contract"), "{error}");
    }

    #[test]
    fn kinks_and_bad_guesses_fall_back_to_bisection() {
        for guess in [0.0, 1e5, -1e5, f64::NAN, f64::INFINITY] {
            let found = solve(Activation::Relu, 1.0, -0.9, guess, 1e-14).unwrap();
            assert!((found.y - 1.0 / 1.9).abs() < 1e-13);
            let found = solve(Activation::Sigmoid, 3.0, -50.0, guess, 1e-14).unwrap();
            assert!((found.y - Activation::Sigmoid.value(3.0 - 50.0 * found.y)).abs() < 1e-13);
        }
    }

    proptest! {
        #[test]
        fn every_activation_is_solved_where_it_contracts(drive in -5.0f64..5.0, share in -0.95f64..0.95, guess in -3.0f64..3.0) {
            for activation in [
                Activation::Tanh,
                Activation::Sigmoid,
                Activation::Relu,
                Activation::LeakyRelu,
                Activation::Gelu,
                Activation::WeakTanh { strength: 0.5 },
            ] {
                let v = share / activation.largest_slope();
                let found = solve(activation, drive, v, guess, 1e-14).unwrap();
                let z = drive + v * found.y;
                prop_assert!((found.y - activation.value(z)).abs() < 1e-11 * found.y.abs().max(1.0), "{} {}", activation, found.y);
                prop_assert_eq!(found.slope, activation.slope(z));
            }
        }
    }
}
