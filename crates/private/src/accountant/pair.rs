//! Dominating pairs: two distributions on the line whose comparison bounds what a mechanism gives away.

use super::Neighbours;
use super::normal::{cdf, log_cdf};
use super::search::least;
use crate::error::{Error, Result};

/// `P = (1-up) N(0,1) + up N(mu,1)` against `Q = (1-down) N(0,1) + down N(-mu,1)`, with `mu = 1/sigma`.
///
/// The loss `log(P/Q)` rises with z. One step that samples a unit with probability q is dominated by (up, down) =
///
/// | neighbour | pair |
/// |---|---|
/// | the unit is removed, or its contribution set to zero | (q, 0) |
/// | the unit is added | (0, q) |
/// | the unit is replaced | (q, q) |
///
/// All three are exact: some data attain them. The third holds for contributions g and g' of any direction: the two likelihood ratios
/// against N(0, I) are log-normal with covariances `<g,g>`, `<g,g'>`, `<g',g'>`, and `(L - e^epsilon L')_+` has non-negative second
/// derivatives within each and negative ones across, so that its mean grows with the norms and falls with `<g,g'>` (Gaussian
/// interpolation); opposite unit vectors are the extreme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    mu: f64,
    up: f64,
    down: f64,
}

impl Pair {
    /// One Gaussian mechanism whose output a unit moves by `mu` standard deviations.
    pub(super) fn gaussian(mu: f64) -> Self {
        Self { mu, up: 1.0, down: 0.0 }
    }

    /// The pairs whose worst counts, for one step of Poisson sampling at a rate.
    pub(super) fn of_step(neighbours: Neighbours, sigma: f64, rate: f64) -> Vec<Self> {
        let (removed, added) = (Self { mu: 1.0 / sigma, up: rate, down: 0.0 }, Self { mu: 1.0 / sigma, up: 0.0, down: rate });
        match neighbours {
            Neighbours::AddRemove | Neighbours::ZeroOut => vec![removed, added],
            Neighbours::ReplaceOne => vec![Self { up: rate, ..added }],
        }
    }

    /// `log(P/Q)` at z.
    pub(super) fn loss(&self, z: f64) -> f64 {
        let half = 0.5 * self.mu * self.mu;
        log_mixture(self.up, self.mu * z - half) - log_mixture(self.down, -self.mu * z - half)
    }

    /// The z of a loss; infinite where no z has it.
    pub(super) fn place(&self, loss: f64) -> f64 {
        let half = 0.5 * self.mu;
        if self.down == 0.0 {
            return log_odds(self.up, loss) / self.mu + half;
        }
        if self.up == 0.0 {
            return -(log_odds(self.down, -loss) / self.mu + half);
        }
        // The quadratic in e^{mu z} of equal rates, solved without overflow.
        let log_sinh = |t: f64| if t > 20.0 { t - std::f64::consts::LN_2 } else { t.sinh().ln() };
        let log = ((1.0 - self.up) / self.up).ln() + 0.5 * self.mu * self.mu + log_sinh(0.5 * loss.abs());
        let asinh = if log > 20.0 { log + std::f64::consts::LN_2 } else { log.exp().asinh() };
        (0.5 * loss + asinh.copysign(loss)) / self.mu
    }

    /// Whether there is a largest loss.
    pub(super) fn is_bounded_above(&self) -> bool {
        self.up == 0.0
    }

    /// The largest loss, where there is one.
    pub(super) fn largest_loss(&self) -> Option<f64> {
        self.is_bounded_above().then(|| -(-self.down).ln_1p())
    }

    /// `P[Z > z]`.
    pub(super) fn above(&self, z: f64) -> f64 {
        (1.0 - self.up) * cdf(-z) + self.up * cdf(self.mu - z)
    }

    /// `P[Z < z]`.
    pub(super) fn below(&self, z: f64) -> f64 {
        (1.0 - self.up) * cdf(z) + self.up * cdf(z - self.mu)
    }

