//! Memorisation that injected noise cannot feign.

use serde::{Deserialize, Serialize};

use super::filters::FilterMatrix;
use crate::error::{Error, Result};

/// `A = mean over examples and filters of (rho_{y_i,r,i} - rho_{-y_i,r,i})` and its standard error.
///
/// Injected noise reaches the filters of both classes alike, so it cancels in A, while it dominates the largest rho: of two filters
/// for the same noise patch, a memorising descent raises the one that votes for the example's label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// A.
    pub value: f64,
    /// The standard deviation of the differences, divided by the root of their number; 0 for one difference.
    pub standard_error: f64,
}

impl Alignment {
    /// Of rho, whose rows belong to the examples in order, equally many to each.
    ///
    /// # Errors
    /// [`Error::Value`] when the rows cannot be divided among the labels.
    pub fn of(noise: &FilterMatrix, labels: &[f64]) -> Result<Self> {
        if labels.is_empty() || noise.rows() == 0 || !noise.rows().is_multiple_of(labels.len()) {
            let expected = format!("a multiple of {}, the number of examples", labels.len());
            return Err(Error::value("the number of noise vectors", noise.rows(), expected));
        }
        let (width, each) = (noise.width(), noise.rows() / labels.len());
        let differences = noise.iter_rows().enumerate().flat_map(|(row, rho)| {
            let label = labels[row / each];
            let (positive, negative) = rho.split_at(width);
            positive.iter().zip(negative).map(move |(p, n)| label * (p - n))
        });
        let (mut sum, mut squares) = (0.0, 0.0);
        for difference in differences {
            sum += difference;
            squares += difference * difference;
        }
        let count = (noise.rows() * width) as f64;
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        Ok(Self { value: mean, standard_error: (variance / count).sqrt() })
    }

    /// Whether A is more than four standard errors above 0.
    pub fn is_clear(&self) -> bool {
        self.value > 4.0 * self.standard_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_follow_the_label() {
        let rho = FilterMatrix::from_columns(&[vec![3.0, 1.0], vec![1.0, 0.0], vec![1.0, 2.0], vec![0.0, 5.0]]).unwrap();
        // Example 1 (+1): 3 - 1 and 1 - 0; example 2 (-1): 2 - 1 and 5 - 0.
        let found = Alignment::of(&rho, &[1.0, -1.0]).unwrap();
        assert_eq!(found.value, 9.0 / 4.0);
        let variance: f64 = [2.0f64, 1.0, 1.0, 5.0].iter().map(|x| (x - 2.25f64).powi(2)).sum::<f64>() / 4.0;
        assert!((found.standard_error - (variance / 4.0).sqrt()).abs() < 1e-15);
        assert!(!found.is_clear());
        // Two noise patches of one example.
        assert_eq!(Alignment::of(&rho, &[1.0]).unwrap().value, (2.0 + 1.0 - 1.0 - 5.0) / 4.0);
        assert!(Alignment::of(&rho, &[1.0; 3]).is_err());
        assert!(Alignment::of(&rho, &[]).is_err());
    }
}
