//! The matrix equilibrium model `z = W z + U x`, whose output is `(I - W)^{-1} U x`.
//!
//! With `B = [I - W, U]`, gradient flow of any loss of the output conserves all of `B B^T`, and a gradient step of rate eta moves it
//! by exactly `eta^2 G G^T`, `G` the gradient of B. This holds for every approximate way back too, since each of them only
//! multiplies the gradient by a matrix from the left.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use serde::Serialize;

use super::backward::Backward;
use super::fixed_point::{self, FixedPoint, Search};
use crate::error::{Error, Result, positive};
use crate::matrix::{self, Symmetric, product, to_rows};
use crate::ode::{self, Tolerance, Trajectory};
use crate::vector::{add_scaled, dot, norm};

/// A matrix equilibrium model on inputs of known second moments, with the loss `E |z - M x|^2`.
///
/// Its parameters are W (k x k) and then U (k x d), both row-major, in one slice.
#[derive(Clone, Debug)]
pub struct MatrixDeq {
    target: Mat<f64>,
    second_moment: Symmetric,
}

/// A finished descent of a matrix model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixOutcome {
    /// The parameters at the end, W then U.
    pub theta: Vec<f64>,
    /// The loss at the end.
    pub risk: f64,
    /// `B B^T` (k x k, row-major) at the start.
    pub start: Vec<f64>,
    /// `B B^T` at the end.
    pub end: Vec<f64>,
    /// `B B^T` at the start plus `sum rate^2 G G^T`.
    pub predicted_end: Vec<f64>,
}

/// `I - W` counts as singular when a pivot of its factorisation is smaller than this times the largest.
const SINGULAR: f64 = 1e-14;

impl MatrixDeq {
    /// A model with target M (k x d) and `E x x^T` (d x d), both row-major.
    ///
    /// # Errors
    /// [`Error::Value`] when the sizes do not fit, or the second moments are not symmetric and positive definite.
    pub fn new(target: &[f64], k: usize, second_moment: &[f64]) -> Result<Self> {
        if k == 0 || !target.len().is_multiple_of(k) {
            return Err(Error::value("the number of rows of the target", k, format!("a divisor of {} entries", target.len())));
        }
        let d = target.len() / k;
        let second_moment = Symmetric::positive_definite("the second moment of the inputs", second_moment, d)?;
        Ok(Self { target: matrix::from_rows("the target", target, k, d)?, second_moment })
    }

    /// The number of parameters, k (k + d).
    pub fn dimension(&self) -> usize {
        let (k, d) = self.target.shape();
        k * (k + d)
    }

    /// The output's weights, `Z = (I - W)^{-1} U`, k x d.
    ///
    /// # Errors
    /// [`Error::Value`] for parameters that are not finite or of the wrong number, and where `I - W` is singular.
    pub fn effective_weights(&self, theta: &[f64]) -> Result<Mat<f64>> {
        Ok(self.at(theta)?.output)
    }

