//! The vote without secrecy, for comparison: every user sends its signs to the aggregator, which counts them.
//!
//! Its messages are frames of the wire format and are counted under the same names: signs as `open_up`, the result as `vote_down`.

use crate::grouping;
use crate::ledger::{Ledger, Outbox, UserLedger};
use crate::machine::{Action, FrameBytes, Tally};
use crate::scene::{Scene, with_bits};
use crate::signs;
use crate::wire::{Fault, Frame, FrameKind, Party, VoteCode, WHOLE_ROUND, read_mean, write_mean};
use crate::{Domain, Error, Outer, Result, Settings, plain};

use super::randomness::{PublicRandomness, Seeds};

/// Users who hide nothing from the aggregator. With the seed of a [`Simulation`](super::Simulation) it has its groups and coins.
///
/// ```
/// use thalweg_vote::{Settings, simulate::PlainVote};
///
/// let votes = vec![vec![1, -1, 1], vec![1, 1, -1], vec![-1, -1, -1], vec![1, -1, 1]];
/// let round = PlainVote::new(Settings::new(3), 4, None)?.round(&votes)?;
/// assert_eq!(round.tally.votes(), [1, -1, 0]);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
pub struct PlainVote {
    settings: Settings,
    users: u16,
    public: PublicRandomness,
    round: u32,
}

/// How a round went.
#[derive(Debug)]
pub struct PlainRound {
    /// The result, as a user read it.
    pub tally: Tally,
    /// Bytes.
    pub ledger: Ledger,
}

impl PlainVote {
    /// A session; what the settings say of secrets is of no account. With a number, groups and coins repeat.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn new(settings: Settings, users: usize, seed: Option<u64>) -> Result<Self> {
        settings.check(users)?;
        let public = Seeds::new(seed)?.public(settings.regroup)?;
        Ok(Self { settings, users: users as u16, public, round: 0 })
    }

    /// The round that comes next, of those to come.
    pub const fn skip_to(&mut self, round: u32) {
        if round > self.round {
            self.round = round;
        }
    }

    /// A round.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Vote`] if the votes do not fit the settings.
    pub fn round(&mut self, votes: &[Vec<i8>]) -> Result<PlainRound> {
        if votes.len() != usize::from(self.users) {
            return Err(Error::value("the number of users who vote", votes.len(), &self.users.to_string()));
        }
        let round = self.round;
        self.round += 1;
        let mut ups: Vec<Outbox> = vec![Outbox::default(); votes.len()];
        let mut read = Vec::with_capacity(votes.len());
        for ((user, votes), up) in (0..).zip(votes).zip(&mut ups) {
            signs::check(votes, self.settings.domain)?;
            if votes.len() != self.settings.coordinates as usize {
                return Err(Error::value("the number of votes", votes.len(), &self.settings.coordinates.to_string()));
            }
            let frames = self.frames(round, Party::User(user), FrameKind::SignFlags, self.code(), votes);
            read.push(self.read(send(up, Party::Aggregator, frames), self.code())?);
        }
        let tally = self.expected(round, &read)?;
        let mut down = Outbox::default();
        let frames = self.result_frames(round, &tally);
        for user in 0..self.users {
            send(&mut down, Party::User(user), frames.iter().cloned());
        }
        let users = (0..).zip(&ups).map(|(user, up)| UserLedger::new(up.total(), down.to(Party::User(user)))).collect();
        let ledger = Ledger { users, aggregator: down.total(), dealer: Default::default() };
        Ok(PlainRound { tally: self.read_result(frames)?, ledger })
    }

    /// How a user's votes become bits.
    fn code(&self) -> VoteCode {
        VoteCode::new(self.settings.domain == Domain::Ternary)
    }

    fn result_code(&self) -> VoteCode {
        VoteCode::new(self.settings.reveals_ties(self.users.into()))
    }

    /// What the votes of a round come to.
    ///
    /// # Errors
    /// [`Error::Value`] if the votes do not fit.
    pub fn expected(&self, round: u32, votes: &[Vec<i8>]) -> Result<Tally> {
        let (settings, session, beacon) = (&self.settings, self.public.session, self.public.beacon(round));
        let coins = beacon.coins(session, round, settings.coordinates as usize);
        let groups = settings.group_sizes(votes.len()).len();
        if groups == 1 {
            return Ok(Tally::Vote(plain::flat(votes.iter().map(Vec::as_slice), settings.ties.inner, &coins)?));
        }
        let groups = grouping::draw(&beacon, session, settings.regroup.drawn_in(round), votes.len(), groups)?;
        Ok(Tally::of_groups(plain::two_level(votes, &groups, settings.ties, &coins)?, settings.outer))
    }

    fn frames(&self, round: u32, sender: Party, kind: FrameKind, code: VoteCode, votes: &[i8]) -> Vec<FrameBytes> {
        let scene = Scene { round, ..Scene::new(self.public.session, &self.settings, sender) };
        let frame = |chunk: usize| {
            let range = self.settings.chunk_range(chunk);
            let header = with_bits(scene.chunk_header(kind, WHOLE_ROUND, 0, &range));
            header.frame(|bytes| code.write(&votes[range.clone()], bytes)).into()
        };
        (0..self.settings.chunks()).map(frame).collect()
    }

    fn result_frames(&self, round: u32, tally: &Tally) -> Vec<FrameBytes> {
        let (sums, groups) = match tally {
            Tally::Vote(votes) => return self.frames(round, Party::Aggregator, FrameKind::Vote, self.result_code(), votes),
            Tally::Mean { sums, groups } => (sums, *groups),
        };
        let scene = Scene { round, ..Scene::new(self.public.session, &self.settings, Party::Aggregator) };
        let frame = |chunk: usize| {
            let range = self.settings.chunk_range(chunk);
            let header = with_bits(scene.chunk_header(FrameKind::Mean, WHOLE_ROUND, 0, &range));
            header.frame(|bytes| write_mean(&sums[range.clone()], groups, bytes)).into()
        };
        (0..self.settings.chunks()).map(frame).collect()
    }

    fn read(&self, frames: Vec<FrameBytes>, code: VoteCode) -> Result<Vec<i8>> {
        let chunks: Result<Vec<Vec<i8>>, Fault> = frames.iter().map(|bytes| code.read(&Frame::parse(bytes)?)).collect();
        chunks.map(|chunks| chunks.concat()).map_err(own_frame)
    }

    fn read_result(&self, frames: Vec<FrameBytes>) -> Result<Tally> {
        if self.settings.outer == Outer::Vote || self.settings.group_size == 0 {
            return Ok(Tally::Vote(self.read(frames, self.result_code())?));
        }
        let (mut all, mut groups) = (Vec::new(), 0);
        for bytes in &frames {
            let (counted, sums) = Frame::parse(bytes).and_then(|frame| read_mean(&frame)).map_err(own_frame)?;
            groups = counted;
            all.extend(sums);
        }
        Ok(Tally::Mean { sums: all, groups })
    }
}

