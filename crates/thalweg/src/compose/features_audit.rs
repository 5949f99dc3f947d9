//! The audit of the features lab: its noisy descent, in many small runs with and without one example.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_descent::streams::StreamRng;
use thalweg_descent::{Error, Result, Seed};
use thalweg_dynamics::features::{FilterMatrix, Gradients, Network, NoisyDescent, NoisyGd, Patches, Protection, Synthetic};
use thalweg_private::audit::{Audit, AuditReport, Method, NOISE_DIVISOR, Scores, Thresholds};

use super::features::protection;

/// What is planted, as a negative control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescentFault {
    /// The noise is too small by a factor of 1.5.
    Noise,
    /// Gradients are not clipped; the noise is that of the clip.
    NoClip,
}

/// Whole descents that differ in one example, told apart by all their weights.
///
/// The example is as hard to hide as the adversary can make it. Its two patches are opposite, so that half of them reaches every filter
/// and its gradient is longer than the clip in all steps. The adversary knows everything else, and so computes what the step would
/// have been without it; what is left is projected on the direction of its gradient. The sum over T steps, over its standard deviation,
/// is standard normal without the example, and shifted by `sqrt(T) / nm` with it: the claim's mu, exactly. More is a defect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeaturesAudit {
    /// The claimed epsilon of all steps together.
    pub epsilon: f64,
    /// And delta.
    pub delta: f64,
    /// The steps of a descent.
    pub steps: u64,
    /// Descents with the example, and as many without.
    pub trials: u32,
    /// A sound descent is called violated with at most this probability.
    pub significance: f64,
    /// What is planted.
    pub fault: Option<DescentFault>,
    /// The seed of all draws: data are synthetic, and there is nobody to protect.
    pub seed: u64,
}

impl Default for FeaturesAudit {
    /// 5,000 descents of 100 steps each way, at epsilon 8, delta 1e-5 and significance 0.05.
    fn default() -> Self {
        Self { epsilon: 8.0, delta: 1e-5, steps: 100, trials: 5000, significance: 0.05, fault: None, seed: 0 }
    }
}

/// A small network whose weights move little in a run, so that the audited gradient stays long.
fn network() -> Network {
    Network { width: 4, initial_std: 1.0, ..Network::default() }
}

/// The clip is small beside the audited gradient.
const CLIP: f64 = 0.05;
/// Without a clip: no gradient is as long.
const NO_CLIP: f64 = 1e6;
const RATE: f64 = 0.2;
const EXAMPLES: usize = 8;
const DIMENSION: usize = 16;

impl FeaturesAudit {
    /// Runs all descents.
    ///
    /// # Errors
    /// [`Error::Input`] for an infinite epsilon, another value out of range, or fewer than 2 trials.
    pub fn run(&self) -> Result<AuditReport> {
        if !self.epsilon.is_finite() {
            return Err(Error::input(format!("epsilon is {}: without a guarantee there is nothing to audit", self.epsilon)));
        }
        if self.trials < 2 {
            return Err(Error::input(format!("the number of trials is {}, but must be at least 2", self.trials)));
        }
        let claimed = protection(self.epsilon, self.delta, CLIP, self.steps)?;
        let mu = (self.steps as f64).sqrt() / claimed.noise_multiplier();
        let audit = Audit::at(self.delta)?.with_significance(self.significance)?;
        // Known before the scores, and the best one for a sound descent.
        let audit = audit.with_thresholds(Thresholds::Fixed(0.5 * mu))?;
        let settings = NoisyGd { rate: RATE, steps: self.steps, protection: self.planted(claimed)? };
        let others = others(&mut Seed(self.seed).stream("features audit: data").at(0))?;
        let canary = Canary::new(&others)?;
        let scores = |world: World| -> Result<Vec<f64>> {
            let stream = Seed(self.seed).stream(world.name());
            let trials = (0..u64::from(self.trials)).into_par_iter();
            trials.map(|trial| canary.score(world, settings, claimed, &mut stream.at(trial))).collect()
        };
        let scores = Scores::new(scores(World::With)?, scores(World::Without)?)?;
        Ok(audit.report(Method::Gdp, &scores, self.epsilon)?)
    }

    /// The clip and noise that the audited descent really has.
    fn planted(&self, claimed: Protection) -> Result<Protection> {
        let multiplier = claimed.noise_multiplier();
        Ok(match self.fault {
            None => claimed,
            Some(DescentFault::Noise) => Protection::new(CLIP, multiplier / NOISE_DIVISOR)?,
            Some(DescentFault::NoClip) => Protection::new(NO_CLIP, multiplier * CLIP / NO_CLIP)?,
        })
    }
}

/// Whether the audited example takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    With,
    Without,
}

impl World {
    fn name(self) -> &'static str {
        match self {
            Self::With => "features audit: with the example",
            Self::Without => "features audit: without the example",
        }
    }
}

/// The patches and labels of the other examples, of about unit length.
fn others(rng: &mut StreamRng) -> Result<(Vec<f64>, Vec<i8>)> {
    let noise_std = 1.0 / (DIMENSION as f64).sqrt();
    let data = Synthetic { examples: EXAMPLES - 1, dimension: DIMENSION, snr: 1.0, noise_std, ..Synthetic::default() };
    let data = data.sample_vectors(rng)?;
    let mu = data.atom(0);
    let patches = data.labels().iter().enumerate().flat_map(|(example, label)| {
        let signal = mu.iter().map(|value| label * value).collect::<Vec<f64>>();
        [signal, data.atom(1 + example)].concat()
    });
    let labels = data.labels().iter().map(|label| if *label > 0.0 { 1 } else { -1 }).collect();
    Ok((patches.collect(), labels))
}