    /// The loss `tr (Z - M) E x x^T (Z - M)^T`.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn risk(&self, theta: &[f64]) -> Result<f64> {
        Ok(self.loss(&self.at(theta)?).0)
    }

    /// The gradient of the loss, laid out like the parameters, with a way back through the equilibrium.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights).
    pub fn gradient(&self, theta: &[f64], backward: Backward) -> Result<Vec<f64>> {
        let point = self.at(theta)?;
        let (_, residual) = self.loss(&point);
        Ok(self.back(&point, &residual, backward))
    }

    /// `B B^T` with `B = [I - W, U]`, k x k.
    ///
    /// # Errors
    /// [`Error::Value`] for parameters that are not finite or of the wrong number.
    pub fn conserved(&self, theta: &[f64]) -> Result<Mat<f64>> {
        let (w, u) = self.split(theta)?;
        let rest = Mat::<f64>::identity(w.nrows(), w.nrows()) - w;
        Ok(outer_square(rest.as_ref(), u.as_ref()))
    }

    /// The rate k of the certificate `risk(t) <= risk(0) e^{-k t}` along gradient flow:
    /// `4 lambda_min(E x x^T) / lambda_max(B B^T)`.
    ///
    /// Since `dL/dt <= -|Lambda|^2` with `Lambda = (I - W)^{-T} G`, `|G|^2 >= 4 lambda_min(S) L`, and
    /// `(I - W) (I - W)^T <= B B^T`, which is conserved.
    ///
    /// # Errors
    /// As [`conserved`](Self::conserved).
    pub fn certified_rate(&self, theta: &[f64]) -> Result<f64> {
        let greatest = matrix::eigenvalues(&self.conserved(theta)?)?.last().copied().unwrap_or(0.0);
        Ok(4.0 * self.second_moment.least_eigenvalue()? / greatest)
    }

    /// Finds the state z of one input x by iteration, as a model without a closed form would.
    ///
    /// # Errors
    /// [`Error::Value`] when the sizes do not fit, and as [`fixed_point::search`].
    pub fn forward(&self, theta: &[f64], x: &[f64], search: &Search) -> Result<FixedPoint> {
        let (k, d) = self.target.shape();
        self.split(theta)?;
        if x.len() != d {
            return Err(Error::value("the number of inputs", x.len(), d.to_string()));
        }
        let (w, u) = theta.split_at(k * k);
        let drive: Vec<f64> = u.chunks_exact(d).map(|row| dot(row, x)).collect();
        let map = |z: &[f64], out: &mut [f64]| {
            for ((out, row), drive) in out.iter_mut().zip(w.chunks_exact(k)).zip(&drive) {
                *out = dot(row, z) + drive;
            }
        };
        fixed_point::search(map, &vec![0.0; k], search)
    }

    /// Follows gradient flow from `start` through the times.
    ///
    /// # Errors
    /// As [`effective_weights`](Self::effective_weights) for the start, and as [`ode::solve`].
    pub fn flow(&self, start: &[f64], times: &[f64], tolerance: &Tolerance) -> Result<Trajectory> {
        self.at(start)?;
        let rhs = |theta: &[f64], change: &mut [f64]| match self.gradient(theta, Backward::Exact) {
            Ok(gradient) => change.iter_mut().zip(gradient).for_each(|(change, gradient)| *change = -gradient),
            Err(_) => change.fill(f64::NAN),
        };
        ode::solve(rhs, start, times, tolerance)
    }

    /// Descends from `start` at a constant rate.
    ///
    /// # Errors
    /// [`Error::Value`] for a bad rate or start; [`Error::Step`] where `I - W` becomes singular, [`Error::Diverged`] where the
    /// parameters leave a ball of radius 1e6.
    pub fn descend(&self, start: &[f64], rate: f64, steps: u64, backward: Backward) -> Result<MatrixOutcome> {
        positive("the learning rate", rate)?;
        backward.check()?;
        let at_start = self.conserved(start)?;
        let mut predicted = at_start.clone();
        let mut theta = start.to_vec();
        for step in 0..steps {
            let gradient = self.gradient(&theta, backward).map_err(|error| error.at_step(step))?;
            let (g_w, g_u) = self.split(&gradient).map_err(|error| error.at_step(step))?;
            predicted += outer_square(g_w.as_ref(), g_u.as_ref()) * faer::Scale(rate * rate);
            let last_norm = norm(&theta);
            add_scaled(&mut theta, -rate, &gradient);
            super::descent::check_distance(step, &theta, last_norm)?;
        }
        Ok(MatrixOutcome {
            risk: self.risk(&theta).map_err(|error| error.at_step(steps))?,
            start: to_rows(at_start.as_ref()),
            end: to_rows(self.conserved(&theta)?.as_ref()),
            predicted_end: to_rows(predicted.as_ref()),
            theta,
        })
    }

    fn split(&self, theta: &[f64]) -> Result<(Mat<f64>, Mat<f64>)> {
        let (k, d) = self.target.shape();
        if theta.len() != self.dimension() {
            let expected = format!("{}: W, {k} x {k}, and U, {k} x {d}", self.dimension());
            return Err(Error::value("the number of parameters", theta.len(), expected));
        }
        Ok((matrix::from_rows("W", &theta[..k * k], k, k)?, matrix::from_rows("U", &theta[k * k..], k, d)?))
    }

    fn at(&self, theta: &[f64]) -> Result<Point> {
        let (w, u) = self.split(theta)?;
        let k = w.nrows();
        let lu = (Mat::<f64>::identity(k, k) - &w).partial_piv_lu();
        let pivots = (0..k).map(|i| lu.U()[(i, i)].abs());
        let (least, greatest) = pivots.fold((f64::INFINITY, 0.0f64), |(low, high), pivot| (low.min(pivot), high.max(pivot)));
        if least <= SINGULAR * greatest {
            let expected = "not singular: where it is, the equilibrium does not exist";
            return Err(Error::value("I - W", format!("singular to rounding (pivots {least:e} to {greatest:e})"), expected));
        }
        let output = lu.solve(&u);
        Ok(Point { w, lu, output })
    }

    /// The loss, and its gradient by the output's weights, `G = 2 (Z - M) S`.
    fn loss(&self, point: &Point) -> (f64, Mat<f64>) {
        let error = &point.output - &self.target;
        let weighted = product(error.as_ref(), self.second_moment.as_ref());
        let loss = (0..error.ncols()).map(|j| weighted.col(j).iter().zip(error.col(j).iter()).map(|(a, b)| a * b).sum::<f64>());
        (loss.sum(), weighted * faer::Scale(2.0))
    }

    /// `(Lambda Z^T, Lambda)` by rows, with `Lambda = (I - W)^{-T} G` or an approximation.
    fn back(&self, point: &Point, residual: &Mat<f64>, backward: Backward) -> Vec<f64> {
        let adjoint = match backward.series() {
            None => point.lu.solve_transpose(residual),
            Some((share, terms)) => {
                let mut sum = residual.clone();
                for _ in 1..terms {
                    let moved = product(point.w.transpose(), sum.as_ref());
                    sum = residual + sum * faer::Scale(1.0 - share) + moved * faer::Scale(share);
                }
                sum * faer::Scale(share)
            }
        };
        let by_w = product(adjoint.as_ref(), point.output.transpose());
        to_rows(by_w.as_ref()).into_iter().chain(to_rows(adjoint.as_ref())).collect()
    }
}

