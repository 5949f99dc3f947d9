//! One descent of a matrix model: what it conserves, and how its equilibrium is found by iteration.

use serde::{Deserialize, Serialize};

use super::backward::Backward;
use super::descent::RadiusSquared;
use super::fixed_point::{Method, Search};
use super::matrix::MatrixDeq;
use crate::error::Result;

/// A descent of `z = W z + U x` towards the output `M x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixExperiment {
    /// The rows k of M: as many states as outputs.
    pub outputs: usize,
    /// M, row by row.
    pub target: Vec<f64>,
    /// `E x x^T`, row by row.
    pub second_moment: Vec<f64>,
    /// W and then U, row by row.
    pub start: Vec<f64>,
    /// The learning rate.
    pub rate: f64,
    /// The number of steps.
    pub steps: u64,
    /// The way back through the equilibrium.
    pub backward: Backward,
}

impl Default for MatrixExperiment {
    /// Two outputs of three inputs, 4000 steps of 0.02.
    fn default() -> Self {
        Self {
            outputs: 2,
            target: vec![1.0, 0.3, -0.3, 0.4, 1.3, -0.2],
            second_moment: vec![1.0, 0.2, 0.0, 0.2, 0.8, 0.1, 0.0, 0.1, 0.5],
            start: vec![0.3, -0.4, 0.1, -0.1, 1.2, 0.1, -0.2, -0.3, 0.6, 0.2],
            rate: 0.02,
            steps: 4000,
            backward: Backward::Exact,
        }
    }
}

/// What a descent of a matrix model found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixReport {
    /// The parameters at the end, W and then U.
    pub theta: Vec<f64>,
    /// The loss at the end.
    pub risk: f64,
    /// The trace of `B B^T`, `B = [I - W, U]`: the squared distance from `W = I`, `U = 0`.
    pub radius_squared: RadiusSquared,
    /// All of `B B^T`, k x k, row by row, at the start, at the end, and where the steps must have moved it.
    pub conserved: Conserved,
    /// How the state of one input, all ones, is found by iteration at the end.
    pub forward: Vec<Forward>,
}

/// `B B^T` over a descent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conserved {
    /// At the start.
    pub start: Vec<f64>,
    /// At the end.
    pub end: Vec<f64>,
    /// At the start plus `sum rate^2 G G^T`.
    pub predicted_end: Vec<f64>,
}

/// One way to the equilibrium.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forward {
    /// damped, anderson or broyden.
    pub method: &'static str,
    /// How often the map was evaluated; `None` where no equilibrium was found.
    pub iterations: Option<usize>,
    /// The residual there.
    pub residual: Option<f64>,
}

const METHODS: [(&str, Method); 3] = [
    ("damped", Method::Damped { damping: 0.5 }),
    ("anderson", Method::Anderson { history: 6, damping: 1.0 }),
    ("broyden", Method::Broyden { memory: 20 }),
];

impl MatrixExperiment {
    /// Descends.
    ///
    /// # Errors
    /// As [`MatrixDeq::new`] and [`MatrixDeq::descend`].
    pub fn run(&self) -> Result<MatrixReport> {
        let model = MatrixDeq::new(&self.target, self.outputs, &self.second_moment)?;
        let found = model.descend(&self.start, self.rate, self.steps, self.backward)?;
        let trace = |matrix: &[f64]| matrix.iter().step_by(self.outputs + 1).sum();
        let radius_squared =
            RadiusSquared { start: trace(&found.start), end: trace(&found.end), predicted_end: trace(&found.predicted_end) };
        let inputs = vec![1.0; self.target.len() / self.outputs];
        let forward = METHODS.map(|(name, method)| {
            let search = Search { method, tolerance: 1e-10, most_iterations: 500 };
            let point = model.forward(&found.theta, &inputs, &search).ok();
            Forward {
                method: name,
                iterations: point.as_ref().map(|point| point.iterations),
                residual: point.as_ref().map(|point| point.residual),
            }
        });
        let conserved = Conserved { start: found.start, end: found.end, predicted_end: found.predicted_end };
        Ok(MatrixReport { theta: found.theta, risk: found.risk, radius_squared, conserved, forward: forward.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_back_ends_where_its_steps_have_moved_it() {
        for backward in ["exact", "jfb", "neumann3", "damped2"] {
            let found = MatrixExperiment { backward: backward.parse().unwrap(), ..MatrixExperiment::default() }.run().unwrap();
            let conserved = found.conserved.end.iter().zip(&found.conserved.predicted_end);
            assert!(conserved.clone().all(|(end, predicted)| (end - predicted).abs() < 1e-12), "{backward}");
            let radius = found.radius_squared;
            assert!((radius.end - radius.predicted_end).abs() < 1e-12 && radius.end > radius.start, "{backward}: {radius:?}");
            assert!(found.risk < 1e-20, "{backward}: {}", found.risk);
        }
    }

    #[test]
    fn all_methods_find_the_equilibrium_and_mixing_is_faster() {
        let found = MatrixExperiment::default().run().unwrap();
        let iterations: Vec<usize> = found.forward.iter().map(|way| way.iterations.unwrap()).collect();
        assert!(iterations[1] < iterations[0] && iterations[2] < iterations[0], "{iterations:?}");
    }

    #[test]
    fn bad_experiments_are_refused_by_name() {
        let refused = |experiment: MatrixExperiment| experiment.run().unwrap_err().to_string();
        let base = MatrixExperiment::default;
        assert!(refused(MatrixExperiment { outputs: 4, ..base() }).contains("rows of the target"));
        assert!(refused(MatrixExperiment { start: vec![0.0; 9], ..base() }).contains("number of parameters"));
        assert!(refused(MatrixExperiment { rate: 0.0, ..base() }).contains("learning rate"));
        let singular = vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert!(refused(MatrixExperiment { start: singular, ..base() }).contains("singular"));
    }
}
