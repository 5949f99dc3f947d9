//! Private training at the guard's seam: clip where the examples are, add correlated noise to the sum.

use serde::{Deserialize, Serialize};
use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Contributions, Disclosure, Error as DescentError, Guard, Participation, Record, Stateful, Weights};

use crate::error::Error;
use crate::noise::{Gaussian, Memory, NoiseKey, NoiseStream};
use crate::plan::{PlanSummary, PrivacyPlan};

/// Releases `(sum of clipped gradients + noise) / expected batch` in each step, each step once.
///
/// Observers see what is released and nothing else: losses on the batch, its size and norms are withheld, since no accountant has
/// counted them. The saved state is the [`Ledger`] and fingerprints of plan and key; neither key nor noise is in it.
#[derive(Debug)]
pub struct PrivateGuard {
    plan: PrivacyPlan,
    key: NoiseKey,
    next: u64,
    stream: Option<NoiseStream>,
}

/// What a guard has released so far, and under which plan: what an account of the data needs to know. Nothing in it is secret.
///
/// The plan's guarantee covers all its steps at once; fewer released steps never cost more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The plan.
    pub plan: PlanSummary,
    /// The steps released.
    pub released: u64,
}

/// What a resumed guard must find again.
#[derive(Serialize, Deserialize)]
struct Memo {
    next: u64,
    /// The plan's facts as JSON, which describes itself.
    facts: String,
    plan: [u8; 32],
    key: [u8; 16],
}

impl PrivateGuard {
    pub(crate) fn new(plan: PrivacyPlan, key: NoiseKey) -> Self {
        Self { plan, key, next: 0, stream: None }
    }

    /// The facts of the plan.
    pub fn summary(&self) -> PlanSummary {
        self.plan.summary()
    }

    /// What has been released so far.
    pub fn ledger(&self) -> Ledger {
        Ledger { plan: self.summary(), released: self.next }
    }

    /// The ledger in the state that a guard [saved](Stateful::save), for whoever has neither plan nor key.
    ///
    /// # Errors
    /// When the bytes are not such a state.
    pub fn ledger_in(state: &[u8]) -> Result<Ledger, DescentError> {
        let memo: Memo = decode("the private guard", state)?;
        let plan = serde_json::from_str(&memo.facts).map_err(|error| Error::state(error.to_string()))?;
        Ok(Ledger { plan, released: memo.next })
    }

    /// Takes the noise stream for vectors of that length, at the next step.
    fn take_stream(&mut self, len: usize) -> Result<NoiseStream, Error> {
        if let Some(stream) = self.stream.take() {
            return Ok(stream);
        }
        let mut stream = NoiseStream::new(&self.plan.strategy, len, Gaussian::new(self.key.clone()), Memory::default())?;
        stream.go_to(self.next)?;
        Ok(stream)
    }
}

impl Stateful for PrivateGuard {
    fn save(&self) -> Vec<u8> {
        let facts = serde_json::to_string(&self.summary()).expect("numbers, names and strings are all JSON");
        encode(&Memo { next: self.next, facts, plan: self.plan.fingerprint(), key: self.key.fingerprint() })
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), DescentError> {
        let memo: Memo = decode("the private guard", state)?;
        if memo.plan != self.plan.fingerprint() {
            let reason = "it was saved under another mechanism, workload, guarantee, clip norm or batch size";
            return Err(Error::state(reason).into());
        }
        if memo.key != self.key.fingerprint() {
            let reason = "it was saved under another noise key; resume with the key of the run, or begin a new run";
            return Err(Error::state(reason).into());
        }
        self.next = memo.next;
        self.stream = None;
        Ok(())
    }
}

impl Guard<f32> for PrivateGuard {
    fn admit(&mut self, participation: &Participation, steps: u64) -> Result<(), DescentError> {
        let summary = self.plan.summary();
        let refused =
            |reason: String| Err(DescentError::Refused { guard: format!("the mechanism {}", summary.mechanism), reason });
        if *participation != summary.participation {
            return refused(format!(
                "its noise is calibrated for other batches ({}) than the run draws ({participation}); plan for those",
                summary.participation
            ));
        }
        if steps > summary.steps {
            return refused(format!("its noise covers {} steps and the run takes {steps}; plan for that many", summary.steps));
        }
        Ok(())
    }

    fn disclosure(&self) -> Disclosure {
        Disclosure::ReleasedOnly
    }

    fn weigh(&self, contributions: &mut dyn Contributions<f32>) -> Result<Weights, DescentError> {
        if self.plan.discrete.is_some() {
            // Clipped on the grid, where the gradients are; a sum that is not is refused.
            return Ok(Weights::One);
        }
        let norms = contributions.squared_norms()?;
        Ok(self.plan.clip.weights(&norms)?)
    }

