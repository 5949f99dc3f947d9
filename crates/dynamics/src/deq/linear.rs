//! The linear equilibrium model `y = <u, x> + v y`, whose output is `<u, x> / (1 - v)`.
//!
//! Its parameters are `theta = (u, v)`, its effective weights `beta = u / (1 - v)`. Whatever the loss of the output is, its gradient
//! is orthogonal to `theta - e`, `e = (0, ..., 0, 1)` the degenerate point; so gradient flow stays on a sphere about e, and a
//! gradient step of rate eta moves the squared radius by exactly `eta^2 |gradient|^2`. An intercept is an input that is always 1.

use super::backward::Backward;
use super::descent::{Evaluation, Model};
use crate::error::{Error, Result, positive};
use crate::matrix::{self, Symmetric};
use crate::ode::{self, Tolerance, Trajectory};
use crate::vector::{dot, norm_squared};

/// A linear equilibrium model on inputs of known second moments, with the squared loss `E (y - <target, x>)^2` (no 1/2).
///
/// ```
/// use thalweg_dynamics::deq::LinearDeq;
///
/// let model = LinearDeq::scalar(1.0 / 3.0, 2.0)?;
/// let start = [0.1, 0.2];
/// assert!((model.radius_squared(&start) - 0.65).abs() < 1e-15);
/// // Where gradient flow ends on this circle.
/// let end = model.flow_limit(&start)?;
/// assert!((end[0] - 0.721_110_255_092_797_9).abs() < 1e-15);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinearDeq {
    second_moment: Symmetric,
    target: Vec<f64>,
}

/// Nearer than this to the degenerate point v = 1 the output is not defined.
pub const DEGENERATE: f64 = 1e-12;

impl LinearDeq {
    /// A model with `E x x^T` (d x d, row-major) and target weights (d).
    ///
    /// # Errors
    /// [`Error::Value`] when the second moments are not symmetric and positive definite, or the sizes do not fit.
    pub fn new(second_moment: &[f64], target: &[f64]) -> Result<Self> {
        let second_moment = Symmetric::positive_definite("the second moment of the inputs", second_moment, target.len())?;
        if let Some(at) = target.iter().position(|value| !value.is_finite()) {
            return Err(Error::value(format!("target weight {at}"), target[at], "finite"));
        }
        Ok(Self { second_moment, target: target.to_vec() })
    }

    /// A model of one input with `E x^2`.
    ///
    /// # Errors
    /// [`Error::Value`] unless `E x^2` is a finite number above 0.
    pub fn scalar(second_moment: f64, target: f64) -> Result<Self> {
        Self::new(&[positive("the second moment of the input", second_moment)?], &[target])
    }

    /// The target weights.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// `|u|^2 + (1 - v)^2`, which gradient flow conserves.
    ///
    /// # Panics
    /// For no parameters.
    pub fn radius_squared(&self, theta: &[f64]) -> f64 {
        let (u, v) = split(theta);
        norm_squared(u) + (1.0 - v).powi(2)
    }

    /// `beta = u / (1 - v)`.
    ///
    /// # Errors
    /// [`Error::Value`] for parameters that are not finite, too few, or degenerate (v = 1).
    pub fn effective_weights(&self, theta: &[f64]) -> Result<Vec<f64>> {
        self.check(theta)?;
        let (u, v) = split(theta);
        Ok(u.iter().map(|u| u / (1.0 - v)).collect())
    }

