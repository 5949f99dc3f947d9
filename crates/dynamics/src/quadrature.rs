//! Means under the standard normal distribution.

use std::f64::consts::PI;

const NODES: usize = 16;
const PANELS: i32 = 12;

/// `E f(g)`, g ~ N(0, 1), by Gauss-Legendre rules of 16 nodes on panels of width 1 in [-12, 12], so that a kink at 0 costs nothing.
pub(crate) fn gaussian_mean(f: impl Fn(f64) -> f64) -> f64 {
    let rule = gauss_legendre();
    let density = |g: f64| (-0.5 * g * g).exp() / (2.0 * PI).sqrt();
    let panel = |left: f64| -> f64 {
        let node = |&(x, weight): &(f64, f64)| {
            let g = left + 0.5 * (x + 1.0);
            0.5 * weight * density(g) * f(g)
        };
        rule.iter().map(node).sum()
    };
    (-PANELS..PANELS).map(|left| panel(f64::from(left))).sum()
}

/// The nodes and weights on [-1, 1]: roots of the Legendre polynomial by Newton's method.
fn gauss_legendre() -> Vec<(f64, f64)> {
    let n = NODES as f64;
    let root = |k: usize| {
        let mut x = (PI * (k as f64 + 0.75) / (n + 0.5)).cos();
        for _ in 0..10 {
            let (value, slope) = legendre(x);
            x -= value / slope;
        }
        let slope = legendre(x).1;
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..NODES).map(root).collect()
}

/// The Legendre polynomial of degree [`NODES`] and its derivative.
fn legendre(x: f64) -> (f64, f64) {
    let (mut before, mut now) = (1.0, x);
    for k in 2..=NODES {
        let k = k as f64;
        (before, now) = (now, ((2.0 * k - 1.0) * x * now - (k - 1.0) * before) / k);
    }
    (now, NODES as f64 * (x * now - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_a_kink() {
        let expected = [1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0];
        for (power, expected) in expected.into_iter().enumerate() {
            assert!((gaussian_mean(|g| g.powi(power as i32)) - expected).abs() < 1e-13 * expected.max(1.0));
        }
        assert!((gaussian_mean(|g| g.max(0.0)) - (2.0 * PI).sqrt().recip()).abs() < 1e-15);
        assert!((gaussian_mean(|g| (2.0 * g).cos()) - (-2.0f64).exp()).abs() < 1e-14);
    }
}
