//! What is wished for, and how noise comes of it.

use thalweg_descent::Participation;

use super::{BANDS, PlanSummary, PrivacyPlan};
use crate::accountant::{AccountRequest, Neighbours, Target, account, gaussian, poisson::Poisson};
use crate::clip::Clip;
use crate::error::{Error, Result, positive};
use crate::evaluation::{Objective, evaluate};
use crate::grid::GridMechanism;
use crate::noise::NoiseKind;
use crate::pattern::Pattern;
use crate::sampler::Sampling;
use crate::strategy::{BuildOptions, Name, Strategy, StrategyFile};
use crate::workload::Workload;
/// What is wished for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanBuilder {
    pub(super) epsilon: f64,
    pub(super) delta: f64,
    pub(super) mechanism: Name,
    pub(super) workload: Workload,
    pub(super) participation: Participation,
    pub(super) bands: Option<usize>,
    pub(super) objective: Objective,
    pub(super) file: Option<StrategyFile>,
    pub(super) clip: f64,
    pub(super) clipping: Option<Clip>,
    pub(super) expected_batch: f64,
    pub(super) noise: NoiseKind,
}

impl PlanBuilder {
    /// The number of bands p, for the mechanisms that have one; 16 otherwise. `blt` keeps to the same memory of p - 1 vectors.
    #[must_use]
    pub fn with_bands(mut self, bands: Option<usize>) -> Self {
        self.bands = bands;
        self
    }

    /// The error that tuned and optimised mechanisms minimise; the mean one otherwise.
    #[must_use]
    pub fn with_objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// The strategy of a file in place of one built here; the mechanism is then that of the file, whatever was named.
    ///
    /// The plan is refused when the file was made for another workload or participation.
    #[must_use]
    pub fn with_strategy_file(mut self, file: StrategyFile) -> Self {
        self.mechanism = file.strategy().name();
        self.file = Some(file);
        self
    }

    /// Flat clipping to norm zeta; to 1 otherwise.
    #[must_use]
    pub fn with_clip(mut self, clip: f64) -> Self {
        (self.clip, self.clipping) = (clip, None);
        self
    }

    /// Clipping by another rule.
    #[must_use]
    pub fn with_clipping(mut self, clipping: Clip) -> Self {
        self.clipping = Some(clipping);
        self
    }

    /// The arithmetic of the noise; Gaussian in floating point otherwise.
    #[must_use]
    pub fn with_noise(mut self, noise: NoiseKind) -> Self {
        self.noise = noise;
        self
    }

    /// The public expected batch size, by which the noisy sum is divided; never the realised one, which is private.
    #[must_use]
    pub fn with_expected_batch(mut self, examples: f64) -> Self {
        self.expected_batch = examples;
        self
    }

    /// Builds the strategy and calibrates its noise.
    ///
    /// # Errors
    /// [`Error::Value`] naming what is out of range; [`Error::Unsuitable`] when the mechanism does not cover the participation;
    /// [`Error::Unreachable`].
    pub fn build(self) -> Result<PrivacyPlan> {
        let clip = self.clipping.clone().map_or_else(|| Clip::to(self.clip), Ok)?;
        let expected_batch = positive("the expected batch size", self.expected_batch)?;
        let strategy = self.strategy()?;
        let discrete = match self.noise {
            NoiseKind::Gaussian => None,
            NoiseKind::Discrete => Some(self.discrete(&strategy, &clip)?),
        };
        let noise = match &discrete {
            None => self.calibrate(&strategy)?,
            Some(mechanism) => {
                let pattern = self.pattern()?;
                let sigma = mechanism.noise_std() / (clip.norm() * strategy.sensitivity(pattern)?.value);
                let accountant = "concentrated differential privacy of the discrete Gaussian";
                Calibration { sigma, pattern, neighbours: Neighbours::ZeroOut, accountant }
            }
        };
        let evaluation = evaluate(&self.workload, &strategy, noise.pattern)?;
        let summary = PlanSummary {
            mechanism: self.mechanism,
            epsilon: self.epsilon,
            delta: self.delta,
            neighbours: noise.neighbours,
            participation: self.participation,
            accountant: noise.accountant.to_owned(),
            steps: strategy.steps() as u64,
            noise_multiplier: noise.sigma,
            sensitivity: evaluation.sensitivity.value,
            sensitivity_kind: evaluation.sensitivity.kind,
            clip: clip.norm(),
            clipping: clip.clone(),
            noise_std: noise.sigma * evaluation.sensitivity.value * clip.norm() / expected_batch,
            max_se: evaluation.max_se,
            argmax_row: evaluation.argmax_row,
            mean_se: evaluation.mean_se,
            memory_vectors: strategy.memory_vectors(),
            noise: self.noise,
        };
        Ok(PrivacyPlan { strategy, clip, expected_batch, discrete, workload: self.workload, summary })
    }

