//! Full-batch gradient descent with clipped gradients and Gaussian noise.

use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::filters::FilterMatrix;
use super::gradients::Gradients;
use super::network::{Network, fill_normal, loss_and_accuracy};
use super::patches::Patches;
use crate::error::{Error, Result, positive};

/// What protects the examples.
///
/// Noise without a clip is not among the choices: without a bound on every gradient no noise gives a guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Protection {
    /// Nothing: plain gradient descent.
    None,
    /// Every example's gradient is clipped, without noise: the same optimiser as with noise, and no guarantee.
    Clipped {
        /// The largest norm of an example's gradient.
        clip: f64,
    },
    /// Clipped, and independent Gaussian noise of standard deviation `noise_multiplier * clip` is added to the sum of gradients.
    Private {
        /// The largest norm of an example's gradient.
        clip: f64,
        /// The standard deviation of the noise in the sum, as a multiple of the clip.
        noise_multiplier: f64,
    },
}

impl Protection {
    /// Clipping with that noise multiplier; 0 is [`Clipped`](Self::Clipped).
    ///
    /// # Errors
    /// [`Error::Value`] for a clip that is not above 0, or a multiplier below 0; neither may be infinite or NaN.
    pub fn new(clip: f64, noise_multiplier: f64) -> Result<Self> {
        let protection = if noise_multiplier == 0.0 { Self::Clipped { clip } } else { Self::Private { clip, noise_multiplier } };
        protection.check()?;
        Ok(protection)
    }

    /// The clip, if there is one.
    pub fn clip(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Clipped { clip } | Self::Private { clip, .. } => Some(clip),
        }
    }

    /// The noise multiplier, 0 without noise.
    pub fn noise_multiplier(self) -> f64 {
        match self {
            Self::Private { noise_multiplier, .. } => noise_multiplier,
            Self::None | Self::Clipped { .. } => 0.0,
        }
    }

    fn check(self) -> Result<()> {
        if let Some(clip) = self.clip() {
            positive("the clip norm", clip)?;
        }
        if let Self::Private { noise_multiplier, .. } = self {
            positive("the noise multiplier", noise_multiplier)?;
        }
        Ok(())
    }
}

/// Noisy gradient descent: `W <- W - rate [ (1/n) sum_i clip(g_i) + (clip nm / n) N ]`, with N standard normal.
///
/// # The guarantee
/// Each of the T steps is a Gaussian mechanism on the sum of clipped gradients, whose sensitivity under adding or removing an example
/// is the clip; n is public. T steps with multiplier nm are together as private as one Gaussian mechanism with multiplier
/// `nm / sqrt(T)`, so `nm = sqrt(T) sigma(epsilon, delta)` with the sigma of the analytic Gaussian mechanism. It covers the weights of
/// all steps, and nothing else: losses, accuracies and norms of private examples are not covered.
///
/// The published analysis adds noise without clipping; its sensitivity bound holds with high probability, and depends on the data.
/// Here every gradient is clipped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoisyGd {
    /// The learning rate.
    pub rate: f64,
    /// The number T of steps.
    pub steps: u64,
    /// Clip and noise.
    pub protection: Protection,
}

impl Default for NoisyGd {
    /// 100 steps at rate 0.2 with clip 1, without noise.
    fn default() -> Self {
        Self { rate: 0.2, steps: 100, protection: Protection::Clipped { clip: 1.0 } }
    }
}

impl NoisyGd {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] for a rate, clip or multiplier that is not finite and above 0, or no steps.
    pub fn check(&self) -> Result<()> {
        positive("the learning rate", self.rate)?;
        if self.steps == 0 {
            return Err(Error::value("the number of steps", 0, "at least 1"));
        }
        self.protection.check()
    }

    /// The standard deviation of the noise in one weight after one step, for n examples.
    pub fn noise_std(&self, examples: usize) -> f64 {
        let clip = self.protection.clip().unwrap_or(0.0);
        self.rate * clip * self.protection.noise_multiplier() / examples as f64
    }
}

/// What a step saw: everything is of the weights before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The step, from 0; the number of steps taken.
    pub step: u64,
    /// The mean logistic loss on the training examples.
    pub loss: f64,
    /// The share of training examples with a margin above 0.
    pub accuracy: f64,
    /// The largest norm of an example's gradient, before clipping.
    pub largest_norm: f64,
    /// The share of examples whose gradient is clipped.
    pub clipped: f64,
}

