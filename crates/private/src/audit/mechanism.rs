//! The audit of a plan's mechanism: the guard that training uses, in very many small runs with and without one unit.

mod batches;

use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use thalweg_descent::{Guard, Participation, Record, Seed};

use self::batches::{Batch, Batches, World};
use super::bound::{Audit, Method, Thresholds};
use super::fault::Fault;
use super::gdp;
use super::matched_filter::MatchedFilter;
use super::report::AuditReport;
use super::scores::Scores;
use crate::accountant::poisson::{GRID, Poisson};
use crate::accountant::{AccountRequest, Claim, MonteCarlo, Target, account};
use crate::error::{Error, Result};
use crate::noise::{CHUNK, NoiseKey};
use crate::pattern::Pattern;
use crate::plan::PrivacyPlan;
use crate::sampler::Sampling;

/// An audit of the very code that adds noise in training.
///
/// A trial is a run of all the plan's steps whose batches hold units with gradients of one direction. In half the trials one more
/// unit takes part, every b steps, with a gradient in the opposite direction, longer than the clip norm. The guard clips, adds
/// noise and averages. The score is the most powerful linear statistic of what it released, and the shift of the scores is
/// compared with the claimed mu: for a sound system it is at most `1 / sigma`, and equal to it where the sensitivity is exact.
///
/// Trials lie side by side in the vectors of a few guards, each with a key of its own, since the noise of a coordinate is
/// independent of all others'.
///
/// Under sampling (Poisson, cyclic, balls in bins, b-min-sep) the canary takes part in known steps, as far apart as the sampling
/// keeps them, so that the noise is audited and the sampling is not; the measured noise goes through the accountant of the plan.
/// [`TrainingAudit`](super::TrainingAudit) audits the sampling too.
///
/// 100,000 trials tell values of mu apart that differ by 0.04, so that from an epsilon of 0.3 on they catch every [`Fault`];
/// smaller differences need more, with the square. A mechanism with mu above 7 (an epsilon above 50) tells its neighbours apart
/// in every trial; no number of them shows whether it is as private as it claims, and the verdict is `consistent`.
///
/// ```
/// use thalweg_descent::Participation;
/// use thalweg_private::audit::{Fault, MechanismAudit, Verdict};
/// use thalweg_private::{Name, PrivacyPlan, Ratios, Workload};
///
/// let workload = Workload::new(Ratios::exponential(20, 0.1)?);
/// let batches = Participation::Separated { separation: 5, at_most: 4 };
/// let plan = PrivacyPlan::new(2.0, 1e-5, Name::LrBisr, workload, batches).with_expected_batch(8.0).build()?;
/// let audit = MechanismAudit::of(&plan).with_trials(20_000)?;
/// assert_eq!(audit.run()?.verdict, Verdict::Consistent);
/// assert_eq!(audit.with_fault(Fault::Noise).run()?.verdict, Verdict::Violated);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MechanismAudit {
    plan: PrivacyPlan,
    trials: usize,
    significance: f64,
    thresholds: Thresholds,
    fault: Option<Fault>,
    seed: Option<u64>,
}

/// Trials with the canary, and as many without, by default.
pub const TRIALS: usize = 100_000;

impl MechanismAudit {
    /// Of a plan: [`TRIALS`] trials, significance 0.05, [`Thresholds::BonferroniAll`], no fault, keys from the operating system.
    pub fn of(plan: &PrivacyPlan) -> Self {
        let thresholds = Thresholds::default();
        Self { plan: plan.clone(), trials: TRIALS, significance: 0.05, thresholds, fault: None, seed: None }
    }

    /// So many trials with the canary, and as many without.
    ///
    /// # Errors
    /// [`Error::Value`] for less than 2.
    pub fn with_trials(mut self, trials: usize) -> Result<Self> {
        if trials < 2 {
            return Err(Error::value("the number of trials", trials, "at least 2"));
        }
        self.trials = trials;
        Ok(self)
    }

    /// The probability that a sound system is found to be violated.
    #[must_use]
    pub fn with_significance(mut self, significance: f64) -> Self {
        self.significance = significance;
        self
    }

