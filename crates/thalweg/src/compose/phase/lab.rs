//! What can be swept: the labs, their parameters, and what they measure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result, Seed};
use thalweg_dynamics::features::{Activation, Network, NoisyGd, Simulation, Synthetic};
use thalweg_dynamics::relu::TrainExperiment;
use thalweg_dynamics::{deq, icl};

use crate::compose::features::protection;

/// Values by their names.
pub type Parameters = BTreeMap<String, f64>;

/// A lab of exact dynamics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lab {
    /// Private learning of signal and noise.
    Features,
    /// In-context learning: published against exact theory, without draws.
    Icl,
    /// A linear equilibrium model from a random direction.
    Deq,
    /// A deep ReLU network on 2-XOR, with its certificate.
    Relu,
}

impl Lab {
    const ALL: [Self; 4] = [Self::Features, Self::Icl, Self::Deq, Self::Relu];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Icl => "icl",
            Self::Deq => "deq",
            Self::Relu => "relu",
        }
    }

    /// The parameters and their defaults.
    pub fn defaults(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Features => &[
                ("n", 500.0),
                ("dim", 2000.0),
                ("snr", 0.3),
                ("epsilon", f64::INFINITY),
                ("delta", 1e-5),
                ("width", 10.0),
                ("steps", 100.0),
                ("eta", 0.2),
                ("clip", 1.0),
                ("power", 3.0),
            ],
            Self::Icl => &[("context", 32.0), ("condition", 8.0), ("modes", 4.0), ("largest", 2.0), ("start", 1e-3)],
            Self::Deq => &[("eta", 0.01), ("radius", 1.0), ("target", 2.0), ("moment", 1.0 / 3.0), ("steps", 4000.0)],
            Self::Relu => &[("xor", 6.0), ("points", 16.0), ("width", 128.0), ("depth", 1.0), ("eta", 0.1), ("steps", 500.0)],
        }
    }

    /// What is measured, and what it is in words.
    pub fn measures(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Features => &[
                ("test_accuracy", "Accuracy on unseen examples"),
                ("train_accuracy", "Accuracy on training examples"),
                ("signal", "Largest coefficient of the signal"),
                ("noise", "Largest coefficient of a noise patch"),
                ("control_noise", "Largest coefficient of the injected noise alone"),
                ("alignment", "Memorised noise, aligned with the label"),
            ],
            Self::Icl => &[
                ("largest_gap", "Largest distance of the published from the exact curves"),
                ("never_learned", "Modes that are never learned"),
            ],
            Self::Deq => &[
                ("converged", "Share of runs that reach a risk below 1e-12"),
                ("risk", "Risk at the end"),
                ("over_line", "Squared radius at the end over the stability line"),
            ],
            Self::Relu => &[
                ("test_error", "Share of all points with the wrong sign"),
                ("measured_risk", "Mean training loss over all steps"),
                ("certificate", "What the theorem bounds it by"),
                ("margin", "Margin of the start's kernel"),
            ],
        }
    }

    /// Whether seeds change anything.
    pub fn draws(self) -> bool {
        self != Self::Icl
    }

    /// Checks parameters without running anything long.
    ///
    /// # Errors
    /// [`Error::Input`] for an unknown parameter or a value that is out of range.
    pub fn check(self, given: &Parameters) -> Result<()> {
        let values = Values::new(self, given)?;
        match self {
            Self::Features => Ok(values.simulation(0)?.check()?),
            Self::Icl => values.icl().map(drop),
            Self::Deq => values.deq(0).map(drop),
            Self::Relu => values.relu(0).map(drop),
        }
    }

    /// Runs one cell.
    ///
    /// # Errors
    /// As the lab: for values out of range, and for runs that diverge.
    pub fn run(self, given: &Parameters, seed: u32) -> Result<Parameters> {
        let values = Values::new(self, given)?;
        let found: Vec<(&str, f64)> = match self {
            Self::Features => features(&values.simulation(seed)?)?,
            Self::Icl => gaps(&values.icl()?)?,
            Self::Deq => {
                let (descent, model, start) = values.deq(seed)?;
                equilibrium(&descent, model, &start)?
            }
            Self::Relu => {
                let found = values.relu(seed)?.run()?;
                vec![
                    ("test_error", found.test_error),
                    ("measured_risk", found.measured_risk),
                    ("certificate", found.certificate),
                    ("margin", found.margin),
                ]
            }
        };
        Ok(found.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lab {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|lab| lab.as_str() == name);
        found.ok_or_else(|| Error::input(format!("lab {name:?}; there are {}", Self::ALL.map(Self::as_str).join(", "))))
    }
}

