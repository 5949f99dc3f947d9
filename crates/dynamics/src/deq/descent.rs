//! Gradient descent of an equilibrium model, with what gradient flow would have conserved.

use serde::Serialize;

use super::backward::Backward;
use crate::error::{Error, Result, positive};
use crate::vector::{add_scaled, norm, norm_squared};

/// A model whose parameters are `theta = (weights, v)` and whose degenerate point is v = 1.
pub trait Model {
    /// The number of parameters.
    fn dimension(&self) -> usize;

    /// Writes the gradient of the loss at theta, with a way back through the equilibrium.
    ///
    /// # Errors
    /// Where the equilibrium does not exist, or was not found.
    fn evaluate(&mut self, theta: &[f64], backward: Backward, gradient: &mut [f64]) -> Result<Evaluation>;

    /// The squared radius that a minimiser needs for descent of that rate to stay there, where it is known.
    ///
    /// # Errors
    /// When it cannot be computed.
    fn stability_line(&self, rate: f64) -> Result<Option<f64>>;
}

/// What a model finds besides its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The loss.
    pub risk: f64,
    /// The largest `|v activation'|` over the data: iterating the map contracts below 1.
    pub contraction: f64,
}

/// Gradient descent: `theta <- theta - rate gradient`.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// The learning rate.
    pub rate: f64,
    /// The number of steps.
    pub steps: u64,
    /// The way back through the equilibrium.
    pub backward: Backward,
    /// The steps at whose start the state is recorded, increasing.
    pub record: Vec<u64>,
}

/// The squared distance from the degenerate point, `|u|^2 + (1 - v)^2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RadiusSquared {
    /// At the start.
    pub start: f64,
    /// At the end.
    pub end: f64,
    /// The start plus `sum rate^2 |gradient|^2`: where it must end if every gradient is orthogonal to the way from the degenerate
    /// point, which holds for linear models with every way back.
    pub predicted_end: f64,
}

/// The state at the start of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The step, from 0.
    pub step: u64,
    /// The parameters.
    pub theta: Vec<f64>,
    /// The loss.
    pub risk: f64,
    /// The largest `|v activation'|` over the data.
    pub contraction: f64,
    /// The squared distance from the degenerate point.
    pub radius_squared: f64,
    /// What it must be by then if every gradient was orthogonal to the way from the degenerate point.
    pub predicted_radius_squared: f64,
}

/// Something about a run that theory warns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A step was longer than 1.
    LongStep,
    /// The run ended within the stability line: no minimiser there is stable.
    BelowStabilityLine,
    /// 1 - v changed its sign: the run jumped over the degenerate point.
    CrossedDegenerate,
    /// The approximate gradient vanished where the exact one does not.
    StuckNotMinimum,
    /// The run ended where iterating the map does not contract.
    ContractionViolated,
}

/// A finished descent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The parameters at the end: the weights, then v.
    pub theta: Vec<f64>,
    /// The loss at the end.
    pub risk: f64,
    /// The squared distance from the degenerate point.
    pub radius_squared: RadiusSquared,
    /// The length of the longest step.
    pub longest_step: f64,
    /// What theory warns of, without repetition.
    pub warnings: Vec<Warning>,
    /// The recorded states.
    pub records: Vec<Snapshot>,
}

/// Parameters farther out than this have diverged.
const FARTHEST: f64 = 1e6;

impl Descent {
    /// Descends from `start`.
    ///
    /// ```
    /// use thalweg_dynamics::deq::{Backward, Descent, LinearDeq};
    ///
    /// let descent = Descent { rate: 0.02, steps: 5000, backward: Backward::Neumann { terms: 2 }, record: vec![] };
    /// let run = descent.run(&mut LinearDeq::scalar(1.0, 1.0)?, &[8f64.sqrt(), 0.0])?;
    /// // Two terms of Neumann's series stop at v = -1, where their factor 1 + v vanishes: no minimum.
    /// assert!((run.theta[1] + 1.0).abs() < 1e-12 && (run.risk - 0.016_008_635).abs() < 1e-9);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a bad rate, start or way back; [`Error::Diverged`], with the step and the records until then, when the parameters leave a ball of
    /// radius 1e6 or the finite numbers; what the model says when an equilibrium does not exist.
    pub fn run(&self, model: &mut impl Model, start: &[f64]) -> Result<Outcome> {
        let mut records = Vec::new();
        let outcome = self.run_into(&mut records, model, start).map_err(|error| error.keeping(&records))?;
        Ok(Outcome { records, ..outcome })
    }

