//! Stochastic gradient descent of the transformer with all its blocks, and its band over runs.

use faer::Mat;
use rayon::prelude::*;
use serde::Serialize;
use thalweg_descent::{Seed, Stream};

use super::ahead::Ahead;
use super::lanes::LANES;
use super::problem::Problem;
use super::sampler::Sampler;
use super::side_by_side::{Contexts, Gradient};
use super::transformer::{Block, Transformer};
use crate::error::{Error, Result, positive};
use crate::matrix::to_rows;
use crate::vector::{add_scaled, norm};

/// How a run descends: gradients are averaged over a task's contexts and summed over tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The learning rate times the number of tasks: time on the theories' clock per step.
    pub rate_times_tasks: f64,
    /// The number of steps.
    pub steps: u64,
    /// Contexts for each task and step.
    pub batch_per_task: usize,
    /// A record is kept at the start and after each so many steps.
    pub record_every: u64,
}

/// More records than this are not kept.
const MOST_RECORDS: u64 = 1_000_000;

impl Default for Plan {
    /// 6000 steps of 0.02, 8 contexts for each task, a record each 100 steps: 120 units of time.
    fn default() -> Self {
        Self { rate_times_tasks: 0.02, steps: 6000, batch_per_task: 8, record_every: 100 }
    }
}

impl Plan {
    pub(super) fn check(&self) -> Result<()> {
        positive("the rate times the number of tasks", self.rate_times_tasks)?;
        if self.batch_per_task == 0 {
            return Err(Error::value("the number of contexts a task and step", 0, "1 or more"));
        }
        if self.record_every == 0 {
            return Err(Error::value("the steps between records", 0, "1 or more"));
        }
        let records = self.steps / self.record_every;
        if records > MOST_RECORDS {
            return Err(Error::value("the number of records", records, format!("at most {MOST_RECORDS}: record more rarely")));
        }
        Ok(())
    }

    /// The times of the records.
    pub fn times(&self) -> Vec<f64> {
        (0..=self.steps / self.record_every).map(|k| (k * self.record_every) as f64 * self.rate_times_tasks).collect()
    }
}

/// The state after some steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Steps made.
    pub step: u64,
    /// The time on the theories' clock.
    pub t: f64,
    /// The diagonal of p2 in the inputs' eigenbasis.
    pub p: Vec<f64>,
    /// The diagonal of q1 in the inputs' eigenbasis.
    pub q: Vec<f64>,
    /// The norm of p2 off that diagonal.
    pub off_diagonal_p: f64,
    /// The norm of q1 off that diagonal.
    pub off_diagonal_q: f64,
    /// The norm of p1, which theory holds at 0.
    pub p1: f64,
    /// The norm of q2, which theory holds at 0.
    pub q2: f64,
    /// The mean loss over the contexts since the last record; `None` at the start.
    pub loss: Option<f64>,
    /// `|p1|^2 + |p2|^2 - |q1|^2 - |q2|^2`.
    pub imbalance: f64,
    /// The imbalance at the start plus `sum rate^2 (|g_p|^2 - |g_q|^2)`: where it must be if every gradient is right.
    pub predicted_imbalance: f64,
}

impl Record {
    /// `a = p q` of each mode.
    pub fn products(&self) -> Vec<f64> {
        self.p.iter().zip(&self.q).map(|(p, q)| p * q).collect()
    }
}

/// Descends once. The draws of a step come from the stream at that step.
///
/// ```
/// use thalweg_descent::Seed;
/// use thalweg_dynamics::icl::{Modes, Problem, Transformer, sgd};
///
/// let problem = Problem::aligned(&Modes::new(&[1.0, 0.5], 16)?)?;
/// let start = Transformer::reduced(2, &[0.1, 0.0, 0.0, 0.1], &[0.1, 0.0, 0.0, 0.1])?;
/// let plan = sgd::Plan { steps: 200, ..sgd::Plan::default() };
/// let records = sgd::descend(&problem, &start, &plan, &Seed(0).stream("contexts"))?;
/// let last = records.last().unwrap();
/// assert!(last.products()[0] > 0.5);
/// assert!((last.imbalance - last.predicted_imbalance).abs() < 1e-12);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a plan out of range or a start of another size; [`Error::Diverged`] when the mean loss of 50 steps is ten
/// times that of the first 50, or weights are no longer finite; it has the records until then.
pub fn descend(problem: &Problem, start: &Transformer, plan: &Plan, draws: &Stream) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    descend_into(&mut records, problem, start, plan, draws).map_err(|error| error.keeping(&records))?;
    Ok(records)
}

