//! The data model: one signal patch that carries the label, and patches of noise.

use rand::{Rng, RngExt};
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::patches::Patches;
use super::tiles::Tiles;
use crate::error::{Error, Result, positive};

/// Examples `[y mu, xi]` with y uniform on {-1, 1} and `xi ~ N(0, noise_std^2 (I - mu mu^T/|mu|^2))` in R^d, and
/// `|mu| = snr noise_std sqrt(d)`.
///
/// With more than one noise patch every example has that many independent xi.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthetic {
    /// The number n of training examples.
    pub examples: usize,
    /// The dimension d of a patch.
    pub dimension: usize,
    /// The ratio of the norms of signal and noise.
    pub snr: f64,
    /// The standard deviation of the noise in one coordinate.
    pub noise_std: f64,
    /// Noise patches to an example.
    pub noise_patches: usize,
}

impl Default for Synthetic {
    /// 500 examples in 2,000 dimensions, one noise patch, a signal-to-noise ratio of 0.3.
    fn default() -> Self {
        Self { examples: 500, dimension: 2000, snr: 0.3, noise_std: 1.0, noise_patches: 1 }
    }
}

impl Synthetic {
    /// The span's triangle takes 4 bytes times the square of this: 4 GiB.
    const MOST_NOISE: usize = 1 << 15;

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] for a ratio or standard deviation that is not finite and above 0, no example, no noise patch, or more noise
    /// vectors than d - 1, which have no unique coefficients.
    pub fn check(&self) -> Result<()> {
        positive("the signal-to-noise ratio", self.snr)?;
        positive("the standard deviation of the noise patches", self.noise_std)?;
        if self.examples == 0 {
            return Err(Error::value("the number of examples", 0, "at least 1"));
        }
        if self.noise_patches == 0 {
            return Err(Error::value("the number of noise patches", 0, "at least 1"));
        }
        let most = Self::MOST_NOISE.min(self.dimension.saturating_sub(1));
        match self.examples.checked_mul(self.noise_patches) {
            Some(vectors) if vectors <= most => Ok(()),
            _ => Err(Error::value(
                "the number of noise vectors (examples times noise patches)",
                format!("{} x {}", self.examples, self.noise_patches),
                format!(
                    "at most {most}: no more than d - 1 vectors have unique coefficients, and no more than {} fit",
                    Self::MOST_NOISE
                ),
            )),
        }
    }

    /// With the signal patch scaled: an intervention that knows which patch it is.
    ///
    /// # Errors
    /// [`Error::Value`] for a factor that is not finite and above 0.
    pub fn with_signal_times(self, factor: f64) -> Result<Self> {
        Ok(Self { snr: self.snr * positive("the factor of the signal", factor)?, ..self })
    }

    /// With that share of the noise's dimensions projected out: an intervention that knows where the signal lies. The signal keeps
    /// its norm, so the ratio grows by `1 / sqrt(1 - share)`, to whole dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] for a share outside [0, 1).
    pub fn without_noise_dimensions(self, share: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::value("the share of noise dimensions to project out", share, "in [0, 1)"));
        }
        let kept = (self.dimension as f64 * (1.0 - share)).round().max(1.0);
        Ok(Self { snr: self.snr * (self.dimension as f64 / kept).sqrt(), dimension: kept as usize, ..self })
    }

    /// `|mu|`.
    pub fn signal_norm(&self) -> f64 {
        self.snr * self.noise_std * (self.dimension as f64).sqrt()
    }

    /// The number of noise vectors in a sample.
    pub fn noise_vectors(&self) -> usize {
        self.examples * self.noise_patches
    }

    /// The dimensions outside the span of a sample.
    pub fn outside(&self) -> usize {
        self.dimension - 1 - self.noise_vectors()
    }

    /// A training set as vectors in all d coordinates; mu lies along the first.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn sample_vectors(&self, rng: &mut impl Rng) -> Result<Patches> {
        self.check()?;
        let labels = self.labels(rng);
        let mut atoms = Tiles::full(1 + self.noise_vectors(), self.dimension);
        atoms.set(0, 0, self.signal_norm());
        for row in 1..atoms.rows() {
            (1..self.dimension).for_each(|column| atoms.set(row, column, self.noise_std * normal(rng)));
        }
        Ok(Patches::sharing_a_signal(atoms, labels, self.noise_patches))
    }

    /// A training set in coordinates of its own span: mu along the first, and noise vector i in the span of the first 1 + i of the others.
    ///
    /// Rotating R^d changes neither the law of the noise vectors nor that of Gaussian weights, nor what a descent does. So a sample is
    /// drawn rotated: in `Xi = L Q` with orthonormal rows Q, L is lower triangular with independent entries, normal below the
    /// diagonal, and the root of a chi-squared value with `d - 1 - i` degrees of freedom on row i of it (Bartlett 1933). This takes
    /// the time and memory of n^2 / 2 numbers instead of n d, and a step takes n^2 instead of 2 n d multiplications a filter.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn sample(&self, rng: &mut impl Rng) -> Result<Patches> {
        self.check()?;
        let labels = self.labels(rng);
        let mut atoms = Tiles::lower(1 + self.noise_vectors());
        atoms.set(0, 0, self.signal_norm());
        for i in 0..self.noise_vectors() {
            (0..i).for_each(|k| atoms.set(1 + i, 1 + k, self.noise_std * normal(rng)));
            let freedom = (self.dimension - 1 - i) as f64;
            let squared = ChiSquared::new(freedom).expect("at most d - 1 vectors leave a degree of freedom").sample(rng);
            atoms.set(1 + i, 1 + i, self.noise_std * f64::sqrt(squared));
        }
        Ok(Patches::sharing_a_signal(atoms, labels, self.noise_patches))
    }

    fn labels(&self, rng: &mut impl Rng) -> Vec<f64> {
        let labels: Vec<f64> = (0..self.examples).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
        if labels.iter().all(|&label| label == labels[0]) {
            tracing::warn!(examples = self.examples, "all training examples have the same label; take more, or another seed");
        }
        labels
    }
}

fn normal(rng: &mut impl Rng) -> f64 {
    StandardNormal.sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhancements_raise_the_ratio_and_keep_the_signal() {
        let data = Synthetic::default();
        let scaled = data.with_signal_times(2.0).unwrap();
        assert_eq!((scaled.snr, scaled.dimension, scaled.signal_norm()), (0.6, 2000, 2.0 * data.signal_norm()));
        let projected = data.without_noise_dimensions(0.75).unwrap();
        assert_eq!((projected.snr, projected.dimension), (0.6, 500));
        assert!((projected.signal_norm() - data.signal_norm()).abs() < 1e-12);
        assert!(data.with_signal_times(0.0).is_err() && data.without_noise_dimensions(1.0).is_err());
        assert!(data.without_noise_dimensions(f64::NAN).unwrap_err().to_string().contains("share"));
    }
}