    /// All but the records, which are there even after an error.
    fn run_into(&self, records: &mut Vec<Snapshot>, model: &mut impl Model, start: &[f64]) -> Result<Outcome> {
        positive("the learning rate", self.rate)?;
        self.backward.check()?;
        let mut theta = start.to_vec();
        let mut gradient = vec![0.0; model.dimension()];
        let mut watch = Watch::default();
        let mut next = self.record.iter().copied().peekable();
        for step in 0..self.steps {
            let found = model.evaluate(&theta, self.backward, &mut gradient).map_err(|error| error.at_step(step))?;
            if next.next_if_eq(&step).is_some() {
                records.push(Snapshot::of(step, &theta, &found, radius_squared(start) + watch.predicted_drift));
            }
            let before = theta.last().copied();
            let farthest = norm(&theta);
            add_scaled(&mut theta, -self.rate, &gradient);
            check_distance(step, &theta, farthest)?;
            watch.step(self.rate, &gradient, before, theta.last().copied());
        }
        let last = model.evaluate(&theta, self.backward, &mut gradient).map_err(|error| error.at_step(self.steps))?;
        if next.next_if_eq(&self.steps).is_some() {
            records.push(Snapshot::of(self.steps, &theta, &last, radius_squared(start) + watch.predicted_drift));
        }
        let radius_squared = RadiusSquared {
            start: radius_squared(start),
            end: radius_squared(&theta),
            predicted_end: radius_squared(start) + watch.predicted_drift,
        };
        let warnings = self.warnings(model, &theta, &gradient, &last, &watch)?;
        Ok(Outcome { risk: last.risk, theta, radius_squared, longest_step: watch.longest_step, warnings, records: Vec::new() })
    }

    fn warnings(
        &self,
        model: &mut impl Model,
        theta: &[f64],
        gradient: &[f64],
        last: &Evaluation,
        watch: &Watch,
    ) -> Result<Vec<Warning>> {
        let below = model.stability_line(self.rate)?.is_some_and(|line| radius_squared(theta) < line);
        let mut exact = vec![0.0; theta.len()];
        model.evaluate(theta, Backward::Exact, &mut exact)?;
        let stuck = norm(gradient) < 1e-6 * norm(&exact) && norm(&exact) > 1e-8;
        let found = [
            (watch.longest_step > 1.0, Warning::LongStep),
            (below, Warning::BelowStabilityLine),
            (watch.crossed, Warning::CrossedDegenerate),
            (stuck, Warning::StuckNotMinimum),
            (last.contraction >= 1.0, Warning::ContractionViolated),
        ];
        Ok(found.into_iter().filter_map(|(holds, warning)| holds.then_some(warning)).collect())
    }
}

impl Snapshot {
    fn of(step: u64, theta: &[f64], found: &Evaluation, predicted_radius_squared: f64) -> Self {
        Self {
            step,
            theta: theta.to_vec(),
            risk: found.risk,
            contraction: found.contraction,
            radius_squared: radius_squared(theta),
            predicted_radius_squared,
        }
    }
}

/// Refuses parameters that have left every bound.
pub(super) fn check_distance(step: u64, theta: &[f64], last_norm: f64) -> Result<()> {
    let distance = norm(theta);
    if distance <= FARTHEST {
        return Ok(());
    }
    let hint = "a smaller learning rate, or a start farther from v = 1";
    Err(Error::diverged("the norm of the parameters", distance, step, last_norm, hint))
}

/// `|u|^2 + (1 - v)^2` of `theta = (u, v)`.
fn radius_squared(theta: &[f64]) -> f64 {
    let (v, u) = theta.split_last().expect("a model has the parameter v");
    norm_squared(u) + (1.0 - v).powi(2)
}

/// What is summed over the steps.
#[derive(Clone, Debug, Default)]
struct Watch {
    predicted_drift: f64,
    longest_step: f64,
    crossed: bool,
}

impl Watch {
    fn step(&mut self, rate: f64, gradient: &[f64], before: Option<f64>, after: Option<f64>) {
        let length_squared = rate * rate * norm_squared(gradient);
        self.predicted_drift += length_squared;
        self.longest_step = self.longest_step.max(length_squared.sqrt());
        self.crossed |= before.zip(after).is_some_and(|(before, after)| (1.0 - before) * (1.0 - after) < 0.0);
    }
}
