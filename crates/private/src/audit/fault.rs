//! Faults to be planted: an audit that does not find them finds nothing.

use serde::{Deserialize, Serialize};
use thalweg_descent::{Contributions, Disclosure, Guard, Participation, Record, Result as DescentResult, Stateful, Weights};

use crate::error::{Error, Result};
use crate::noise::NoiseKey;
use crate::pattern::Pattern;
use crate::plan::PrivacyPlan;

/// Something that goes wrong in practice: the negative controls of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The noise is too small by a factor of 1.5.
    Noise,
    /// The sensitivity is computed as if each unit took part once.
    Participation,
    /// The sum is divided by the size of the realised batch, which depends on who is in it, and not by the public one.
    Batch,
    /// There is next to no noise, as if the step that adds it had been forgotten: a millionth of it.
    NoNoise,
}

/// By what the fault [`Fault::NoNoise`] divides the noise.
const FORGOTTEN: f64 = 1e6;

/// By what the fault [`Fault::Noise`] divides the noise.
pub const NOISE_DIVISOR: f64 = 1.5;

impl Fault {
    /// All faults.
    pub const ALL: [Self; 4] = [Self::Noise, Self::Participation, Self::Batch, Self::NoNoise];

    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Participation => "participation",
            Self::Batch => "batch",
            Self::NoNoise => "no-noise",
        }
    }

    /// The guard of a plan with this fault in it. It protects nobody.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] when the fault would change nothing under this plan.
    pub fn guard(self, plan: &PrivacyPlan, key: &NoiseKey) -> Result<Box<dyn Guard<f32>>> {
        let summary = plan.summary();
        match self {
            Self::Noise => {
                let wrong = plan.with_wrong_noise(summary.noise_multiplier / NOISE_DIVISOR, summary.sensitivity)?;
                Ok(Box::new(wrong.guard(key)))
            }
            Self::NoNoise => {
                let wrong = plan.with_wrong_noise(summary.noise_multiplier / FORGOTTEN, summary.sensitivity)?;
                Ok(Box::new(wrong.guard(key)))
            }
            Self::Participation => {
                let once = plan.strategy.sensitivity(Pattern::Single)?.value;
                if !matches!(summary.participation, Participation::Separated { .. }) || once >= summary.sensitivity * 0.999 {
                    return Err(self.changes_nothing(plan, "no unit takes part more than once in fixed steps"));
                }
                Ok(Box::new(plan.with_wrong_noise(summary.noise_multiplier, once)?.guard(key)))
            }
            Self::Batch => {
                if plan.expected_batch < 1.5 {
                    return Err(self.changes_nothing(plan, "a batch is a single unit"));
                }
                Ok(Box::new(RealisedBatch { guard: plan.guard(key), expected: plan.expected_batch }))
            }
        }
    }

    fn changes_nothing(self, plan: &PrivacyPlan, reason: &str) -> Error {
        Error::unsuitable(plan.summary().mechanism, format!("the fault {self} changes nothing under this plan: {reason}"))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.as_str() == text)
            .ok_or_else(|| Error::value("the fault", format!("{text:?}"), "noise, participation, batch or no-noise"))
    }
}

/// A guard that divides by the number of units it saw.
struct RealisedBatch<G> {
    guard: G,
    expected: f64,
}

impl<G: Stateful> Stateful for RealisedBatch<G> {
    fn save(&self) -> Vec<u8> {
        self.guard.save()
    }

    fn restore(&mut self, state: &[u8]) -> DescentResult<()> {
        self.guard.restore(state)
    }
}

impl<G: Guard<f32>> Guard<f32> for RealisedBatch<G> {
    fn admit(&mut self, participation: &Participation, steps: u64) -> DescentResult<()> {
        self.guard.admit(participation, steps)
    }

    fn disclosure(&self) -> Disclosure {
        self.guard.disclosure()
    }

    fn weigh(&self, contributions: &mut dyn Contributions<f32>) -> DescentResult<Weights> {
        self.guard.weigh(contributions)
    }

    fn release(&mut self, step: u64, units: usize, sum: &mut [f32], record: &mut Record) -> DescentResult<()> {
        self.guard.release(step, units, sum, record)?;
        let factor = (self.expected / units.max(1) as f64) as f32;
        sum.iter_mut().for_each(|value| *value *= factor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Name;
    use crate::workload::{Ratios, Workload};

    fn plan(participation: Participation, batch: f64) -> PrivacyPlan {
        let workload = Workload::new(Ratios::constant(8).unwrap());
        PrivacyPlan::new(2.0, 1e-3, Name::Identity, workload, participation).with_expected_batch(batch).build().unwrap()
    }

    fn separated(at_most: u64) -> Participation {
        Participation::Separated { separation: 2, at_most }
    }

    fn first_release(guard: &mut dyn Guard<f32>, units: usize) -> f32 {
        let mut sum = [0.0];
        guard.release(0, units, &mut sum, &mut Record::default()).unwrap();
        sum[0]
    }

    #[test]
    fn faults_do_what_they_say() {
        let (plan, key) = (plan(separated(4), 10.0), NoiseKey::insecure(1));
        let sound = first_release(&mut plan.guard(&key), 5);
        let ratio = |fault: Fault, units: usize| first_release(&mut *fault.guard(&plan, &key).unwrap(), units) / sound;
        assert!((ratio(Fault::Noise, 5) * 1.5 - 1.0).abs() < 1e-6);
        assert!((ratio(Fault::Participation, 5) * 2.0 - 1.0).abs() < 1e-6, "sqrt(4) participations forgotten");
        assert!((ratio(Fault::Batch, 5) - 2.0).abs() < 1e-6);
        assert!((ratio(Fault::Batch, 10) - 1.0).abs() < 1e-6);
        assert!(ratio(Fault::Batch, 0).is_finite());
    }

    #[test]
    fn faults_that_change_nothing_are_refused() {
        let key = NoiseKey::insecure(1);
        let refused = |fault: Fault, plan: &PrivacyPlan| {
            let error = fault.guard(plan, &key).err().expect("a refusal").to_string();
            assert!(error.contains("changes nothing"), "{error}");
        };
        refused(Fault::Participation, &plan(separated(1), 10.0));
        refused(Fault::Participation, &plan(Participation::Poisson { rate: 0.1 }, 10.0));
        refused(Fault::Batch, &plan(separated(4), 1.0));
    }

    #[test]
    fn spelling_is_the_same_everywhere() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
            assert_eq!(serde_json::to_string(&fault).unwrap(), format!("\"{fault}\""));
        }
        assert!("none".parse::<Fault>().unwrap_err().to_string().contains("participation"));
    }
}
