//! The published dynamics: each mode learns alone, along a logistic curve.
//!
//! ```text
//! tau dp/dt = q (1 - p q s_inf),   tau dq/dt = p (1 - p q s_inf),   tau = 1 / s^2,   s_inf = ((N + 1) s + tr S) / N
//! ```
//!
//! on the clock t = steps x rate x tasks. It is exact for N -> infinity and for equal variances; at finite N the variances couple, see
//! [`exact`](super::exact). It supposes tasks of unit second moments.

use super::modes::{Modes, Weights};
use crate::error::{Error, Result};

/// The published theory of a problem.
///
/// ```
/// use thalweg_dynamics::icl::{Modes, Published};
///
/// let theory = Published::new(&Modes::new(&[2.0, 1.0, 0.5, 0.25], 32)?)?;
/// assert!((theory.plateau()[0] - 0.458_78).abs() < 1e-5);
/// assert!((theory.half_times(1e-3)?[0] - 0.765_80).abs() < 1e-5);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Published {
    variances: Vec<f64>,
    /// `s_inf` of each mode: the inverse of its plateau.
    inverse_plateau: Vec<f64>,
}

impl Published {
    /// The theory of a problem.
    ///
    /// # Errors
    /// [`Error::Value`] for tasks whose second moments are not 1.
    pub fn new(modes: &Modes) -> Result<Self> {
        if let Some(mode) = modes.task_moments().iter().position(|&moment| moment != 1.0) {
            let what = format!("the second moment of the tasks in mode {mode}");
            return Err(Error::value(what, modes.task_moments()[mode], "1, as the published dynamics suppose"));
        }
        let (n, trace) = (modes.n(), modes.variances().iter().sum::<f64>());
        let inverse_plateau = modes.variances().iter().map(|s| ((n + 1.0) * s + trace) / n).collect();
        Ok(Self { variances: modes.variances().to_vec(), inverse_plateau })
    }

    /// The plateau `a_inf = 1 / s_inf` of each mode.
    pub fn plateau(&self) -> Vec<f64> {
        self.inverse_plateau.iter().map(|s| 1.0 / s).collect()
    }

    /// The inverse plateau `s_inf` of each mode.
    pub fn inverse_plateau(&self) -> &[f64] {
        &self.inverse_plateau
    }

    /// `a = p q` of each mode at a time, from a balanced start a0.
    ///
    /// # Errors
    /// As [`Weights::balanced`].
    pub fn products(&self, a0: f64, t: f64) -> Result<Vec<f64>> {
        Ok(self.weights(&Weights::balanced(self.variances.len(), a0)?, t)?.products())
    }

    /// The weights of each mode at a time, from any start.
    ///
    /// With c = p^2 - q^2 (conserved here) and X = (p + q)^2, the flow is a logistic one,
    /// `tau dX/dt = -(s_inf / 2) (X - X+) (X - X-)`, `X+- = 2 (1 +- R) / s_inf`, `R^2 = 1 + (c s_inf / 2)^2`. This form cancels
    /// nowhere, whether the start is balanced or not.
    ///
    /// # Errors
    /// [`Error::Value`] for another number of modes, or values or a time that are not finite.
    pub fn weights(&self, start: &Weights, t: f64) -> Result<Weights> {
        let d = self.variances.len();
        for (what, values) in [("p", &start.p), ("q", &start.q)] {
            if values.len() != d || values.iter().any(|value| !value.is_finite()) {
                return Err(Error::value(format!("the start {what}"), format!("{values:?}"), format!("{d} finite numbers")));
            }
        }
        if !(t.is_finite() && t >= 0.0) {
            return Err(Error::value("the time", t, "finite, 0 or more"));
        }
        let at = |mode: usize| {
            let s = self.variances[mode];
            mode_at(start.p[mode], start.q[mode], self.inverse_plateau[mode], t * s * s)
        };
        let (p, q) = (0..d).map(at).unzip();
        Ok(Weights { p, q })
    }

    /// The time at which each mode reaches half its plateau from a balanced start a0: `(tau / 2) ln((a_inf - a0) / a0)`, 0 where it
    /// starts above.
    ///
    /// # Errors
    /// As [`Weights::balanced`].
    pub fn half_times(&self, a0: f64) -> Result<Vec<f64>> {
        Weights::balanced(1, a0)?;
        let half = |(s, inverse): (&f64, &f64)| {
            let ratio = (1.0 / inverse - a0) / a0;
            if ratio > 1.0 { ratio.ln() / (2.0 * s * s) } else { 0.0 }
        };
        Ok(self.variances.iter().zip(&self.inverse_plateau).map(half).collect())
    }

    /// The time for which each mode stays near the saddle: `(tau / 2) ln(1 / (s_inf a0))`.
    ///
    /// # Errors
    /// As [`Weights::balanced`].
    pub fn escape_times(&self, a0: f64) -> Result<Vec<f64>> {
        Weights::balanced(1, a0)?;
        Ok(self.variances.iter().zip(&self.inverse_plateau).map(|(s, inverse)| -(inverse * a0).ln() / (2.0 * s * s)).collect())
    }

    /// The published loss of products a: `1/2 sum s (s a^2 s_inf - 2 s a + 1)`.
    ///
    /// # Panics
    /// For fewer modes than the problem has.
    pub fn loss(&self, products: &[f64]) -> f64 {
        let mode = |mode: usize| {
            let (s, a) = (self.variances[mode], products[mode]);
            s * (s * a * a * self.inverse_plateau[mode] - 2.0 * s * a + 1.0)
        };
        0.5 * (0..self.variances.len()).map(mode).sum::<f64>()
    }
}

