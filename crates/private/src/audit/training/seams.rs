//! How canaries take part in a training: in its choice of examples, in its gradients, and in what is observed.

use std::sync::Arc;

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{
    Batch, Choose, Contributions, Differentiate, Error as DescentError, Observe, Participation, Position, Record,
    Result as DescentResult, SquaredNorms, Stateful, View, Weights,
};

use super::{Log, Shared};

/// Examples and canaries in shards of their own.
pub(super) struct Apart<C> {
    pub(super) chooser: C,
    pub(super) shared: Arc<Shared>,
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
pub(super) struct WithCanaries<D> {
    pub(super) objective: D,
    pub(super) shared: Arc<Shared>,
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
pub(super) struct Search {
    pub(super) shared: Arc<Shared>,
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
