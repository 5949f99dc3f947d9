//! The theorem's certificate: a bound on all losses of a training, from the margin at its start.
//!
//! With the separator W* of the start's kernel and its margin gamma, `Wb = W(0) + (2 ln T / gamma) W*` and
//! `F = 3 eta T L(Wb) + |Wb - W(0)|^2`, the theorem says that for all t <= T
//!
//! ```text
//! |W(t) - Wb|^2 + eta sum_{k<t} L(W(k)) <= F,
//! ```
//!
//! if the network is wide enough and `eta <= min(4 / (5 L), 1 / (20 L Ft))`, Ft the mean `|l'|` at Wb. So the mean loss is below
//! `F / (eta T)`. At widths that fit a machine this bound exceeds ln 2, the loss at the start: it holds and says nothing.

use faer::Mat;
use serde::Serialize;
use thalweg_probes::margin::{self, Margin, Search};

use super::examples::{Examples, logistic_pull};
use super::network::{Network, Pass};
use super::training::{Watch, moved, size};
use crate::error::{Error, Result, positive};
use crate::matrix::product;

/// What the theorem says of a start, before training.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The margin of the start's kernel, with its bracket.
    pub margin: Margin,
    /// How far the reference is from the start: `2 ln T / gamma`, gamma the lower end of the bracket.
    pub reach: f64,
    /// The loss at the reference, L(Wb).
    pub reference_loss: f64,
    /// The mean slope of the loss at the reference, Ft.
    pub reference_slope: f64,
    /// F, the bound.
    pub bound: f64,
    /// The largest rate for which the theorem is proved.
    pub largest_rate: f64,
    rate: f64,
    steps: u64,
    reference: Network,
}

impl Certificate {
    /// The certificate of a start, for a training of `steps` steps at a rate.
    ///
    /// # Errors
    /// [`Error::Value`] for a bad rate, fewer than 2 steps, examples of another dimension, and a margin whose lower end is not above 0;
    /// [`Error::Measurement`] for examples that the kernel does not separate.
    pub fn new(start: &Network, examples: &Examples, rate: f64, steps: u64) -> Result<Self> {
        positive("the learning rate", rate)?;
        if steps < 2 {
            return Err(Error::value("the number of steps T", steps, "2 or more: the reference is 2 ln T / gamma away"));
        }
        let kernel = start.kernel(examples)?;
        let margin = margin::of(kernel.as_ref(), examples.labels(), &Search::default())?;
        if margin.lower <= 0.0 {
            let expected = "above 0; the search for the margin has not converged";
            return Err(Error::value("the lower end of the margin", margin.lower, expected));
        }
        let reach = 2.0 * (steps as f64).ln() / margin.lower;
        let reference = moved(start, &separator(start, examples, &margin.weights)?, reach);
        let outputs = reference.outputs(examples)?;
        let reference_loss = examples.loss(outputs.iter().copied());
        let slopes = outputs.iter().zip(examples.labels()).map(|(output, label)| logistic_pull(label * output));
        let reference_slope = slopes.sum::<f64>() / examples.len() as f64;
        let depth = start.shape().depth() as f64;
        Ok(Self {
            bound: 3.0 * rate * steps as f64 * reference_loss + reach * reach,
            largest_rate: (4.0 / (5.0 * depth)).min(1.0 / (20.0 * depth * reference_slope)),
            margin,
            reach,
            reference_loss,
            reference_slope,
            rate,
            steps,
            reference,
        })
    }

    /// The certified bound of the mean loss, `F / (eta T)`.
    pub fn mean_loss(&self) -> f64 {
        self.bound / (self.rate * self.steps as f64)
    }

    /// Whether the bound of the mean loss exceeds ln 2, which no training is needed for.
    pub fn is_vacuous(&self) -> bool {
        self.mean_loss() > std::f64::consts::LN_2
    }

    /// Whether the rate is one for which the theorem is proved. The width that it asks for, gamma^-8 and more, no machine holds.
    pub fn rate_is_proved(&self) -> bool {
        self.rate <= self.largest_rate
    }

    /// Watches a training whether it keeps the inequality.
    pub fn watch(&self) -> CertificateWatch<'_> {
        CertificateWatch {
            certificate: self,
            summed_loss: 0.0,
            last: None,
            kept: Kept { holds: true, one_step_holds: true, slack: f64::INFINITY },
            distances: Vec::new(),
        }
    }
}

/// The unit separator `W*` of the start's kernel: `sum p_i y_i grad f(x_i)`, normalised over all layers.
fn separator(start: &Network, examples: &Examples, weights: &[f64]) -> Result<Vec<Mat<f64>>> {
    let pass = Pass::of(start, examples)?;
    let mut direction: Vec<Mat<f64>> = Vec::new();
    for layer in 0..start.shape().depth() {
        let back = &pass.back[layer];
        let weighted = Mat::from_fn(back.nrows(), back.ncols(), |i, j| weights[j] * examples.labels()[j] * back[(i, j)]);
        direction.push(product(weighted.as_ref(), pass.below(layer).transpose()));
    }
    let norm = size(&direction);
    direction.iter_mut().for_each(|layer| *layer *= faer::Scale(1.0 / norm));
    Ok(direction)
}

