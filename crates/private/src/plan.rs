//! From a person's wishes to noise: the guarantee, the mechanism, and what it costs.

mod builder;

use serde::{Deserialize, Serialize};
use thalweg_descent::Participation;
use thalweg_descent::state::encode;

pub use self::builder::PlanBuilder;
use crate::accountant::Neighbours;
use crate::clip::Clip;
use crate::error::Result;
use crate::evaluation::Objective;
use crate::grid::{Grid, GridMechanism};
use crate::guard::PrivateGuard;
use crate::noise::{NoiseKey, NoiseKind};
use crate::sensitivity::Kind;
use crate::strategy::{Name, Strategy};
use crate::workload::Workload;

/// The bandwidth of banded mechanisms where none is asked for.
pub const BANDS: usize = 16;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accountant::{AccountRequest, Target, account};
    use crate::pattern::Pattern;
    use crate::sampler::Sampling;
    use crate::strategy::StrategyFile;
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
