//! The configuration of a training run, complete after defaults: `config.toml`.

mod network;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thalweg_descent::store::CheckpointEvery;
use thalweg_descent::{Error, Result, Schedule};
use thalweg_nn::Augmentation;
use thalweg_private::{NoiseKind, Objective};

use crate::compose::{DataConfig, ProbeConfig, Task, VoteConfig};
pub use network::{Form, NetworkChoice};

/// The mechanism's name for training without a guarantee.
pub const PLAIN: &str = "none";

/// Which command a configuration is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// `thalweg private train`.
    #[default]
    #[serde(rename = "private train")]
    PrivateTrain,
    /// `thalweg vote train`.
    #[serde(rename = "vote train")]
    VoteTrain,
    /// `thalweg dynamics grok`.
    #[serde(rename = "dynamics grok")]
    DynamicsGrok,
    /// `thalweg dynamics in-context`.
    #[serde(rename = "dynamics in-context")]
    DynamicsInContext,
}

/// A training run: data, network, loop, privacy, what is recorded, and the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Which command reads it.
    pub command: Command,
    /// The examples.
    pub data: DataConfig,
    /// Examples that are made up, in place of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The network.
    pub network: NetworkChoice,
    /// The loop.
    pub training: TrainingLoop,
    /// The guarantee.
    pub privacy: PrivacyConfig,
    /// The vote of users who hold the data, where there is one; the steps are then its rounds, and a batch is a user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vote: Option<VoteConfig>,
    /// What is recorded, and how often.
    pub record: RecordConfig,
    /// What is watched beside.
    #[serde(skip_serializing_if = "ProbeConfig::is_default")]
    pub probe: ProbeConfig,
    /// Where it runs.
    pub machine: MachineConfig,
}

/// How batches are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// One random order for all epochs: each example's steps are a fixed distance apart. Every mechanism covers it.
    #[default]
    FixedOrder,
    /// Each example in each step by a coin of its own; amplifies the privacy of DP-SGD.
    Poisson,
    /// Groups take turns, and each member of the group by a coin of its own; amplifies the privacy of mechanisms whose C has at most
    /// as many bands as there are groups.
    Cyclic,
    /// Each example in one step of an epoch, drawn once; amplifies the privacy of every mechanism, by drawn privacy losses.
    BallsInBins,
    /// Each example by a coin of its own once it has waited so many steps as the separation says; amplifies the privacy of
    /// mechanisms whose C has at most that many bands, by drawn privacy losses.
    BMinSep,
    /// A new order each epoch; plain training only.
    Shuffled,
}

/// How the parameters move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimiser {
    /// SGD, with momentum and weight decay where given.
    #[default]
    Sgd,
    /// AdamW.
    Adamw,
}

/// The loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingLoop {
    /// Passes over the data; the steps are `epochs * (examples / batch)`, rounded down to whole batches.
    pub epochs: u64,
    /// So many steps, in place of epochs; without privacy only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Examples a step; the expected number under Poisson sampling.
    pub batch: usize,
    /// How batches are drawn.
    pub sampling: Sampling,
    /// The groups of cyclic sampling; as many as the mechanism has bands where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// The least distance of two steps of one example under b-min-sep sampling; as many as the mechanism has bands where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separation: Option<usize>,
    /// At most so many examples are differentiated at once; bounds the memory, and gives several threads their shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// The learning rate at ratio 1.
    pub rate: f64,
    /// Its course, such as `exponential:0.1`.
    pub schedule: Schedule,
    /// How the parameters move.
    pub optimiser: Optimiser,
    /// Of SGD.
    pub momentum: f64,
    /// Decoupled.
    pub weight_decay: f64,
    /// The decay of AdamW's mean of squares; 0.999 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Random views of each image whose mean gradient is the example's: augmentation multiplicity.
    pub views: usize,
    /// How a view is drawn.
    pub augmentation: Augmentation,
    /// The decay of a moving average of the parameters, kept and evaluated beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Governs initial weights, views and batch order, never privacy noise.
    pub seed: u64,
}

impl Default for TrainingLoop {
    fn default() -> Self {
        Self {
            epochs: 10,
            steps: None,
            batch: 64,
            sampling: Sampling::default(),
            groups: None,
            separation: None,
            micro_batch: None,
            rate: 1.0,
            schedule: Schedule::Exponential { end: 0.1 },
            optimiser: Optimiser::default(),
            momentum: 0.0,
            weight_decay: 0.0,
            beta2: None,
            views: 1,
            augmentation: Augmentation::default(),
            ema: None,
            seed: 1,
        }
    }
}