/// The records are there even after an error.
fn descend_into(records: &mut Vec<Record>, problem: &Problem, start: &Transformer, plan: &Plan, draws: &Stream) -> Result<()> {
    plan.check()?;
    let d = problem.dimension();
    if start.dimension() != d {
        return Err(Error::value("the size of the start", start.dimension(), d.to_string()));
    }
    let mut run = Run::new(problem, start, plan)?;
    records.push(run.record(0, None));
    let mut loss = 0.0;
    for step in 0..plan.steps {
        loss += run.step(&mut Ahead::of(&draws.at(step)), step)?;
        let made = step + 1;
        if made.is_multiple_of(plan.record_every) {
            records.push(run.record(made, Some(loss / plan.record_every as f64)));
            loss = 0.0;
        }
    }
    Ok(())
}

/// The mean loss over so many steps is watched.
const WATCHED_STEPS: u64 = 50;

struct Run<'a> {
    problem: &'a Problem,
    plan: &'a Plan,
    rate: f64,
    tasks: Vec<Vec<f64>>,
    weights: Transformer,
    gradient: Transformer,
    predicted_imbalance: f64,
    sampler: Sampler,
    contexts: Contexts,
    sums: Gradient,
    watched_loss: f64,
    first_loss: Option<f64>,
}

impl<'a> Run<'a> {
    fn new(problem: &'a Problem, start: &Transformer, plan: &'a Plan) -> Result<Self> {
        let d = problem.dimension();
        let tasks: Vec<Vec<f64>> = problem.tasks().matrices().iter().map(|w| to_rows(w.as_ref())).collect();
        let sampler = Sampler::new(problem)?;
        Ok(Self {
            rate: plan.rate_times_tasks / tasks.len() as f64,
            tasks,
            weights: start.clone(),
            gradient: Transformer::zeros(d),
            predicted_imbalance: start.imbalance(),
            contexts: sampler.contexts(),
            sampler,
            sums: Gradient::new(d),
            watched_loss: 0.0,
            first_loss: None,
            problem,
            plan,
        })
    }

    /// Makes one step and returns the mean loss over its contexts.
    fn step(&mut self, rng: &mut Ahead, step: u64) -> Result<f64> {
        self.sums.clear();
        let length = self.problem.contexts() as f64;
        for task in &self.tasks {
            for first in (0..self.plan.batch_per_task).step_by(LANES) {
                let count = LANES.min(self.plan.batch_per_task - first);
                self.sampler.draw_side_by_side(rng, count, &mut self.contexts);
                self.sums.add(&self.weights, task, &self.contexts, length);
            }
        }
        let loss = self.sums.join(1.0 / self.plan.batch_per_task as f64, &mut self.gradient) / self.tasks.len() as f64;
        let last_norm = norm(self.weights.values());
        self.predicted_imbalance += self.rate * self.rate * self.gradient.imbalance();
        add_scaled(self.weights.values_mut(), -self.rate, self.gradient.values());
        self.watch(step, loss, last_norm)?;
        Ok(loss)
    }

    fn watch(&mut self, step: u64, loss: f64, last_norm: f64) -> Result<()> {
        let diverged =
            |what: &str, value: f64| Err(Error::diverged(what, value, step, last_norm, "the step is too large: lower the rate"));
        if !(loss.is_finite() && norm(self.weights.values()).is_finite()) {
            return diverged("the loss", loss);
        }
        self.watched_loss += loss / WATCHED_STEPS as f64;
        if (step + 1).is_multiple_of(WATCHED_STEPS) {
            let first = *self.first_loss.get_or_insert(self.watched_loss);
            if self.watched_loss > 10.0 * first {
                return diverged("the mean loss of 50 steps", self.watched_loss);
            }
            self.watched_loss = 0.0;
        }
        Ok(())
    }