/// A descent under way.
///
/// ```
/// use rand_chacha::ChaCha20Rng;
/// use rand_chacha::rand_core::SeedableRng;
/// use thalweg_dynamics::features::{Network, NoisyDescent, NoisyGd, Patches, Protection};
///
/// let data = Patches::signal_and_noise(&[2.0, 0.0, 0.0], &[0.0, 1.0, 0.5, 0.0, -0.3, 0.8], &[1, -1])?;
/// let network = Network { width: 4, initial_std: 0.3, ..Network::default() };
/// let settings = NoisyGd { steps: 20, protection: Protection::new(1.0, 0.5)?, ..NoisyGd::default() };
/// let mut rng = ChaCha20Rng::seed_from_u64(1); // For private data: a generator seeded by the operating system.
/// let initial = network.initial(data.dimension(), &mut rng);
/// let mut descent = NoisyDescent::new(&data, network, settings, initial)?;
/// let before = descent.look()?.loss;
/// while !descent.is_done() {
///     descent.step(&mut rng)?;
/// }
/// assert!(descent.look()?.loss < before);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NoisyDescent<'a> {
    data: &'a Patches,
    settings: NoisyGd,
    gradients: Gradients,
    initial: FilterMatrix,
    weights: FilterMatrix,
    /// The sum of what noise has added to the weights.
    injected: FilterMatrix,
    noise: FilterMatrix,
    step: u64,
    norm: f64,
}

impl<'a> NoisyDescent<'a> {
    /// A descent from these weights.
    ///
    /// # Errors
    /// [`Error::Value`] for settings out of range, or weights that do not fit network and data.
    pub fn new(data: &'a Patches, network: Network, settings: NoisyGd, initial: FilterMatrix) -> Result<Self> {
        settings.check()?;
        let gradients = Gradients::new(network, data)?;
        network.check_weights(&initial, data)?;
        let zeros = FilterMatrix::zeros(data.dimension(), network.width);
        let norm = initial.squared_norm().sqrt();
        Ok(Self {
            data,
            settings,
            gradients,
            weights: initial.clone(),
            initial,
            injected: zeros.clone(),
            noise: zeros,
            step: 0,
            norm,
        })
    }

    /// Takes one step, with noise from this generator if there is to be noise.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a gradient or the weights are not finite any more.
    pub fn step(&mut self, rng: &mut impl CryptoRng) -> Result<Seen> {
        let seen = self.look()?;
        if self.settings.protection.noise_multiplier() > 0.0 {
            fill_normal(&mut self.noise, rng);
        }
        self.move_weights()?;
        Ok(seen)
    }

    /// Takes one step with these standard normal values, a row for each coordinate: for noise that is correlated between steps, or
    /// that comes from elsewhere. The clip and the noise multiplier are applied here.
    ///
    /// # Errors
    /// As [`step`](Self::step), and [`Error::Value`] when the noise has another shape than the weights.
    pub fn step_with(&mut self, noise: &FilterMatrix) -> Result<Seen> {
        if (noise.rows(), noise.filters()) != (self.weights.rows(), self.weights.filters()) {
            let found = format!("{} x {}", noise.rows(), noise.filters());
            let expected = format!("{} x {}, as the weights", self.weights.rows(), self.weights.filters());
            return Err(Error::value("the shape of the noise", found, expected));
        }
        let seen = self.look()?;
        self.noise.clone_from(noise);
        self.move_weights()?;
        Ok(seen)
    }

    /// What the weights are worth now.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a gradient is not finite any more.
    pub fn look(&mut self) -> Result<Seen> {
        let clip = self.settings.protection.clip();
        self.gradients.compute(self.data, &self.weights, clip)?;
        let norms = self.gradients.norms();
        if let Some(example) = norms.iter().position(|norm| !norm.is_finite()) {
            return Err(self.diverged(format!("the gradient norm of example {example}"), norms[example]));
        }
        let (loss, accuracy) = loss_and_accuracy(self.gradients.margins());
        let above = |clip| norms.iter().filter(|&&norm| norm > clip).count() as f64 / norms.len() as f64;
        let largest_norm = norms.iter().fold(0.0f64, |largest, &norm| largest.max(norm));
        Ok(Seen { step: self.step, loss, accuracy, largest_norm, clipped: clip.map_or(0.0, above) })
    }

    fn move_weights(&mut self) -> Result<()> {
        self.weights.add_scaled(-self.settings.rate, self.gradients.mean());
        let std = self.settings.noise_std(self.data.len());
        if std > 0.0 {
            self.weights.add_scaled(-std, &self.noise);
            self.injected.add_scaled(-std, &self.noise);
        }
        let squared = self.weights.squared_norm();
        if !squared.is_finite() {
            return Err(self.diverged("the squared norm of the weights".to_owned(), squared));
        }
        self.norm = squared.sqrt();
        self.step += 1;
        Ok(())
    }

    fn diverged(&self, what: String, value: f64) -> Error {
        Error::diverged(what, value, self.step, self.norm, "lower the learning rate or the noise, or set a clip")
    }

    /// Whether all steps are taken; more may follow, but the noise is meant for these.
    pub fn is_done(&self) -> bool {
        self.step >= self.settings.steps
    }

    /// The number of steps taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// The weights: a row for each coordinate.
    pub fn weights(&self) -> &FilterMatrix {
        &self.weights
    }

    /// How far the weights have come: `W - W(0)`.
    pub fn change(&self) -> FilterMatrix {
        self.weights.minus(&self.initial)
    }

    /// What a descent with the same noise and gradients of zero would have changed: the control.
    pub fn injected(&self) -> &FilterMatrix {
        &self.injected
    }

    /// The gradients last computed.
    pub fn gradients(&self) -> &Gradients {
        &self.gradients
    }
}