/// A lab's parameters, defaults filled in.
struct Values {
    values: BTreeMap<&'static str, f64>,
}

impl Values {
    fn new(lab: Lab, given: &Parameters) -> Result<Self> {
        let mut values: BTreeMap<&'static str, f64> = lab.defaults().iter().copied().collect();
        for (name, value) in given {
            let Some((_, known)) = values.iter_mut().find(|(known, _)| *known == name) else {
                let known: Vec<&str> = lab.defaults().iter().map(|(name, _)| *name).collect();
                return Err(Error::input(format!("the lab {lab} has no parameter {name:?}; it has {}", known.join(", "))));
            };
            *known = *value;
        }
        Ok(Self { values })
    }

    fn number(&self, name: &str) -> f64 {
        self.values[name]
    }

    fn whole(&self, name: &str) -> Result<usize> {
        let value = self.number(name);
        if value.fract() == 0.0 && (0.0..=2f64.powi(52)).contains(&value) {
            return Ok(value as usize);
        }
        Err(Error::input(format!("{name} is {value}, but must be a whole number, 0 or more")))
    }

    fn simulation(&self, seed: u32) -> Result<Simulation> {
        let data = Synthetic {
            examples: self.whole("n")?,
            dimension: self.whole("dim")?,
            snr: self.number("snr"),
            ..Synthetic::default()
        };
        let activation = Activation::new(self.number("power"))?;
        let steps = self.whole("steps")? as u64;
        let protection = protection(self.number("epsilon"), self.number("delta"), self.number("clip"), steps)?;
        Ok(Simulation {
            data,
            network: Network { width: self.whole("width")?, activation, ..Network::default() },
            descent: NoisyGd { rate: self.number("eta"), steps, protection },
            runs: 1,
            seed: u64::from(seed),
            ..Simulation::default()
        })
    }

    /// Variances fall by equal factors, from the largest to the largest over the condition number.
    fn icl(&self) -> Result<icl::Experiment> {
        let (modes, condition) = (self.whole("modes")?, self.number("condition"));
        if modes == 0 || !(condition.is_finite() && condition >= 1.0) {
            return Err(Error::input(format!(
                "modes is {modes} and condition {condition}, but both must be at least 1 and finite"
            )));
        }
        let last = (modes - 1).max(1) as f64;
        let variances: Vec<f64> = (0..modes).map(|mode| self.number("largest") * condition.powf(-(mode as f64) / last)).collect();
        let contexts = self.whole("context")? as u64;
        icl::Modes::new(&variances, contexts)?;
        let start = self.number("start");
        Ok(icl::Experiment { variances, contexts, start, runs: 0, record_every: 30, ..icl::Experiment::default() })
    }

    fn deq(&self, seed: u32) -> Result<(deq::Descent, deq::LinearDeq, [f64; 2])> {
        use rand::RngExt;
        let radius = self.number("radius");
        if !(radius.is_finite() && radius > 0.0) {
            return Err(Error::input(format!("radius is {radius}, but must be a finite number above 0")));
        }
        let model = deq::LinearDeq::scalar(self.number("moment"), self.number("target"))?;
        let angle: f64 = std::f64::consts::TAU * Seed(u64::from(seed)).stream("phase: direction").at(0).random::<f64>();
        let start = [radius * angle.sin(), 1.0 - radius * angle.cos()];
        let steps = self.whole("steps")? as u64;
        let descent = deq::Descent { rate: self.number("eta"), steps, backward: deq::Backward::Exact, record: vec![] };
        Ok((descent, model, start))
    }

