//! What several mechanisms on the same data cost together.

use serde::{Deserialize, Serialize};

use super::pair::Pair;
use super::{Neighbours, gaussian, rdp, tilted};
use crate::error::{Error, Result, positive, probability};

/// The most steps in all: the rounding of their sum must stay far below every delta.
const MOST_STEPS: u64 = 1_000_000_000;

/// One use of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mechanism")]
#[non_exhaustive]
pub enum Mechanism {
    /// A Gaussian mechanism: a full release, or a whole run of a matrix mechanism without sampling.
    Gaussian {
        /// The noise's standard deviation over what one unit can move the output, by its presence.
        noise_multiplier: f64,
    },
    /// One step that takes each unit with probability `rate`, sums the clipped contributions, and adds Gaussian noise.
    Poisson {
        /// The noise's standard deviation over the clip norm.
        noise_multiplier: f64,
        /// q, in (0, 1].
        rate: f64,
    },
}

impl Mechanism {
    fn check(&self) -> Result<()> {
        match *self {
            Self::Gaussian { noise_multiplier } => positive("the noise multiplier sigma", noise_multiplier).map(drop),
            Self::Poisson { noise_multiplier, rate } => {
                positive("the noise multiplier sigma", noise_multiplier)?;
                check_rate(rate)
            }
        }
    }
}

/// Checks that a sampling rate lies in (0, 1].
pub(crate) fn check_rate(rate: f64) -> Result<()> {
    if rate > 0.0 && rate <= 1.0 { Ok(()) } else { Err(Error::value("the sampling rate q", rate, "above 0 and at most 1")) }
}

/// A ledger of the mechanisms that have seen the same data, and what they cost together.
///
/// Mechanisms may be chosen in view of earlier results. Their noise must be independent: the steps of one matrix mechanism are one
/// Gaussian mechanism, not many.
///
/// ```
/// use thalweg_private::accountant::{Composition, Mechanism, Neighbours};
///
/// let mut spent = Composition::new(Neighbours::AddRemove);
/// spent.add(Mechanism::Poisson { noise_multiplier: 1.0, rate: 0.01 }, 1000)?;
/// assert!((spent.epsilon(1e-5)? - 1.8282).abs() < 1e-3);
/// spent.add(Mechanism::Gaussian { noise_multiplier: 4.0 }, 1)?;
/// assert!(spent.epsilon(1e-5)? > 1.9);
/// let read: Composition = serde_json::from_str(&serde_json::to_string(&spent).unwrap()).unwrap();
/// assert_eq!(read, spent);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Events", into = "Events")]
pub struct Composition {
    neighbours: Neighbours,
    events: Vec<Event>,
}

/// A mechanism and how often it was used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The mechanism.
    #[serde(flatten)]
    pub mechanism: Mechanism,
    /// How often, at least once.
    pub count: u64,
}

/// What is written of a ledger; reading it checks each event.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Composition")]
struct Events {
    neighbours: Neighbours,
    events: Vec<Event>,
}

impl TryFrom<Events> for Composition {
    type Error = Error;

    fn try_from(read: Events) -> Result<Self> {
        let mut composition = Self::new(read.neighbours);
        read.events.into_iter().try_for_each(|event| composition.add(event.mechanism, event.count))?;
        Ok(composition)
    }
}

impl From<Composition> for Events {
    fn from(written: Composition) -> Self {
        Self { neighbours: written.neighbours, events: written.events }
    }
}

impl Composition {
    /// Nothing spent yet.
    pub fn new(neighbours: Neighbours) -> Self {
        Self { neighbours, events: Vec::new() }
    }

