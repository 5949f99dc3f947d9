//! The users: who holds which examples, their batches, and the signs of their gradients.

use std::sync::{Arc, Mutex};

use rand::RngExt;
use rand::seq::{SliceRandom, index};
use thalweg_descent::{
    Batch, Choose, Contributions, Differentiate, Error, Participation, Position, Result, SquaredNorms, Stateful, Stream, Weights,
};
use thalweg_nn::Classification;
use thalweg_vote::prg;
use thalweg_vote::signs::{ZeroVote, of_gradient};

use super::Split;
use super::guard::lock;

/// The examples of each user, by index.
pub(super) fn divide(labels: &[u32], users: usize, split: Split, stream: &Stream) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut stream.at(0));
    let mut parts = vec![Vec::new(); users];
    match split {
        Split::Iid => order.into_iter().enumerate().for_each(|(at, example)| parts[at % users].push(example)),
        Split::ByClass => {
            order.sort_by_key(|&example| labels[example]);
            let shards = 2 * users;
            let mut dealt: Vec<usize> = (0..shards).collect();
            dealt.shuffle(&mut stream.at(1));
            for (at, shard) in dealt.into_iter().enumerate() {
                let cut = |shard: usize| shard * order.len() / shards;
                parts[at % users].extend_from_slice(&order[cut(shard)..cut(shard + 1)]);
            }
        }
    }
    parts
}

/// In each step a batch of each user, drawn from its own examples: one shard a user.
pub(crate) struct UserBatches {
    pub(super) parts: Vec<Vec<usize>>,
    pub(super) size: usize,
    pub(super) stream: Stream,
}

impl Stateful for UserBatches {}

impl Choose<Batch, f32> for UserBatches {
    fn participation(&self) -> Participation {
        Participation::Everyone
    }

    fn choose(&mut self, position: &Position<'_, f32>) -> Result<Vec<Batch>> {
        let step = position.step;
        let users = self.parts.len() as u64;
        let batch = |(user, part): (u64, &Vec<usize>)| {
            let mut rng = self.stream.at(step * users + user);
            let indices = index::sample(&mut rng, part.len(), self.size).into_iter().map(|at| part[at]).collect();
            Batch { step, indices }
        };
        Ok((0..).zip(&self.parts).map(batch).collect())
    }
}

/// What each user votes in this step, until the guard takes it.
pub(super) type Ballots = Arc<Mutex<Vec<Option<Vec<i8>>>>>;

/// The signs of each user's gradient.
pub(crate) struct UserSigns {
    pub(super) objective: Classification,
    /// The user that holds each example.
    pub(super) owners: Vec<usize>,
    /// The first so many users vote the opposite of what they should.
    pub(super) flippers: usize,
    pub(super) coins: Stream,
    pub(super) ballots: Ballots,
}

impl Differentiate<Batch, f32> for UserSigns {
    fn differentiate<'a>(&'a self, parameters: &'a [f32], shard: &'a Batch) -> Result<Box<dyn Contributions<f32> + 'a>> {
        let user = shard.indices.first().map_or(0, |&example| self.owners[example]);
        let gradient = self.objective.differentiate(parameters, shard)?;
        let losses = gradient.losses();
        let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        // Where a gradient is zero a coin votes: a fixed vote would drift dead parameters.
        let mut coin = [0; 32];
        self.coins.at(shard.step * self.owners.len() as u64 + user as u64).fill(&mut coin);
        let zero = ZeroVote::Random { seed: prg::Seed::from_bytes(coin), round: shard.step as u32 };
        let sense = if user < self.flippers { -1 } else { 1 };
        Ok(Box::new(UserVotes { gradient, losses: [loss], step: shard.step, user, sense, zero, ballots: self.ballots.clone() }))
    }
}

/// A user as the one unit of its shard: what it adds are the signs of its gradient.
struct UserVotes<'a> {
    gradient: Box<dyn Contributions<f32> + 'a>,
    losses: [f64; 1],
    step: u64,
    user: usize,
    /// -1 for a user who flips its signs.
    sense: i8,
    zero: ZeroVote,
    ballots: Ballots,
}

impl Contributions<f32> for UserVotes<'_> {
    fn units(&self) -> usize {
        1
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> Result<SquaredNorms> {
        Err(Error::input("the signs of a user have no norm to bound"))
    }

    fn add_weighted_sum(self: Box<Self>, _: &Weights, sum: &mut [f32]) -> Result<()> {
        let mut gradient = vec![0.0; sum.len()];
        self.gradient.add_weighted_sum(&Weights::One, &mut gradient)?;
        let diverged = |value: f32| Error::Diverged { step: self.step, what: "a user's gradient".into(), value: value.into() };
        let mut votes = of_gradient(&gradient, &self.zero)
            .map_err(|_| diverged(gradient.iter().copied().find(|value| !value.is_finite()).unwrap_or_default()))?;
        for (sum, vote) in sum.iter_mut().zip(&mut votes) {
            *vote *= self.sense;
            *sum += f32::from(*vote);
        }
        lock(&self.ballots)[self.user] = Some(votes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::Seed;

    use super::*;

    #[test]
    fn every_example_belongs_to_one_user_and_classes_are_few_where_they_should() {
        let labels: Vec<u32> = (0..480).map(|at| at % 10).collect();
        let classes = |part: &Vec<usize>| {
            let mut seen: Vec<u32> = part.iter().map(|&example| labels[example]).collect();
            seen.sort_unstable();
            seen.dedup();
            seen.len()
        };
        for split in [Split::Iid, Split::ByClass] {
            let parts = divide(&labels, 24, split, &Seed(1).stream("test"));
            let mut all: Vec<usize> = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..480).collect::<Vec<_>>());
            assert!(parts.iter().all(|part| part.len() == 20));
            let most = parts.iter().map(classes).max().unwrap();
            assert_eq!(most <= 4, split == Split::ByClass, "{most} classes");
        }
    }
}
