//! The guard: what leaves the users is the result of their vote alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Contributions, Disclosure, Error, Guard, Participation, Record, Result, Stateful, Weights};
use thalweg_vote::ledger::{Ledger, UserLedger};
use thalweg_vote::simulate::PlainVote;
use thalweg_vote::{Mode, Settings, Simulation, SimulationConfig};

use super::users::Ballots;

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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets nothing out but the result of a vote.
pub(crate) struct Vote {
    session: Session,
    ballots: Ballots,
    progress: VoteProgress,
}

enum Session {
    Secure(Box<Simulation>),
    Plain(PlainVote),
}

/// What came of a round.
struct Round {
    votes: Vec<i8>,
    /// What the plain vote is.
    expected: Vec<i8>,
    ledger: Ledger,
}

impl Vote {
    /// All users are in this process, so nothing is hidden from anyone; repeatable randomness lets a run be resumed to the bit.
    pub(super) fn new(
        mode: Mode,
        settings: Settings,
        users: usize,
        seed: u64,
        (ballots, progress): (Ballots, VoteProgress),
    ) -> Result<Self> {
        let refused = |error| Error::input(format!("vote: {error}"));
        let session = match mode {
            Mode::Plain => Session::Plain(PlainVote::new(settings, users, Some(seed)).map_err(refused)?),
            Mode::Secure(_) => {
                let config = SimulationConfig { insecure_seed: Some(seed), ..SimulationConfig::new(settings, users) };
                Session::Secure(Box::new(Simulation::new(config).map_err(refused)?))
            }
        };
        Ok(Self { session, ballots, progress })
    }
}

impl Session {
    /// A round, and what must come of it.
    fn vote(&mut self, round: u32, ballots: &[Vec<i8>]) -> thalweg_vote::Result<Option<Round>> {
        match self {
            Self::Secure(session) => {
                session.skip_to(round);
                let report = session.round(ballots)?;
                let Some(outcome) = report.outcome else { return Ok(None) };
                let expected = session.expected(ballots, &outcome, &session.given_beacon(round))?.votes();
                Ok(Some(Round { votes: outcome.tally.votes(), expected, ledger: report.ledger }))
            }
            Self::Plain(session) => {
                session.skip_to(round);
                let expected = session.expected(round, ballots)?.votes();
                let result = session.round(ballots)?;
                Ok(Some(Round { votes: result.tally.votes(), expected, ledger: result.ledger }))
            }
        }
    }
}

impl Stateful for Vote {
    fn save(&self) -> Vec<u8> {
        encode(&*lock(&self.progress.0))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        *lock(&self.progress.0) = decode("the secure vote", state)?;
        Ok(())
    }
}

impl Guard<f32> for Vote {
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
        let no_result = || Error::piece(format!("the vote of step {step}"), "it has no result");
        let Round { votes, expected, ledger } =
            self.session.vote(step as u32, &ballots).map_err(voting)?.ok_or_else(no_result)?;
        let mismatches = votes.iter().zip(&expected).filter(|(vote, expected)| vote != expected).count();
        for (sum, vote) in sum.iter_mut().zip(&votes) {
            *sum = f32::from(*vote);
        }
        record.put("vote.ties", votes.iter().filter(|&&vote| vote == 0).count() as f64 / votes.len().max(1) as f64);
        record.put("vote.mismatches", mismatches as f64);
        let mut progress = lock(&self.progress.0);
        progress.rounds += 1;
        progress.mismatches += mismatches as u64;
        progress.ledger += ledger;
        Ok(())
    }
}