    /// The rule for the threshold. Scores without the canary are standard normal.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Plants a fault: a negative control, which must come out as violated.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Repeatable noise. It is released to nobody, and so may be known to everybody.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Runs all trials.
    ///
    /// # Errors
    /// [`Error::Value`] for a significance or threshold out of range; [`Error::Unsuitable`] for a fault that changes nothing
    /// under the plan; those of guard and noise.
    pub fn run(&self) -> Result<AuditReport> {
        let summary = self.plan.summary();
        let audit = Audit::at(summary.delta)?.with_significance(self.significance)?.with_thresholds(self.thresholds.clone())?;
        let canary = self.canary()?;
        let batches = Batches::of(&self.plan)?;
        let (inside, outside) = (self.scores(&canary, &batches, World::With)?, self.scores(&canary, &batches, World::Without)?);
        let scores = Scores::new(inside, outside)?;
        let mut bound = audit.bound(Method::Gdp, &scores)?;
        let mu = bound.mu.unwrap_or(0.0) / canary.repetitions;
        (bound.mu, bound.epsilon) = (Some(mu), self.epsilon(mu)?);
        Ok(AuditReport { fault: self.fault, ..audit.compare(Method::Gdp, &scores, bound, summary.epsilon) })
    }

    fn canary(&self) -> Result<Canary> {
        let (strategy, summary) = (&self.plan.strategy, self.plan.summary());
        match summary.participation {
            Participation::Separated { separation, at_most } => {
                let in_range = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
                let pattern = Pattern::separated(in_range(separation), in_range(at_most))?;
                Ok(Canary { filter: MatchedFilter::of_pattern(strategy, pattern)?, repetitions: 1.0 })
            }
            Participation::Poisson { .. } => self.sampled_canary(1),
            Participation::CyclicPoisson { groups: apart, .. }
            | Participation::BallsInBins { bins: apart }
            | Participation::BMinSep { separation: apart, .. } => self.sampled_canary(apart),
            other => Err(Error::unsuitable(summary.mechanism, format!("no audit is built for such batches: {other}"))),
        }
    }

    /// A canary in known steps, so far apart as the sampling keeps them, and as many as show the noise well.
    fn sampled_canary(&self, apart: u64) -> Result<Canary> {
        let (strategy, summary) = (&self.plan.strategy, self.plan.summary());
        let count = (SHIFT * summary.noise_multiplier).powi(2).ceil() as usize;
        let filter = MatchedFilter::spread(strategy, usize::try_from(apart).unwrap_or(usize::MAX), count)?;
        Ok(Canary { repetitions: filter.length / summary.sensitivity, filter })
    }

    /// The epsilon of the plan's accountant at noise multiplier `1 / mu`; of drawn losses the best guess.
    fn epsilon(&self, mu: f64) -> Result<f64> {
        let summary = self.plan.summary();
        match Sampling::of(&summary.participation, summary.steps)? {
            Sampling::Poisson { rate } if mu > 0.0 => {
                Poisson { sigma: 1.0 / mu, rate, steps: summary.steps }.epsilon(summary.delta, GRID)
            }
            Sampling::None => gdp::to_epsilon(mu, summary.delta),
            sampling if mu > 0.0 => {
                let asked = AccountRequest::new(sampling, summary.steps, summary.delta, Target::Noise(1.0 / mu));
                let monte_carlo = MonteCarlo { claim: Claim::Estimate, ..MonteCarlo::default() };
                Ok(account(&AccountRequest { strategy: Some(&self.plan.strategy), monte_carlo, ..asked })?.epsilon)
            }
            _ => Ok(0.0),
        }
    }

    /// One score a trial.
    fn scores(&self, canary: &Canary, batches: &Batches, world: World) -> Result<Vec<f64>> {
        let by_guard = (CHUNK / batches.blocks()).max(1);
        let guards = self.trials.div_ceil(by_guard);
        let scores = (0..guards).into_par_iter().map(|at| {
            let mut guard = self.guard(&self.key(world, at as u64)?)?;
            let trials = by_guard.min(self.trials - at * by_guard);
            self.run_side_by_side(&mut *guard, canary, batches, world, trials)
        });
        Ok(scores.collect::<Result<Vec<_>>>()?.concat())
    }

    fn guard(&self, key: &NoiseKey) -> Result<Box<dyn Guard<f32>>> {
        match self.fault {
            Some(fault) => fault.guard(&self.plan, key),
            None => Ok(Box::new(self.plan.guard(key))),
        }
    }