    /// A mechanism used `count` times.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn of(neighbours: Neighbours, mechanism: Mechanism, count: u64) -> Result<Self> {
        let mut composition = Self::new(neighbours);
        composition.add(mechanism, count)?;
        Ok(composition)
    }

    /// Counts a mechanism `count` times more.
    ///
    /// # Errors
    /// [`Error::Value`] for a parameter out of range, a count of 0, or more than a thousand million steps in all.
    pub fn add(&mut self, mechanism: Mechanism, count: u64) -> Result<()> {
        mechanism.check()?;
        let before: u64 = self.events.iter().map(|event| event.count).sum();
        if count == 0 || count > MOST_STEPS - before {
            return Err(Error::value("the number of steps", count, &format!("1 to {}", MOST_STEPS - before)));
        }
        match self.events.iter_mut().find(|event| event.mechanism == mechanism) {
            Some(event) => event.count += count,
            None => self.events.push(Event { mechanism, count }),
        }
        Ok(())
    }

    /// What was counted.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Which data sets are neighbours.
    pub fn neighbours(&self) -> Neighbours {
        self.neighbours
    }

    /// The least epsilon at `delta`: exact for Gaussian mechanisms and single steps, otherwise by the privacy-loss distribution on a
    /// grid that suits it, never below the truth; 0 when nothing is spent.
    ///
    /// # Errors
    /// [`Error::Value`] for a delta outside (0, 1) or below 1e-280.
    pub fn epsilon(&self, delta: f64) -> Result<f64> {
        self.epsilon_by(delta, None)
    }

    /// The same on a grid of privacy losses with this step, as other accountants take it.
    ///
    /// # Errors
    /// As [`epsilon`](Self::epsilon), and [`Error::GridTooLarge`].
    pub fn epsilon_on(&self, delta: f64, step: f64) -> Result<f64> {
        self.epsilon_by(delta, Some(positive("the grid's step", step)?))
    }

    fn epsilon_by(&self, delta: f64, step: Option<f64>) -> Result<f64> {
        let delta = probability("delta", delta)?;
        if delta < tilted::LEAST_DELTA {
            return Err(Error::value("delta", format!("{delta:e}"), "at least 1e-280, which double precision can tell from 0"));
        }
        self.largest(|steps| match *steps {
            [] => Ok(0.0),
            [(pair, 1)] if pair.is_gaussian() => gaussian::epsilon(1.0 / pair.mu(), delta),
            [(pair, 1)] => pair.epsilon(delta),
            _ => tilted::epsilon(steps, delta, step),
        })
    }

    /// The least delta at `epsilon` >= 0, never below the truth.
    ///
    /// # Errors
    /// [`Error::Value`] for an epsilon that is negative or no number.
    pub fn delta(&self, epsilon: f64) -> Result<f64> {
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(Error::value("epsilon", epsilon, "a finite number of at least 0"));
        }
        self.largest(|steps| match *steps {
            [] => Ok(0.0),
            [(pair, 1)] => Ok(pair.delta(epsilon)),
            _ => tilted::delta(steps, epsilon, None),
        })
    }

    /// The epsilon at `delta` by Renyi divergences: quicker to check by hand, 5 to 15 % larger.
    ///
    /// # Errors
    /// [`Error::Value`] for a delta out of range, or noise too small to integrate.
    pub fn renyi_epsilon(&self, delta: f64) -> Result<f64> {
        let delta = probability("delta", delta)?;
        self.largest(|steps| rdp::epsilon_of(steps, delta))
    }

    /// The worst direction: all steps compare the same two data sets, so a unit is added in all or removed in all.
    fn largest(&self, of: impl Fn(&tilted::Steps) -> Result<f64>) -> Result<f64> {
        let mut worst = 0.0f64;
        for steps in self.directions() {
            worst = worst.max(of(&steps)?);
        }
        Ok(worst)
    }

    /// The dominating pairs of each direction. All Gaussian mechanisms together are one.
    pub(super) fn directions(&self) -> Vec<Vec<(Pair, u64)>> {
        let mut square = 0.0;
        let mut directions: Vec<Vec<(Pair, u64)>> = Vec::new();
        for event in &self.events {
            match event.mechanism {
                Mechanism::Poisson { noise_multiplier, rate } if rate < 1.0 => {
                    let pairs = Pair::of_step(self.neighbours, noise_multiplier, rate);
                    directions.resize(pairs.len(), Vec::new());
                    directions.iter_mut().zip(pairs).for_each(|(direction, pair)| direction.push((pair, event.count)));
                }
                Mechanism::Gaussian { noise_multiplier } | Mechanism::Poisson { noise_multiplier, .. } => {
                    square += event.count as f64 * (self.neighbours.distance() / noise_multiplier).powi(2);
                }
            }
        }
        if square > 0.0 {
            directions.resize(directions.len().max(1), Vec::new());
            directions.iter_mut().for_each(|direction| direction.push((Pair::gaussian(square.sqrt()), 1)));
        }
        directions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poisson(sigma: f64, rate: f64, steps: u64) -> Composition {
        Composition::of(Neighbours::AddRemove, Mechanism::Poisson { noise_multiplier: sigma, rate }, steps).unwrap()
    }

    #[test]
    fn gaussian_mechanisms_compose_exactly() {
        let mut spent = Composition::new(Neighbours::ZeroOut);
        spent.add(Mechanism::Gaussian { noise_multiplier: 5.0 }, 1).unwrap();
        spent.add(Mechanism::Gaussian { noise_multiplier: 10.0 / 3.0 }, 1).unwrap();
        spent.add(Mechanism::Poisson { noise_multiplier: 10.0, rate: 1.0 }, 3).unwrap();
        let together = 1.0 / (0.04f64 + 0.09 + 0.03).sqrt();
        let exact = gaussian::epsilon(together, 1e-6).unwrap();
        assert!((spent.epsilon(1e-6).unwrap() / exact - 1.0).abs() < 1e-8);
        assert!((spent.delta(1.0).unwrap() / gaussian::delta(together, 1.0).unwrap() - 1.0).abs() < 1e-9);
        spent = Composition::of(Neighbours::ReplaceOne, Mechanism::Gaussian { noise_multiplier: 5.0 }, 1).unwrap();
        assert!((spent.epsilon(1e-6).unwrap() / gaussian::epsilon(2.5, 1e-6).unwrap() - 1.0).abs() < 1e-8);
    }

    #[test]
    fn a_gaussian_by_its_losses_is_the_exact_one() {
        // Two pairs that are one Gaussian force the transform.
        for (mu, delta) in [(0.3, 1e-5), (1.0, 1e-12), (0.01, 1e-3), (4.0, 1e-30), (20.0, 1e-6), (0.5, 0.2)] {
            let half: f64 = mu / 2f64.sqrt();
            let found = tilted::epsilon(&[(Pair::gaussian(half), 2)], delta, None).unwrap();
            let exact = gaussian::epsilon(1.0 / mu, delta).unwrap();
            assert!(found >= exact * (1.0 - 1e-9) && found < exact * 1.0001 + 1e-9, "{mu} {delta:e}: {found}, exact {exact}");
            if exact > 0.0 {
                let back = tilted::delta(&[(Pair::gaussian(half), 2)], exact, None).unwrap();
                assert!(back > delta * (1.0 - 1e-8) && back < delta * 1.02, "{back:e} {delta:e}");
            }
        }
    }

    #[test]
    fn golden_epsilons_on_grids() {
        for (sigma, rate, steps, delta, step, expected) in [
            (1.0, 0.01, 1000, 1e-5, 1e-4, 1.828244),
            (1.3, 1.0 / 240.0, 3600, 1e-5, 1e-4, 0.853030),
            (1.5, 0.04, 2250, 1e-5, 1e-4, 6.768787),
            (0.8, 0.01, 2000, 1e-5, 1e-4, 4.293444),
            (4.0, 0.01, 10_000, 1e-5, 1e-4, 0.946999),
            (1.0, 512.0 / 40_000.0, 781, 1e-5, 1e-4, 2.120635),
            (1.1, 256.0 / 60_000.0, 14_062, 1e-5, 1e-4, 2.381686),
            (0.6, 0.005, 5000, 1e-6, 1e-4, 8.900607),
            (1.0, 0.01, 1000, 1e-5, 1e-3, 1.828934),
            (1.3, 1.0 / 240.0, 3600, 1e-5, 1e-3, 0.858029),
            (1.5, 0.04, 2250, 1e-5, 1e-3, 6.769479),
            (0.8, 0.01, 2000, 1e-5, 1e-3, 4.294171),
            (4.0, 0.01, 10_000, 1e-5, 1e-3, 0.960045),
            (1.0, 512.0 / 40_000.0, 781, 1e-5, 1e-3, 2.121111),
            (1.1, 256.0 / 60_000.0, 14_062, 1e-5, 1e-3, 2.390530),
            (0.6, 0.005, 5000, 1e-6, 1e-3, 8.901795),
        ] {
            let found = poisson(sigma, rate, steps).epsilon_on(delta, step).unwrap();
            assert!((found - expected).abs() < 2e-6, "{sigma} {rate} {steps} {step}: {found}, expected {expected}");
            let free = poisson(sigma, rate, steps).epsilon(delta).unwrap();
            assert!(free <= found * (1.0 + 5e-5) && free > 0.98 * found, "{free}, on the grid {found}");
        }
    }
}
