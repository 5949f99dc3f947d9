//! One margin, one training with its certificate, and how both grow with depth, on 2-XOR.

use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;
use thalweg_probes::margin::{self, Search};

use super::certificate::{Certificate, Kept};
use super::examples::Examples;
use super::kernel::{self, Start};
use super::network::{Network, Shape};
use super::training::{Probe, Training};
use super::xor;
use crate::error::{Error, Result};

/// The margin of 2-XOR points in the kernel of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarginExperiment {
    /// The dimension d.
    pub dimension: usize,
    /// The hidden layers L.
    pub depth: usize,
    /// How an infinitely wide network starts.
    pub start: Start,
    /// The width m of a finite, symmetric network; `None` for infinite width.
    pub width: Option<usize>,
    /// The number of points, drawn without replacement; `None` for all 2^d.
    pub points: Option<usize>,
    /// The seed of points and network.
    pub seed: u64,
}

impl Default for MarginExperiment {
    /// All points of d = 6, one hidden layer, infinite width, symmetric.
    fn default() -> Self {
        Self { dimension: 6, depth: 1, start: Start::Symmetric, width: None, points: None, seed: 0 }
    }
}

/// A margin and its certified bracket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginReport {
    /// The middle of the bracket.
    pub margin: f64,
    /// The margin is not below this.
    pub lower: f64,
    /// The margin is not above this.
    pub upper: f64,
    /// How many points hold the margin; `None` where it comes from the closed form.
    pub support: Option<usize>,
}

/// More points than this have no kernel matrix in memory.
const MOST_POINTS: usize = 4096;

impl MarginExperiment {
    /// Computes the margin. All points of more than 12 dimensions are judged by the closed form, where infinite width allows it.
    ///
    /// ```
    /// use thalweg_dynamics::relu::MarginExperiment;
    ///
    /// let found = MarginExperiment::default().run()?;
    /// assert!((found.margin - 0.104_769_320_1).abs() < 1e-10 && found.upper - found.lower < 1e-9);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range and for more than 4096 points; [`Error::Measurement`] for points that are not
    /// separable.
    pub fn run(&self) -> Result<MarginReport> {
        if self.points.is_none() && self.width.is_none() && self.dimension > MOST_POINTS.ilog2() as usize {
            let margin = xor::margin(self.dimension, self.depth, self.start)?;
            return Ok(MarginReport { margin, lower: margin, upper: margin, support: None });
        }
        if self.width.is_some() && self.start == Start::Independent {
            return Err(Error::value("the start of a finite network", "independent", "symmetric"));
        }
        let stream = Seed(self.seed).stream("2-XOR margin");
        let examples = draw(self.dimension, self.points, &mut stream.at(0))?;
        if examples.len() > MOST_POINTS {
            return Err(Error::value(
                "the number of points",
                examples.len(),
                format!("at most {MOST_POINTS}, for its kernel matrix"),
            ));
        }
        let kernel = match self.width {
            None => kernel::matrix(&examples, self.depth, self.start)?,
            Some(width) => {
                let shape = Shape::new(self.dimension, width, self.depth)?;
                Network::random(shape, &mut stream.at(1)).kernel(&examples)?
            }
        };
        let found = margin::of(kernel.as_ref(), examples.labels(), &Search::default())?;
        let support = Some(found.support);
        Ok(MarginReport { margin: found.margin, lower: found.lower, upper: found.upper, support })
    }
}

fn draw(d: usize, points: Option<usize>, rng: &mut thalweg_descent::streams::StreamRng) -> Result<Examples> {
    let all = xor::all(d)?;
    points.map_or(Ok(all.clone()), |n| all.select(&xor::sample(d, n, rng)?))
}

/// A training on 2-XOR points with its certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainExperiment {
    /// The dimension d.
    pub dimension: usize,
    /// The width m, even.
    pub width: usize,
    /// The hidden layers L.
    pub depth: usize,
    /// The number of training points, drawn without replacement.
    pub points: usize,
    /// The learning rate.
    pub rate: f64,
    /// The number of steps T.
    pub steps: u64,
    /// The seed of points and network.
    pub seed: u64,
}