    fn record(&self, step: u64, loss: Option<f64>) -> Record {
        let (p, off_diagonal_p) = self.in_eigenbasis(Block::P2);
        let (q, off_diagonal_q) = self.in_eigenbasis(Block::Q1);
        Record {
            step,
            t: step as f64 * self.plan.rate_times_tasks,
            p,
            q,
            off_diagonal_p,
            off_diagonal_q,
            p1: norm(self.weights.block(Block::P1)),
            q2: norm(self.weights.block(Block::Q2)),
            loss,
            imbalance: self.weights.imbalance(),
            predicted_imbalance: self.predicted_imbalance,
        }
    }

    /// The diagonal of a block in the inputs' eigenbasis, and the norm of the rest.
    fn in_eigenbasis(&self, block: Block) -> (Vec<f64>, f64) {
        let (d, u) = (self.problem.dimension(), self.problem.eigenbasis());
        let rows = self.weights.block(block);
        let mut turned = u.transpose() * Mat::from_fn(d, d, |i, j| rows[i * d + j]) * u;
        let diagonal = (0..d).map(|i| std::mem::take(&mut turned[(i, i)])).collect();
        (diagonal, turned.norm_l2())
    }
}

/// Mean and spread over runs of each mode's product at the times of the records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// The times.
    pub times: Vec<f64>,
    /// The mean over runs, one row a time.
    pub mean: Vec<Vec<f64>>,
    /// The standard deviation over runs (with n - 1), 0 for one run.
    pub deviation: Vec<Vec<f64>>,
    /// The runs.
    pub runs: Vec<Vec<Record>>,
}

impl Band {
    /// The root of the mean squared distance of the mean from a theory, over times and modes.
    ///
    /// # Panics
    /// When the theory has fewer times or modes.
    pub fn rms(&self, theory: &[Vec<f64>]) -> f64 {
        let gaps = self.mean.iter().zip(theory).flat_map(|(mean, theory)| mean.iter().zip(theory).map(|(a, b)| (a - b).powi(2)));
        let count: usize = self.mean.iter().map(Vec::len).sum();
        (gaps.sum::<f64>() / count as f64).sqrt()
    }

    /// The distance ([`rms`](Self::rms)) from the true mean that the spread over runs lets one expect.
    pub fn expected_rms(&self) -> f64 {
        let squares: f64 = self.deviation.iter().flatten().map(|deviation| deviation * deviation).sum();
        let count: usize = self.deviation.iter().map(Vec::len).sum();
        (squares / count as f64 / self.runs.len() as f64).sqrt()
    }
}

/// Descends so many times, on all threads; the result does not depend on their number. Run k draws from the stream "contexts of run k"
/// of the seed.
///
/// # Errors
/// [`Error::Value`] for no runs; as [`descend`], for the first run that failed.
pub fn ensemble(problem: &Problem, start: &Transformer, plan: &Plan, seed: Seed, runs: u32) -> Result<Band> {
    if runs == 0 {
        return Err(Error::value("the number of runs", 0, "1 or more"));
    }
    let run = |run| descend(problem, start, plan, &stream(seed, run));
    let all: Vec<Result<Vec<Record>>> = (0..runs).into_par_iter().map(run).collect();
    let runs = all.into_iter().collect::<Result<Vec<_>>>()?;
    let times = plan.times();
    let spread = |at: usize, mode: usize| Spread::of(runs.iter().map(|run| run[at].p[mode] * run[at].q[mode]));
    let rows: Vec<Vec<Spread>> =
        (0..times.len()).map(|at| (0..problem.dimension()).map(|mode| spread(at, mode)).collect()).collect();
    let column = |value: fn(&Spread) -> f64| rows.iter().map(|row| row.iter().map(value).collect()).collect();
    Ok(Band { mean: column(|spread| spread.mean), deviation: column(|spread| spread.deviation), times, runs })
}

