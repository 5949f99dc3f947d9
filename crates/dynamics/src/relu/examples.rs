//! Labelled points on the unit sphere.

use faer::{Mat, MatRef};

use crate::error::{Error, Result};

/// n points on the unit sphere of d dimensions, with labels +-1.
#[derive(Clone, Debug)]
pub struct Examples {
    /// One point a column, d x n.
    points: Mat<f64>,
    labels: Vec<f64>,
}

/// Points may be off the unit sphere by so much.
const UNIT: f64 = 1e-9;

impl Examples {
    /// Points (n rows of d numbers) and labels.
    ///
    /// # Errors
    /// [`Error::Value`] for no points or dimensions, sizes that do not fit, points off the unit sphere, and labels other than +-1.
    pub fn new(points: &[f64], labels: &[f64], d: usize) -> Result<Self> {
        if d == 0 {
            return Err(Error::value("the dimension of the points", 0, "1 or more"));
        }
        if labels.is_empty() {
            return Err(Error::value("the number of points", 0, "1 or more"));
        }
        if points.len() != labels.len() * d {
            let expected = format!("{}, for {} labels and dimension {d}", labels.len() * d, labels.len());
            return Err(Error::value("the number of coordinates", points.len(), expected));
        }
        for (at, (point, label)) in points.chunks_exact(d).zip(labels).enumerate() {
            let norm = crate::vector::norm(point);
            if (norm - 1.0).is_nan() || (norm - 1.0).abs() > UNIT {
                return Err(Error::value(format!("the norm of point {at}"), norm, "1, to 1e-9"));
            }
            if label.abs() != 1.0 {
                return Err(Error::value(format!("label {at}"), label, "+1 or -1"));
            }
        }
        Ok(Self { points: Mat::from_fn(d, labels.len(), |i, j| points[j * d + i]), labels: labels.to_vec() })
    }

    /// The points, one a column.
    pub fn points(&self) -> MatRef<'_, f64> {
        self.points.as_ref()
    }

    /// The labels.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no points, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The dimension d.
    pub fn dimension(&self) -> usize {
        self.points.nrows()
    }

    /// Some of the examples, in the given order.
    ///
    /// # Errors
    /// [`Error::Value`] for no indices, or one beyond the last example.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if indices.is_empty() {
            return Err(Error::value("the number of points", 0, "1 or more"));
        }
        if let Some(&beyond) = indices.iter().find(|&&at| at >= self.len()) {
            return Err(Error::value("an index", beyond, format!("below {}", self.len())));
        }
        let points = Mat::from_fn(self.dimension(), indices.len(), |i, j| self.points[(i, indices[j])]);
        Ok(Self { points, labels: indices.iter().map(|&at| self.labels[at]).collect() })
    }

    /// The share of the examples whose sign an output has wrong; an output of 0 counts as +1.
    pub(super) fn error(&self, outputs: impl IntoIterator<Item = f64>) -> f64 {
        let wrong = outputs.into_iter().zip(&self.labels).filter(|(output, label)| (*output >= 0.0) != (**label > 0.0));
        wrong.count() as f64 / self.len() as f64
    }

    /// The mean logistic loss of outputs.
    pub(super) fn loss(&self, outputs: impl IntoIterator<Item = f64>) -> f64 {
        outputs.into_iter().zip(&self.labels).map(|(output, label)| logistic(label * output)).sum::<f64>() / self.len() as f64
    }
}

/// `log(1 + e^-z)`
pub(super) fn logistic(z: f64) -> f64 {
    if z > 0.0 { (-z).exp().ln_1p() } else { z.exp().ln_1p() - z }
}

/// `-d/dz log(1 + e^-z) = 1 / (1 + e^z)`
pub(super) fn logistic_pull(z: f64) -> f64 {
    1.0 / (1.0 + z.exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logistic_loss_and_its_slope() {
        for z in [-800.0, -3.0, 0.0, 1e-8, 2.0, 800.0f64] {
            assert!(logistic(z).is_finite() && logistic_pull(z).is_finite());
            let difference = (logistic(z + 1e-6) - logistic(z - 1e-6)) / 2e-6;
            assert!((logistic_pull(z) + difference).abs() < 1e-7);
        }
        assert_eq!(logistic(0.0), std::f64::consts::LN_2);
    }

    #[test]
    fn bad_examples_are_refused_by_name() {
        let refused = |points: &[f64], labels: &[f64], d| Examples::new(points, labels, d).unwrap_err().to_string();
        assert!(refused(&[], &[], 2).contains("number of points"));
        assert!(refused(&[], &[], 0).contains("dimension"));
        assert!(refused(&[1.0], &[1.0], 2).contains("coordinates"));
        assert!(refused(&[1.0, 0.5], &[1.0], 2).contains("norm of point 0"));
        assert!(refused(&[f64::NAN, 0.0], &[1.0], 2).contains("norm of point 0"));
        assert!(refused(&[1.0, 0.0], &[2.0], 2).contains("label 0"));
        let two = Examples::new(&[1.0, 0.0, 0.0, 1.0], &[1.0, -1.0], 2).unwrap();
        assert!(two.select(&[2]).unwrap_err().to_string().contains("below 2") && two.select(&[]).is_err());
        assert_eq!(two.select(&[1, 1]).unwrap().labels(), [-1.0, -1.0]);
        assert_eq!((two.error([0.0, 0.0]), two.error([1.0, -1.0])), (0.5, 0.0));
    }
}