impl Default for TrainExperiment {
    /// d = 6, m = 128, L = 1, 32 points, 500 steps of 0.1.
    fn default() -> Self {
        Self { dimension: 6, width: 128, depth: 1, points: 32, rate: 0.1, steps: 500, seed: 0 }
    }
}

/// What a training found, beside what the theorem says of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// The share of all 2^d points with the wrong sign.
    pub test_error: f64,
    /// The theorem's bound of the mean training loss over all steps, `F / (eta T)`.
    pub certificate: f64,
    /// The mean training loss over all steps: what the certificate bounds.
    pub measured_risk: f64,
    /// The mean loss on all 2^d points at the end.
    pub test_loss: f64,
    /// The margin of the start's kernel on the training points.
    pub margin: f64,
    /// Whether the theorem's inequalities held, and with which slack.
    pub kept: Kept,
    /// Whether the certificate exceeds ln 2, the loss without training.
    pub vacuous: bool,
    /// Whether the rate is one for which the theorem is proved. Its width condition is met by no machine.
    pub rate_is_proved: bool,
    /// The network at the end.
    pub end: Probe,
}

impl TrainExperiment {
    /// Trains and compares.
    ///
    /// ```
    /// use thalweg_dynamics::relu::TrainExperiment;
    ///
    /// let found = TrainExperiment { width: 64, steps: 200, ..TrainExperiment::default() }.run()?;
    /// assert!(found.kept.holds && found.vacuous && found.measured_risk < found.certificate);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range; [`Error::Measurement`] where the start's kernel does not separate the points;
    /// [`Error::Diverged`] where the training diverges.
    pub fn run(&self) -> Result<TrainReport> {
        let all = xor::all(self.dimension)?;
        let stream = Seed(self.seed).stream("2-XOR training");
        let examples = draw(self.dimension, Some(self.points), &mut stream.at(0))?;
        let mut network = Network::random(Shape::new(self.dimension, self.width, self.depth)?, &mut stream.at(1));
        let certificate = Certificate::new(&network, &examples, self.rate, self.steps)?;
        let mut watch = certificate.watch();
        let training = Training { rate: self.rate, steps: self.steps, record: vec![self.steps] };
        let mut probes = training.run(&mut network, &examples, &all, &mut watch)?;
        let end = probes.pop().expect("the end is recorded");
        Ok(TrainReport {
            test_error: end.test_error,
            certificate: certificate.mean_loss(),
            measured_risk: end.summed_loss / (self.rate * self.steps as f64),
            test_loss: end.test_loss,
            margin: certificate.margin.margin,
            kept: watch.kept(),
            vacuous: certificate.is_vacuous(),
            rate_is_proved: certificate.rate_is_proved(),
            end,
        })
    }

    /// Trains at each depth, on the same points.
    ///
    /// # Errors
    /// [`Error::Value`] for no depths; as [`run`](Self::run).
    pub fn over_depths(&self, depths: &[usize]) -> Result<Growth> {
        if depths.is_empty() {
            return Err(Error::value("the number of depths", 0, "1 or more"));
        }
        let row = |&depth: &usize| {
            let report = Self { depth, ..self.clone() }.run()?;
            Ok(DepthRow { depth, infinite_margin: xor::margin(self.dimension, depth, Start::Symmetric)?, report })
        };
        let rows = depths.iter().map(row).collect::<Result<Vec<_>>>()?;
        let exponent = |value: fn(&DepthRow) -> f64| growth_exponent(rows.iter().map(|row| (row.depth as f64, value(row))));
        let certificate_exponent = exponent(|row| row.report.certificate);
        let margin_exponent = exponent(|row| row.infinite_margin);
        Ok(Growth { certificate_exponent, margin_exponent, rows })
    }
}

/// One depth of a [`Growth`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DepthRow {
    /// The hidden layers L.
    pub depth: usize,
    /// The margin of infinite width on all 2^d points.
    pub infinite_margin: f64,
    /// The training of that depth.
    pub report: TrainReport,
}

