//! The two-layer network and its loss.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::activation::{Activation, rectified};
use super::filters::FilterMatrix;
use super::patches::Patches;
use crate::error::{Error, Result};

/// A two-layer convolutional network whose second layer is fixed:
/// `f(x) = F_{+1}(x) - F_{-1}(x)` with `F_j(x) = (1/m) sum_r sum_p s(<w_{j,r}, x_p>)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The number m of filters for each class.
    pub width: usize,
    /// The activation s.
    pub activation: Activation,
    /// The standard deviation of the first weights.
    pub initial_std: f64,
}

impl Default for Network {
    /// Ten cubic filters for each class, weights of standard deviation 0.01.
    fn default() -> Self {
        Self { width: 10, activation: Activation::default(), initial_std: 0.01 }
    }
}

impl Network {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] for no filters, or a standard deviation that is negative or not finite.
    pub fn check(&self) -> Result<()> {
        if self.width == 0 || self.width > Self::WIDEST {
            return Err(Error::value("the number m of filters", self.width, format!("1 to {}", Self::WIDEST)));
        }
        if !(self.initial_std.is_finite() && self.initial_std >= 0.0) {
            return Err(Error::value(
                "the standard deviation of the first weights",
                self.initial_std,
                "a finite number of at least 0",
            ));
        }
        Ok(())
    }

    /// Weights need 16 bytes a filter and coordinate; more than this is a slip of the keyboard.
    const WIDEST: usize = 1 << 20;

    /// Independent normal weights in `dimension` coordinates.
    pub fn initial(&self, dimension: usize, rng: &mut impl Rng) -> FilterMatrix {
        let mut weights = FilterMatrix::zeros(dimension, self.width);
        fill_normal(&mut weights, rng);
        weights.padded_mut().iter_mut().for_each(|weight| *weight *= self.initial_std);
        weights
    }

    /// The margins `y_i f(x_i)` of all examples.
    ///
    /// # Errors
    /// [`Error::Value`] when the weights have another dimension than the patches, or another width than the network.
    pub fn margins(&self, weights: &FilterMatrix, data: &Patches) -> Result<Vec<f64>> {
        self.check_weights(weights, data)?;
        let mut products = FilterMatrix::zeros(data.atoms(), self.width);
        data.matrix().times(weights, &mut products);
        let mut slopes = vec![0.0; 2 * self.width];
        let mut margin = |example: usize| {
            let mut sum = 0.0;
            for patch in data.example(example).0 {
                let z = products.row(patch.atom);
                self.activation.slopes(patch.factor, z, &mut slopes);
                sum += votes(patch.factor, z, &slopes);
            }
            data.labels()[example] * sum / (self.width as f64 * self.activation.power())
        };
        Ok((0..data.len()).map(&mut margin).collect())
    }

    pub(crate) fn check_weights(&self, weights: &FilterMatrix, data: &Patches) -> Result<()> {
        if weights.rows() != data.dimension() {
            let expected = format!("{}, as the patches'", data.dimension());
            return Err(Error::value("the dimension of the weights", weights.rows(), expected));
        }
        if weights.width() != self.width {
            let expected = format!("{}, as the network's", self.width);
            return Err(Error::value("the number m of filters in the weights", weights.width(), expected));
        }
        Ok(())
    }
}

/// Sums of the two classes' activations, the second subtracted, times q: `s(z) = max(0, z) s'(z) / q`.
pub(crate) fn votes(factor: f64, z: &[f64], slopes: &[f64]) -> f64 {
    let sum = |(z, slopes): (&[f64], &[f64])| z.iter().zip(slopes).map(|(z, slope)| rectified(factor * z) * slope).sum::<f64>();
    let width = slopes.len() / 2;
    sum((&z[..width], &slopes[..width])) - sum((&z[width..], &slopes[width..]))
}

/// `log(1 + e^-margin)`, without overflow.
pub fn logistic_loss(margin: f64) -> f64 {
    rectified(-margin) + (-margin.abs()).exp().ln_1p()
}

/// `-d/dmargin log(1 + e^-margin) = 1 / (1 + e^margin)`.
pub(crate) fn logistic_pull(margin: f64) -> f64 {
    1.0 / (1.0 + margin.exp())
}

/// The mean logistic loss, and the share of margins above 0.
pub(crate) fn loss_and_accuracy(margins: &[f64]) -> (f64, f64) {
    let count = margins.len() as f64;
    let loss: f64 = margins.iter().map(|&margin| logistic_loss(margin)).sum();
    (loss / count, margins.iter().filter(|&&margin| margin > 0.0).count() as f64 / count)
}

/// Fills all entries with independent standard normal values.
pub(crate) fn fill_normal(values: &mut FilterMatrix, rng: &mut impl Rng) {
    for row in 0..values.rows() {
        values.row_mut(row).iter_mut().for_each(|value| *value = StandardNormal.sample(rng));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_stable_and_its_slope_is_the_pull() {
        for margin in [-800.0, -3.0, 0.0, 0.1, 5.0, 800.0] {
            let h = 1e-6;
            let difference = (logistic_loss(margin - h) - logistic_loss(margin + h)) / (2.0 * h);
            assert!((logistic_pull(margin) - difference).abs() < 1e-7, "{margin}");
        }
        assert_eq!(logistic_loss(-800.0), 800.0);
        assert!(logistic_loss(f64::NAN).is_nan());
    }

    #[test]
    fn a_margin_of_zero_is_wrong() {
        assert_eq!(loss_and_accuracy(&[0.0, 1.0]).1, 0.5);
    }
}