    /// The loss `(beta - target)^T E x x^T (beta - target)`.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn risk(&self, theta: &[f64]) -> Result<f64> {
        let error = self.weight_error(theta)?;
        Ok(dot(&error, &self.second_moment.times(&error)))
    }

    /// The gradient of the loss, with a way back through the equilibrium. On this model every approximation only rescales it.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn gradient(&self, theta: &[f64], backward: Backward) -> Result<Vec<f64>> {
        let mut gradient = vec![0.0; theta.len()];
        self.write_gradient(theta, backward, &mut gradient)?;
        Ok(gradient)
    }

    /// Follows gradient flow from `start` through the times.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights) for the start, and as [`ode::solve`].
    pub fn flow(&self, start: &[f64], times: &[f64], tolerance: &Tolerance) -> Result<Trajectory> {
        self.check(start)?;
        let rhs = |theta: &[f64], change: &mut [f64]| match self.write_gradient(theta, Backward::Exact, change) {
            Ok(_) => change.iter_mut().for_each(|value| *value = -*value),
            Err(_) => change.fill(f64::NAN),
        };
        ode::solve(rhs, start, times, tolerance)
    }

    /// Where gradient flow from `start` ends: the minimiser on its sphere and on its side of v = 1.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn flow_limit(&self, start: &[f64]) -> Result<Vec<f64>> {
        self.check(start)?;
        let (_, v) = split(start);
        let scale = (1.0 - v).signum() * self.radius_squared(start).sqrt() / (1.0 + norm_squared(&self.target)).sqrt();
        Ok(self.target.iter().map(|target| scale * target).chain([1.0 - scale]).collect())
    }

    /// The rate k of the certificate `risk(t) <= risk(0) e^{-k t}` along gradient flow from `start`:
    /// `k = 4 lambda_min(E x x^T) / r^2`.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn certified_rate(&self, start: &[f64]) -> Result<f64> {
        self.check(start)?;
        Ok(4.0 * self.second_moment.least_eigenvalue()? / self.radius_squared(start))
    }

    /// The squared radius that a minimiser must exceed for gradient descent of that rate to stay there:
    /// `rate (1 + |target|^2) lambda_max(S^{1/2} (I + target target^T) S^{1/2})`, `S = E x x^T`. Runs that start closer to the
    /// degenerate point are thrown outwards until they exceed it.
    ///
    /// # Errors
    /// [`Error::Measurement`] when an eigenvalue iteration fails.
    pub fn stability_line(&self, rate: f64) -> Result<f64> {
        let d = self.target.len();
        let bent = matrix::from_fn(d, d, |i, j| f64::from(u8::from(i == j)) + self.target[i] * self.target[j]);
        Ok(rate * (1.0 + norm_squared(&self.target)) * self.second_moment.greatest_eigenvalue_of_product(&bent)?)
    }

    /// The time at which gradient flow of a one-input model from `start` reaches the effective weight `beta`, in closed form.
    ///
    /// # Errors
    /// [`Error::Value`] for more than one input, and for a beta that the flow does not pass: before the start, or at or beyond the
    /// target.
    pub fn time_to_reach(&self, start: &[f64], beta: f64) -> Result<f64> {
        let [target] = self.target[..] else {
            return Err(Error::value("the number of inputs", self.target.len(), "1: the time has a closed form there alone"));
        };
        let from = self.effective_weights(start)?[0];
        if beta == from {
            return Ok(0.0);
        }
        let passed = if target > from { (from..target).contains(&beta) } else { beta > target && beta <= from };
        if !passed {
            let range = format!("from {from} (the start) to {target} (the target, never reached)");
            return Err(Error::value("the effective weight to reach", beta, range));
        }
        let scale = self.radius_squared(start) / (2.0 * self.second_moment.at(0, 0));
        Ok(scale * (antiderivative(target, from) - antiderivative(target, beta)))
    }

    fn weight_error(&self, theta: &[f64]) -> Result<Vec<f64>> {
        let beta = self.effective_weights(theta)?;
        Ok(beta.iter().zip(&self.target).map(|(beta, target)| beta - target).collect())
    }

    /// Writes `2 factor (S error, <beta, S error>)` and returns the loss.
    fn write_gradient(&self, theta: &[f64], backward: Backward, gradient: &mut [f64]) -> Result<f64> {
        let beta = self.effective_weights(theta)?;
        let error: Vec<f64> = beta.iter().zip(&self.target).map(|(beta, target)| beta - target).collect();
        let residual = self.second_moment.times(&error);
        let (_, v) = split(theta);
        let factor = backward.factor(v);
        let d = beta.len();
        for (gradient, residual) in gradient.iter_mut().zip(&residual) {
            *gradient = 2.0 * residual * factor;
        }
        gradient[d] = 2.0 * dot(&residual, &beta) * factor;
        Ok(dot(&error, &residual))
    }

    fn check(&self, theta: &[f64]) -> Result<()> {
        let d = self.target.len();
        if theta.len() != d + 1 {
            let expected = format!("{}: {d} input weights and v", d + 1);
            return Err(Error::value("the number of parameters", theta.len(), expected));
        }
        if let Some(at) = theta.iter().position(|value| !value.is_finite()) {
            return Err(Error::value(format!("parameter {at}"), theta[at], "finite"));
        }
        let (_, v) = split(theta);
        if (1.0 - v).abs() < DEGENERATE {
            return Err(Error::value("v", v, "other than 1, where the equilibrium does not exist"));
        }
        Ok(())
    }
}

impl Model for LinearDeq {
    fn dimension(&self) -> usize {
        self.target.len() + 1
    }