    fn key(&self, world: World, guard: u64) -> Result<NoiseKey> {
        match self.seed {
            Some(seed) => Ok(NoiseKey::insecure(Seed(seed).stream(world.name()).at(guard).next_u64())),
            None => NoiseKey::generate(),
        }
    }

    /// All steps of so many trials under one guard.
    fn run_side_by_side(
        &self,
        guard: &mut dyn Guard<f32>,
        canary: &Canary,
        batches: &Batches,
        world: World,
        trials: usize,
    ) -> Result<Vec<f64>> {
        let summary = self.plan.summary();
        guard.admit(&summary.participation, summary.steps)?;
        let filter = &canary.filter;
        let unit = self.plan.sum_std() * filter.length * batches.canary_length();
        let mut scores = vec![0.0; trials];
        let mut sum = vec![0.0f32; trials * batches.blocks()];
        for (step, (&weight, &takes_part)) in filter.weights.iter().zip(&filter.takes_part).enumerate() {
            let Batch { units, sum: clipped } = batches.at(world, takes_part);
            sum.chunks_exact_mut(clipped.len()).for_each(|trial| trial.copy_from_slice(clipped));
            guard.release(step as u64, *units, &mut sum, &mut Record::default())?;
            let others = &batches.at(World::Without, takes_part).sum;
            for (score, released) in scores.iter_mut().zip(sum.chunks_exact(clipped.len())) {
                let response = released.iter().zip(others).zip(&batches.canary).map(|((&released, &others), canary)| {
                    canary * (f64::from(released) * self.plan.expected_batch - batches.unit * f64::from(others))
                });
                *score += weight / unit * response.sum::<f64>();
            }
        }
        Ok(scores)
    }
}

/// The unit that is there in half the trials.
struct Canary {
    filter: MatchedFilter,
    /// How many times larger the shift of the scores is than the mu of the claim.
    repetitions: f64,
}