/// One mode's weights at time t / tau.
fn mode_at(p: f64, q: f64, inverse_plateau: f64, t: f64) -> (f64, f64) {
    let (sum, difference) = (p + q, p - q);
    if sum == 0.0 {
        // On the line p = -q, where a = -p^2 < 0 decays.
        let b = p * p;
        let grown = (2.0 * t).exp_m1();
        let shrink = 1.0 / ((1.0 + grown) + b * inverse_plateau * grown);
        let root = (b * shrink).sqrt() * p.signum();
        return (root, -root);
    }
    let c = sum * difference;
    let x = sum * sum;
    let r = (0.5 * c * inverse_plateau).hypot(1.0);
    let upper = 2.0 * (1.0 + r) / inverse_plateau;
    let lower = c * c / upper;
    let decay = (-2.0 * r * t).exp();
    let gone = -(-2.0 * r * t).exp_m1();
    let x = (x * (upper + lower * decay) + c * c * gone) / (x * gone + lower + upper * decay);
    let sum = x.sqrt() * sum.signum();
    let difference = c / sum;
    (0.5 * (sum + difference), 0.5 * (sum - difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ode::{self, Tolerance};
    use proptest::prelude::*;

    fn theory() -> Published {
        Published::new(&Modes::new(&[2.0, 1.0, 0.5, 0.25], 32).unwrap()).unwrap()
    }

    #[test]
    fn a_balanced_start_follows_the_published_logistic() {
        let theory = theory();
        for t in [0.0, 0.3, 2.0, 17.0, 1e4] {
            let found = theory.products(1e-3, t).unwrap();
            for (mode, (s, inverse)) in theory.variances.iter().zip(&theory.inverse_plateau).enumerate() {
                let (end, a0) = (1.0 / inverse, 1e-3);
                let logistic = end * a0 / (a0 + (end - a0) * (-2.0 * t * s * s).exp());
                assert!((found[mode] - logistic).abs() < 1e-14, "{t} {mode}");
            }
        }
    }

    #[test]
    fn half_times_are_where_half_the_plateau_is() {
        let theory = theory();
        for (mode, t) in theory.half_times(1e-3).unwrap().into_iter().enumerate() {
            assert!((theory.products(1e-3, t).unwrap()[mode] / theory.plateau()[mode] - 0.5).abs() < 1e-12);
        }
        assert_eq!(theory.half_times(10.0).unwrap(), [0.0; 4]);
        let escapes = theory.escape_times(1e-3).unwrap();
        assert!(
            theory.half_times(1e-3).unwrap().iter().zip(escapes).all(|(half, escape)| *half < escape && escape < half + 0.02)
        );
    }

    fn by_flow(p: f64, q: f64, inverse: f64, t: f64) -> (f64, f64) {
        let rhs = |w: &[f64], change: &mut [f64]| {
            let gap = 1.0 - w[0] * w[1] * inverse;
            (change[0], change[1]) = (w[1] * gap, w[0] * gap);
        };
        let path = ode::solve(rhs, &[p, q], &[0.0, t], &Tolerance::new(1e-12).unwrap()).unwrap();
        (path.last()[0], path.last()[1])
    }

    #[test]
    fn nearly_balanced_and_opposite_starts_are_as_accurate() {
        for (p, q) in [
            (0.03, 0.03 + 1e-13),
            (0.1, -0.1),
            (-0.1, 0.1),
            (0.1, -0.1 + 1e-9),
            (0.05, 0.0),
            (0.0, -0.05),
            (0.0, 0.0),
            (2.0, 2.0),
        ] {
            for t in [0.1, 1.0, 3.0, 8.0] {
                let (found, expected) = (mode_at(p, q, 1.3, t), by_flow(p, q, 1.3, t));
                assert!(
                    (found.0 - expected.0).abs() + (found.1 - expected.1).abs() < 1e-10,
                    "{p} {q} {t}: {found:?} {expected:?}"
                );
            }
        }
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let theory = theory();
        assert!(theory.products(0.0, 1.0).unwrap_err().to_string().contains("a0"));
        assert!(theory.products(0.1, -1.0).unwrap_err().to_string().contains("time"));
        assert!(theory.weights(&Weights { p: vec![1.0], q: vec![1.0; 4] }, 1.0).unwrap_err().to_string().contains("start p"));
        let modes = Modes::new(&[1.0], 4).unwrap().with_task_moments(&[2.0]).unwrap();
        assert!(Published::new(&modes).unwrap_err().to_string().contains("second moment"));
    }

    proptest! {
        #[test]
        fn the_closed_form_is_the_flow_from_any_start(p in -1.5f64..1.5, q in -1.5f64..1.5, inverse in 0.3f64..3.0, t in 0.01f64..6.0) {
            let (found, expected) = (mode_at(p, q, inverse, t), by_flow(p, q, inverse, t));
            prop_assert!((found.0 - expected.0).abs() + (found.1 - expected.1).abs() < 1e-9, "{:?} {:?}", found, expected);
            let c = p * p - q * q;
            prop_assert!((found.0 * found.0 - found.1 * found.1 - c).abs() < 1e-12);
        }
    }
}