    /// Noise of whole numbers, where there is such noise.
    fn discrete(&self, strategy: &Strategy, clip: &Clip) -> Result<GridMechanism> {
        let refused = |reason: &str| Err(Error::unsuitable("discrete noise", reason));
        if !strategy.is_identity() {
            return refused(&format!(
                "the matrix of {} has entries that are no multiples of any unit, so that its product with whole numbers would have \
                 to be rounded, and that leak is what the grid is there to close; take the mechanism identity, or Gaussian noise",
                self.mechanism
            ));
        }
        if !matches!(self.participation, Participation::Separated { .. }) {
            return refused(&format!(
                "it is accounted for without amplification by sampling, for batches in a fixed order; here the batches are: {}",
                self.participation
            ));
        }
        if *clip != Clip::to(clip.norm())? {
            return refused("gradients on the grid are clipped to one norm as a whole; leave out the other rule");
        }
        let units = self.expected_batch.ceil() as u64;
        let at_most = self.pattern()?.at_most(strategy.steps()) as u64;
        GridMechanism::calibrate_finest(clip.norm(), units, at_most, Neighbours::ZeroOut, self.epsilon, self.delta)
    }

    fn strategy(&self) -> Result<Strategy> {
        let pattern = self.pattern()?;
        if let Some(file) = &self.file {
            return file.strategy_for(&self.workload, pattern).cloned();
        }
        let options = BuildOptions { bands: Some(self.bands.unwrap_or(BANDS)), objective: self.objective };
        Strategy::build(self.mechanism, &self.workload, pattern, options)
    }

    /// How often a unit takes part, as far as it fits into the run; once where that is refused later, or the accountant's part.
    fn pattern(&self) -> Result<Pattern> {
        let Participation::Separated { separation, at_most } = self.participation else { return Ok(Pattern::Single) };
        let in_range = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let pattern = Pattern::separated(in_range(separation), in_range(at_most))?;
        Pattern::separated(in_range(separation), pattern.at_most(self.workload.steps()))
    }

    fn calibrate(&self, strategy: &Strategy) -> Result<Calibration> {
        let steps = strategy.steps();
        match self.participation {
            Participation::Separated { .. } => {
                let pattern = self.pattern()?;
                let sigma = gaussian::sigma(self.epsilon, self.delta)?;
                let accountant = "analytic Gaussian, exact";
                Ok(Calibration { sigma, pattern, neighbours: Neighbours::ZeroOut, accountant })
            }
            Participation::Poisson { rate } if strategy.is_identity() => {
                let sigma = Poisson::calibrate(rate, steps as u64, self.epsilon, self.delta)?;
                let accountant = "privacy-loss distribution of Poisson sampling, pessimistic";
                // Sampling is in the accountant: each step is a mechanism of sensitivity 1.
                Ok(Calibration { sigma, pattern: Pattern::Single, neighbours: Neighbours::AddRemove, accountant })
            }
            Participation::Poisson { .. } => Err(Error::unsuitable(
                self.mechanism,
                "under Poisson sampling an example may take part in any steps, which correlated noise of this kind does not cover; \
                 use fixed-order batches, cyclic sampling with a banded mechanism, balls in bins, or the mechanism identity",
            )),
            Participation::CyclicPoisson { .. } | Participation::BallsInBins { .. } | Participation::BMinSep { .. } => {
                self.amplified(strategy)
            }
            _ => Err(Error::unsuitable(
                self.mechanism,
                format!(
                    "its accounting covers fixed-order, cyclic Poisson, balls-in-bins and b-min-sep batches, and for identity Poisson \
                     sampling; here the batches are: {}",
                    self.participation
                ),
            )),
        }
    }
}

impl PlanBuilder {
    /// Amplified by sampling that keeps an example's steps apart; the noise multiplier is over the largest column norm of C.
    fn amplified(&self, strategy: &Strategy) -> Result<Calibration> {
        let steps = strategy.steps() as u64;
        let sampling = Sampling::of(&self.participation, steps)?;
        let asked = AccountRequest::new(sampling, steps, self.delta, Target::Epsilon(self.epsilon));
        let found = account(&AccountRequest { strategy: Some(strategy), ..asked })?;
        let accountant = match found.confidence {
            Some(_) => "drawn privacy losses, the chance that they deceive counted in",
            None => "privacy-loss distribution of Poisson sampling within groups, pessimistic",
        };
        let sigma = found.noise_multiplier;
        Ok(Calibration { sigma, pattern: Pattern::Single, neighbours: found.neighbours, accountant })
    }
}

struct Calibration {
    sigma: f64,
    pattern: Pattern,
    neighbours: Neighbours,
    accountant: &'static str,
}
