//! The one-run audit of a whole training: canaries take part in it, and everything released is searched for them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_descent::state::{decode, encode};
use thalweg_descent::{
    Batch, BlockId, Choose, Contributions, Differentiate, Error as DescentError, Observe, Participation, Position, Record,
    Result as DescentResult, SquaredNorms, Stateful, View, Weights,
};

use super::bound::{Audit, Method, Thresholds};
use super::canaries::CanaryGradients;
use super::matched_filter::{MatchedFilter, Matrix};
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

/// Turns responses into scores: the most powerful statistic of an adversary who knows the steps of a canary in a fixed order, and
/// how it is drawn under sampling.
///
/// Whatever the score, the audit is sound; a better one sees more. Under b-min-sep sampling it counts the steps as if they were
/// independent, which they are not quite.
struct Scorer<'a> {
    plan: &'a PrivacyPlan,
    /// The deviation of the noise in a response: the claimed one in a fixed order, where it only sets the scale of the scores,
    /// and the measured one under sampling.
    std: f64,
    matrix: Matrix,
    filters: HashMap<Vec<usize>, MatchedFilter>,
}

impl<'a> Scorer<'a> {
    fn new(plan: &'a PrivacyPlan, log: &Log, is_sampled: bool) -> Result<Self> {
        // However little noise there is, nothing is divided by 0.
        let std = if is_sampled { measured_deviation(&log.responses).max(1e-6 * plan.sum_std()) } else { plan.sum_std() };
        Ok(Self { plan, std, matrix: Matrix::of(&plan.strategy, log.responses.len())?, filters: HashMap::new() })
    }

    /// The score from a canary's responses, the steps in which it was drawn, and its length.
    fn score(&mut self, responses: impl Iterator<Item = f64>, drawn: Vec<u64>, length: f64) -> f64 {
        let log_ratio = |response: f64, square: f64| {
            let shift = length / self.std;
            shift * response / self.std - 0.5 * shift * shift * square
        };
        match self.plan.summary().participation {
            Participation::Poisson { rate } => {
                return responses.map(|response| log_mixture(rate, log_ratio(response, 1.0))).sum();
            }
            Participation::CyclicPoisson { groups, rate } => {
                let steps = self.matrix.each_step(&responses.collect::<Vec<f64>>());
                let rate = groups as f64 * rate;
                let of_group = |group: u64| {
                    let taken = steps.iter().skip(group as usize).step_by(groups as usize);
                    taken.map(|(response, square)| log_mixture(rate, log_ratio(*response, *square))).sum()
                };
                return log_mean_exp(&(0..groups).map(of_group).collect::<Vec<f64>>());
            }
            Participation::BMinSep { rate, .. } => {
                let steps = self.matrix.each_step(&responses.collect::<Vec<f64>>());
                return steps.iter().map(|(response, square)| log_mixture(rate, log_ratio(*response, *square))).sum();
            }
            Participation::BallsInBins { bins } => {
                let responses: Vec<f64> = responses.collect();
                let mut of_bin = |bin: u64| {
                    let steps = (bin as usize..responses.len()).step_by(bins as usize).collect();
                    let filter = filter_of(&mut self.filters, &self.matrix, steps);
                    let response = responses.iter().zip(&filter.weights).map(|(response, weight)| weight * response).sum();
                    log_ratio(response, filter.length.powi(2))
                };
                return log_mean_exp(&(0..bins.min(responses.len() as u64)).map(&mut of_bin).collect::<Vec<f64>>());
            }
            _ => {}
        }
        let steps: Vec<usize> = drawn.into_iter().map(|step| step as usize).collect();
        let filter = filter_of(&mut self.filters, &self.matrix, steps);
        responses.zip(&filter.weights).map(|(response, weight)| weight * response).sum::<f64>() / (self.std * filter.length)
    }
}

fn filter_of<'f>(filters: &'f mut HashMap<Vec<usize>, MatchedFilter>, matrix: &Matrix, steps: Vec<usize>) -> &'f MatchedFilter {
    match filters.entry(steps) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let filter = MatchedFilter::of_steps(matrix, entry.key());
            entry.insert(filter)
        }
    }
}

/// `log(mean(e^x))`.
fn log_mean_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0.0;
    }
    largest + (values.iter().map(|value| (value - largest).exp()).sum::<f64>() / values.len() as f64).ln()
}

/// The standard deviation of most responses, of those without the canary in them: from the median of their sizes.
fn measured_deviation(responses: &[Vec<f64>]) -> f64 {
    let mut sizes: Vec<f64> = responses.iter().flatten().map(|response| response.abs()).collect();
    let middle = sizes.len() / 2;
    if sizes.is_empty() {
        return 0.0;
    }
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    // The median of |x| for a standard normal x.
    *median / 0.674_489_750_196_081_7
}

/// `log(1 - q + q e^x)`.
fn log_mixture(rate: f64, x: f64) -> f64 {
    if x > 700.0 { rate.ln() + x } else { (rate * x.exp_m1()).ln_1p() }
}

/// Examples and canaries in shards of their own.
struct Apart<C> {
    chooser: C,
    shared: Arc<Shared>,
}

impl<C: Stateful> Stateful for Apart<C> {
    fn save(&self) -> Vec<u8> {
        self.chooser.save()
    }

    fn restore(&mut self, state: &[u8]) -> DescentResult<()> {
        self.chooser.restore(state)
    }
}

impl<C: Choose<Batch, f32>> Choose<Batch, f32> for Apart<C> {
    fn participation(&self) -> Participation {
        self.chooser.participation()
    }

