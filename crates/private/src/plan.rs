//! From a person's wishes to noise: the guarantee, the mechanism, and what it costs.

use serde::{Deserialize, Serialize};
use thalweg_descent::Participation;
use thalweg_descent::state::encode;

use crate::accountant::{AccountRequest, Neighbours, Target, account, gaussian, poisson::Poisson};
use crate::clip::Clip;
use crate::error::{Error, Result, positive};
use crate::evaluation::{Objective, evaluate};
use crate::grid::{Grid, GridMechanism};
use crate::guard::PrivateGuard;
use crate::noise::{NoiseKey, NoiseKind};
use crate::pattern::Pattern;
use crate::sampler::Sampling;
use crate::sensitivity::Kind;
use crate::strategy::{BuildOptions, Name, Strategy, StrategyFile};
use crate::workload::Workload;

/// The bandwidth of banded mechanisms where none is asked for.
pub const BANDS: usize = 16;

/// What is wished for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanBuilder {
    epsilon: f64,
    delta: f64,
    mechanism: Name,
    workload: Workload,
    participation: Participation,
    bands: Option<usize>,
    objective: Objective,
    file: Option<StrategyFile>,
    clip: f64,
    clipping: Option<Clip>,
    expected_batch: f64,
    noise: NoiseKind,
}

/// A mechanism with its noise calibrated: what a [`PrivateGuard`] does, and what is told of it.
#[derive(Clone, Debug)]
pub struct PrivacyPlan {
    pub(crate) strategy: Strategy,
    pub(crate) clip: Clip,
    pub(crate) expected_batch: f64,
    /// Where sums and noise are whole numbers of a grid.
    pub(crate) discrete: Option<GridMechanism>,
    workload: Workload,
    summary: PlanSummary,
}

/// The facts of a plan, for a report; nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// The mechanism.
    pub mechanism: Name,
    /// The bound epsilon.
    pub epsilon: f64,
    /// The bound delta.
    pub delta: f64,
    /// What a neighbouring data set is.
    pub neighbours: Neighbours,
    /// How examples take part.
    pub participation: Participation,
    /// The accountant that found the noise.
    pub accountant: String,
    /// Steps covered.
    pub steps: u64,
    /// sigma: the standard deviation of the noise over sensitivity times clip norm.
    pub noise_multiplier: f64,
    /// The sensitivity of the strategy, for clip norm 1.
    pub sensitivity: f64,
    /// Whether that is exact or an upper bound.
    pub sensitivity_kind: Kind,
    /// The clip norm zeta.
    pub clip: f64,
    /// How gradients are clipped to it.
    pub clipping: Clip,
    /// The standard deviation of the fresh vectors z behind one coordinate of the averaged update.
    pub noise_std: f64,
    /// The root of the worst iterate's expected squared error, in units of sigma zeta.
    pub max_se: f64,
    /// The row of that worst iterate, from 1.
    pub argmax_row: usize,
    /// The root of the mean squared error over iterates, in units of sigma zeta.
    pub mean_se: f64,
    /// Vectors of the model's size that the noise keeps in memory.
    pub memory_vectors: usize,
    /// In which arithmetic noise is added.
    #[serde(default, skip_serializing_if = "NoiseKind::is_gaussian")]
    pub noise: NoiseKind,
}

impl PrivacyPlan {
    /// Begins a plan: (epsilon, delta), the mechanism, the linear map that the optimiser computes, and how examples take part.
    #[expect(clippy::new_ret_no_self, reason = "a plan is built step by step")]
    pub fn new(epsilon: f64, delta: f64, mechanism: Name, workload: Workload, participation: Participation) -> PlanBuilder {
        PlanBuilder {
            epsilon,
            delta,
            mechanism,
            workload,
            participation,
            bands: None,
            objective: Objective::default(),
            file: None,
            clip: 1.0,
            clipping: None,
            expected_batch: 1.0,
            noise: NoiseKind::Gaussian,
        }
    }

    /// The facts.
    pub fn summary(&self) -> PlanSummary {
        self.summary.clone()
    }

    /// The grid on which the objective's gradients must lie, by [`OnGrid`](crate::grid::OnGrid); `None` unless the noise is discrete.
    pub fn grid(&self) -> Option<Grid> {
        self.discrete.as_ref().map(GridMechanism::grid)
    }