    fn release(&mut self, step: u64, units: usize, sum: &mut [f32], _record: &mut Record) -> Result<(), DescentError> {
        if step != self.next {
            return Err(Error::OutOfTurn { asked: step, next: self.next }.into());
        }
        if let Some(index) = sum.iter().position(|value| !value.is_finite()) {
            return Err(Error::NonFiniteSum { step, index, value: sum[index] }.into());
        }
        match &self.plan.discrete {
            Some(mechanism) => mechanism.release(&self.key, step, units, sum, self.plan.expected_batch)?,
            None => {
                let std = self.plan.sum_std();
                let mut stream = self.take_stream(sum.len())?;
                stream.add_next(std as f32, sum)?;
                self.stream = Some(stream);
                let share = (1.0 / self.plan.expected_batch) as f32;
                sum.iter_mut().for_each(|value| *value *= share);
            }
        }
        self.next += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::differentiate::UnitGradients;
    use thalweg_descent::{Layout, Result};

    use super::*;
    use crate::clip::{Clip, OnNonFinite, Shares};
    use crate::noise::NoiseKind;
    use crate::strategy::Name;
    use crate::workload::{Ratios, Workload};

    const FIXED: Participation = Participation::Separated { separation: 4, at_most: 3 };

    fn plan(mechanism: Name, clip: Clip) -> PrivacyPlan {
        let workload = Workload::new(Ratios::exponential(12, 0.1).unwrap());
        let plan = PrivacyPlan::new(2.0, 1e-5, mechanism, workload, FIXED).with_expected_batch(10.0);
        plan.with_clipping(clip).build().unwrap()
    }

    fn guard(mechanism: Name) -> PrivateGuard {
        plan(mechanism, Clip::to(1.0).unwrap()).guard(&NoiseKey::insecure(5))
    }

    fn release(guard: &mut PrivateGuard, step: u64) -> Result<[f32; 3]> {
        let mut sum = [1.0, 2.0, 3.0];
        guard.release(step, 7, &mut sum, &mut Record::default())?;
        Ok(sum)
    }

    #[test]
    fn a_resumed_guard_replays_the_same_noise_and_never_draws_afresh() {
        for mechanism in [Name::Identity, Name::PrefixRoot, Name::LrRoot, Name::Bisr, Name::Bsr] {
            let mut whole = guard(mechanism);
            let all: Vec<[f32; 3]> = (0..12).map(|step| release(&mut whole, step).unwrap()).collect();
            let mut first = guard(mechanism);
            for step in 0..5 {
                release(&mut first, step).unwrap();
            }
            let saved = first.save();
            for _ in 0..2 {
                let mut resumed = guard(mechanism);
                resumed.restore(&saved).unwrap();
                for step in 5..12 {
                    assert_eq!(release(&mut resumed, step).unwrap(), all[step as usize], "{mechanism}");
                }
            }
        }
    }

    #[test]
    fn steps_out_of_turn_past_the_end_and_foreign_states_are_refused() {
        let mut guard_ = guard(Name::LrRoot);
        assert!(release(&mut guard_, 1).is_err());
        release(&mut guard_, 0).unwrap();
        assert!(release(&mut guard_, 0).is_err(), "a step released twice");
        for step in 1..12 {
            release(&mut guard_, step).unwrap();
        }
        assert!(release(&mut guard_, 12).is_err(), "a step that no noise covers");
        assert!(guard(Name::PrefixRoot).restore(&guard_.save()).is_err());
        assert!(guard(Name::LrRoot).restore(b"nonsense").is_err());
    }

    fn discrete(epsilon: f64, mechanism: Name, participation: Participation, clip: Clip) -> crate::Result<PrivacyPlan> {
        let workload = Workload::new(Ratios::exponential(12, 0.1).unwrap());
        let plan = PrivacyPlan::new(epsilon, 1e-5, mechanism, workload, participation).with_expected_batch(10.0);
        plan.with_clipping(clip).with_noise(NoiseKind::Discrete).build()
    }

    fn flat() -> Clip {
        Clip::to(1.0).unwrap()
    }

    #[test]
    fn discrete_noise_is_whole_numbers_and_a_resume_replays_them() {
        let gaussian = plan(Name::Identity, flat());
        let plan = discrete(2.0, Name::Identity, FIXED, flat()).unwrap();
        let (unit, std) = (plan.grid().unwrap().unit(), plan.sum_std());
        let len = 20_000;
        let mut guard = plan.guard(&NoiseKey::insecure(5));
        let mut released = Vec::new();
        let mut saved = Vec::new();
        for step in 0..6 {
            if step == 3 {
                saved = guard.save();
            }
            let mut sum = vec![step as f32 - 2.0; len];
            guard.release(step, 10, &mut sum, &mut Record::default()).unwrap();
            released.push(sum);
        }
        for (step, released) in released.iter().enumerate() {
            // Whole units over the public batch, but for the rounding of what is released.
            let whole: Vec<f64> = released.iter().map(|&value| f64::from(value) * 10.0 / unit).collect();
            let off = whole.iter().map(|value| (value - value.round()).abs() / value.abs().max(1.0)).fold(0.0, f64::max);
            assert!(off < 1e-6, "{off}");
            let variance = whole.iter().map(|value| (value.round() - (step as f64 - 2.0)).powi(2)).sum::<f64>() / len as f64;
            // Five standard errors: a false alarm in 300,000 seeds for all six.
            assert!((variance * (unit / std).powi(2) - 1.0).abs() < 5.0 * (2.0 / len as f64).sqrt(), "{variance}");
        }
        let mut resumed = plan.guard(&NoiseKey::insecure(5));
        resumed.restore(&saved).unwrap();
        for step in 3..6 {
            let mut sum = vec![step as f32 - 2.0; len];
            resumed.release(step, 10, &mut sum, &mut Record::default()).unwrap();
            assert_eq!(sum, released[step as usize]);
        }
        assert!(gaussian.guard(&NoiseKey::insecure(5)).restore(&saved).is_err(), "another arithmetic is another plan");
    }

    #[test]
    fn discrete_noise_costs_what_the_conversion_of_concentrated_privacy_costs() {
        let (discrete, gaussian) =
            (discrete(2.0, Name::Identity, FIXED, flat()).unwrap().summary(), plan(Name::Identity, flat()).summary());
        assert_eq!((discrete.sensitivity, discrete.neighbours), (gaussian.sensitivity, gaussian.neighbours));
        let ratio = discrete.noise_multiplier / gaussian.noise_multiplier;
        assert!((1.04..1.12).contains(&ratio), "{ratio}");
        let rho = 0.5 / discrete.noise_multiplier.powi(2);
        assert!(crate::accountant::concentrated::delta(rho, 2.0).unwrap() <= 1e-5 * (1.0 + 1e-6));
    }

    #[test]
    fn discrete_noise_refuses_what_is_not_whole_and_what_it_cannot_cover() {
        let plan = discrete(2.0, Name::Identity, FIXED, flat()).unwrap();
        let norm = plan.grid().unwrap().norm() as f32;
        let mut guard = plan.guard(&NoiseKey::insecure(5));
        for (bad, units) in [(0.5, 10), (1.0, 100), (10.0 * norm + 1.0, 10)] {
            let mut sum = [0.0, bad];
            let error = guard.release(0, units, &mut sum, &mut Record::default()).unwrap_err().to_string();
            assert!(error.contains("grid"), "{error}");
            assert_eq!(sum, [0.0, bad], "nothing is released");
        }
        guard.release(0, 10, &mut [10.0 * norm, -3.0], &mut Record::default()).unwrap();
        let refused = |plan: crate::Result<PrivacyPlan>, part: &str| {
            let error = plan.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        for mechanism in Name::ALL.into_iter().filter(|name| *name != Name::Identity) {
            refused(discrete(2.0, mechanism, FIXED, flat()), "multiples");
        }
        refused(discrete(2.0, Name::Identity, Participation::Poisson { rate: 0.1 }, flat()), "amplification");
        refused(discrete(2.0, Name::Identity, FIXED, Clip::automatic(0.01).unwrap()), "one norm");
    }

    #[test]
    fn the_ledger_counts_what_was_released_and_lies_in_the_state() {
        let mut guard = guard(Name::LrRoot);
        for step in 0..3 {
            assert_eq!(guard.ledger().released, step);
            release(&mut guard, step).unwrap();
        }
        let read = PrivateGuard::ledger_in(&guard.save()).unwrap();
        let plan = guard.summary();
        assert_eq!((read.released, read.plan.mechanism, read.plan.participation), (3, plan.mechanism, plan.participation));
        assert!((read.plan.noise_std / plan.noise_std - 1.0).abs() < 1e-15 && read.plan.epsilon == 2.0);
        assert!(PrivateGuard::ledger_in(b"nonsense").is_err());
    }

    #[test]
    fn another_key_or_another_workload_is_refused() {
        let saved = guard(Name::LrRoot).save();
        guard(Name::LrRoot).restore(&saved).unwrap();
        let resume = |beta: f64, seed: u64| {
            let workload = Workload::new(Ratios::exponential(12, beta).unwrap());
            let plan = PrivacyPlan::new(2.0, 1e-5, Name::LrRoot, workload, FIXED).with_expected_batch(10.0).build().unwrap();
            plan.guard(&NoiseKey::insecure(seed)).restore(&saved)
        };
        resume(0.1, 5).unwrap();
        assert!(resume(0.1, 6).unwrap_err().to_string().contains("another noise key"));
        assert!(resume(0.2, 5).unwrap_err().to_string().contains("workload"));
    }

    #[test]
    fn plans_that_differ_in_workload_alone_have_other_fingerprints() {
        let print = |beta: f64| {
            let workload = Workload::new(Ratios::linear(12, beta).unwrap());
            let plan = PrivacyPlan::new(2.0, 1e-5, Name::Identity, workload, FIXED).with_expected_batch(10.0);
            plan.build().unwrap().fingerprint()
        };
        assert_eq!(print(0.5), print(0.5));
        assert_ne!(print(0.5), print(0.25));
    }

    #[test]
    fn a_sum_that_is_no_number_is_refused_by_step_and_costs_nothing() {
        let mut guard = guard(Name::LrRoot);
        release(&mut guard, 0).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut sum = [0.0, bad, 0.0];
            let error = guard.release(1, 7, &mut sum, &mut Record::default()).unwrap_err().to_string();
            assert!(error.contains("step 1"), "{error}");
            assert_eq!(sum[0], 0.0, "nothing is released");
        }
        release(&mut guard, 1).unwrap();
    }

    #[test]
    fn neither_key_nor_noise_is_saved_or_shown() {
        let key = NoiseKey::generate().unwrap();
        let workload = Workload::new(Ratios::constant(12).unwrap());
        let plan = PrivacyPlan::new(2.0, 1e-5, Name::PrefixRoot, workload, FIXED).with_expected_batch(10.0).build().unwrap();
        let mut guard = plan.guard(&key);
        let empty = guard.save();
        let released = release(&mut guard, 0).unwrap();
        let saved = guard.save();
        assert_eq!(saved.len(), empty.len(), "the state does not grow with the noise");
        let noise = (released[0] * 10.0 - 1.0).to_le_bytes();
        for secret in [&key.bytes()[..8], &noise[..]] {
            assert!(!saved.windows(secret.len()).any(|window| window == secret));
        }
        let shown = format!("{guard:?}");
        assert!(shown.contains("NoiseKey { .. }"), "{shown}");
    }

    #[test]
    fn other_batches_and_more_steps_are_refused_with_the_reason() {
        let mut guard = guard(Name::LrRoot);
        guard.admit(&FIXED, 12).unwrap();
        for (participation, steps, part) in [
            (FIXED, 13, "13"),
            (Participation::Separated { separation: 3, at_most: 4 }, 12, "calibrated"),
            (Participation::Shuffled { at_most: 3 }, 12, "shuffled"),
            (Participation::DataDependent { how: "a coreset".to_owned() }, 12, "a coreset"),
            (Participation::Poisson { rate: 0.1 }, 12, "Poisson"),
        ] {
            let error = guard.admit(&participation, steps).unwrap_err();
            assert!(matches!(error, DescentError::Refused { .. }) && error.to_string().contains(part), "{error}");
        }
        assert_eq!(guard.disclosure(), Disclosure::ReleasedOnly);
    }

    /// Units with gradients (3, 4) and (0.3, 0.4), clipped to 1 under a plan.
    fn weigh(clip: Clip) -> Weights {
        let layout = Layout::single("x", &[2]);
        let mut units = UnitGradients::new(&layout, vec![0.0; 2], vec![3.0f32, 4.0, 0.3, 0.4]).unwrap();
        plan(Name::LrRoot, clip).guard(&NoiseKey::insecure(5)).weigh(&mut units).unwrap()
    }

    #[test]
    fn units_are_clipped_and_an_empty_batch_still_gets_noise() {
        let Weights::PerUnit(weights) = weigh(Clip::to(1.0).unwrap()) else { panic!() };
        assert!((weights[0] - 0.2).abs() < 1e-6 && weights[1] == 1.0, "{weights:?}");
        assert_eq!(weigh(Clip::global(1.0).unwrap()), Weights::PerUnit(vec![0.0, 1.0]));
        assert!(matches!(weigh(Clip::per_block(1.0, Shares::Equal).unwrap()), Weights::PerBlock { blocks: 1, .. }));
        let mut sum = [0.0; 4];
        guard(Name::LrRoot).release(0, 0, &mut sum, &mut Record::default()).unwrap();
        assert!(sum.iter().all(|value| *value != 0.0));
    }

    #[test]
    fn a_state_saved_under_another_way_to_clip_is_refused() {
        let guard = |clip: Clip| plan(Name::LrRoot, clip).guard(&NoiseKey::insecure(5));
        let saved = guard(Clip::to(1.0).unwrap()).save();
        guard(Clip::to(1.0).unwrap()).restore(&saved).unwrap();
        for other in [Clip::global(1.0).unwrap(), Clip::to(1.0).unwrap().on_non_finite(OnNonFinite::Zero)] {
            assert!(guard(other).restore(&saved).is_err());
        }
    }
}