    /// The least delta at `epsilon` of either sign: `P[Z > z] - e^epsilon Q[Z > z]` at the place z of epsilon.
    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let z = self.place(epsilon);
        if z == f64::NEG_INFINITY {
            return -epsilon.exp_m1();
        }
        if z == f64::INFINITY {
            return 0.0;
        }
        let scaled = |log: f64| (epsilon + log).exp();
        let other = (1.0 - self.down) * scaled(log_cdf(-z)) + self.down * scaled(log_cdf(-self.mu - z));
        (self.above(z) - other).max(0.0)
    }

    /// Where P has all its mass but `e^{-tail^2/2}` on either side.
    pub(super) fn range(&self, tail: f64) -> (f64, f64) {
        (-tail, tail + if self.up > 0.0 { self.mu } else { 0.0 })
    }

    /// The least epsilon of this pair alone at `delta`, exact.
    pub(super) fn epsilon(&self, delta: f64) -> Result<f64> {
        if self.delta(0.0) <= delta {
            return Ok(0.0);
        }
        least(0.0, self.loss(self.range(38.0).1), |epsilon| self.delta(epsilon) <= delta).ok_or_else(|| Error::NoConvergence {
            what: "epsilon of one step",
            reason: format!("delta {delta:e} is below what double precision can tell"),
        })
    }

    /// Whether it is one Gaussian mechanism.
    pub(super) fn is_gaussian(&self) -> bool {
        self.up == 1.0 && self.down == 0.0
    }

    /// The density of P, and `e^factor` times that of Q, both times sqrt(2 pi).
    #[inline]
    pub(super) fn densities(&self, z: f64, factor: f64) -> (f64, f64) {
        let centre = -0.5 * z * z;
        let beside = |share: f64, shift: f64, factor: f64| {
            if share > 0.0 { share * (factor - 0.5 * (z - shift).powi(2)).exp() } else { 0.0 }
        };
        let middle = if self.up < 1.0 { (1.0 - self.up) * centre.exp() } else { 0.0 };
        let p = middle + beside(self.up, self.mu, 0.0);
        let middle = if self.down < 1.0 { (1.0 - self.down) * (factor + centre).exp() } else { 0.0 };
        (p, middle + beside(self.down, -self.mu, factor))
    }

    /// `mu`.
    pub(super) fn mu(&self) -> f64 {
        self.mu
    }

    /// `log(density of Q times sqrt(2 pi))`.
    pub(super) fn log_base(&self, z: f64) -> f64 {
        log_mixture(self.down, -self.mu * z - 0.5 * self.mu * self.mu) - 0.5 * z * z
    }
}

/// `log(1 - q + q e^y)` without overflow.
fn log_mixture(q: f64, y: f64) -> f64 {
    if q == 0.0 {
        0.0
    } else if q == 1.0 {
        y
    } else if y > 0.0 {
        y + (q + (1.0 - q) * (-y).exp()).ln()
    } else {
        (q * y.exp_m1()).ln_1p()
    }
}

