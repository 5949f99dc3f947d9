//! A run of the store and the descent that its configuration describes.

use std::time::Instant;

use serde::Serialize;
use thalweg_descent::store::{Controls, Outcome, Run, Status, read_events};
use thalweg_descent::{Error, Result};
use thalweg_private::{NoiseKey, PrivacyPlan};

use crate::compose::task::Outcome as TaskOutcome;
use crate::compose::{Learned, Milestones, ProbeName, Training, TrainingConfig, VoteProgress, VoteSummary};

/// The noise key of a private run, in its folder until the run is finished.
pub const KEY_FILE: &str = "secret.key";

/// What a run's configuration describes, checked and built.
pub struct Job {
    config: TrainingConfig,
}

/// What came of a run, for people and for `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The run's name.
    pub run: String,
    /// `finished` or `interrupted`.
    pub status: String,
    /// Steps taken.
    pub steps: u64,
    /// Of how many.
    pub steps_planned: u64,
    /// On the test examples, after the last step; `None` before the first evaluation.
    pub test_accuracy: Option<f64>,
    /// Likewise, the mean cross-entropy in nats.
    pub test_loss: Option<f64>,
    /// On the test examples, of the moving average of the parameters, where one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_test_accuracy: Option<f64>,
    /// The bound epsilon; `None` for plain training.
    pub epsilon: Option<f64>,
    /// The bound delta.
    pub delta: Option<f64>,
    /// The noise multiplier for the whole run.
    pub noise_multiplier: Option<f64>,
    /// What came of the votes, where users vote.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub vote: Option<VoteSummary>,
    /// When the examples were known, and when the rule, where addition is learned.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub milestones: Option<Milestones>,
    /// What was learned, where the run learns in context.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
    /// On the clock, since begun or last resumed.
    pub seconds: f64,
    /// All of the guarantee; `None` for plain training.
    pub privacy: Option<thalweg_private::PlanSummary>,
    /// Whether the guarantee is real and covers all that the run wrote: private, with a key that nobody can repeat, and without probes
    /// that read training examples.
    pub private: bool,
    /// Probes that read training examples of a private run: the guarantee covers the parameters, and not what these wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unaccounted_probes: Vec<ProbeName>,
}

impl Job {
    /// Checks a configuration; `source` names it in errors.
    ///
    /// # Errors
    /// [`Error::Input`] naming field and value.
    pub fn from_config(text: &str, source: &str) -> Result<Self> {
        let config = TrainingConfig::parse(text, source)?;
        config.validate()?;
        Ok(Self { config })
    }

    /// The configuration.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Builds the descent and forgets it, to find all that is wrong before a run is created; gives the steps of the whole run.
    ///
    /// # Errors
    /// [`Error::Input`] naming field and value; [`Error::Refused`] for pieces that must not be combined.
    pub fn check(&self) -> Result<u64> {
        let training = Training::prepare(&self.config, &NoiseKey::insecure(0))?;
        if let Some(warning) = training.warning(&self.config) {
            tracing::warn!("{warning}");
        }
        Ok(training.descent.rates().steps())
    }