    fn relu(&self, seed: u32) -> Result<TrainExperiment> {
        Ok(TrainExperiment {
            dimension: self.whole("xor")?,
            width: self.whole("width")?,
            depth: self.whole("depth")?,
            points: self.whole("points")?,
            rate: self.number("eta"),
            steps: self.whole("steps")? as u64,
            seed: u64::from(seed),
        })
    }
}

fn features(simulation: &Simulation) -> Result<Vec<(&'static str, f64)>> {
    let report = simulation.run()?;
    let end = report.runs[0].last().copied();
    let end = end.ok_or_else(|| Error::piece("running the features lab", "the run has no end"))?;
    Ok(vec![
        ("test_accuracy", end.test_accuracy),
        ("train_accuracy", end.train_accuracy),
        ("signal", end.signal),
        ("noise", end.noise),
        ("control_noise", end.control_noise),
        ("alignment", end.alignment.value),
    ])
}

fn gaps(experiment: &icl::Experiment) -> Result<Vec<(&'static str, f64)>> {
    let outcome = experiment.run()?;
    let exact = outcome.exact.weights.iter().flat_map(icl::Weights::products);
    let gaps = outcome.published.iter().flatten().zip(exact).map(|(published, exact)| (published - exact).abs());
    let never = outcome.report.plateau.exact.iter().filter(|plateau| **plateau == 0.0).count();
    Ok(vec![("largest_gap", gaps.fold(0.0, f64::max)), ("never_learned", never as f64)])
}

fn equilibrium(descent: &deq::Descent, mut model: deq::LinearDeq, start: &[f64]) -> Result<Vec<(&'static str, f64)>> {
    let line = model.stability_line(descent.rate)?;
    let found = descent.run(&mut model, start)?;
    Ok(vec![
        ("converged", f64::from(u8::from(found.risk < 1e-12))),
        ("risk", found.risk),
        ("over_line", found.radius_squared.end / line),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(given: &[(&str, f64)]) -> Parameters {
        given.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn every_lab_measures_what_it_says() {
        let small = [
            (Lab::Features, parameters(&[("n", 40.0), ("dim", 100.0), ("epsilon", 8.0)])),
            (Lab::Icl, Parameters::new()),
            (Lab::Deq, Parameters::new()),
            (Lab::Relu, parameters(&[("steps", 50.0), ("width", 64.0)])),
        ];
        for (lab, given) in small {
            lab.check(&given).unwrap();
            let found = lab.run(&given, 1).unwrap();
            assert_eq!(found, lab.run(&given, 1).unwrap());
            assert_eq!(found != lab.run(&given, 2).unwrap(), lab.draws(), "{lab}");
            assert_eq!(found.len(), lab.measures().len());
            assert!(lab.measures().iter().all(|(name, _)| found[*name].is_finite()), "{found:?}");
        }
    }

    /// The largest gap on the default spectrum, on a finer grid of times: 1.0203.
    #[test]
    fn a_cell_has_the_reference_gap() {
        let found = Lab::Icl.run(&Parameters::new(), 0).unwrap();
        assert!((found["largest_gap"] - 1.0203).abs() < 2e-3, "{found:?}");
        let short = parameters(&[("context", 6.0), ("modes", 6.0), ("condition", 1000.0), ("largest", 4.0)]);
        assert!(Lab::Icl.run(&short, 0).unwrap()["never_learned"] >= 1.0);
    }

    #[test]
    fn bad_parameters_are_named() {
        for (lab, name, value) in [
            (Lab::Features, "snr", 0.0),
            (Lab::Features, "n", 2.5),
            (Lab::Features, "speed", 1.0),
            (Lab::Icl, "condition", 0.5),
            (Lab::Icl, "context", 0.0),
            (Lab::Deq, "radius", -1.0),
            (Lab::Relu, "depth", 1.5),
        ] {
            let error = lab.check(&parameters(&[(name, value)])).unwrap_err();
            assert!(error.is_input() && lab.run(&parameters(&[(name, value)]), 0).is_err(), "{name} {value}");
        }
        assert!("magic".parse::<Lab>().unwrap_err().to_string().contains("features, icl"));
    }
}
