//! The exact dynamics of full matrices, for starts that are not aligned with the inputs' eigenbasis.
//!
//! With `M = 1 + 1/N` and `C(Y) = M S Y S + tr(Y S) S / N`, which is `E[Sh Y Sh]` for a sample covariance Sh of N Gaussian inputs
//! (Wishart's identity), the mean over tasks of
//!
//! ```text
//! g_p = p W C(q S q^T) W^T - W S q^T S W^T
//! g_q = C(W^T p^T p W) q S - S W^T p^T W S
//! L   = 1/2 tr(p W C(q S q^T) W^T p^T) - tr(W^T p W S q S) + 1/2 tr(W S W^T)
//! ```
//!
//! is the gradient of the loss by the value matrix p and the key-query matrix q. Derived here.

use faer::{Mat, MatRef, Scale};

use super::problem::Problem;
use crate::error::{Error, Result};
use crate::matrix::{self, product, to_rows};
use crate::ode::{self, Tolerance};

/// `E[Sh Y Sh]` for the sample covariance Sh of N Gaussian inputs of covariance S, and symmetric Y:
/// `(1 + 1/N) S Y S + tr(Y S) S / N`.
///
/// # Panics
/// When the matrices are not square and of one size.
pub fn wishart_mean(covariance: MatRef<'_, f64>, y: MatRef<'_, f64>, contexts: u64) -> Mat<f64> {
    let n = contexts as f64;
    let ys = product(y, covariance);
    let trace: f64 = (0..ys.nrows()).map(|i| ys[(i, i)]).sum();
    product(covariance, ys.as_ref()) * Scale(1.0 + 1.0 / n) + covariance * Scale(trace / n)
}

/// The matrices along the flow.
#[derive(Clone, Debug)]
pub struct MatrixPath {
    /// The times.
    pub times: Vec<f64>,
    /// The value matrix at each time.
    pub p: Vec<Mat<f64>>,
    /// The key-query matrix at each time.
    pub q: Vec<Mat<f64>>,
}

/// The loss and its gradients.
struct Gradients {
    loss: f64,
    p: Mat<f64>,
    q: Mat<f64>,
}

impl Problem {
    /// The exact loss of value and key-query matrices p2 = p and q1 = q, the other blocks being 0.
    ///
    /// # Errors
    /// [`Error::Value`] for matrices of another size, or entries that are not finite.
    pub fn loss(&self, p: MatRef<'_, f64>, q: MatRef<'_, f64>) -> Result<f64> {
        self.check(p, q)?;
        Ok(self.gradients(p, q).loss)
    }

    /// The gradients of the exact loss by both matrices.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn gradient(&self, p: MatRef<'_, f64>, q: MatRef<'_, f64>) -> Result<(Mat<f64>, Mat<f64>)> {
        self.check(p, q)?;
        let found = self.gradients(p, q);
        Ok((found.p, found.q))
    }

    /// Follows the exact flow from a start through the times.
    ///
    /// # Errors
    /// As [`loss`](Self::loss) for the start, and as [`ode::solve`].
    pub fn flow(&self, p: MatRef<'_, f64>, q: MatRef<'_, f64>, times: &[f64], tolerance: &Tolerance) -> Result<MatrixPath> {
        self.check(p, q)?;
        let d = self.dimension();
        let unpack = |rows: &[f64]| matrix::from_fn(d, d, |i, j| rows[i * d + j]);
        let rhs = |state: &[f64], change: &mut [f64]| {
            let (p, q) = state.split_at(d * d);
            let found = self.gradients(unpack(p).as_ref(), unpack(q).as_ref());
            let entries = to_rows(found.p.as_ref()).into_iter().chain(to_rows(found.q.as_ref()));
            change.iter_mut().zip(entries).for_each(|(change, entry)| *change = -entry);
        };
        let path = ode::solve(rhs, &[to_rows(p), to_rows(q)].concat(), times, tolerance)?;
        let (p, q) = path.states.iter().map(|state| (unpack(&state[..d * d]), unpack(&state[d * d..]))).unzip();
        Ok(MatrixPath { times: path.times, p, q })
    }

    fn gradients(&self, p: MatRef<'_, f64>, q: MatRef<'_, f64>) -> Gradients {
        let s = self.covariance();
        let d = s.nrows();
        let qs = product(q, s);
        let keys = wishart_mean(s, product(qs.as_ref(), q.transpose()).as_ref(), self.contexts());
        let mut found = Gradients { loss: 0.0, p: Mat::zeros(d, d), q: Mat::zeros(d, d) };
        for w in self.tasks().matrices() {
            let w = w.as_ref();
            let pw = product(p, w);
            let ws = product(w, s);
            let pwk = product(pw.as_ref(), keys.as_ref());
            let values = wishart_mean(s, product(pw.transpose(), pw.as_ref()).as_ref(), self.contexts());
            // W^T p W and S q^T S W^T appear in loss and gradients.
            let wpw = product(w.transpose(), pw.as_ref());
            let sqs = product(s, qs.as_ref());
            found.p += product(pwk.as_ref(), w.transpose()) - product(w, product(sqs.transpose(), w.transpose()).as_ref());
            found.q += product(values.as_ref(), qs.as_ref()) - product(s, product(wpw.transpose(), s).as_ref());
            found.loss +=
                0.5 * inner(pwk.as_ref(), pw.as_ref()) - inner(wpw.transpose(), sqs.as_ref()) + 0.5 * inner(ws.as_ref(), w);
        }
        let share = 1.0 / self.tasks().len() as f64;
        Gradients { loss: found.loss * share, p: found.p * Scale(share), q: found.q * Scale(share) }
    }

    fn check(&self, p: MatRef<'_, f64>, q: MatRef<'_, f64>) -> Result<()> {
        let d = self.dimension();
        for (what, matrix) in [("the value matrix p", p), ("the key-query matrix q", q)] {
            if matrix.shape() != (d, d) {
                return Err(Error::value(what, format!("{} x {}", matrix.nrows(), matrix.ncols()), format!("{d} x {d}")));
            }
            if !to_rows(matrix).iter().all(|value| value.is_finite()) {
                return Err(Error::value(what, "not finite", "finite in every entry"));
            }
        }
        Ok(())
    }
}