    /// Takes the run to its end, or until it is stopped, and forgets the noise key once it is finished. A run that is finished stays
    /// as it is.
    ///
    /// # Errors
    /// Those of the pieces and the store; [`Error::Input`] when the key of a private run is gone.
    pub fn drive(&self, run: &Run, controls: &mut Controls<'_>) -> Result<Summary> {
        let begun = Instant::now();
        let Some(key) = resume_key(run, &self.config)? else { return self.summary_of_finished(run) };
        let mut training = Training::prepare(&self.config, &key)?;
        let outcome = run.drive(&mut training.descent, controls)?;
        if outcome == Outcome::Finished {
            training.write_average(run.folder())?;
            forget_key(run)?;
        }
        let evaluation = training.evaluate()?;
        let averaged = training.evaluate_average()?;
        let TaskOutcome { milestones, learned } = TaskOutcome::of(self.config.task.as_ref(), run.folder())?;
        let plan = training.privacy.as_ref().map(PrivacyPlan::summary);
        Ok(Summary {
            run: run.id().to_owned(),
            status: if outcome == Outcome::Finished { Status::Finished } else { Status::Interrupted }.to_string(),
            steps: training.descent.steps_taken(),
            steps_planned: training.descent.rates().steps(),
            test_accuracy: evaluation.accuracy,
            test_loss: Some(evaluation.loss),
            ema_test_accuracy: averaged.and_then(|averaged| averaged.accuracy),
            epsilon: plan.as_ref().map(|plan| plan.epsilon),
            delta: plan.as_ref().map(|plan| plan.delta),
            noise_multiplier: plan.as_ref().map(|plan| plan.noise_multiplier),
            vote: training.vote.as_ref().map(VoteProgress::summary),
            milestones,
            learned,
            seconds: begun.elapsed().as_secs_f64(),
            privacy: plan,
            private: self.is_private(),
            unaccounted_probes: self.unaccounted_probes(),
        })
    }

    /// What the log of a finished run says, whose key is gone and with it the way to its steps.
    fn summary_of_finished(&self, run: &Run) -> Result<Summary> {
        let training = Training::prepare(&self.config, &NoiseKey::insecure(0))?;
        let records = read_events(&run.folder().join("events.jsonl"))?;
        let last = |name: &str| records.iter().rev().find_map(|record| record.number(name));
        let steps = training.descent.rates().steps();
        let plan = training.privacy.as_ref().map(PrivacyPlan::summary);
        Ok(Summary {
            run: run.id().to_owned(),
            status: Status::Finished.to_string(),
            steps,
            steps_planned: steps,
            test_accuracy: last("test.accuracy"),
            test_loss: last("test.loss"),
            ema_test_accuracy: last("ema.accuracy"),
            epsilon: plan.as_ref().map(|plan| plan.epsilon),
            delta: plan.as_ref().map(|plan| plan.delta),
            noise_multiplier: plan.as_ref().map(|plan| plan.noise_multiplier),
            vote: None,
            milestones: None,
            learned: None,
            seconds: 0.0,
            privacy: plan,
            private: self.is_private(),
            unaccounted_probes: self.unaccounted_probes(),
        })
    }

    fn is_private(&self) -> bool {
        let real = self.config.guarantee().is_some_and(|privacy| privacy.insecure_seed.is_none());
        real && self.unaccounted_probes().is_empty()
    }

    fn unaccounted_probes(&self) -> Vec<ProbeName> {
        self.config.probe.unaccounted(&self.config)
    }
}

/// The noise key of a run: fresh before its first step, the same ever after, `None` when the run is finished and its key removed.
///
/// A step that was released must be replayed with the same noise, so without the key the run cannot go on.
///
/// # Errors
/// [`Error::Input`] when the run has begun and its key is gone; [`Error::Piece`] when there is no entropy or no place to keep it.
pub fn resume_key(run: &Run, config: &TrainingConfig) -> Result<Option<NoiseKey>> {
    // Plain training draws no noise: any key will do.
    let Some(privacy) = config.guarantee() else { return Ok(Some(NoiseKey::insecure(0))) };
    if let Some(seed) = privacy.insecure_seed {
        return Ok(Some(NoiseKey::insecure(seed)));
    }
    let path = run.folder().join(KEY_FILE);
    if path.exists() {
        return NoiseKey::read(&path).map(Some).map_err(|error| Error::piece(format!("resuming {}", run.id()), error));
    }
    if !run.has_begun() {
        let key = NoiseKey::generate()?;
        key.write(&path)?;
        return Ok(Some(key));
    }
    if run.is_finished()? {
        return Ok(None);
    }
    Err(Error::input(format!(
        "{} is gone, and with it the noise of the steps that {} has released; drawing new noise for them would break the guarantee, \
         so the run cannot be resumed: start a new one",
        path.display(),
        run.id()
    )))
}

fn forget_key(run: &Run) -> Result<()> {
    let path = run.folder().join(KEY_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::piece(format!("removing {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
