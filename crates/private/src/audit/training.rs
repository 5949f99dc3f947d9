//! The one-run audit of a whole training: canaries take part in it, and everything released is searched for them.

mod scorer;
mod seams;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_descent::{Batch, BlockId, Choose, Differentiate, Observe, Participation, SquaredNorms};

use self::scorer::Scorer;
use self::seams::{Apart, Search, WithCanaries};
use super::bound::{Audit, Method, Thresholds};
use super::canaries::CanaryGradients;
use super::report::AuditReport;
use super::scores::Scores;
use crate::error::{Error, Result};
use crate::plan::PrivacyPlan;

/// The log-likelihood ratios from which on a canary under sampling is guessed to be in.
const GUESSED_FROM: [f64; 4] = [0.0, 1.0, 2.0, 4.0];

/// An audit of one training, sampling and loop included, with [`CANARIES`](super::CANARIES) or so canaries.
///
/// Canaries are examples behind the real ones: the chooser draws from [`population`](Self::population) indices. Those whose coin
/// says "in" contribute a gradient in a direction of their own, as long as clipping allows; the others nothing. An observer
/// searches each released update for all of them, knowing everything but the coins: the real examples' gradients are subtracted.
///
/// Three pieces of the descent are wrapped: [`choose`](Self::choose), [`differentiate`](Self::differentiate) and
/// [`observer`](Self::observer). What they have seen is saved with the observer.
///
/// One run tells less than many: with 1,000 canaries the lower bound stays far below epsilon, and an error of a factor of 1.5 in
/// the noise is not seen. It finds gross errors anywhere in the training, and [`MechanismAudit`](super::MechanismAudit) fine ones
/// in the noise.
///
/// ```
/// use thalweg_descent::differentiate::EachUnit;
/// use thalweg_descent::{Batches, Descent, Layout, Participation, Pieces, Rates, Reduction, Schedule, Seed, step::Sgd};
/// use thalweg_private::audit::{CanaryGradients, Direction, Method, TrainingAudit, Verdict};
/// use thalweg_private::{Name, NoiseKey, PrivacyPlan, Ratios, Workload};
///
/// // 120 examples and 80 canaries, in 4 epochs of 10 batches.
/// let layout = Layout::single("x", &[200]);
/// let canaries = CanaryGradients::new(80, &layout, Direction::Sparse { coordinates: 1 }, Seed(1))?;
/// let batches = Participation::Separated { separation: 10, at_most: 4 };
/// let workload = Workload::new(Ratios::constant(40)?);
/// let plan = PrivacyPlan::new(2.0, 1e-5, Name::PrefixRoot, workload, batches).with_expected_batch(20.0).build()?;
/// let audit = TrainingAudit::new(&plan, canaries, 120);
///
/// let objective = EachUnit::new(layout.clone(), |x: &[f32], i: usize, gradient: &mut [f32]| {
///     gradient[i] = x[i] - 1.0;
///     Ok(0.5 * f64::from(gradient[i]).powi(2))
/// });
/// let pieces = Pieces {
///     choose: Box::new(audit.choose(Batches::fixed_order(audit.population(), 20, 40, &Seed(2).stream("batches"))?)),
///     differentiate: Box::new(audit.differentiate(objective)),
///     reduction: Reduction::in_turn(),
///     guard: Box::new(plan.guard(&NoiseKey::generate()?)),
///     step: Box::new(Sgd::plain()),
///     observe: vec![Box::new(audit.observer())],
/// };
/// let rates = Rates::new(0.1, Schedule::Constant, 40)?;
/// Descent::new(vec![0.0; 200], layout, rates, pieces)?.run(|_| std::ops::ControlFlow::Continue(()))?;
/// assert_eq!(audit.report(Method::OneRun)?.verdict, Verdict::Consistent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrainingAudit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: PrivacyPlan,
    canaries: CanaryGradients,
    /// The number of real examples, and so the index of the first canary.
    examples: usize,
    /// The length of a canary's gradient before it is clipped.
    length: f32,
    log: Mutex<Log>,
}

/// What has been seen of the training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Log {
    /// The inner product of each canary with what was released of its step, real gradients subtracted: one row a step.
    responses: Vec<Vec<f64>>,
    /// The steps in which each canary was drawn, in or out.
    drawn: Vec<Vec<u64>>,
    /// The inner products with the real gradients, shard by shard, of the step under way.
    real: BTreeMap<u64, Vec<f64>>,
}