/// How margin and certificate grow with depth. The theorem's orders (L^4 to L^6 over gamma^2 n) come without constants, so that no
/// measured exponent refutes them; these are what a network of this size does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// One row a depth.
    pub rows: Vec<DepthRow>,
    /// The exponent e of the certificate's best fit by L^e; `None` for one depth.
    pub certificate_exponent: Option<f64>,
    /// The exponent of the infinite margin's best fit.
    pub margin_exponent: Option<f64>,
}

/// The slope of the least-squares line of log y over log x.
fn growth_exponent(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) = (logs.iter().map(|at| at.0).sum::<f64>() / count, logs.iter().map(|at| at.1).sum::<f64>() / count);
    let spread: f64 = logs.iter().map(|at| (at.0 - mean_x).powi(2)).sum();
    (spread > 0.0).then(|| logs.iter().map(|at| (at.0 - mean_x) * (at.1 - mean_y)).sum::<f64>() / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_has_its_agreed_shape() {
        let json = serde_json::to_value(
            MarginExperiment { points: Some(20), width: Some(64), ..MarginExperiment::default() }.run().unwrap(),
        );
        let json = json.unwrap();
        for key in ["margin", "lower", "upper"] {
            assert!(json[key].as_f64().unwrap() > 0.0, "{key}");
        }
        let many = MarginExperiment { dimension: 20, ..MarginExperiment::default() }.run().unwrap();
        assert!((many.margin - 0.0216413895).abs() < 1e-10 && many.support.is_none());
    }

    #[test]
    fn a_training_has_its_agreed_shape() {
        let small = TrainExperiment { width: 32, points: 16, steps: 100, ..TrainExperiment::default() };
        let json = serde_json::to_value(small.run().unwrap()).unwrap();
        for key in ["test_error", "certificate", "measured_risk"] {
            assert!(json[key].is_number(), "{key}");
        }
        assert_eq!(small.run().unwrap(), small.run().unwrap());
        assert_ne!(small.run().unwrap(), TrainExperiment { seed: 1, ..small }.run().unwrap());
    }

    #[test]
    fn the_certificate_grows_and_the_margin_falls_with_depth() {
        let small = TrainExperiment { width: 64, points: 16, steps: 100, ..TrainExperiment::default() };
        let growth = small.over_depths(&[1, 2, 3]).unwrap();
        assert!(growth.certificate_exponent.unwrap() > 0.0 && growth.margin_exponent.unwrap() < 0.0);
        assert!(growth.rows.iter().all(|row| row.report.kept.holds));
        assert_eq!(small.over_depths(&[2]).unwrap().margin_exponent, None);
        assert!((growth_exponent([(1.0, 3.0), (2.0, 24.0), (4.0, 192.0)].into_iter()).unwrap() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn bad_experiments_are_refused_by_name() {
        let margin = |experiment: MarginExperiment| experiment.run().unwrap_err().to_string();
        let base = MarginExperiment::default;
        assert!(margin(MarginExperiment { dimension: 2, ..base() }).contains("dimension d"));
        assert!(margin(MarginExperiment { depth: 0, ..base() }).contains("depth L"));
        assert!(margin(MarginExperiment { points: Some(65), ..base() }).contains("without replacement"));
        assert!(margin(MarginExperiment { width: Some(63), ..base() }).contains("even"));
        assert!(margin(MarginExperiment { dimension: 13, width: Some(2), ..base() }).contains("4096"));
        assert!(margin(MarginExperiment { width: Some(64), start: Start::Independent, ..base() }).contains("symmetric"));
        let train = |experiment: TrainExperiment| experiment.run().unwrap_err().to_string();
        let base = TrainExperiment::default;
        assert!(train(TrainExperiment { steps: 1, ..base() }).contains("steps T"));
        assert!(train(TrainExperiment { rate: f64::INFINITY, ..base() }).contains("learning rate"));
        assert!(train(TrainExperiment { points: 0, ..base() }).contains("number of points"));
        // Two units cannot tell 64 points apart.
        assert!(train(TrainExperiment { width: 2, points: 64, ..base() }).contains("not separable"));
        assert!(base().over_depths(&[]).is_err());
    }
}