/// Mean and standard deviation (with n - 1) of some values.
struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

fn stream(seed: Seed, run: u32) -> Stream {
    seed.stream(&format!("contexts of run {run}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icl::{Modes, Tasks};

    fn problem() -> Problem {
        Problem::aligned(&Modes::new(&[1.0, 0.5], 8).unwrap()).unwrap()
    }

    fn start() -> Transformer {
        Transformer::reduced(2, &[0.1, 0.02, -0.03, 0.1], &[0.1, 0.0, 0.05, 0.1]).unwrap()
    }

    fn plan(steps: u64) -> Plan {
        Plan { steps, record_every: 50, ..Plan::default() }
    }

    #[test]
    fn the_imbalance_drifts_as_predicted_with_all_blocks() {
        let random = Tasks::gaussian(2, 5, &mut Seed(3).stream("tasks").at(0)).unwrap();
        let problem = Problem::new(&[1.0, 0.2, 0.2, 0.6], 8, random).unwrap();
        let records = descend(&problem, &start(), &plan(2000), &stream(Seed(1), 0)).unwrap();
        let drift = records.iter().map(|r| (r.imbalance - records[0].imbalance).abs()).fold(0.0, f64::max);
        let residual = records.iter().map(|r| (r.imbalance - r.predicted_imbalance).abs()).fold(0.0, f64::max);
        assert!(residual < 1e-10 && drift > 1e-3, "{residual} {drift}");
        assert!(records.last().unwrap().p1 > 1e-3, "odd moments move the other blocks");
    }

    #[test]
    fn runs_and_threads() {
        let run = |runs| ensemble(&problem(), &start(), &plan(200), Seed(9), runs).unwrap();
        let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| run(3));
        let (one, four) = (on(1), on(4));
        assert_eq!(one, four);
        assert_ne!(one.runs[0], one.runs[1]);
        assert_eq!(one.runs[1], descend(&problem(), &start(), &plan(200), &stream(Seed(9), 1)).unwrap());
        assert_eq!(one.mean.len(), one.times.len());
        let single = run(1);
        assert!(single.deviation.iter().flatten().all(|deviation| *deviation == 0.0));
        assert_eq!(single.mean[3], single.runs[0][3].products());
        assert_eq!(single.rms(&single.mean), 0.0);
    }

    #[test]
    fn a_step_too_large_stops_with_step_and_value() {
        let large = Plan { rate_times_tasks: 20.0, ..plan(2000) };
        let error = descend(&problem(), &start(), &large, &stream(Seed(1), 0)).unwrap_err();
        assert!(
            matches!(error, Error::Diverged { step, .. } if step < 1000) && error.to_string().contains("too large"),
            "{error}"
        );
    }

    #[test]
    fn bad_plans_are_refused_by_name() {
        let refused = |plan: Plan| descend(&problem(), &start(), &plan, &stream(Seed(1), 0)).unwrap_err().to_string();
        assert!(refused(Plan { rate_times_tasks: 0.0, ..plan(1) }).contains("rate"));
        assert!(refused(Plan { batch_per_task: 0, ..plan(1) }).contains("contexts"));
        assert!(refused(Plan { record_every: 0, ..plan(1) }).contains("records"));
        assert!(refused(Plan { record_every: 1, ..plan(u64::MAX) }).contains("at most 1000000"));
        assert!(
            descend(&problem(), &Transformer::zeros(3), &plan(1), &stream(Seed(1), 0))
                .unwrap_err()
                .to_string()
                .contains("size of the start")
        );
        assert!(ensemble(&problem(), &start(), &plan(1), Seed(1), 0).unwrap_err().to_string().contains("runs"));
        assert_eq!(descend(&problem(), &start(), &plan(0), &stream(Seed(1), 0)).unwrap().len(), 1);
    }
}