/// Whether a training kept its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Whether the inequality held after every number of steps.
    pub holds: bool,
    /// Whether `|W(t+1) - Wb|^2 <= |W(t) - Wb|^2 - eta L(W(t)) + 3 eta L(Wb)` held in every step.
    pub one_step_holds: bool,
    /// The least ratio of the bound to what it bounds.
    pub slack: f64,
}

/// Watches a training's distance from the reference.
#[derive(Clone, Debug)]
pub struct CertificateWatch<'a> {
    certificate: &'a Certificate,
    summed_loss: f64,
    /// The last squared distance and loss.
    last: Option<(f64, f64)>,
    kept: Kept,
    distances: Vec<f64>,
}

/// One rounding error in F may not break an inequality that is attained at t = 0.
const ROUNDING: f64 = 1e-12;

impl CertificateWatch<'_> {
    /// What was kept.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// `|W(t) - Wb|^2` after each number of steps.
    pub fn squared_distances(&self) -> &[f64] {
        &self.distances
    }

    fn look(&mut self, network: &Network, loss: f64) {
        let certificate = self.certificate;
        let layers = network.weights().iter().zip(certificate.reference.weights());
        let distance: f64 = layers.map(|(now, reference)| squared_distance(now, reference)).sum();
        let bounded = distance + self.summed_loss;
        self.kept.holds &= bounded <= certificate.bound * (1.0 + ROUNDING);
        self.kept.slack = self.kept.slack.min(certificate.bound / bounded);
        if let Some((before, loss_before)) = self.last {
            let allowed = before + certificate.rate * (3.0 * certificate.reference_loss - loss_before);
            self.kept.one_step_holds &= distance <= allowed + ROUNDING * before;
        }
        self.last = Some((distance, loss));
        self.distances.push(distance);
        self.summed_loss += certificate.rate * loss;
    }
}

impl Watch for CertificateWatch<'_> {
    fn before_step(&mut self, network: &Network, loss: f64) {
        self.look(network, loss);
    }

    fn at_end(&mut self, network: &Network, loss: f64) {
        self.look(network, loss);
    }
}

fn squared_distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(a, b)| (a - b).powi(2)).sum::<f64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relu::{Shape, Training, xor};
    use thalweg_descent::Seed;

    fn data() -> (Network, Examples, Examples) {
        let network = Network::random(Shape::new(6, 64, 2).unwrap(), &mut Seed(4).stream("network").at(0));
        let all = xor::all(6).unwrap();
        let examples = all.select(&[3, 17, 25, 40, 62, 11, 50, 33]).unwrap();
        (network, examples, all)
    }

    #[test]
    fn the_separator_attains_the_margin() {
        let (network, examples, _) = data();
        let found = Certificate::new(&network, &examples, 0.3, 400).unwrap();
        let direction = separator(&network, &examples, &found.margin.weights).unwrap();
        assert!((size(&direction) - 1.0).abs() < 1e-12);
        let least = (0..examples.len())
            .map(|at| {
                let mut gradients: Vec<Mat<f64>> = network.weights().to_vec();
                Pass::of(&network, &examples.select(&[at]).unwrap()).unwrap().gradients(&mut gradients);
                let inner = |(a, b): (&Mat<f64>, &Mat<f64>)| (0..a.ncols()).map(|j| a.col(j).transpose() * b.col(j)).sum::<f64>();
                examples.labels()[at] * gradients.iter().zip(&direction).map(inner).sum::<f64>()
            })
            .fold(f64::INFINITY, f64::min);
        assert!((least - found.margin.lower).abs() < 1e-10, "{least} {}", found.margin.lower);
    }

    #[test]
    fn a_training_keeps_its_certificate_which_says_nothing() {
        let (mut network, examples, all) = data();
        let certificate = Certificate::new(&network, &examples, 0.3, 400).unwrap();
        let mut watch = certificate.watch();
        let training = Training { rate: 0.3, steps: 400, record: vec![400] };
        let probes = training.run(&mut network, &examples, &all, &mut watch).unwrap();
        let kept = watch.kept();
        assert!(kept.holds && kept.one_step_holds && kept.slack >= 1.0, "{kept:?}");
        assert!(certificate.is_vacuous() && certificate.mean_loss() > probes[0].summed_loss / 120.0);
        assert_eq!(watch.squared_distances().len(), 401);
        assert!((watch.squared_distances()[0].sqrt() - certificate.reach).abs() < 1e-9);
        // The negative control: a bound that is a tenth is not kept.
        let tight = Certificate { bound: 0.1 * certificate.bound, ..certificate.clone() };
        let mut watch = tight.watch();
        Training { rate: 0.3, steps: 2, record: vec![] }.run(&mut data().0, &examples, &all, &mut watch).unwrap();
        assert!(!watch.kept().holds);
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let (network, examples, all) = data();
        let refused =
            |examples: &Examples, rate, steps| Certificate::new(&network, examples, rate, steps).unwrap_err().to_string();
        assert!(refused(&examples, 0.3, 1).contains("steps T"));
        assert!(refused(&examples, -0.3, 10).contains("learning rate"));
        let point: Vec<f64> = all.points().col(0).iter().copied().collect();
        let contradiction = Examples::new(&[&point[..], &point[..]].concat(), &[1.0, -1.0], 6).unwrap();
        assert!(refused(&contradiction, 0.3, 10).contains("not separable"));
    }
}