/// The guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacyConfig {
    /// The bound epsilon, above 0.
    pub epsilon: f64,
    /// The bound delta, in (0, 1).
    pub delta: f64,
    /// The noise, by its name (`thalweg private train --help` lists them); `none` for plain training without a guarantee.
    pub mechanism: String,
    /// The bandwidth, for the mechanisms that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bands: Option<usize>,
    /// What tuned and optimised mechanisms minimise: `mean` or `max`.
    pub objective: Objective,
    /// A strategy that `thalweg private plan --save` wrote, in place of the mechanism; it must be made for this very run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PathBuf>,
    /// In which arithmetic noise is drawn and added: `gaussian`, or `discrete` on a grid, for identity alone.
    #[serde(skip_serializing_if = "is_gaussian")]
    pub noise: NoiseKind,
    /// The largest norm of one example's gradient.
    pub clip: f64,
    /// Another rule in its place: `per-block:NORM`, `automatic:GAMMA` or `global:NORM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<String>,
    /// Makes the noise repeatable; the run is then not private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_seed: Option<u64>,
}

fn is_gaussian(noise: &NoiseKind) -> bool {
    *noise == NoiseKind::Gaussian
}

impl Default for PrivacyConfig {
    fn default() -> Self {
        Self {
            epsilon: 8.0,
            delta: 1e-5,
            mechanism: "lr-root".to_owned(),
            bands: None,
            objective: Objective::Mean,
            strategy: None,
            noise: NoiseKind::Gaussian,
            clip: 1.0,
            clipping: None,
            insecure_seed: None,
        }
    }
}

/// What is recorded, and how often. Steps are counted from 1 here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// Norms, and the batch loss where the guard shows it, after every so many steps.
    pub log_every: u64,
    /// Loss and accuracy on the test examples after every so many steps.
    pub evaluate_every: u64,
    /// A checkpoint after every so many steps; once a second where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<NonZeroU64>,
}

impl RecordConfig {
    /// When the run store is to write checkpoints.
    pub fn checkpoints(&self) -> CheckpointEvery {
        self.checkpoint_every.map_or_else(CheckpointEvery::default, CheckpointEvery::Steps)
    }
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self { log_every: 10, evaluate_every: 50, checkpoint_every: None }
    }
}

/// Where the run runs. The same seed gives the same result on the same kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MachineConfig {
    /// `cpu`, or `vulkan` in a build with that feature.
    pub device: String,
    /// Threads that differentiate shards; the result does not depend on them.
    pub threads: usize,
}

impl Default for MachineConfig {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), threads: 1 }
    }
}

