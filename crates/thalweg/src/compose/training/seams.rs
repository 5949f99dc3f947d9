//! The seams of a run, and those that privacy and votes change.

use std::num::NonZeroUsize;
use std::sync::Arc;

use thalweg_descent::step::{AdamW, Sgd, Step};
use thalweg_descent::{Batch, Batches, Choose, Differentiate, Error, Guard, Mean, Result, Seed};
use thalweg_nn::{Augmentation, Classification, Device, Network, Regression, Views};
use thalweg_private::grid::OnGrid;
use thalweg_private::strategy::StrategyFile;
use thalweg_private::{Clip, NoiseKey, PrivacyPlan, Ratios, Workload};

use super::{Material, batches};
use crate::compose::federated::Federated;
use crate::compose::{Optimiser, PrivacyConfig, TrainAndTest, TrainingConfig, VoteProgress};

/// The seams that hang on the guarantee and the vote.
pub(super) struct Seams {
    pub(super) choose: Box<dyn Choose<Batch, f32>>,
    pub(super) differentiate: Box<dyn Differentiate<Batch, f32>>,
    /// The same before any guard, for probes; `None` where users vote.
    pub(super) objective: Option<Arc<dyn Differentiate<Batch, f32>>>,
    pub(super) guard: Box<dyn Guard<f32>>,
    pub(super) privacy: Option<PrivacyPlan>,
    pub(super) vote: Option<VoteProgress>,
}

pub(super) fn seams(
    config: &TrainingConfig,
    network: &Arc<Network>,
    material: &Material,
    device: Device,
    steps: u64,
    key: &NoiseKey,
) -> Result<Seams> {
    if let (Some(vote), Material::Labelled(data)) = (&config.vote, material) {
        let objective = objective(config, network, data, device)?;
        let (training, parameters) = (&config.training, network.layout().len());
        let votes = Federated::new(vote, training.batch, data.train.labels(), objective, parameters, training.seed)?;
        return Ok(Seams {
            choose: Box::new(votes.choose),
            differentiate: Box::new(votes.differentiate),
            objective: None,
            guard: Box::new(votes.guard),
            privacy: None,
            vote: Some(votes.progress),
        });
    }
    let objective: Arc<dyn Differentiate<Batch, f32>> = match material {
        Material::Labelled(data) => Arc::new(objective(config, network, data, device)?),
        Material::Contexts(contexts) => Arc::new(Regression::new(network.clone(), contexts.clone(), device)?),
    };
    let batches = batches(config, material.examples(config), steps, key)?;
    let (guard, privacy) = guard(config, &batches, steps, key)?;
    let differentiate: Box<dyn Differentiate<Batch, f32>> = match privacy.as_ref().and_then(PrivacyPlan::grid) {
        Some(grid) => {
            grid.check_parameters(network.layout().len())?;
            Box::new(OnGrid::new(objective.clone(), grid))
        }
        None => Box::new(objective.clone()),
    };
    Ok(Seams { choose: Box::new(batches), differentiate, objective: Some(objective), guard, privacy, vote: None })
}

fn guard(
    config: &TrainingConfig,
    batches: &Batches,
    steps: u64,
    key: &NoiseKey,
) -> Result<(Box<dyn Guard<f32>>, Option<PrivacyPlan>)> {
    let Some(privacy) = config.guarantee() else { return Ok((Box::new(Mean), None)) };
    let plan = plan(config, privacy, batches, steps)?;
    Ok((Box::new(plan.guard(key)), Some(plan)))
}

pub(in crate::compose) fn plan(
    config: &TrainingConfig,
    privacy: &PrivacyConfig,
    batches: &Batches,
    steps: u64,
) -> Result<PrivacyPlan> {
    let training = &config.training;
    if training.optimiser == Optimiser::Adamw {
        return Err(Error::input(
            "training.optimiser = \"adamw\": the correlated mechanisms are planned for the linear map of SGD; use \"sgd\"",
        ));
    }
    let workload = Workload::new(Ratios::of_schedule(&training.schedule, steps)?)
        .with_momentum(training.momentum)?
        .with_decay(training.rate * training.weight_decay)?;
    let participation = Choose::<Batch, f32>::participation(batches);
    let mut plan = PrivacyPlan::new(privacy.epsilon, privacy.delta, privacy.mechanism.parse()?, workload, participation)
        .with_bands(privacy.bands)
        .with_objective(privacy.objective)
        .with_clip(privacy.clip)
        .with_noise(privacy.noise)
        .with_expected_batch(training.batch as f64);
    if let Some(rule) = &privacy.clipping {
        let in_field = |error| Error::input(format!("privacy.clipping = {rule:?}: {error}"));
        plan = plan.with_clipping(rule.parse::<Clip>().map_err(in_field)?);
    }
    if let Some(path) = &privacy.strategy {
        let file = StrategyFile::load(path)?;
        // What lists and reports say of the run is the mechanism's name.
        if file.strategy().name().as_str() != privacy.mechanism {
            return Err(Error::input(format!(
                "privacy.mechanism = {:?}, but privacy.strategy = {} holds {}; name that mechanism",
                privacy.mechanism,
                path.display(),
                file.strategy().name()
            )));
        }
        plan = plan.with_strategy_file(file);
    }
    Ok(plan.build()?)
}

pub(in crate::compose) fn objective(
    config: &TrainingConfig,
    network: &Arc<Network>,
    data: &TrainAndTest,
    device: Device,
) -> Result<Classification> {
    let training = &config.training;
    let objective = Classification::new(network.clone(), data.train.clone(), device)?;
    let views = NonZeroUsize::new(training.views).unwrap_or(NonZeroUsize::MIN);
    if views == NonZeroUsize::MIN && training.augmentation == Augmentation::default() {
        return Ok(objective);
    }
    Ok(objective.with_views(Views::new(views, training.augmentation, Seed(training.seed).stream("views")))?)
}

pub(in crate::compose) fn step(config: &TrainingConfig) -> Result<Box<dyn Step<f32>>> {
    let training = &config.training;
    Ok(match training.optimiser {
        Optimiser::Sgd => Box::new(Sgd::new(training.momentum, training.weight_decay)?),
        Optimiser::Adamw => Box::new(AdamW::with_constants(0.9, training.beta2.unwrap_or(0.999), 1e-8, training.weight_decay)?),
    })
}