/// A model at some parameters.
struct Point {
    w: Mat<f64>,
    lu: faer::linalg::solvers::PartialPivLu<f64>,
    output: Mat<f64>,
}

/// `A A^T + C C^T`, for `[A, C] [A, C]^T`.
fn outer_square(a: MatRef<'_, f64>, c: MatRef<'_, f64>) -> Mat<f64> {
    product(a, a.transpose()) + product(c, c.transpose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deq::fixed_point::Method;

    fn model() -> MatrixDeq {
        let moment = [1.0, 0.2, 0.0, 0.2, 0.8, 0.1, 0.0, 0.1, 0.5];
        MatrixDeq::new(&[1.0, 0.3, -0.3, 0.4, 1.3, -0.2], 2, &moment).unwrap()
    }

    const START: [f64; 10] = [0.3, -0.4, 0.1, -0.1, 1.2, 0.1, -0.2, -0.3, 0.6, 0.2];

    fn names() -> [Backward; 5] {
        ["exact", "jfb", "neumann3", "damped2", "phantom4"].map(|name| name.parse().unwrap())
    }

    #[test]
    fn exact_gradient_is_the_central_difference_and_long_series_reach_it() {
        let model = model();
        let gradient = model.gradient(&START, Backward::Exact).unwrap();
        for at in 0..START.len() {
            let risk = |by: f64| {
                let mut moved = START;
                moved[at] += by;
                model.risk(&moved).unwrap()
            };
            let difference = (risk(1e-5) - risk(-1e-5)) / 2e-5;
            assert!((gradient[at] - difference).abs() < 1e-8, "{at}: {} {difference}", gradient[at]);
        }
        let series = model.gradient(&START, "neumann200".parse().unwrap()).unwrap();
        assert!(gradient.iter().zip(series).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn descent_moves_the_conserved_matrix_as_predicted_on_every_way_back() {
        for backward in names() {
            let run = model().descend(&START, 0.05, 100, backward).unwrap();
            let drift = run.end.iter().zip(&run.start).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let residual = run.end.iter().zip(&run.predicted_end).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(drift > 1e-3 && residual < 1e-13, "{backward}: {drift} {residual}");
        }
    }

    #[test]
    fn flow_conserves_and_keeps_its_certificate() {
        let model = model();
        let times: Vec<f64> = (0..15).map(f64::from).collect();
        let path = model.flow(&START, &times, &Tolerance::default()).unwrap();
        let (rate, risk) = (model.certified_rate(&START).unwrap(), model.risk(&START).unwrap());
        let start = model.conserved(&START).unwrap();
        for (t, theta) in path.times.iter().zip(&path.states) {
            assert!((model.conserved(theta).unwrap() - &start).norm_max() < 1e-10);
            assert!(model.risk(theta).unwrap() <= risk * (-rate * t).exp() * (1.0 + 1e-9) + 1e-20);
        }
        assert!(model.risk(path.last()).unwrap() < 1e-6 * risk);
    }

    #[test]
    fn descent_approaches_the_flow_with_order_one() {
        let model = model();
        let end = model.flow(&START, &[0.0, 1.0], &Tolerance::default()).unwrap();
        let gap = |steps: u64| {
            let run = model.descend(&START, 1.0 / steps as f64, steps, Backward::Exact).unwrap();
            run.theta.iter().zip(end.last()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let order = (gap(400) / gap(800)).log2();
        assert!((order - 1.0).abs() < 0.02, "{order}");
    }

    #[test]
    fn iteration_finds_the_closed_form_and_only_mixing_does_without_contraction() {
        let model = model();
        let x = [0.5, -1.0, 2.0];
        let expected = |theta: &[f64]| {
            let weights = model.effective_weights(theta).unwrap();
            (0..2).map(|i| (0..3).map(|j| weights[(i, j)] * x[j]).sum::<f64>()).collect::<Vec<_>>()
        };
        let close =
            |found: &FixedPoint, theta: &[f64]| found.point.iter().zip(expected(theta)).all(|(a, b)| (a - b).abs() < 1e-7);
        assert!(close(&model.forward(&START, &x, &Search::default()).unwrap(), &START));
        let mut expanding = START;
        expanding[0] = -2.5;
        assert!(close(&model.forward(&expanding, &x, &Search::default()).unwrap(), &expanding));
        let picard = Search { method: Method::Damped { damping: 1.0 }, ..Search::default() };
        assert!(matches!(model.forward(&expanding, &x, &picard), Err(Error::NoFixedPoint { .. })));
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let singular = [1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert!(model().risk(&singular).unwrap_err().to_string().contains("I - W is singular"));
        assert!(model().risk(&[0.0; 3]).unwrap_err().to_string().contains("number of parameters"));
        assert!(model().risk(&[f64::NAN; 10]).unwrap_err().to_string().contains("W, row 0, column 0"));
        assert!(MatrixDeq::new(&[1.0; 5], 2, &[1.0]).is_err());
        assert!(MatrixDeq::new(&[], 0, &[]).is_err());
        assert!(model().forward(&START, &[1.0], &Search::default()).is_err());
        assert!(model().descend(&START, -0.1, 1, Backward::Exact).unwrap_err().to_string().contains("learning rate"));
        let diverged = model().descend(&START, 1e8, 100, Backward::Exact).unwrap_err();
        assert!(matches!(diverged, Error::Diverged { step: 0, .. }), "{diverged}");
    }
}
