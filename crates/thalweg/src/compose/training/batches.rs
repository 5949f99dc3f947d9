//! How many steps a run takes, and on which examples each.

use thalweg_descent::{Batches, Error, Result, Seed};
use thalweg_private::NoiseKey;

use super::Material;
use crate::compose::{Sampling, TrainingConfig};

/// More steps than this cannot be planned: the error of a mechanism takes the square of them.
pub const MOST_STEPS: u64 = 100_000;

/// Whole batches only, so that the noise is calibrated for exactly the steps that are taken.
pub(in crate::compose) fn steps(config: &TrainingConfig, material: &Material) -> Result<u64> {
    let examples = material.examples(config);
    if let Some(vote) = &config.vote {
        return if vote.rounds <= MOST_STEPS {
            Ok(vote.rounds)
        } else {
            Err(Error::input(format!("vote.rounds = {}; a run takes at most {MOST_STEPS} steps", vote.rounds)))
        };
    }
    let batch = config.training.batch;
    if !(1..=examples).contains(&batch) {
        return Err(Error::input(format!(
            "training.batch = {batch}, but there are {examples} training examples ({}); choose from 1 to {examples}",
            material.description()
        )));
    }
    if let Some(steps) = config.training.steps {
        return if steps <= MOST_STEPS {
            Ok(steps)
        } else {
            Err(Error::input(format!("training.steps = {steps}; a run takes at most {MOST_STEPS} steps")))
        };
    }
    let per_epoch = (examples / batch) as u64;
    match config.training.epochs.checked_mul(per_epoch) {
        Some(steps) if steps <= MOST_STEPS => Ok(steps),
        _ => Err(Error::input(format!(
            "training.epochs = {} with {per_epoch} steps each; a run takes at most {MOST_STEPS} steps, so at most {} epochs",
            config.training.epochs,
            MOST_STEPS / per_epoch
        ))),
    }
}

pub(in crate::compose) fn batches(config: &TrainingConfig, examples: usize, steps: u64, key: &NoiseKey) -> Result<Batches> {
    let training = &config.training;
    let size = training.batch as f64;
    let public = || Seed(training.seed).stream("batches");
    // Sampling amplifies privacy only while nobody knows who was sampled.
    let drawn = || match config.guarantee() {
        Some(_) => Seed(key.sampling_seed()).stream("batches"),
        None => public(),
    };
    for (field, given, sampling, name) in [
        ("groups", training.groups, Sampling::Cyclic, "cyclic"),
        ("separation", training.separation, Sampling::BMinSep, "b-min-sep"),
    ] {
        if given.is_some() && training.sampling != sampling {
            return Err(Error::input(format!(
                "training.{field} means nothing without training.sampling = {name:?}; leave it out"
            )));
        }
    }
    let batches = match training.sampling {
        Sampling::FixedOrder => Batches::fixed_order(examples, training.batch, steps, &public())?,
        Sampling::Shuffled => Batches::shuffled(examples, training.batch, steps, public())?,
        Sampling::Poisson => Batches::poisson(examples, size, drawn())?,
        Sampling::Cyclic => Batches::cyclic_poisson(examples, groups(config, examples)?, size, drawn())?,
        Sampling::BallsInBins => Batches::balls_in_bins(examples, examples / training.batch, &drawn())?,
        Sampling::BMinSep => Batches::b_min_sep(examples, separation(config, examples)?, size, drawn())?,
    };
    Ok(match training.micro_batch {
        Some(size) => batches.in_shards_of(size),
        None => batches,
    })
}

/// The bands of the mechanism; 1 without one.
fn bands(config: &TrainingConfig) -> usize {
    config.guarantee().map_or(1, |privacy| privacy.bands.unwrap_or(thalweg_private::plan::BANDS))
}

fn groups(config: &TrainingConfig, examples: usize) -> Result<usize> {
    let (groups, batch) = (config.training.groups.unwrap_or_else(|| bands(config)), config.training.batch);
    if groups.saturating_mul(batch) > examples {
        return Err(Error::input(format!(
            "training.batch = {batch}, but each of {groups} groups has {} examples; take smaller batches, or fewer groups and bands",
            examples / groups
        )));
    }
    Ok(groups)
}

fn separation(config: &TrainingConfig, examples: usize) -> Result<u64> {
    let (separation, batch) = (config.training.separation.unwrap_or_else(|| bands(config)), config.training.batch);
    if separation.saturating_mul(batch) > examples {
        return Err(Error::input(format!(
            "training.batch = {batch}, but of {examples} examples that wait {separation} steps only {} are free in a step; take smaller \
             batches, or a smaller separation and fewer bands",
            examples / separation
        )));
    }
    Ok(separation as u64)
}