/// Counts frames as sent, and hands them on.
fn send(outbox: &mut Outbox, to: Party, frames: impl IntoIterator<Item = FrameBytes>) -> Vec<FrameBytes> {
    let sent = frames.into_iter().filter_map(|frame| match outbox.send(to, frame) {
        Action::Send { frame, .. } => Some(frame),
        _ => None,
    });
    sent.collect()
}

fn own_frame(fault: Fault) -> Error {
    Error::unsuitable("a frame of the plain vote", fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protocol, Simulation, SimulationConfig, Tie};

    fn votes(users: usize, coordinates: usize, values: &[i8]) -> Vec<Vec<i8>> {
        (0..users).map(|u| (0..coordinates).map(|c| values[(u * 31 + c * 17 + u * c) % values.len()]).collect()).collect()
    }

    #[test]
    fn it_is_the_secure_vote_of_the_same_seed() {
        for (group_size, tie, outer, domain) in [
            (0, Tie::Zero, Outer::Vote, Domain::Binary),
            (3, Tie::Zero, Outer::Vote, Domain::Binary),
            (4, Tie::Coin, Outer::Vote, Domain::Binary),
            (3, Tie::Zero, Outer::Mean, Domain::Binary),
            (3, Tie::Minus, Outer::Vote, Domain::Ternary),
        ] {
            let settings = Settings {
                protocol: Protocol::Lean,
                group_size,
                ties: plain::Ties { inner: tie, outer: tie },
                outer,
                domain,
                chunk: 50,
                ..Settings::new(120)
            };
            let mut config = SimulationConfig::new(settings.clone(), 12);
            config.insecure_seed = Some(5);
            let mut secure = Simulation::new(config).unwrap();
            let mut plain = PlainVote::new(settings, 12, Some(5)).unwrap();
            let votes = votes(12, 120, if domain == Domain::Binary { &[1, -1, -1, 1, 1] } else { &[1, 0, -1, 0, -1] });
            for _ in 0..3 {
                let [one, other] = [secure.round(&votes).unwrap().outcome.unwrap().tally, plain.round(&votes).unwrap().tally];
                assert_eq!(one, other, "{group_size} {tie:?} {outer:?} {domain:?}");
            }
        }
    }

    #[test]
    fn a_sign_takes_a_bit() {
        let mut plain = PlainVote::new(Settings::new(8_000), 24, None).unwrap();
        let user = plain.round(&votes(24, 8_000, &[1, -1])).unwrap().ledger.users[0];
        assert_eq!((user.open_up, user.wire_up, user.vote_down, user.frames), (1_000, 1_048, 2_000, 2));
        assert!(plain.round(&votes(23, 8_000, &[1])).is_err() && plain.round(&votes(24, 7, &[1])).is_err());
        assert!(plain.round(&votes(24, 8_000, &[0])).is_err());
    }
}