    fn evaluate(&mut self, theta: &[f64], backward: Backward, gradient: &mut [f64]) -> Result<Evaluation> {
        let risk = self.write_gradient(theta, backward, gradient)?;
        Ok(Evaluation { risk, contraction: split(theta).1.abs() })
    }

    fn stability_line(&self, rate: f64) -> Result<Option<f64>> {
        self.stability_line(rate).map(Some)
    }
}

fn split(theta: &[f64]) -> (&[f64], f64) {
    let (v, u) = theta.split_last().expect("a model has the parameter v");
    (u, *v)
}

/// The antiderivative of `1 / ((1 + b^2)^2 (b - target))`.
fn antiderivative(target: f64, b: f64) -> f64 {
    let d = 1.0 + target * target;
    let first = (b - target).abs().ln() - 0.5 * (b * b).ln_1p() - target * b.atan();
    let second = -0.5 / (1.0 + b * b) + 0.5 * target * (b / (1.0 + b * b) + b.atan());
    first / (d * d) - second / d
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn five() -> LinearDeq {
        let moment: Vec<f64> = (0..25).map(|at| if at % 6 == 0 { [1.5, 1.0, 0.6, 0.3, 0.1][at / 6] } else { 0.0 }).collect();
        LinearDeq::new(&moment, &[1.0, -0.5, 0.25, 0.8, -1.2]).unwrap()
    }

    #[test]
    fn exact_gradient_is_the_central_difference() {
        let model = LinearDeq::new(&[1.0, 0.3, 0.3, 0.5], &[0.7, -1.1]).unwrap();
        for theta in [[0.2, -0.4, 0.3], [1.0, 2.0, -2.5], [0.5, 0.1, 1.7]] {
            let gradient = model.gradient(&theta, Backward::Exact).unwrap();
            for at in 0..3 {
                let risk = |by: f64| {
                    let mut moved = theta;
                    moved[at] += by;
                    model.risk(&moved).unwrap()
                };
                let difference = (risk(1e-5) - risk(-1e-5)) / 2e-5;
                assert!((gradient[at] - difference).abs() < 1e-8 * (1.0 + difference.abs()), "{theta:?} {at}");
            }
        }
    }

    #[test]
    fn closed_form_time_is_the_flow_of_the_effective_weight() {
        for (target, start) in [(2.0, [0.1, 0.2]), (-1.5, [0.4, -0.3]), (0.0, [0.9, 0.5]), (0.7, [-0.2, 1.4])] {
            let model = LinearDeq::scalar(0.4, target).unwrap();
            let times: Vec<f64> = (0..20).map(|k| 0.15 * f64::from(k)).collect();
            let path = model.flow(&start, &times, &Tolerance::default()).unwrap();
            for (t, theta) in path.times.iter().zip(&path.states) {
                let beta = model.effective_weights(theta).unwrap()[0];
                if (beta - target).abs() < 1e-3 {
                    // So near the target a rounding error of beta moves the time by much.
                    continue;
                }
                let found = model.time_to_reach(&start, beta).unwrap();
                assert!((found - t).abs() < 1e-8, "target {target}: {found} instead of {t}");
            }
        }
    }

    #[test]
    fn the_reduced_flow_of_beta_is_the_full_one() {
        // d beta / dt = -((1 + |beta|^2) / r^2) (I + beta beta^T) grad_beta L.
        let model = five();
        let start = [0.3, 0.1, -0.2, 0.05, 0.4, -0.3];
        let radius_squared = model.radius_squared(&start);
        let reduced = |beta: &[f64], change: &mut [f64]| {
            let error: Vec<f64> = beta.iter().zip(model.target()).map(|(b, t)| b - t).collect();
            let gradient = model.second_moment.times(&error);
            let along = dot(beta, &gradient);
            for ((change, gradient), beta_at) in change.iter_mut().zip(&gradient).zip(beta) {
                *change = -2.0 * (1.0 + norm_squared(beta)) / radius_squared * (gradient + beta_at * along);
            }
        };
        let times = [0.0, 1.0, 5.0, 20.0];
        let full = model.flow(&start, &times, &Tolerance::default()).unwrap();
        let short = ode::solve(reduced, &model.effective_weights(&start).unwrap(), &times, &Tolerance::default()).unwrap();
        for (theta, beta) in full.states.iter().zip(&short.states) {
            let found = model.effective_weights(theta).unwrap();
            assert!(found.iter().zip(beta).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn flow_keeps_its_sphere_its_side_and_its_certificate() {
        let model = five();
        for start in [[0.3, 0.1, -0.2, 0.05, 0.4, -0.3], [0.3, 0.1, -0.2, 0.05, 0.4, 1.8]] {
            let times: Vec<f64> = (0..30).map(|k| 2.0 * f64::from(k)).collect();
            let path = model.flow(&start, &times, &Tolerance::default()).unwrap();
            let (rate, risk) = (model.certified_rate(&start).unwrap(), model.risk(&start).unwrap());
            for (t, theta) in path.times.iter().zip(&path.states) {
                assert!((model.radius_squared(theta) - model.radius_squared(&start)).abs() < 1e-10);
                assert!(((1.0 - theta[5]) * (1.0 - start[5])) > 0.0);
                assert!(model.risk(theta).unwrap() <= risk * (-rate * t).exp() * (1.0 + 1e-9));
            }
            let limit = model.flow_limit(&start).unwrap();
            let long = model.flow(&start, &[0.0, 2000.0], &Tolerance::default()).unwrap();
            assert!(long.last().iter().zip(&limit).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn the_stability_line_is_two_over_the_top_curvature() {
        let model = five();
        // Hessian of the loss at a minimiser by central differences of the gradient.
        let minimiser = model.flow_limit(&[0.3, 0.1, -0.2, 0.05, 0.4, -0.3]).unwrap();
        let n = minimiser.len();
        let column = |j: usize| {
            let at = |by: f64| {
                let mut theta = minimiser.clone();
                theta[j] += by;
                model.gradient(&theta, Backward::Exact).unwrap()
            };
            let (up, down) = (at(1e-5), at(-1e-5));
            up.iter().zip(&down).map(|(a, b)| (a - b) / 2e-5).collect::<Vec<_>>()
        };
        let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
        let hessian = matrix::from_fn(n, n, |i, j| 0.5 * (columns[j][i] + columns[i][j]));
        let top = *matrix::eigenvalues(&hessian).unwrap().last().unwrap();
        let rate = 2.0 / top;
        let line = model.stability_line(rate).unwrap();
        assert!((line / model.radius_squared(&minimiser) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let message = |error: Error| error.to_string();
        assert!(message(LinearDeq::scalar(0.0, 1.0).unwrap_err()).contains("second moment"));
        assert!(message(LinearDeq::scalar(-1.0, 1.0).unwrap_err()).contains("second moment"));
        assert!(message(LinearDeq::scalar(1.0, f64::NAN).unwrap_err()).contains("target"));
        assert!(message(LinearDeq::new(&[1.0, 0.2, 0.3, 1.0], &[1.0, 1.0]).unwrap_err()).contains("symmetric"));
        assert!(message(LinearDeq::new(&[1.0, 2.0, 2.0, 1.0], &[1.0, 1.0]).unwrap_err()).contains("positive definite"));
        assert!(message(LinearDeq::new(&[1.0], &[1.0, 1.0]).unwrap_err()).contains("2 x 2"));
        assert!(LinearDeq::new(&[], &[]).is_err());
        let model = LinearDeq::scalar(1.0, 2.0).unwrap();
        assert!(message(model.risk(&[0.1, 1.0]).unwrap_err()).contains("v is 1"));
        assert!(message(model.risk(&[0.1]).unwrap_err()).contains("number of parameters"));
        assert!(message(model.risk(&[f64::NAN, 0.0]).unwrap_err()).contains("parameter 0"));
        assert_eq!(model.time_to_reach(&[2.0, 0.0], 2.0).unwrap(), 0.0);
        for beyond in [0.05, 2.0, 3.0, f64::NAN] {
            assert!(message(model.time_to_reach(&[0.1, 0.0], beyond).unwrap_err()).contains("to reach"));
        }
        assert!(five().time_to_reach(&[0.0; 6], 0.1).is_err());
    }

    proptest! {
        #[test]
        fn every_gradient_is_orthogonal_to_the_way_from_the_degenerate_point(
            u in prop::collection::vec(-2.0f64..2.0, 5), v in -3.0f64..0.9,
        ) {
            let model = five();
            let theta: Vec<f64> = u.iter().copied().chain([v]).collect();
            let centred: Vec<f64> = u.iter().copied().chain([v - 1.0]).collect();
            for name in ["exact", "jfb", "neumann2", "damped3", "phantom4"] {
                let gradient = model.gradient(&theta, name.parse().unwrap()).unwrap();
                let scale = norm_squared(&gradient).sqrt() * norm_squared(&centred).sqrt();
                prop_assert!(dot(&gradient, &centred).abs() <= 1e-13 * scale);
            }
        }
    }
}