impl TrainingConfig {
    /// Reads a configuration; `source` names it in errors.
    ///
    /// # Errors
    /// [`Error::Input`] with line, key and what would be right.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::input(format!("{source}: {}", error.to_string().trim_end())))
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Input`] when it cannot be read or is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// What is guaranteed; `None` for plain training.
    pub fn guarantee(&self) -> Option<&PrivacyConfig> {
        (self.privacy.mechanism != PLAIN).then_some(&self.privacy)
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// [`Error::Input`] when a number is larger than TOML has.
    pub fn to_toml(&self) -> Result<String> {
        let unwritten = |error| Error::input(format!("the configuration cannot be written as TOML: {error}"));
        if self.task.is_none() {
            return toml::to_string(self).map_err(unwritten);
        }
        // A task stands in place of data.
        let mut table = toml::Table::try_from(self).map_err(unwritten)?;
        table.remove("data");
        toml::to_string(&table).map_err(unwritten)
    }

    /// Checks what does not depend on the data.
    ///
    /// # Errors
    /// [`Error::Input`] naming field and value.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("training.epochs", self.training.epochs),
            ("training.steps", self.training.steps.unwrap_or(1)),
            ("record.log_every", self.record.log_every),
            ("record.evaluate_every", self.record.evaluate_every),
            ("machine.threads", self.machine.threads as u64),
            ("training.micro_batch", self.training.micro_batch.unwrap_or(1) as u64),
            ("training.views", self.training.views as u64),
            ("data.vocabulary", self.data.vocabulary as u64),
            ("data.words", self.data.words as u64),
        ];
        if let Some((field, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(Error::input(format!("{field} = 0; it must be at least 1")));
        }
        let training = &self.training;
        if !(training.rate > 0.0 && training.rate.is_finite()) {
            return Err(Error::input(format!("training.rate = {}; it must be a number above 0", training.rate)));
        }
        if training.beta2.is_some() && training.optimiser != Optimiser::Adamw {
            return Err(Error::input("training.beta2 means nothing without training.optimiser = \"adamw\"; leave it out"));
        }
        if let Some(task) = &self.task {
            task.validate(self)?;
        }
        self.probe.validate(self)?;
        training.augmentation.check()?;
        if let Some(vote) = &self.vote {
            self.validate_vote(vote)?;
        }
        if let Some(privacy) = self.guarantee() {
            privacy.validate()?;
            if training.steps.is_some() {
                return Err(Error::input("training.steps: private training counts whole epochs; give training.epochs"));
            }
            if training.sampling == Sampling::Shuffled {
                return Err(Error::input(
                    "training.sampling = \"shuffled\" has no privacy accounting; choose \"fixed-order\", \"poisson\", \"cyclic\", \
                     \"balls-in-bins\" or \"b-min-sep\", or train without privacy (--mechanism none)",
                ));
            }
        }
        Ok(())
    }
}

impl TrainingConfig {
    /// Checks that nothing is asked for that a vote has no use for.
    fn validate_vote(&self, vote: &VoteConfig) -> Result<()> {
        if vote.rounds == 0 {
            return Err(Error::input("vote.rounds = 0; it must be at least 1"));
        }
        if self.guarantee().is_some() {
            return Err(Error::input(
                "privacy.mechanism: a vote has no accountant, so there is no guarantee to give; choose \"none\"",
            ));
        }
        if self.training.optimiser != Optimiser::Sgd {
            return Err(Error::input("training.optimiser: a vote moves all parameters by the rate; choose \"sgd\""));
        }
        if self.training.micro_batch.is_some() {
            return Err(Error::input("training.micro_batch: a user's batch is one shard of a vote; leave it out"));
        }
        Ok(())
    }
}

/// Clip norms whose noise is far from the ends of what 32-bit numbers can hold.
const CLIP: (f64, f64) = (1e-12, 1e12);

impl PrivacyConfig {
    fn validate(&self) -> Result<()> {
        for (field, value) in [("privacy.epsilon", self.epsilon), ("privacy.clip", self.clip)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::input(format!("{field} = {value}; it must be a number above 0")));
            }
        }
        if !(CLIP.0..=CLIP.1).contains(&self.clip) {
            return Err(Error::input(format!(
                "privacy.clip = {:e}; it must be from {:e} to {:e}, where 32-bit gradients and noise keep their precision",
                self.clip, CLIP.0, CLIP.1
            )));
        }
        if !(self.delta > 0.0 && self.delta < 1.0) {
            return Err(Error::input(format!("privacy.delta = {}; it must be above 0 and below 1, such as 1e-5", self.delta)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_survive_their_file() {
        let config = TrainingConfig::default();
        assert_eq!(TrainingConfig::parse(&config.to_toml().unwrap(), "config.toml").unwrap(), config);
        assert!(config.guarantee().is_some(), "training is private unless it is asked not to be");
        let task = TrainingConfig { task: Some(Task::default()), ..config };
        let text = task.to_toml().unwrap();
        assert!(!text.contains("digits"), "{text}");
        assert_eq!(TrainingConfig::parse(&text, "config.toml").unwrap(), task);
        let plain = TrainingConfig::parse("[privacy]\nmechanism = \"none\"\n", "my.toml").unwrap();
        assert!(plain.guarantee().is_none());
    }

    #[track_caller]
    fn refused(text: &str, parts: &[&str]) {
        let error = TrainingConfig::parse(text, "my.toml").and_then(|config| config.validate()).unwrap_err();
        assert!(error.is_input());
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn bad_values_name_file_line_field_and_value() {
        refused("[training]\nrat = 1\n", &["my.toml", "line 2", "rat"]);
        refused("[training]\nrate = \"fast\"\n", &["my.toml", "line 2", "fast"]);
        refused("[training]\nrate = -1.0\n", &["training.rate", "-1"]);
        refused("[training]\nrate = nan\n", &["training.rate", "NaN"]);
        refused("[privacy]\nepsilon = 0.0\n", &["privacy.epsilon", "0"]);
        refused("[privacy]\ndelta = 1.0\n", &["privacy.delta"]);
        refused("[training]\nschedule = \"exponential:2\"\n", &["my.toml", "line 2", "end ratio is 2"]);
        refused("[training]\nsampling = \"shuffled\"\n", &["fixed-order", "b-min-sep"]);
        refused("[training.augmentation]\nrotation = 181.0\n", &["rotation", "181", "180"]);
        refused("[training.augmentation]\ntranslation = -0.1\n", &["translation", "-0.1"]);
        refused("[training.augmentation]\nerasing = nan\n", &["erasing", "NaN"]);
        refused("[privacy]\nnoise = \"uniform\"\n", &["my.toml", "line 2", "uniform", "discrete"]);
        refused("[record]\nlog_every = 0\n", &["record.log_every"]);
        refused("[network]\nkind = \"rnn\"\n", &["my.toml", "rnn", "mlp"]);
    }
}