/// The y with `log(1 - q + q e^y) = value`; minus infinity where there is none.
fn log_odds(q: f64, value: f64) -> f64 {
    if q == 1.0 {
        return value;
    }
    if value > 1.0 {
        return value + (-(1.0 - q) * (-value).exp()).ln_1p() - q.ln();
    }
    let odds = (value.exp_m1() + q) / q;
    if odds > 0.0 { odds.ln() } else { f64::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<Pair> {
        let mut pairs = vec![Pair::gaussian(0.7), Pair::gaussian(8.0)];
        for (sigma, rate) in [(1.0, 0.01), (2.0, 0.5), (0.1, 0.3), (0.7, 1.0), (30.0, 1e-4)] {
            pairs.extend(Pair::of_step(Neighbours::AddRemove, sigma, rate));
            pairs.extend(Pair::of_step(Neighbours::ReplaceOne, sigma, rate));
        }
        pairs
    }

    #[test]
    fn one_step_has_its_golden_deltas() {
        for (rate, sigma, epsilon, remove, add) in [
            (0.01, 1.0, 0.2, 9.9085677991e-6, 0.0),
            (0.5, 2.0, 0.3, 2.3665271598e-2, 7.3291754319e-3),
            (0.1, 1.0, 0.05, 2.6143662959e-2, 1.0572581354e-2),
        ] {
            let pairs = Pair::of_step(Neighbours::AddRemove, sigma, rate);
            assert!((pairs[0].delta(epsilon) - remove).abs() < 1e-12);
            assert!((pairs[1].delta(epsilon) - add).abs() < 1e-12);
        }
    }

    #[test]
    fn losses_and_places_are_inverse_and_losses_are_log_ratios() {
        for pair in pairs() {
            for i in -60..=60 {
                let z = f64::from(i) * 0.1;
                let loss = pair.loss(z);
                let (p, q) = pair.densities(z, 0.0);
                assert!((loss - (p / q).ln()).abs() < 1e-12 * (1.0 + loss.abs()), "{pair:?} {z}");
                assert!((pair.log_base(z) - q.ln()).abs() < 1e-12 * (1.0 + q.ln().abs()));
                let slope = (pair.loss(z + 1e-4) - pair.loss(z - 1e-4)) / 2e-4;
                // Where the loss hardly changes, its place is ill defined.
                if slope > 1e-6 {
                    assert!((pair.place(loss) - z).abs() < 1e-14 / slope * (1.0 + loss.abs()) + 1e-9, "{pair:?} {z}");
                }
            }
        }
    }

    #[test]
    fn deltas_are_integrals() {
        for pair in pairs() {
            for epsilon in [-0.5, 0.0, 0.02, 0.4, 3.0] {
                let width = 1e-4;
                let sum: f64 = (-200_000..300_000)
                    .map(|i| pair.densities((f64::from(i) + 0.5) * width, epsilon))
                    .map(|(p, q)| (p - q).max(0.0) * width)
                    .sum();
                let expected = sum / (2.0 * std::f64::consts::PI).sqrt();
                assert!((pair.delta(epsilon) - expected).abs() < 1e-7, "{pair:?} {epsilon}: {expected}");
            }
        }
    }

    /// `E_{N(0, I)}[(1-q + q L - e^epsilon (1-q + q L'))_+]` in the plane, for contributions g and g'.
    fn plane(sigma: f64, q: f64, epsilon: f64, g: [f64; 2], h: [f64; 2]) -> f64 {
        let width = 0.05;
        let mut sum = 0.0;
        for i in -160..=160 {
            for j in -160..=160 {
                let x = [f64::from(i) * width, f64::from(j) * width];
                let ratio = |v: [f64; 2]| {
                    let (dot, square) = (x[0] * v[0] + x[1] * v[1], v[0] * v[0] + v[1] * v[1]);
                    1.0 - q + q * (dot / sigma - 0.5 * square / (sigma * sigma)).exp()
                };
                let density = (-0.5 * (x[0] * x[0] + x[1] * x[1])).exp() / (2.0 * std::f64::consts::PI);
                sum += (ratio(g) - epsilon.exp() * ratio(h)).max(0.0) * density * width * width;
            }
        }
        sum
    }

    #[test]
    fn opposite_contributions_are_the_worst_replacement() {
        for (sigma, q, epsilon) in [(1.0, 0.1, 0.1), (0.7, 0.4, 0.5), (2.0, 0.9, 0.02)] {
            let worst = Pair::of_step(Neighbours::ReplaceOne, sigma, q)[0].delta(epsilon);
            assert!((plane(sigma, q, epsilon, [1.0, 0.0], [-1.0, 0.0]) - worst).abs() < 2e-4 * worst);
            for (angle, norm) in [(0.0, 0.5), (1.0, 1.0), (1.57, 1.0), (2.5, 1.0), (3.1, 0.8)] {
                let other = [f64::cos(angle) * norm, f64::sin(angle) * norm];
                assert!(plane(sigma, q, epsilon, [1.0, 0.0], other) < worst, "{angle} {norm}");
                assert!(plane(sigma, q, epsilon, other, [1.0, 0.0]) < worst, "{angle} {norm}");
            }
        }
    }
}
