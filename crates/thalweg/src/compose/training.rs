//! A training run, built from its configuration.

mod batches;
mod material;
mod network;
mod observers;
mod seams;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use thalweg_descent::{Batch, Descent, Pieces, Rates, Reduction, Result, Seed};
use thalweg_nn::{Average, Device, MovingAverage, Network, weights};
use thalweg_private::{NoiseKey, PrivacyPlan};

use crate::compose::{TrainingConfig, VoteProgress};
pub use batches::MOST_STEPS;
pub(super) use batches::{batches, steps};
pub(super) use material::Material;
pub use material::Measured;
pub(super) use network::network;
use observers::{observers, probes};
use seams::seams;
pub(super) use seams::{objective, plan, step};

/// A descent on a network, with what is needed to look at it.
pub struct Training {
    /// The machine, at its first step.
    pub descent: Descent<Batch, f32>,
    /// The plan behind the guarantee; `None` for plain training.
    pub privacy: Option<PrivacyPlan>,
    /// What came of the votes so far; `None` where nobody votes.
    pub vote: Option<VoteProgress>,
    /// Name, version, sizes and content hash of the data.
    pub data: String,
    /// The moving average of the parameters, where one is kept.
    pub average: Option<Average>,
    network: Arc<Network>,
    material: Material,
    device: Device,
}

impl Training {
    /// Builds the descent. The same configuration and key give the same descent.
    ///
    /// # Errors
    /// [`Error::Input`](thalweg_descent::Error::Input) naming field and value; [`Error::Refused`](thalweg_descent::Error::Refused) for pieces that must not be combined.
    pub fn prepare(config: &TrainingConfig, key: &NoiseKey) -> Result<Self> {
        config.validate()?;
        let device: Device = config.machine.device.parse()?;
        let material = Material::of(config)?;
        let network = Arc::new(network(&config.network, &material)?.build()?);
        let steps = steps(config, &material)?;
        let rates = Rates::new(config.training.rate, config.training.schedule.clone(), steps)?;
        let seams = seams(config, &network, &material, device, steps, key)?;
        let seed = Seed(config.training.seed);
        let start = network.init(&mut seed.stream("initial weights").at(0));
        let mut observe = observers(config, &network, &start, &material, device)?;
        observe.extend(probes(config, &network, &start, &material, &seams, device)?);
        let average = match (config.training.ema, &material) {
            (Some(decay), Material::Labelled(data)) => {
                let every = config.record.evaluate_every;
                let average = MovingAverage::new(decay, every, network.clone(), data.test.clone(), device)?;
                let handle = average.average();
                observe.push(Box::new(average));
                Some(handle)
            }
            _ => None,
        };
        let pieces = Pieces {
            choose: seams.choose,
            differentiate: seams.differentiate,
            reduction: Reduction::on_threads(NonZeroUsize::new(config.machine.threads).unwrap_or(NonZeroUsize::MIN)),
            guard: seams.guard,
            step: step(config)?,
            observe,
        };
        let descent = Descent::new(start, network.layout().clone(), rates, pieces)?;
        Ok(Self {
            descent,
            privacy: seams.privacy,
            vote: seams.vote,
            data: material.description(),
            average,
            network,
            material,
            device,
        })
    }

    /// What the guarantee allows and hardly anybody means: a delta above one in the number of examples.
    pub fn warning(&self, config: &TrainingConfig) -> Option<String> {
        let (delta, examples) = (self.privacy.as_ref()?.summary().delta, self.material.examples(config));
        (delta > 1.0 / examples as f64).then(|| {
            format!(
                "privacy.delta = {delta} is above 1/{examples}: it would allow to publish one person's data at random; choose it well \
                 below one in the number of examples"
            )
        })
    }

    /// Loss and accuracy on the test examples at the present parameters.
    ///
    /// # Errors
    /// When the network cannot be evaluated.
    pub fn evaluate(&self) -> Result<Measured> {
        self.material.measure(&self.network, self.descent.parameters(), self.device)
    }

    /// Loss and accuracy of the moving average; `None` where none is kept or no step is taken.
    ///
    /// # Errors
    /// When the network cannot be evaluated.
    pub fn evaluate_average(&self) -> Result<Option<Measured>> {
        let Some(average) = self.averaged() else { return Ok(None) };
        self.material.measure(&self.network, &average, self.device).map(Some)
    }

    /// Writes the moving average, where one is kept, as `average.safetensors`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_average(&self, folder: &Path) -> Result<()> {
        let Some(average) = self.averaged() else { return Ok(()) };
        Ok(weights::save(&folder.join("average.safetensors"), self.network.layout(), &average)?)
    }

    fn averaged(&self) -> Option<Vec<f32>> {
        self.average.as_ref().map(Average::parameters).filter(|average| !average.is_empty())
    }
}
