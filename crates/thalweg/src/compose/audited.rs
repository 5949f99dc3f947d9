//! The one-run audit of a training: it is done again with canaries in the place of some examples.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use thalweg_descent::{Batch, Descent, Error, Pieces, Rates, Reduction, Result, Seed};
use thalweg_nn::Device;
use thalweg_private::audit::{AuditReport, CanaryGradients, Direction, Fault, Method, TrainingAudit};
use thalweg_private::{NoiseKey, NoiseKind, PlanSummary};

use crate::compose::TrainingConfig;
use crate::compose::training::{Material, batches, network, objective, plan, step, steps};

/// A training with canaries, to be searched for them.
///
/// The canaries take the place of the last examples, so that examples, steps, batches and noise are exactly those of the audited
/// training. The network that comes of it is thrown away.
pub struct AuditedTraining {
    descent: Descent<Batch, f32>,
    audit: TrainingAudit,
    plan: PlanSummary,
    fault: Option<Fault>,
}

/// Coordinates of a canary, where there are enough parameters: canaries that share none do not hide each other.
const MOST_COORDINATES: usize = 8;

impl AuditedTraining {
    /// Of the training that a configuration describes, with this key for its noise, its batches and the canaries' coins.
    ///
    /// # Errors
    /// [`Error::Input`] for a training without privacy or with discrete noise, and for more canaries than examples; those of
    /// [`Training::prepare`](crate::compose::Training::prepare).
    pub fn prepare(config: &TrainingConfig, canaries: usize, fault: Option<Fault>, key: &NoiseKey) -> Result<Self> {
        config.validate()?;
        let Some(privacy) = config.guarantee() else {
            return Err(Error::input("privacy.mechanism = \"none\": there is no guarantee to audit"));
        };
        if privacy.noise == NoiseKind::Discrete {
            return Err(Error::input(
                "privacy.noise = \"discrete\": canaries are no whole units of the grid; audit the mechanism, without --training",
            ));
        }
        let device: Device = config.machine.device.parse()?;
        let material = Material::of(config)?;
        let Material::Labelled(data) = &material else {
            return Err(Error::input(
                "canaries take the place of examples, and contexts are drawn anew in every step: nothing to audit",
            ));
        };
        let examples = data.train.len();
        if !(2..examples).contains(&canaries) {
            return Err(Error::input(format!(
                "{canaries} canaries: they take the place of examples, of which there are {examples}; take from 2 to {}",
                examples - 1
            )));
        }
        let network = Arc::new(network(&config.network, &material)?.build()?);
        let steps = steps(config, &material)?;
        let rates = Rates::new(config.training.rate, config.training.schedule.clone(), steps)?;
        let batches = batches(config, examples, steps, key)?;
        let plan = plan(config, privacy, &batches, steps)?;
        let layout = network.layout().clone();
        let coordinates = (layout.len() / canaries).clamp(1, MOST_COORDINATES);
        let secret = Seed(key.sampling_seed());
        let canaries = CanaryGradients::new(canaries, &layout, Direction::Sparse { coordinates }, secret)?;
        let audit = TrainingAudit::new(&plan, canaries.clone(), examples - canaries.count());
        let pieces = Pieces {
            choose: Box::new(audit.choose(batches)),
            differentiate: Box::new(audit.differentiate(objective(config, &network, data, device)?)),
            reduction: Reduction::on_threads(NonZeroUsize::new(config.machine.threads).unwrap_or(NonZeroUsize::MIN)),
            guard: match fault {
                Some(fault) => fault.guard(&plan, key)?,
                None => Box::new(plan.guard(key)),
            },
            step: step(config)?,
            observe: vec![Box::new(audit.observer())],
        };
        let start = network.init(&mut Seed(config.training.seed).stream("initial weights").at(0));
        let descent = Descent::new(start, layout, rates, pieces)?;
        Ok(Self { descent, audit, plan: plan.summary(), fault })
    }

    /// The steps of the training.
    pub fn steps(&self) -> u64 {
        self.descent.rates().steps()
    }

    /// The plan under audit.
    pub fn plan(&self) -> &PlanSummary {
        &self.plan
    }

    /// Trains and searches; `progress` hears the number of each step that is done.
    ///
    /// Batches in a fixed order are judged by the sharper method, which supposes Gaussian noise in known steps.
    ///
    /// # Errors
    /// Those of the training.
    pub fn run(mut self, mut progress: impl FnMut(u64)) -> Result<AuditReport> {
        let mut taken = 0;
        self.descent.run(|_| {
            taken += 1;
            progress(taken);
            ControlFlow::Continue(())
        })?;
        let method = match self.plan.participation {
            thalweg_descent::Participation::Separated { .. } => Method::OneRunFdp,
            _ => Method::OneRun,
        };
        Ok(AuditReport { fault: self.fault, ..self.audit.report(method)? })
    }
}