/// `sum A_ij B_ij`
fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(a, b)| a * b).sum::<f64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icl::{Modes, Tasks, Weights, exact};
    use thalweg_probes::subspace::misalignment;

    fn basis() -> Mat<f64> {
        let (c, s) = (0.8, 0.6);
        faer::mat![[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    }

    fn covariance() -> Vec<f64> {
        let u = basis();
        to_rows((&u * faer::mat![[1.5, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.4]] * u.transpose()).as_ref())
    }

    fn problem() -> Problem {
        Problem::new(&covariance(), 10, Tasks::hadamard_pairs(3).in_basis(basis().as_ref()).unwrap()).unwrap()
    }

    fn start(seed: f64) -> Mat<f64> {
        Mat::from_fn(3, 3, |i, j| 0.1 * ((3 * i + j) as f64 * 1.7 + seed).sin())
    }

    #[test]
    fn gradients_are_central_differences() {
        let general = Tasks::new(&[vec![1.0, 0.3, 0.0, -0.2, 0.7, 0.1, 0.4, 0.0, -1.1], vec![0.2; 9]]).unwrap();
        let flow = Problem::new(&covariance(), 7, general).unwrap();
        let (p, q) = (start(0.3) * Scale(5.0), start(1.1) * Scale(5.0));
        let (g_p, g_q) = flow.gradient(p.as_ref(), q.as_ref()).unwrap();
        let moved = |m: &Mat<f64>, at: (usize, usize), by: f64| {
            let mut m = m.clone();
            m[at] += by;
            m
        };
        for i in 0..3 {
            for j in 0..3 {
                let of_p = |by| flow.loss(moved(&p, (i, j), by).as_ref(), q.as_ref()).unwrap();
                let of_q = |by| flow.loss(p.as_ref(), moved(&q, (i, j), by).as_ref()).unwrap();
                assert!((g_p[(i, j)] - (of_p(1e-5) - of_p(-1e-5)) / 2e-5).abs() < 1e-9);
                assert!((g_q[(i, j)] - (of_q(1e-5) - of_q(-1e-5)) / 2e-5).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn aligned_starts_follow_the_exact_modes() {
        let flow = problem();
        let u = basis();
        let diagonal = |values: [f64; 3]| &u * Mat::from_fn(3, 3, |i, j| if i == j { values[i] } else { 0.0 }) * u.transpose();
        let (p, q) = ([0.1, 0.2, 0.3], [0.3, 0.1, 0.2]);
        let times = [0.0, 1.0, 5.0, 30.0];
        let path = flow.flow(diagonal(p).as_ref(), diagonal(q).as_ref(), &times, &Tolerance::default()).unwrap();
        let modes = Modes::new(&[1.5, 0.8, 0.4], 10).unwrap();
        let expected = exact::flow(&modes, &Weights { p: p.to_vec(), q: q.to_vec() }, &times, &Tolerance::default()).unwrap();
        for at in 0..times.len() {
            let turned = u.transpose() * &path.p[at] * &u;
            assert!((0..3).all(|i| (turned[(i, i)] - expected.weights[at].p[i]).abs() < 1e-9));
            assert!(misalignment(path.p[at].as_ref(), u.as_ref()).unwrap() < 1e-9);
            assert!((flow.loss(path.p[at].as_ref(), path.q[at].as_ref()).unwrap() - expected.losses[at]).abs() < 1e-9);
        }
    }

    #[test]
    fn a_small_misaligned_start_aligns() {
        let flow = problem();
        let path = flow.flow(start(0.3).as_ref(), start(1.1).as_ref(), &[0.0, 80.0], &Tolerance::default()).unwrap();
        let off = |at: usize| misalignment(path.p[at].as_ref(), basis().as_ref()).unwrap();
        assert!(off(0) > 0.1 && off(1) < off(0) / 1e3, "{} {}", off(0), off(1));
        let gap = |at: usize| path.p[at].norm_l2().powi(2) - path.q[at].norm_l2().powi(2);
        assert!((gap(1) - gap(0)).abs() < 1e-10);
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let wrong = Mat::zeros(2, 3);
        assert!(problem().loss(wrong.as_ref(), start(0.0).as_ref()).unwrap_err().to_string().contains("p is 2 x 3"));
        let broken = Mat::from_fn(3, 3, |_, _| f64::NAN);
        assert!(problem().loss(start(0.0).as_ref(), broken.as_ref()).unwrap_err().to_string().contains("q is not finite"));
    }
}