/// The audited example, and the data with and without it. The public number of examples is the same: without it, a blank has its place.
struct Canary {
    alone: Patches,
    with: Patches,
    without: Patches,
}

impl Canary {
    fn new((patches, labels): &(Vec<f64>, Vec<i8>)) -> Result<Self> {
        let canary: Vec<f64> = (0..2 * DIMENSION)
            .map(|entry| match entry {
                0 => 1.0,
                DIMENSION => -1.0,
                _ => 0.0,
            })
            .collect();
        let of = |last: &[f64]| Patches::new(&[patches, last].concat(), 2, DIMENSION, &[labels.as_slice(), &[1]].concat());
        Ok(Self {
            alone: Patches::new(&canary, 2, DIMENSION, &[1])?,
            with: of(&canary)?,
            without: of(&vec![0.0; 2 * DIMENSION])?,
        })
    }

    /// One descent, and how much of the example is seen in its weights.
    fn score(&self, world: World, settings: NoisyGd, claimed: Protection, rng: &mut StreamRng) -> Result<f64> {
        let data = match world {
            World::With => &self.with,
            World::Without => &self.without,
        };
        let initial = network().initial(DIMENSION, rng);
        let mut descent = NoisyDescent::new(data, network(), settings, initial)?;
        let (mut own, mut rest) = (Gradients::new(network(), &self.alone)?, Gradients::new(network(), &self.without)?);
        let mut score = 0.0;
        while !descent.is_done() {
            let before = descent.weights().clone();
            own.compute(&self.alone, &before, None)?;
            rest.compute(&self.without, &before, settings.protection.clip())?;
            descent.step(rng)?;
            let moved = moved_along(&before, descent.weights(), own.mean()) / settings.rate;
            let expected = along(rest.mean(), own.mean());
            score += EXAMPLES as f64 * (moved - expected) / own.norms()[0];
        }
        let std = CLIP * claimed.noise_multiplier() * (settings.steps as f64).sqrt();
        Ok(score / std)
    }
}

fn along(matrix: &FilterMatrix, direction: &FilterMatrix) -> f64 {
    let rows = matrix.iter_rows().zip(direction.iter_rows());
    rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()).sum()
}

fn moved_along(before: &FilterMatrix, after: &FilterMatrix, direction: &FilterMatrix) -> f64 {
    along(before, direction) - along(after, direction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_private::audit::Verdict;

    fn audit(fault: Option<DescentFault>) -> FeaturesAudit {
        FeaturesAudit { steps: 12, trials: 2000, fault, ..FeaturesAudit::default() }
    }

    /// One seed; for another the sound descent is called violated with a probability of at most 0.05.
    #[test]
    fn the_descent_hides_an_example_as_well_as_it_claims_and_faults_are_found() {
        let sound = audit(None).run().unwrap();
        assert_eq!(sound.verdict, Verdict::Consistent);
        // The attack is as good as the mechanism allows: almost all of the claim is reached.
        assert!(sound.epsilon_lower_bound > 6.5, "{}", sound.epsilon_lower_bound);
        for fault in [DescentFault::Noise, DescentFault::NoClip] {
            let found = audit(Some(fault)).run().unwrap();
            assert_eq!(found.verdict, Verdict::Violated, "{fault:?}: {}", found.epsilon_lower_bound);
        }
        let small = FeaturesAudit { epsilon: 1.0, trials: 10_000, ..audit(None) };
        assert_eq!(small.run().unwrap().verdict, Verdict::Consistent);
        let small = FeaturesAudit { fault: Some(DescentFault::Noise), ..small };
        assert_eq!(small.run().unwrap().verdict, Verdict::Violated);
    }

    #[test]
    fn scores_are_normal_and_shifted_by_mu() {
        let claimed = protection(2.0, 1e-5, CLIP, 9).unwrap();
        let settings = NoisyGd { rate: RATE, steps: 9, protection: claimed };
        let canary = Canary::new(&others(&mut Seed(3).stream("data").at(0)).unwrap()).unwrap();
        for (world, shift) in [(World::Without, 0.0), (World::With, 3.0 / claimed.noise_multiplier())] {
            let score = |trial| canary.score(world, settings, claimed, &mut Seed(3).stream("test").at(trial)).unwrap();
            let scores: Vec<f64> = (0..4000).map(score).collect();
            let mean = scores.iter().sum::<f64>() / 4000.0;
            let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / 4000.0;
            // Five standard errors: a false alarm in a million seeds.
            assert!((mean - shift).abs() < 5.0 / 4000f64.sqrt(), "{mean} instead of {shift}");
            assert!((variance - 1.0).abs() < 5.0 * (2.0 / 4000f64).sqrt(), "{variance}");
        }
    }

    #[test]
    fn threads_change_nothing_and_bad_wishes_are_named() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| FeaturesAudit { trials: 50, ..audit(None) }.run().unwrap())
        };
        assert_eq!(on(1), on(3));
        for (wrong, part) in [
            (FeaturesAudit { epsilon: f64::INFINITY, ..audit(None) }, "nothing to audit"),
            (FeaturesAudit { epsilon: -1.0, ..audit(None) }, "epsilon"),
            (FeaturesAudit { trials: 1, ..audit(None) }, "trials is 1"),
            (FeaturesAudit { steps: 0, ..audit(None) }, "steps"),
            (FeaturesAudit { significance: 0.0, ..audit(None) }, "significance"),
        ] {
            let error = wrong.run().unwrap_err();
            assert!(error.is_input() && error.to_string().contains(part), "{error}");
        }
    }
}