    fn choose(&mut self, position: &Position<'_, f32>) -> DescentResult<Vec<Batch>> {
        let mut shards = self.chooser.choose(position)?;
        let mut canaries = Vec::new();
        for shard in &mut shards {
            canaries.extend(shard.indices.extract_if(.., |index| self.shared.is_canary(*index)));
        }
        let mut log = self.shared.log();
        for &index in &canaries {
            let Some(drawn) = log.drawn.get_mut(index - self.shared.examples) else {
                return Err(DescentError::input(format!(
                    "example {index} was drawn, but there are {} examples and {} canaries; draw from both together",
                    self.shared.examples,
                    self.shared.canaries.count()
                )));
            };
            // A step that failed may be chosen again.
            if drawn.last() != Some(&position.step) {
                drawn.push(position.step);
            }
        }
        shards.push(Batch { step: position.step, indices: canaries });
        Ok(shards)
    }
}

/// The objective with canaries.
struct WithCanaries<D> {
    objective: D,
    shared: Arc<Shared>,
}

impl<D: Differentiate<Batch, f32>> Differentiate<Batch, f32> for WithCanaries<D> {
    fn differentiate<'a>(&'a self, parameters: &'a [f32], shard: &'a Batch) -> DescentResult<Box<dyn Contributions<f32> + 'a>> {
        let shared = &*self.shared;
        let canaries = shard.indices.iter().filter(|&&index| shared.is_canary(index)).count();
        match shard.indices.first() {
            Some(_) if canaries == shard.indices.len() => Ok(Box::new(Inside::of(shared, &shard.indices))),
            Some(_) if canaries > 0 => {
                Err(DescentError::input("a shard holds examples and canaries; draw it through TrainingAudit::choose"))
            }
            first => {
                let contributions = self.objective.differentiate(parameters, shard)?;
                Ok(Box::new(Watched { contributions, shared, first: first.copied() }))
            }
        }
    }
}

/// The canaries of a shard that are in.
struct Inside<'a> {
    shared: &'a Shared,
    canaries: Vec<usize>,
    losses: Vec<f64>,
}

impl<'a> Inside<'a> {
    fn of(shared: &'a Shared, indices: &[usize]) -> Self {
        let canaries = indices.iter().map(|index| index - shared.examples);
        let canaries: Vec<usize> = canaries.filter(|&canary| shared.canaries.is_in(canary)).collect();
        Self { shared, losses: vec![0.0; canaries.len()], canaries }
    }
}

impl Contributions<f32> for Inside<'_> {
    fn units(&self) -> usize {
        self.canaries.len()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> DescentResult<SquaredNorms> {
        let blocks = self.shared.canaries.layout().blocks().len();
        Ok(SquaredNorms::new(blocks, self.canaries.iter().flat_map(|&canary| self.shared.squared_norms(canary)).collect()))
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [f32]) -> DescentResult<()> {
        weights.check(self.units())?;
        let shared = self.shared;
        for (unit, &canary) in self.canaries.iter().enumerate() {
            shared.canaries.visit(canary, |coordinate, value| {
                sum[coordinate] += weights.get(unit, shared.block_of(coordinate)) as f32 * (shared.length * value);
            });
        }
        Ok(())
    }
}

/// Real examples, whose weighted sum is noted as far as canaries would see it.
struct Watched<'a> {
    contributions: Box<dyn Contributions<f32> + 'a>,
    shared: &'a Shared,
    /// The first example of the shard, which tells shards of a step apart.
    first: Option<usize>,
}

impl Contributions<f32> for Watched<'_> {
    fn units(&self) -> usize {
        self.contributions.units()
    }

    fn losses(&self) -> &[f64] {
        self.contributions.losses()
    }

    fn squared_norms(&mut self) -> DescentResult<SquaredNorms> {
        self.contributions.squared_norms()
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [f32]) -> DescentResult<()> {
        let Some(first) = self.first else {
            return self.contributions.add_weighted_sum(weights, sum);
        };
        let mut real = vec![0.0; sum.len()];
        self.contributions.add_weighted_sum(weights, &mut real)?;
        let seen = self.shared.canaries.responses(&real);
        self.shared.log().real.insert(first as u64, seen);
        sum.iter_mut().zip(&real).for_each(|(sum, real)| *sum += real);
        Ok(())
    }
}

/// Searches each released update for every canary.
struct Search {
    shared: Arc<Shared>,
}

impl Stateful for Search {
    fn save(&self) -> Vec<u8> {
        encode(&*self.shared.log())
    }

    fn restore(&mut self, state: &[u8]) -> DescentResult<()> {
        let log: Log = decode("the training audit", state)?;
        let count = self.shared.canaries.count();
        if log.drawn.len() != count || log.responses.iter().any(|row| row.len() != count) {
            let reason = format!("it is of {} canaries, and this audit has {count}", log.drawn.len());
            return Err(DescentError::State { piece: "the training audit".to_owned(), reason });
        }
        *self.shared.log() = log;
        Ok(())
    }
}

impl Observe<f32> for Search {
    fn observe(&mut self, view: &View<'_, f32>, _: &mut Record) -> DescentResult<()> {
        let shared = &*self.shared;
        if view.update.len() != shared.canaries.layout().len() {
            let (found, expected) = (view.update.len(), shared.canaries.layout().len());
            return Err(DescentError::input(format!("{found} parameters, but canaries for {expected}")));
        }
        let mut row = shared.canaries.responses(view.update);
        row.iter_mut().for_each(|response| *response *= shared.plan.expected_batch);
        let mut log = shared.log();
        if view.step != log.responses.len() as u64 {
            let reason = format!("the audit has seen {} steps, and this is step {}", log.responses.len(), view.step);
            return Err(DescentError::OutOfTurn(reason));
        }
        for real in std::mem::take(&mut log.real).into_values() {
            row.iter_mut().zip(real).for_each(|(response, real)| *response -= real);
        }
        log.responses.push(row);
        Ok(())
    }
}