impl TrainingAudit {
    /// Of a training under this plan on so many real examples.
    pub fn new(plan: &PrivacyPlan, canaries: CanaryGradients, examples: usize) -> Self {
        let length = plan.clip.hardest()[0];
        let log = Log { drawn: vec![Vec::new(); canaries.count()], ..Log::default() };
        Self { shared: Arc::new(Shared { plan: plan.clone(), canaries, examples, length, log: Mutex::new(log) }) }
    }

    /// Examples and canaries: the chooser's indices are below this.
    pub fn population(&self) -> usize {
        self.shared.examples + self.shared.canaries.count()
    }

    /// A chooser among examples and canaries, which come in shards of their own.
    pub fn choose<C: Choose<Batch, f32>>(&self, chooser: C) -> impl Choose<Batch, f32> + use<C> {
        Apart { chooser, shared: self.shared.clone() }
    }

    /// An objective in which the canaries take part; `objective` sees the real examples alone.
    pub fn differentiate<D: Differentiate<Batch, f32>>(&self, objective: D) -> impl Differentiate<Batch, f32> + use<D> {
        WithCanaries { objective, shared: self.shared.clone() }
    }

    /// What watches the released updates; it must see every step.
    pub fn observer(&self) -> impl Observe<f32> + use<> {
        Search { shared: self.shared.clone() }
    }

    /// The score of each canary that took part or would have: of those that are in, and of those that are not.
    ///
    /// # Errors
    /// As [`Scores::new`], when too few canaries were drawn; those of the strategy's matrix.
    pub fn scores(&self) -> Result<Scores> {
        let (shared, log) = (&self.shared, self.shared.log());
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        let mut scorer = Scorer::new(&shared.plan, &log, shared.is_sampled())?;
        let released = log.responses.len() as u64;
        for canary in 0..shared.canaries.count() {
            // A step under way has released nothing yet.
            let drawn: Vec<u64> = log.drawn[canary].iter().copied().filter(|&step| step < released).collect();
            // Who was sampled is a secret; who is left out by a fixed order is not.
            if drawn.is_empty() && !shared.is_sampled() {
                continue;
            }
            let responses = log.responses.iter().map(|row| row[canary]);
            let score = scorer.score(responses, drawn, shared.clipped_length(canary)?);
            if shared.canaries.is_in(canary) { inside.push(score) } else { outside.push(score) }
        }
        Scores::new(inside, outside)
    }

    /// The report by a one-run method, significance 0.05, all thresholds; under sampling, four likelihood ratios for thresholds.
    ///
    /// # Errors
    /// As [`scores`](Self::scores); [`Error::Value`] for a method that needs many trainings, or [`Method::OneRunFdp`] under
    /// sampling, whose trade-off curve is not Gaussian.
    pub fn report(&self, method: Method) -> Result<AuditReport> {
        let summary = self.shared.plan.summary();
        match method {
            Method::OneRun => {}
            Method::OneRunFdp if !self.shared.is_sampled() => {}
            Method::OneRunFdp => return Err(Error::value("the method", method, "one-run under sampling")),
            _ => return Err(Error::value("the method", method, "one-run or one-run-fdp: there is one training")),
        }
        let mut audit = Audit::at(summary.delta)?;
        if self.shared.is_sampled() {
            // Scores are log-likelihood ratios: it is known before where a guess pays. Delta counts once for each threshold.
            audit = audit.with_thresholds(Thresholds::Bonferroni(GUESSED_FROM.to_vec()))?;
        }
        audit.report(method, &self.scores()?, summary.epsilon)
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        // No step is half-written when a thread dies.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_sampled(&self) -> bool {
        !matches!(self.plan.summary().participation, Participation::Separated { .. })
    }

    fn is_canary(&self, index: usize) -> bool {
        index >= self.examples
    }

    fn block_of(&self, coordinate: usize) -> BlockId {
        BlockId(self.canaries.layout().blocks().partition_point(|block| block.range().end <= coordinate))
    }

    /// The squared norms of a canary's gradient, block by block.
    fn squared_norms(&self, canary: usize) -> Vec<f64> {
        let mut squares = vec![0.0; self.canaries.layout().blocks().len()];
        self.canaries.visit(canary, |coordinate, value| {
            squares[self.block_of(coordinate).0] += f64::from(self.length * value).powi(2);
        });
        squares
    }

    /// The inner product of a canary's clipped gradient with its direction, and so the length where clipping keeps the direction.
    fn clipped_length(&self, canary: usize) -> Result<f64> {
        let squares = self.squared_norms(canary);
        let weights = self.plan.clip.weights(&SquaredNorms::new(squares.len(), squares.clone()))?;
        let clipped = squares.iter().enumerate().map(|(at, square)| weights.get(0, BlockId(at)) * square);
        Ok(clipped.sum::<f64>() / f64::from(self.length))
    }
}
