//! Federated training by secure sign votes: joins votes, networks and data.
//!
//! Each user holds a part of the training examples. In a step every user takes the signs of its own batch's gradient, the guard lets
//! all users vote on every sign over the real messages of the protocol, and the parameters move along the result:
//! `w <- w - rate * vote`. Everything runs in one process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use rand::seq::{SliceRandom, index};
use serde::{Deserialize, Serialize};
use thalweg_descent::state::{decode, encode};
use thalweg_descent::{
    Batch, Choose, Contributions, Differentiate, Disclosure, Error, Guard, Participation, Position, Record, Result, Seed,
    SquaredNorms, Stateful, Stream, Weights,
};
use thalweg_nn::Classification;
use thalweg_vote::ledger::{Ledger, UserLedger};
use thalweg_vote::plain::Ties;
use thalweg_vote::signs::{ZeroVote, of_gradient};
use thalweg_vote::{Protocol, Settings, Simulation, SimulationConfig, Tie, prg};

/// How the vote of a federated run is set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoteConfig {
    /// The users among whom the training examples are divided.
    pub users: usize,
    /// The steps of the run, a vote in each.
    pub rounds: u64,
    /// Who holds which examples.
    pub split: Split,
    /// How the vote is evaluated.
    pub mode: Protocol,
    /// The members of a group, about; 0 for one group of all.
    pub group: u16,
    /// The vote on a tie within a group.
    pub tie: Tie,
    /// The vote on a tie among groups.
    pub tie_outer: Tie,
}

impl Default for VoteConfig {
    fn default() -> Self {
        Self {
            users: 24,
            rounds: 400,
            split: Split::default(),
            mode: Protocol::default(),
            group: 0,
            tie: Tie::default(),
            tie_outer: Tie::default(),
        }
    }
}

/// Who holds which examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Everybody a random part.
    #[default]
    Iid,
    /// The examples in the order of their classes are cut into two shards for each user, and dealt at random: a user has seen few
    /// classes.
    ByClass,
}

impl VoteConfig {
    /// The settings of the vote on so many parameters.
    ///
    /// # Errors
    /// [`Error::Input`] if these users cannot vote so.
    pub fn settings(&self, parameters: usize) -> Result<Settings> {
        let coordinates = u32::try_from(parameters)
            .map_err(|_| Error::input(format!("network: a vote on {parameters} parameters; it has at most {}", u32::MAX)))?;
        if usize::from(self.group) > self.users {
            return Err(Error::input(format!("vote.group = {}, more than the {} users", self.group, self.users)));
        }
        let ties = Ties { inner: self.tie, outer: self.tie_outer };
        let settings = Settings { protocol: self.mode, group_size: self.group, ties, ..Settings::new(coordinates) };
        settings.check(self.users).map_err(|error| Error::input(format!("vote: {error}")))?;
        if self.users > 250 {
            return Err(Error::input(format!("vote.users = {}; it must be from 3 to 250", self.users)));
        }
        Ok(settings)
    }
}

/// The seams that a vote fills.
pub(crate) struct Federated {
    pub(crate) choose: UserBatches,
    pub(crate) differentiate: UserSigns,
    pub(crate) guard: SecureVote,
    pub(crate) progress: VoteProgress,
}

impl Federated {
    pub(crate) fn new(
        config: &VoteConfig,
        batch: usize,
        labels: &[u32],
        objective: Classification,
        parameters: usize,
        seed: u64,
    ) -> Result<Self> {
        let settings = config.settings(parameters)?;
        let stream = Seed(seed).stream("federated split");
        let parts = divide(labels, config.users, config.split, &stream);
        let least = parts.iter().map(Vec::len).min().unwrap_or_default();
        if !(1..=least).contains(&batch) {
            return Err(Error::input(format!(
                "training.batch = {batch}, but a user holds {least} of the {} training examples; choose from 1 to that",
                labels.len()
            )));
        }
        let mut owners = vec![0; labels.len()];
        for (user, part) in parts.iter().enumerate() {
            part.iter().for_each(|&example| owners[example] = user);
        }
        let mut simulation = SimulationConfig::new(settings, config.users);
        // All users are in this process, so nothing is hidden from anyone; repeatable randomness lets a run be resumed to the bit.
        simulation.insecure_seed = Some(seed);
        let session = Simulation::new(simulation).map_err(|error| Error::input(format!("vote: {error}")))?;
        let ballots: Ballots = Arc::new(Mutex::new(vec![None; config.users]));
        let progress = VoteProgress::default();
        Ok(Self {
            choose: UserBatches { parts, size: batch, stream: Seed(seed).stream("federated batches") },
            differentiate: UserSigns { objective, owners, coins: Seed(seed).stream("federated coins"), ballots: ballots.clone() },
            guard: SecureVote { session, ballots, progress: progress.clone() },
            progress,
        })
    }
}

/// The examples of each user, by index.
fn divide(labels: &[u32], users: usize, split: Split, stream: &Stream) -> Vec<Vec<usize>> {
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
    parts: Vec<Vec<usize>>,
    size: usize,
    stream: Stream,
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
type Ballots = Arc<Mutex<Vec<Option<Vec<i8>>>>>;

/// The signs of each user's gradient.
pub(crate) struct UserSigns {
    objective: Classification,
    /// The user that holds each example.
    owners: Vec<usize>,
    coins: Stream,
    ballots: Ballots,
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
        Ok(Box::new(UserVotes { gradient, losses: [loss], step: shard.step, user, zero, ballots: self.ballots.clone() }))
    }
}