    /// The guard that carries the plan out with the noise of this key.
    pub fn guard(&self, key: &NoiseKey) -> PrivateGuard {
        PrivateGuard::new(self.clone(), key.clone())
    }

    /// Names everything that decides the released values but the key: facts, batch, coefficients and workload.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let parts = (&self.summary, self.expected_batch, self.strategy.name(), self.strategy.form(), &self.workload);
        blake3::hash(&encode(&parts)).into()
    }

    /// The same plan with other noise than its guarantee needs: a fault to be found by an audit.
    ///
    /// # Errors
    /// [`Error::Value`] for discrete noise of too large a variance.
    pub(crate) fn with_wrong_noise(&self, noise_multiplier: f64, sensitivity: f64) -> Result<Self> {
        let mut wrong = self.clone();
        let less = self.summary.noise_multiplier * self.summary.sensitivity / (noise_multiplier * sensitivity);
        wrong.discrete = self.discrete.as_ref().map(|mechanism| mechanism.with_less_noise(less)).transpose()?;
        wrong.summary.noise_multiplier = noise_multiplier;
        wrong.summary.sensitivity = sensitivity;
        wrong.summary.noise_std = wrong.sum_std() / self.expected_batch;
        Ok(wrong)
    }

    /// The standard deviation of the fresh vectors in the sum, before it is divided by the expected batch.
    pub(crate) fn sum_std(&self) -> f64 {
        self.summary.noise_multiplier * self.summary.sensitivity * self.clip.norm()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    fn plan(mechanism: Name, participation: Participation) -> Result<PrivacyPlan> {
        let workload = Workload::new(Ratios::exponential(100, 0.1)?);
        PrivacyPlan::new(2.0, 1e-5, mechanism, workload, participation).with_clip(0.5).with_expected_batch(20.0).build()
    }

    const FIXED: Participation = Participation::Separated { separation: 25, at_most: 4 };

    #[test]
    fn noise_is_sigma_times_sensitivity_times_clip_over_the_public_batch() {
        for mechanism in [Name::Identity, Name::PrefixRoot, Name::LrRoot, Name::Bisr] {
            let summary = plan(mechanism, FIXED).unwrap().summary();
            assert!((summary.noise_multiplier - 1.99381245).abs() < 1e-6);
            let expected = summary.noise_multiplier * summary.sensitivity * 0.5 / 20.0;
            assert!((summary.noise_std - expected).abs() < 1e-15);
            assert!(summary.sensitivity >= 2.0 - 1e-12, "{mechanism}: {}", summary.sensitivity);
        }
        assert!((plan(Name::Identity, FIXED).unwrap().summary().sensitivity - 2.0).abs() < 1e-12, "sqrt(4) participations");
    }

    #[test]
    fn sampling_is_counted_for_identity_and_refused_for_correlated_noise() {
        let poisson = Participation::Poisson { rate: 0.01 };
        let sampled = plan(Name::Identity, poisson.clone()).unwrap().summary();
        assert_eq!((sampled.sensitivity, sampled.neighbours), (1.0, Neighbours::AddRemove));
        assert!(sampled.noise_multiplier < 1.0, "amplified: {}", sampled.noise_multiplier);
        let error = plan(Name::LrRoot, poisson).unwrap_err().to_string();
        assert!(error.contains("fixed-order"), "{error}");
        for other in [Participation::Shuffled { at_most: 3 }, Participation::Everyone, Participation::NoUnits] {
            assert!(plan(Name::Identity, other).is_err());
        }
    }

    #[test]
    fn sampling_within_groups_amplifies_bands_that_fit_and_refuses_others() {
        let cyclic = |groups: u64| Participation::CyclicPoisson { groups, rate: 0.04 };
        let build = |mechanism, bands, participation| {
            let workload = Workload::new(Ratios::exponential(100, 0.1).unwrap());
            PrivacyPlan::new(2.0, 1e-5, mechanism, workload, participation).with_bands(Some(bands)).build()
        };
        let banded = build(Name::Bandmf, 8, cyclic(8)).unwrap().summary();
        // 100 / 8 rounds, in each of which an example is in its step with probability 8 * 0.04.
        let sampling = Sampling::Poisson { rate: 0.32 };
        let expected = account(&AccountRequest::new(sampling, 13, 1e-5, Target::Epsilon(2.0))).unwrap().noise_multiplier;
        assert!((banded.noise_multiplier / expected - 1.0).abs() < 1e-9);
        assert_eq!(banded.neighbours, Neighbours::AddRemove);
        let column = build(Name::Bandmf, 8, cyclic(8)).unwrap().strategy.sensitivity(Pattern::Single).unwrap().value;
        assert!((banded.sensitivity - column).abs() < 1e-12);
        for (mechanism, bands, part) in [(Name::Bandmf, 9, "9 bands"), (Name::Bisr, 4, "banded strategy")] {
            assert!(build(mechanism, bands, cyclic(8)).unwrap_err().to_string().contains(part));
        }
    }

    #[test]
    fn wishes_out_of_range_are_named() {
        let workload = || Workload::new(Ratios::constant(10).unwrap());
        let build = |epsilon: f64, delta: f64, clip: f64, batch: f64| {
            let plan = PrivacyPlan::new(epsilon, delta, Name::LrRoot, workload(), FIXED);
            plan.with_clip(clip).with_expected_batch(batch).build().unwrap_err().to_string()
        };
        assert!(build(0.0, 1e-5, 1.0, 1.0).contains("epsilon"));
        assert!(build(1.0, 1.0, 1.0, 1.0).contains("delta"));
        assert!(build(1.0, 1e-5, f64::NAN, 1.0).contains("clip"));
        assert!(build(1.0, 1e-5, 1.0, 0.0).contains("batch"));
        let none = PrivacyPlan::new(1.0, 1e-5, Name::Bisr, workload(), FIXED).with_bands(Some(0));
        assert!(none.build().unwrap_err().to_string().contains("bands"));
    }

    #[test]
    fn every_mechanism_can_be_planned_by_its_name() {
        for mechanism in Name::ALL {
            let summary = plan(mechanism, FIXED).unwrap().summary();
            assert_eq!(summary.mechanism, mechanism);
            let wide = matches!(mechanism, Name::PrefixRoot | Name::Split | Name::LrRoot | Name::AlphaTuned | Name::Dense);
            assert!(summary.memory_vectors <= if wide { 99 } else { 15 }, "{mechanism}: {}", summary.memory_vectors);
        }
    }

    #[test]
    fn the_objective_is_what_mechanisms_minimise() {
        let workload = Workload::new(Ratios::cosine(60, 0.05).unwrap());
        let batches = Participation::Separated { separation: 20, at_most: 3 };
        let plan = |mechanism, objective| {
            let builder = PrivacyPlan::new(2.0, 1e-5, mechanism, workload.clone(), batches.clone());
            builder.with_objective(objective).build().unwrap()
        };
        for mechanism in [Name::LambdaCgd, Name::Bandmf, Name::Bandinvmf, Name::Blt] {
            let (mean, max) = (plan(mechanism, Objective::Mean), plan(mechanism, Objective::Max));
            assert!(mean.summary.mean_se < max.summary.mean_se && max.summary.max_se < mean.summary.max_se, "{mechanism}");
            assert_ne!(mean.fingerprint(), max.fingerprint());
        }
    }

    #[test]
    fn a_strategy_file_is_used_where_it_was_made_for_the_run() {
        let workload = Workload::new(Ratios::cosine(60, 0.05).unwrap());
        let pattern = Pattern::separated(20, 3).unwrap();
        let strategy = Strategy::bandinvmf(&workload, 5, pattern, Objective::Max).unwrap();
        let file = StrategyFile::new(strategy.clone(), workload.clone(), pattern).unwrap();
        let plan = |workload: &Workload, separation| {
            let batches = Participation::Separated { separation, at_most: 3 };
            let named = PrivacyPlan::new(2.0, 1e-5, Name::Identity, workload.clone(), batches);
            named.with_strategy_file(file.clone()).build()
        };
        let found = plan(&workload, 20).unwrap();
        assert_eq!((found.summary.mechanism, &found.strategy), (Name::Bandinvmf, &strategy));
        let batches = Participation::Separated { separation: 20, at_most: 3 };
        let named = PrivacyPlan::new(2.0, 1e-5, Name::Bandinvmf, workload.clone(), batches).with_bands(Some(5)).build().unwrap();
        assert_ne!(found.fingerprint(), named.fingerprint(), "other coefficients under the same name");
        assert!(plan(&workload, 19).unwrap_err().to_string().contains("20 steps apart"));
        let other = Workload::new(Ratios::cosine(60, 0.06).unwrap());
        assert!(plan(&other, 20).unwrap_err().to_string().contains("rate ratio"));
    }
}
