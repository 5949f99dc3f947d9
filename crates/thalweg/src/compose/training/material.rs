//! What a run trains on and is measured on.

use std::sync::Arc;

use thalweg_descent::{Every, Observe, Result};
use thalweg_nn::{Accuracy, Device, Network, evaluate};

use crate::compose::task::{Contexts, WatchContexts, modular_addition};
use crate::compose::{Task, TrainAndTest, TrainingConfig, load_data};

/// How a network does on the examples that it is measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The mean loss.
    pub loss: f64,
    /// The share of examples whose label has the largest score; `None` where there are no labels.
    pub accuracy: Option<f64>,
}

/// What a run trains on and is measured on.
pub(in crate::compose) enum Material {
    /// Examples with labels.
    Labelled(TrainAndTest),
    /// Contexts that are drawn for each step.
    Contexts(Arc<Contexts>),
}

impl Material {
    pub(in crate::compose) fn of(config: &TrainingConfig) -> Result<Self> {
        let seed = config.training.seed;
        Ok(match &config.task {
            None => Self::Labelled(load_data(&config.data, seed)?),
            Some(Task::ModularAddition { modulus, train_share }) => {
                Self::Labelled(modular_addition(*modulus, *train_share, seed)?)
            }
            Some(Task::InContext { spectrum, context, held_out }) => {
                Self::Contexts(Arc::new(Contexts::new(spectrum, *context, *held_out, seed)?))
            }
        })
    }

    /// Where batches are drawn from; contexts are drawn anew for each place of a batch.
    pub(super) fn examples(&self, config: &TrainingConfig) -> usize {
        match self {
            Self::Labelled(data) => data.train.len(),
            Self::Contexts(_) => config.training.batch,
        }
    }

    pub(super) fn description(&self) -> String {
        match self {
            Self::Labelled(data) => data.description.clone(),
            Self::Contexts(contexts) => contexts.description(),
        }
    }

    pub(super) fn measure(&self, network: &Network, parameters: &[f32], device: Device) -> Result<Measured> {
        Ok(match self {
            Self::Labelled(data) => {
                let found = evaluate(network, parameters, &data.test, device)?;
                Measured { loss: found.loss, accuracy: Some(found.accuracy) }
            }
            Self::Contexts(contexts) => Measured { loss: contexts.evaluate(network, parameters, device)?.0, accuracy: None },
        })
    }

    /// The observer that writes what [`measure`](Self::measure) gives.
    pub(super) fn watch(&self, network: &Arc<Network>, every: u64, device: Device) -> Box<dyn Observe<f32>> {
        let network = network.clone();
        match self {
            Self::Labelled(data) => Box::new(Every::new(every, Accuracy::new("test", network, data.test.clone(), device))),
            Self::Contexts(contexts) => {
                Box::new(Every::new(every, WatchContexts { network, contexts: contexts.clone(), device }))
            }
        }
    }
}