/// The shift at which rates of true and false positives are both measured well.
const SHIFT: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Verdict;
    use crate::clip::{Clip, Shares};
    use crate::noise::NoiseKind;
    use crate::strategy::Name;
    use crate::workload::{Ratios, Workload};

    fn build(name: Name, epsilon: f64) -> Result<PrivacyPlan> {
        let workload = Workload::new(Ratios::exponential(12, 0.1)?);
        let batches = Participation::Separated { separation: 4, at_most: 3 };
        let plan = PrivacyPlan::new(epsilon, 1e-5, name, workload, batches).with_bands(Some(4));
        plan.with_clip(0.7).with_expected_batch(16.0).build()
    }

    fn plan_of(name: Name, epsilon: f64) -> PrivacyPlan {
        build(name, epsilon).unwrap()
    }

    fn audit(plan: &PrivacyPlan) -> MechanismAudit {
        MechanismAudit::of(plan).with_seed(1)
    }

    // A sound system is found to be violated with a probability of at most 0.05; it was in none of 500 seeds. The seed is fixed.
    #[test]
    fn sound_mechanisms_are_consistent_the_audit_is_sharp_and_every_fault_is_caught() {
        // Mechanisms without a plan yet are audited as soon as they have one.
        let plans: Vec<(Name, PrivacyPlan)> =
            Name::ALL.into_iter().filter_map(|name| Some((name, build(name, 2.0).ok()?))).collect();
        assert!(plans.len() >= 10);
        for (name, plan) in plans {
            let report = audit(&plan).run().unwrap();
            assert_eq!(report.verdict, Verdict::Consistent, "{name}: {report:?}");
            assert_eq!((report.canaries_inside, report.canaries_outside), (TRIALS, TRIALS));
            assert!(report.epsilon_lower_bound > 1.7, "{name}: {}", report.epsilon_lower_bound);
            for fault in Fault::ALL {
                let report = audit(&plan).with_fault(fault).run().unwrap();
                assert_eq!(report.verdict, Verdict::Violated, "{name} with the fault {fault}");
                assert_eq!(report.fault, Some(fault));
            }
        }
    }

    #[test]
    fn the_scores_are_standard_normal_and_shifted_by_mu() {
        let plan = plan_of(Name::LrBisr, 8.0);
        let audit = audit(&plan);
        let (canary, batches) = (audit.canary().unwrap(), Batches::of(&plan).unwrap());
        for (world, shift) in [(World::Without, 0.0), (World::With, 1.0 / plan.summary().noise_multiplier)] {
            let scores = audit.scores(&canary, &batches, world).unwrap();
            let n = scores.len() as f64;
            let mean = scores.iter().sum::<f64>() / n;
            let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / n;
            // Five standard errors: a false alarm in a million seeds.
            assert!((mean - shift).abs() < 5.0 / n.sqrt(), "{mean} instead of {shift}");
            assert!((variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{variance}");
        }
    }

    #[test]
    fn alarms_at_one_threshold_are_as_rare_as_the_significance_says() {
        let plan = plan_of(Name::Bsr, 4.0);
        let middle = 0.5 / plan.summary().noise_multiplier;
        let alarms = |fault: Option<Fault>| {
            let violated = |seed: u64| {
                let audit = MechanismAudit::of(&plan).with_seed(seed).with_trials(2000).unwrap();
                let audit = MechanismAudit { fault, ..audit.with_thresholds(Thresholds::Fixed(middle)) };
                audit.run().unwrap().verdict == Verdict::Violated
            };
            (0..200).filter(|&seed| violated(seed)).count()
        };
        // More than 20 alarms of 200 at 5 % have a probability of 5e-4.
        let (sound, faulty) = (alarms(None), alarms(Some(Fault::Noise)));
        assert!(sound <= 20, "{sound}");
        assert!(faulty >= 190, "{faulty}");
    }

    #[test]
    fn sampled_batches_are_audited_by_the_accountant_of_sampling() {
        let workload = Workload::new(Ratios::constant(30).unwrap());
        let sampled = Participation::Poisson { rate: 0.1 };
        let plan = PrivacyPlan::new(1.0, 1e-5, Name::Identity, workload, sampled).with_expected_batch(10.0).build().unwrap();
        let report = audit(&plan).run().unwrap();
        assert_eq!(report.verdict, Verdict::Consistent);
        assert!(report.epsilon_lower_bound > 0.9, "{}", report.epsilon_lower_bound);
        for fault in [Fault::Noise, Fault::Batch] {
            let report = audit(&plan).with_fault(fault).run().unwrap();
            assert_eq!(report.verdict, Verdict::Violated, "{fault}");
        }
        assert!(audit(&plan).with_fault(Fault::Participation).run().is_err());
    }

    #[test]
    fn every_sampling_that_is_planned_is_audited() {
        let workload = || Workload::new(Ratios::exponential(24, 0.5).unwrap());
        for (name, sampled) in [
            (Name::Bandmf, Participation::CyclicPoisson { groups: 4, rate: 0.05 }),
            (Name::Bisr, Participation::BallsInBins { bins: 6 }),
            (Name::Bandmf, Participation::BMinSep { separation: 6, rate: 0.1 }),
        ] {
            let plan =
                PrivacyPlan::new(1.0, 1e-3, name, workload(), sampled.clone()).with_bands(Some(4)).with_expected_batch(10.0);
            let plan = plan.build().unwrap();
            let report = audit(&plan).run().unwrap();
            assert_eq!(report.verdict, Verdict::Consistent, "{sampled}: {report:?}");
            assert!(report.epsilon_lower_bound > 0.8, "{sampled}: {}", report.epsilon_lower_bound);
            for fault in [Fault::Noise, Fault::Batch, Fault::NoNoise] {
                assert_eq!(audit(&plan).with_fault(fault).run().unwrap().verdict, Verdict::Violated, "{sampled}: {fault}");
            }
            assert!(audit(&plan).with_fault(Fault::Participation).run().is_err());
        }
    }

    #[test]
    fn discrete_noise_is_audited() {
        let workload = Workload::new(Ratios::constant(12).unwrap());
        let batches = Participation::Separated { separation: 4, at_most: 3 };
        let plan = PrivacyPlan::new(2.0, 1e-5, Name::Identity, workload, batches).with_clip(0.7).with_expected_batch(16.0);
        let plan = plan.with_noise(NoiseKind::Discrete).build().unwrap();
        let audit = audit(&plan).with_trials(50_000).unwrap();
        let report = audit.run().unwrap();
        assert_eq!(report.verdict, Verdict::Consistent);
        // The noise is some 7 % larger than the analytic formula of the continuous Gaussian would have it.
        assert!(report.epsilon_lower_bound > 1.6, "{}", report.epsilon_lower_bound);
        for fault in Fault::ALL {
            assert_eq!(audit.clone().with_fault(fault).run().unwrap().verdict, Verdict::Violated, "{fault}");
        }
    }

    #[test]
    fn batches_of_one_and_of_millions_are_audited() {
        for batch in [1.0, 1e5, 1e15] {
            let workload = Workload::new(Ratios::constant(6).unwrap());
            let batches = Participation::Separated { separation: 3, at_most: 2 };
            let plan = PrivacyPlan::new(2.0, 1e-5, Name::Bisr, workload, batches).with_expected_batch(batch).build().unwrap();
            let report = audit(&plan).run().unwrap();
            assert_eq!(report.verdict, Verdict::Consistent, "{batch}");
            assert!(report.epsilon_lower_bound > 1.7, "{batch}: {}", report.epsilon_lower_bound);
            assert_eq!(audit(&plan).with_fault(Fault::Noise).run().unwrap().verdict, Verdict::Violated, "{batch}");
            let realised = audit(&plan).with_fault(Fault::Batch).run();
            match batch {
                1.0 => assert!(realised.is_err()),
                1e5 => assert_eq!(realised.unwrap().verdict, Verdict::Violated),
                _ => {}
            }
        }
    }

    #[test]
    fn every_way_to_clip_is_audited() {
        let workload = Workload::new(Ratios::exponential(12, 0.1).unwrap());
        let batches = Participation::Separated { separation: 4, at_most: 3 };
        for clip in [
            Clip::per_block(0.7, Shares::Equal).unwrap(),
            Clip::per_block(0.7, Shares::Given(vec![1.0, 5.0, 0.5])).unwrap(),
            Clip::automatic(0.01).unwrap(),
            Clip::global(0.7).unwrap(),
        ] {
            let plan = PrivacyPlan::new(2.0, 1e-5, Name::Bsr, workload.clone(), batches.clone()).with_expected_batch(16.0);
            let plan = plan.with_clipping(clip.clone()).build().unwrap();
            let report = audit(&plan).run().unwrap();
            assert_eq!(report.verdict, Verdict::Consistent, "{clip:?}: {report:?}");
            assert!(report.epsilon_lower_bound > 1.7, "{clip:?}: {}", report.epsilon_lower_bound);
            let faulty = audit(&plan).with_fault(Fault::Noise).run().unwrap();
            assert_eq!(faulty.verdict, Verdict::Violated, "{clip:?}");
        }
    }

    #[test]
    fn a_seed_repeats_the_audit_and_without_one_the_keys_are_fresh() {
        let plan = plan_of(Name::PrefixRoot, 2.0);
        let small = |audit: MechanismAudit| audit.with_trials(100).unwrap().run().unwrap().histogram;
        assert_eq!(small(audit(&plan)), small(audit(&plan)));
        assert_ne!(small(audit(&plan)), small(audit(&plan).with_seed(2)));
        assert_ne!(small(MechanismAudit::of(&plan)), small(MechanismAudit::of(&plan)));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| audit(&plan).with_trials(CHUNK + 5).unwrap().run().unwrap())
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn small_and_large_guarantees_are_judged_and_bad_wishes_named() {
        for (epsilon, trials) in [(0.1, 600_000), (20.0, TRIALS)] {
            let plan = plan_of(Name::Bisr, epsilon);
            let audit = audit(&plan).with_trials(trials).unwrap();
            assert_eq!(audit.run().unwrap().verdict, Verdict::Consistent, "{epsilon}");
            assert_eq!(audit.with_fault(Fault::Noise).run().unwrap().verdict, Verdict::Violated, "{epsilon}");
        }
        let plan = plan_of(Name::Bisr, 1.0);
        assert!(audit(&plan).with_trials(1).is_err());
        assert!(audit(&plan).with_significance(0.0).run().is_err());
        assert!(audit(&plan).with_thresholds(Thresholds::Bonferroni(vec![])).run().is_err());
    }
}
