//! Who stops in a simulation, and when.

use std::str::FromStr;

use rand::RngExt;
use thalweg::descent::Seed;
use thalweg::vote::simulate::{Faults, Loss};
use thalweg::vote::wire::Party;

/// A party that stops after a number of messages: `3@1`, `aggregator@0`, `dealer@5`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop(Loss);

impl FromStr for Stop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not WHO@MESSAGES, as 3@1 (user 3 sends 1 message and stops) or dealer@0");
        let (who, after) = text.split_once('@').ok_or_else(wrong)?;
        let party = match who {
            "aggregator" => Party::Aggregator,
            "dealer" => Party::Dealer,
            user => Party::User(user.parse().map_err(|_| wrong())?),
        };
        Ok(Self(Loss { party, after: after.parse().map_err(|_| wrong())? }))
    }
}

impl Stop {
    /// The user, unless it is another party.
    pub(super) const fn user(self) -> Option<u16> {
        match self.0.party {
            Party::User(user) => Some(user),
            _ => None,
        }
    }
}

/// The losses of a round: those of the script, and each user with a probability, before or between its messages.
pub(super) fn losses(script: &[Stop], rate: f64, users: usize, messages: usize, round: u64, seed: Seed) -> Faults {
    let mut rng = seed.stream("vote.losses").at(round);
    let mut losses: Vec<Loss> = script.iter().map(|stop| stop.0).collect();
    for user in 0..users as u16 {
        let (lost, after) = (rng.random::<f64>() < rate, rng.random_range(0..=messages));
        if lost {
            losses.push(Loss { party: Party::User(user), after });
        }
    }
    Faults::losses(losses)
}
