//! Federated training by secure sign votes: joins votes, networks and data.
//!
//! Each user holds a part of the training examples. In a step every user takes the signs of its own batch's gradient, the guard lets
//! all users vote on every sign over the real messages of the protocol, and the parameters move along the result:
//! `w <- w - rate * vote`. Everything runs in one process.

mod guard;
mod users;

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result, Seed};
use thalweg_nn::Classification;
use thalweg_vote::plain::Ties;
use thalweg_vote::{Mode, Regroup, Settings, Tie};

pub(crate) use guard::Vote;
pub use guard::{VoteProgress, VoteSummary};
use users::{Ballots, divide};
pub(crate) use users::{UserBatches, UserSigns};

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
    pub mode: Mode,
    /// The members of a group, about; 0 for one group of all.
    pub group: u16,
    /// When groups are drawn anew.
    pub regroup: Regroup,
    /// Users who vote the opposite of their gradient's signs: the first so many.
    pub flippers: usize,
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
            mode: Mode::default(),
            group: 0,
            regroup: Regroup::default(),
            flippers: 0,
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
        let settings = Settings {
            protocol: self.mode.protocol().unwrap_or_default(),
            group_size: self.group,
            regroup: self.regroup,
            ties,
            ..Settings::new(coordinates)
        };
        settings.check(self.users).map_err(|error| Error::input(format!("vote: {error}")))?;
        if self.users > 250 {
            return Err(Error::input(format!("vote.users = {}; it must be from 3 to 250", self.users)));
        }
        if self.regroup != Regroup::Every && settings.group_sizes(self.users).len() == 1 {
            return Err(Error::input(format!("vote.regroup = \"{}\": there is one group of all; set vote.group", self.regroup)));
        }
        if self.flippers > self.users {
            return Err(Error::input(format!("vote.flippers = {}, more than the {} users", self.flippers, self.users)));
        }
        Ok(settings)
    }

    /// What a person should be told before a run.
    ///
    /// # Errors
    /// As [`settings`](Self::settings).
    pub fn warnings(&self) -> Result<Vec<String>> {
        // A vote on one coordinate warns as one on many.
        Ok(self.mode.warnings(&self.settings(1)?, self.users))
    }
}

/// The seams that a vote fills.
pub(crate) struct Federated {
    pub(crate) choose: UserBatches,
    pub(crate) differentiate: UserSigns,
    pub(crate) guard: Vote,
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
        let ballots: Ballots = Arc::new(Mutex::new(vec![None; config.users]));
        let progress = VoteProgress::default();
        Ok(Self {
            choose: UserBatches { parts, size: batch, stream: Seed(seed).stream("federated batches") },
            differentiate: UserSigns {
                objective,
                owners,
                flippers: config.flippers,
                coins: Seed(seed).stream("federated coins"),
                ballots: ballots.clone(),
            },
            guard: Vote::new(config.mode, settings, config.users, seed, (ballots, progress.clone()))?,
            progress,
        })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_vote::Protocol;

    use super::*;

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
        refused(VoteConfig { mode: Mode::Secure(Protocol::Sealed), ..VoteConfig::default() }, "sealed");
        refused(VoteConfig { regroup: Regroup::Fixed, ..VoteConfig::default() }, "vote.regroup");
        refused(VoteConfig { flippers: 25, ..VoteConfig::default() }, "vote.flippers = 25");
        assert!(VoteConfig::default().settings(0).is_err());
    }
}