/// A user as the one unit of its shard: what it adds are the signs of its gradient.
struct UserVotes<'a> {
    gradient: Box<dyn Contributions<f32> + 'a>,
    losses: [f64; 1],
    step: u64,
    user: usize,
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
        let votes = of_gradient(&gradient, &self.zero)
            .map_err(|_| diverged(gradient.iter().copied().find(|value| !value.is_finite()).unwrap_or_default()))?;
        for (sum, vote) in sum.iter_mut().zip(&votes) {
            *sum += f32::from(*vote);
        }
        lock(&self.ballots)[self.user] = Some(votes);
        Ok(())
    }
}

/// What the votes of a run came to so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Votes {
    rounds: u64,
    /// Coordinates in which a result was not the plain vote: none, unless the protocol is wrong.
    mismatches: u64,
    ledger: Ledger,
}

/// The same, to be read while the run goes on.
#[derive(Clone, Debug, Default)]
pub struct VoteProgress(Arc<Mutex<Votes>>);

/// What the votes of a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoteSummary {
    /// Whether every result was the plain vote, in every coordinate.
    pub matches_plain: bool,
    /// Bytes over all rounds, of the user that sent the most.
    pub ledger: UserLedger,
}

impl VoteProgress {
    /// So far.
    pub fn summary(&self) -> VoteSummary {
        let votes = lock(&self.0);
        let largest = votes.ledger.users.iter().max_by_key(|user| user.wire_up + user.correction_down);
        VoteSummary { matches_plain: votes.rounds > 0 && votes.mismatches == 0, ledger: largest.copied().unwrap_or_default() }
    }
}

/// Nothing here panics while it holds a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets nothing out but the result of a vote.
pub(crate) struct SecureVote {
    session: Simulation,
    ballots: Ballots,
    progress: VoteProgress,
}

impl Stateful for SecureVote {
    fn save(&self) -> Vec<u8> {
        encode(&*lock(&self.progress.0))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        *lock(&self.progress.0) = decode("the secure vote", state)?;
        Ok(())
    }
}

impl Guard<f32> for SecureVote {
    fn admit(&mut self, participation: &Participation, steps: u64) -> Result<()> {
        let refused = |reason: &str| Error::Refused { guard: "the secure vote".into(), reason: reason.into() };
        if *participation != Participation::Everyone {
            return Err(refused("every user votes in every step"));
        }
        if steps > u64::from(u32::MAX) {
            return Err(refused("there are at most 2^32 rounds in a session"));
        }
        Ok(())
    }

    /// Losses of single users are theirs.
    fn disclosure(&self) -> Disclosure {
        Disclosure::ReleasedOnly
    }

    fn weigh(&self, _: &mut dyn Contributions<f32>) -> Result<Weights> {
        Ok(Weights::One)
    }

    fn release(&mut self, step: u64, _: usize, sum: &mut [f32], record: &mut Record) -> Result<()> {
        let voting = |error: thalweg_vote::Error| Error::piece(format!("the vote of step {step}"), error);
        let ballots: Option<Vec<Vec<i8>>> = lock(&self.ballots).iter_mut().map(Option::take).collect();
        let ballots = ballots.ok_or_else(|| Error::piece(format!("the vote of step {step}"), "a user has not voted"))?;
        let round = step as u32;
        self.session.skip_to(round);
        let report = self.session.round(&ballots).map_err(voting)?;
        let no_result = || Error::piece(format!("the vote of step {step}"), "it has no result");
        let outcome = report.outcome.ok_or_else(no_result)?;
        let expected = self.session.expected(&ballots, &outcome, &self.session.given_beacon(round)).map_err(voting)?.votes();
        let votes = outcome.tally.votes();
        let mismatches = votes.iter().zip(&expected).filter(|(vote, expected)| vote != expected).count();
        for (sum, vote) in sum.iter_mut().zip(&votes) {
            *sum = f32::from(*vote);
        }
        record.put("vote.ties", votes.iter().filter(|&&vote| vote == 0).count() as f64 / votes.len().max(1) as f64);
        record.put("vote.mismatches", mismatches as f64);
        let mut progress = lock(&self.progress.0);
        progress.rounds += 1;
        progress.mismatches += mismatches as u64;
        progress.ledger += report.ledger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn impossible_votes_name_field_and_value() {
        let refused = |config: VoteConfig, part: &str| {
            let error = config.settings(100).unwrap_err();
            assert!(error.is_input() && error.to_string().contains(part), "{error}");
        };
        refused(VoteConfig { users: 1, ..VoteConfig::default() }, "number of users is 1");
        refused(VoteConfig { users: 251, ..VoteConfig::default() }, "251");
        refused(VoteConfig { users: 300, group: 3, ..VoteConfig::default() }, "vote.users = 300");
        refused(VoteConfig { group: 30, ..VoteConfig::default() }, "vote.group = 30");
        refused(VoteConfig { mode: Protocol::Sealed, ..VoteConfig::default() }, "sealed");
        assert!(VoteConfig::default().settings(0).is_err());
    }
}
