//! The rounds of a simulation, each held against the plain vote.

use rand::RngExt;
use thalweg::descent::{Result, Seed};
use thalweg::vote::ledger::Ledger;
use thalweg::vote::simulate::{Faults, PlainVote, RoundReport, SentFrame};
use thalweg::vote::{Domain, Mode, Settings, Simulation, SimulationConfig, Switch, costs};

use super::Simulate;
use crate::cli::console::Console;
use crate::cli::vote::failed;
use crate::cli::vote::losses::losses;

/// What happened over all rounds.
#[derive(Default)]
pub(super) struct Course {
    pub(super) results: u32,
    pub(super) right: u32,
    pub(super) survivors: Option<Vec<u16>>,
    pub(super) aborts: Vec<(String, usize)>,
    pub(super) faults: Vec<(String, usize)>,
    pub(super) ledger: Ledger,
    pub(super) frames: Vec<SentFrame>,
}

impl Simulate {
    pub(super) fn vote(&self, settings: &Settings, seed: Seed, console: &Console) -> Result<Course> {
        match self.agreed.mode() {
            Mode::Plain => self.vote_plainly(settings, seed, console),
            Mode::Secure(_) => self.vote_securely(settings, seed, console),
        }
    }

    fn vote_plainly(&self, settings: &Settings, seed: Seed, console: &Console) -> Result<Course> {
        let mut session = PlainVote::new(settings.clone(), self.users, Some(seed.0)).map_err(failed)?;
        let mut course = Course { survivors: Some((0..self.users as u16).collect()), ..Course::default() };
        let progress = console.progress(self.rounds.into());
        for round in 0..self.rounds {
            let votes = random_votes(self.users, self.dim, settings.domain, round, seed);
            let result = session.round(&votes).map_err(failed)?;
            course.results += 1;
            course.right += u32::from(result.tally == session.expected(round, &votes).map_err(failed)?);
            course.ledger += result.ledger;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(course)
    }

    fn vote_securely(&self, settings: &Settings, seed: Seed, console: &Console) -> Result<Course> {
        let mut config = SimulationConfig::new(settings.clone(), self.users);
        config.insecure_seed = Some(seed.0);
        config.restart = if self.no_restart { Switch::Off } else { Switch::On };
        let mut session = Simulation::new(config).map_err(failed)?;
        let mut course = Course::default();
        let progress = console.progress(self.rounds.into());
        for round in 0..self.rounds {
            if self.frames.is_some() && round + 1 == self.rounds {
                session.keep_frames(Switch::On);
            }
            let votes = random_votes(self.users, self.dim, settings.domain, round, seed);
            let faults = self.faults(settings, round, seed)?;
            let report = session.round_with(&votes, faults).map_err(failed)?;
            course.count(&session, &votes, round, report)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(course)
    }

    fn faults(&self, settings: &Settings, round: u32, seed: Seed) -> Result<Faults> {
        let largest = settings.group_sizes(self.users).first().copied().unwrap_or(self.users);
        let messages = costs::upload(settings, self.users, largest).map_err(failed)?.frames as usize;
        if self.mishaps == 0 {
            return Ok(losses(&self.drop, self.drop_rate, self.users, messages, round.into(), seed));
        }
        // Each message up is answered by about one down.
        let seed = seed.stream("vote.mishaps").at(round.into()).random();
        Ok(Faults::random(seed, self.mishaps, 2 * messages * self.users, self.users as u16))
    }
}

impl Course {
    fn count(&mut self, session: &Simulation, votes: &[Vec<i8>], round: u32, report: RoundReport) -> Result<()> {
        for (_, reason) in &report.aborts {
            tally(&mut self.aborts, reason.to_string());
        }
        for (_, fault) in &report.faults {
            tally(&mut self.faults, fault.name());
        }
        self.ledger += report.ledger;
        self.frames = report.frames;
        let Some(outcome) = report.outcome else { return Ok(()) };
        let expected = session.expected(votes, &outcome, &session.given_beacon(round)).map_err(failed)?;
        let accepted = report.accepted.iter().flatten();
        self.results += 1;
        self.right += u32::from(outcome.tally == expected && accepted.into_iter().all(|tally| *tally == expected));
        self.survivors = Some(outcome.survivors);
        Ok(())
    }
}

fn tally(counts: &mut Vec<(String, usize)>, name: String) {
    match counts.iter_mut().find(|(other, _)| *other == name) {
        Some((_, count)) => *count += 1,
        None => counts.push((name, 1)),
    }
}

fn random_votes(users: usize, dim: u32, domain: Domain, round: u32, seed: Seed) -> Vec<Vec<i8>> {
    let values: &[i8] = match domain {
        Domain::Binary => &[-1, 1],
        Domain::Ternary => &[-1, 0, 1],
    };
    let mut rng = seed.stream("vote.signs").at(round.into());
    let mut sign = || values[rng.random_range(0..values.len())];
    (0..users).map(|_| (0..dim).map(|_| sign()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_votes_are_of_their_domain_and_repeat_with_their_seed() {
        let votes = random_votes(3, 50, Domain::Ternary, 2, Seed(4));
        assert_eq!(votes, random_votes(3, 50, Domain::Ternary, 2, Seed(4)));
        assert_ne!(votes, random_votes(3, 50, Domain::Ternary, 3, Seed(4)));
        assert!(votes.iter().flatten().any(|&vote| vote == 0));
        assert!(random_votes(3, 50, Domain::Binary, 0, Seed(1)).iter().flatten().all(|&vote| vote != 0));
    }
}
