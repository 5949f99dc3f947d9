//! The tour: training with and without privacy and by secure votes, small, on embedded real data, and theory over a descent.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use thalweg_descent::store::{Controls, RunStore};
use thalweg_descent::{Error, Record, Result, Schedule};
use thalweg_dynamics::icl::Experiment;
use thalweg_dynamics::icl::experiment::Outcome;

use crate::compose::{Command, Job, NetworkChoice, PLAIN, Summary, TrainingConfig, VoteConfig};
use crate::study::{Laboratory, STUDY, StudyFile};

/// The seeds of a tour that starts at `seed`.
const SEEDS: u64 = 8;

/// The arms of the tour, in the order in which they are shown.
pub const ARMS: [(&str, &str); 4] = [
    ("none", "no privacy"),
    ("identity", "DP-SGD: fresh noise each step"),
    ("prefix-root", "correlated noise for a constant rate"),
    ("lr-root", "correlated noise for the schedule at hand"),
];

/// The run of the vote, in the tour's folder.
pub const VOTE: &str = "vote";

/// The users who vote.
pub const VOTERS: usize = 9;

/// The variances of the inputs of the transformer that learns in context, one a mode.
pub const VARIANCES: [f64; 4] = [2.0, 1.0, 0.5, 0.25];

/// The guarantee that the private arms share.
pub const EPSILON: f64 = 4.0;

/// The tour's cells in a folder of the store; begun before, it goes on.
///
/// The noise comes from the tour's seed, so that two tours with one seed show the same figures; its runs are not private.
///
/// # Errors
/// When the folder holds another tour, or cannot be written.
pub fn laboratory(seed: u64, folder: &Path) -> Result<Laboratory> {
    let text = study_text(seed);
    let begun = std::fs::read_to_string(folder.join(STUDY)).unwrap_or_else(|_| text.clone());
    if begun != text {
        return Err(Error::input(format!(
            "{} holds a tour of another seed or another version of Thalweg; remove it, or give another folder with --out",
            folder.display()
        )));
    }
    Laboratory::open(StudyFile::parse(&text, "the tour")?, &text, folder)
}

/// Lets users who hold the digits train by secure votes, beside the tour's cells; begun before, it goes on.
///
/// # Errors
/// Those of the run; when the folder holds the vote of another version of Thalweg.
pub fn vote(laboratory: &Laboratory, stop: &AtomicBool) -> Result<Summary> {
    let config = vote_config(laboratory).to_toml()?;
    let run = RunStore::at(laboratory.folder()).open_or_create(VOTE, &config)?;
    let job = Job::from_config(&config, "the tour's vote")?;
    let mut ignore = |_: &Record| {};
    job.drive(&run, &mut Controls { checkpoints: job.config().record.checkpoints(), stop, progress: &mut ignore })
}

/// The configuration of the vote; its seed is the first of the tour's.
pub(crate) fn vote_config(laboratory: &Laboratory) -> TrainingConfig {
    let mut config = TrainingConfig { command: Command::VoteTrain, ..TrainingConfig::default() };
    config.network = NetworkChoice::Mlp { hidden: vec![32] };
    config.training.batch = 16;
    config.training.rate = 0.008;
    config.training.schedule = Schedule::Exponential { end: 0.25 };
    config.training.seed = laboratory.study().seeds.first().copied().unwrap_or_default();
    config.privacy.mechanism = PLAIN.to_owned();
    config.record.evaluate_every = 10;
    config.vote = Some(VoteConfig { users: VOTERS, rounds: 100, ..VoteConfig::default() });
    config
}

/// Follows a linear transformer that learns in context, by two theories and by descent.
///
/// # Errors
/// When the flow cannot be followed.
pub fn in_context(seed: u64) -> Result<Outcome> {
    let experiment = Experiment {
        variances: VARIANCES.to_vec(),
        contexts: 32,
        start: 1e-3,
        rate_times_tasks: 0.02,
        steps: 6000,
        batch_per_task: 8,
        record_every: 60,
        runs: 8,
        seed,
        tolerance: 1e-11,
    };
    Ok(experiment.run()?)
}

/// The tour as a study: a comparison over seeds, with far too few of them for a verdict.
fn study_text(seed: u64) -> String {
    let seeds: Vec<String> = (0..SEEDS).map(|i| (seed.wrapping_mul(SEEDS) % (1 << 40) + i).to_string()).collect();
    let settings: String = ARMS
        .iter()
        .map(|(mechanism, _)| {
            format!("[[setting]]\nname = \"{mechanism}\"\nchange = {{ \"privacy.mechanism\" = \"{mechanism}\" }}\n")
        })
        .collect();
    format!(
        r#"name = "tour"
title = "A tour of Thalweg"
source = "arXiv 2511.17994"
seeds = [{seeds}]

[rule]
quantity = "test.accuracy"
confidence = 0.95
least_seeds = 10

[[claim]]
says = "Correlated noise trains better than fresh noise at the same epsilon."
better = "lr-root"
than = "identity"

[base.training]
epochs = 20
batch = 64
rate = 1.0
schedule = "exponential:0.1"

[base.privacy]
epsilon = {EPSILON:?}

[base.record]
log_every = 44
evaluate_every = 22

{settings}"#,
        seeds = seeds.join(", ")
    )
}
