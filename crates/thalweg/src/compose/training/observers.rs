//! What is watched of a run: always, and by the probes that its configuration names.

use std::sync::Arc;

use thalweg_descent::{Every, Observe, Result};
use thalweg_nn::{Device, Network};
use thalweg_private::PrivacyPlan;
use thalweg_probes::{Balance, Loss, Norms};

use super::Material;
use super::seams::Seams;
use crate::compose::probes::{Examples, Watched};
use crate::compose::{NetworkChoice, Optimiser, TrainingConfig};

pub(super) fn observers(
    config: &TrainingConfig,
    network: &Arc<Network>,
    start: &[f32],
    material: &Material,
    device: Device,
) -> Result<Vec<Box<dyn Observe<f32>>>> {
    let record = &config.record;
    let mut observers: Vec<Box<dyn Observe<f32>>> = vec![
        Box::new(Every::new(record.log_every, Loss)),
        Box::new(Every::new(record.log_every, Norms)),
        material.watch(network, record.evaluate_every, device),
    ];
    if let Some(outgoing) = balanced_layer(config) {
        let incoming = ["hidden.0.weight", "hidden.0.bias"];
        observers.push(Box::new(Balance::new(network.layout(), start, &incoming, outgoing, record.log_every)?));
    }
    Ok(observers)
}

/// The layer after the first hidden one, where theory predicts the drift of their balance: ReLU layers under plain gradient steps.
fn balanced_layer(config: &TrainingConfig) -> Option<&'static str> {
    let NetworkChoice::Mlp { hidden } = &config.network else { return None };
    let training = &config.training;
    let plain_steps = training.optimiser == Optimiser::Sgd && training.momentum == 0.0 && training.weight_decay == 0.0;
    if config.guarantee().is_some() || config.vote.is_some() || !plain_steps || hidden.is_empty() {
        return None;
    }
    Some(if hidden.len() == 1 { "output.weight" } else { "hidden.1.weight" })
}

/// What is watched beside, by the names of the configuration.
pub(super) fn probes(
    config: &TrainingConfig,
    network: &Arc<Network>,
    start: &[f32],
    material: &Material,
    seams: &Seams,
    device: Device,
) -> Result<Vec<Box<dyn Observe<f32>>>> {
    let examples = match material {
        Material::Labelled(data) => Examples::Labelled(&data.train),
        Material::Contexts(contexts) => Examples::Drawn(contexts),
    };
    let plan = seams.privacy.as_ref().map(PrivacyPlan::summary);
    let (objective, plan) = (seams.objective.as_ref(), plan.as_ref());
    Watched { config, network, start, objective, examples, plan, device }.probes()
}
