//! Smooth equilibrium units side by side, one in each lane of the vector instructions.
//!
//! A step of descent moves every unit's fixed point a little, and smoothly: extrapolated from the last two steps, it is found by one
//! step of Newton's method, and its slope by one term of Taylor's series. Both errors are bounded by the square of that step; where the
//! bound is not small enough, or a lane does not arrive, the caller searches unit by unit ([`unit::solve`](super::unit::solve)).

use super::activation::Activation;

/// So many units lie side by side.
pub(super) const LANES: usize = 16;

/// One number of each unit.
pub(super) type Lanes = [f64; LANES];

/// An activation without kinks, by exponentials.
#[derive(Clone, Copy, Debug)]
pub(super) enum Smooth {
    Sigmoid,
    /// `linear z + tanh_share tanh z`
    Tanh {
        linear: f64,
        tanh_share: f64,
    },
}

impl Smooth {
    pub(super) fn of(activation: Activation) -> Option<Self> {
        match activation {
            Activation::Sigmoid => Some(Self::Sigmoid),
            Activation::Tanh => Some(Self::Tanh { linear: 0.0, tanh_share: 1.0 }),
            Activation::WeakTanh { strength } => Some(Self::Tanh { linear: 1.0, tanh_share: strength }),
            Activation::Linear | Activation::Relu | Activation::LeakyRelu | Activation::Gelu => None,
        }
    }

    /// Value, first and second derivative.
    #[inline(always)]
    fn at(self, z: f64) -> [f64; 3] {
        match self {
            Self::Sigmoid => {
                let s = 1.0 / (1.0 + exp(-z));
                let slope = s * (1.0 - s);
                [s, slope, slope * (1.0 - 2.0 * s)]
            }
            Self::Tanh { linear, tanh_share } => {
                let t = 1.0 - 2.0 / (1.0 + exp(2.0 * z));
                let slope = 1.0 - t * t;
                [linear * z + tanh_share * t, linear + tanh_share * slope, -2.0 * tanh_share * t * slope]
            }
        }
    }

    /// Above half the absolute second, and a sixth of the third derivative.
    fn bend(self) -> f64 {
        match self {
            Self::Sigmoid => 1.0,
            Self::Tanh { tanh_share, .. } => tanh_share.max(1.0),
        }
    }
}

/// Fixed points and the activation's slopes there.
#[derive(Clone, Copy)]
pub(super) struct Solved {
    pub(super) y: Lanes,
    pub(super) slope: Lanes,
    /// `1 / (1 - v slope)`
    pub(super) inverse: Lanes,
}

const MOST_STEPS: usize = 8;

/// Solves `y = activation(drive + v y)` in every lane, or in none.
#[inline(always)]
pub(super) fn solve(activation: Smooth, drive: &Lanes, v: f64, guess: &Lanes, tolerance: f64) -> Option<Solved> {
    let mut y = *guess;
    let (mut slope, mut inverse) = ([0.0; LANES], [0.0; LANES]);
    let bend = activation.bend();
    for _ in 0..MOST_STEPS {
        let mut arrived = true;
        for lane in 0..LANES {
            let [value, first, second] = activation.at(drive[lane] + v * y[lane]);
            let before = 1.0 / (1.0 - v * first);
            let step = (y[lane] - value) * before;
            y[lane] -= step;
            slope[lane] = first - second * v * step;
            // A step of Newton's method for the inverse, too: its error is a square as well.
            inverse[lane] = before * (2.0 - (1.0 - v * slope[lane]) * before);
            // Not a number is no arrival.
            arrived &= step * step * bend * (1.0 + v * v) * (1.0 + before * before) <= tolerance;
        }
        if arrived {
            return Some(Solved { y, slope, inverse });
        }
    }
    None
}

/// 1.5 times 2^52: added to a number, it leaves the nearest integer in the last bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// `ln 2` in two parts; the first has zeros at its end, so that its products with small integers are exact.
const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];

/// `e^x`, to 2 units of the last place; beyond 700 the value there.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let shifted = x * std::f64::consts::LOG2_E + ROUNDING;
    let integer = shifted - ROUNDING;
    let r = (-integer).mul_add(LN_2[1], (-integer).mul_add(LN_2[0], x));
    // Taylor's series to order 12: |r| is below 0.35.
    let mut sum = 1.0 / 479_001_600.0;
    for factorial in [39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        sum = r.mul_add(sum, 1.0 / factorial);
    }
    let exponent = shifted.to_bits().wrapping_add(1023) << 52;
    sum * f64::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deq::unit;

    #[test]
    fn exponentials_are_right_to_the_last_bits() {
        for at in -70_000..=70_000 {
            let x = 0.009_999 * f64::from(at);
            let error = (exp(x) / x.exp() - 1.0).abs();
            assert!(error < 5e-16 || x.abs() > 700.0, "{x}: {error}");
        }
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(-1e300) < 1e-300 && exp(1e300).is_finite());
    }

    #[test]
    fn lanes_agree_with_units_searched_alone() {
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::WeakTanh { strength: 0.5 }] {
            let smooth = Smooth::of(activation).unwrap();
            for v in [-2.0, -0.5, 0.0, 0.3, 0.6] {
                for from in [-4.0, -0.5, 0.0, 2.0] {
                    let drive: Lanes = std::array::from_fn(|lane| from + 0.37 * lane as f64);
                    let exact = drive.map(|drive| unit::solve(activation, drive, v, 0.0, 1e-15).unwrap());
                    let guess: Lanes = std::array::from_fn(|lane| exact[lane].y + 1e-3);
                    let found = solve(smooth, &drive, v, &guess, 1e-15).unwrap();
                    for (lane, exact) in exact.iter().enumerate() {
                        let scale = 1.0 + exact.y.abs();
                        assert!((found.y[lane] - exact.y).abs() < 1e-14 * scale, "{activation} {v} {from} {lane}");
                        assert!((found.slope[lane] - exact.slope).abs() < 1e-14 * scale, "{activation} {v} {from} {lane}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_lane_that_does_not_arrive_is_left_to_the_caller() {
        let drive: Lanes = std::array::from_fn(|lane| if lane == 3 { f64::NAN } else { 0.1 * lane as f64 });
        assert!(solve(Smooth::Sigmoid, &drive, 0.5, &[0.5; LANES], 1e-14).is_none());
        assert!(Smooth::of(Activation::Relu).is_none() && Smooth::of(Activation::Gelu).is_none());
    }
}
