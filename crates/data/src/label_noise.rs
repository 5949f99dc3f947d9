//! Wrong labels on purpose, for experiments on robustness.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::split::{in_seeded_order, record_key, splitmix64};

/// From which classes a replaced label is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacement {
    /// Any of the C classes, the true one included: a fraction `q (C-1)/C` ends up wrong in expectation.
    #[default]
    UniformAny,
    /// Any class but the true one: a fraction `q` ends up wrong.
    UniformOther,
}

/// A fraction of labels to replace, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelNoise {
    /// Fraction of the labels that is replaced, `0..=1`.
    pub fraction: f64,
    /// Seed of both the choice of records and of the new labels.
    pub seed: u64,
    /// From which classes the new labels are drawn.
    pub replacement: Replacement,
}

/// Labels with noise, beside the clean ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoisyLabels {
    /// The labels as they were.
    pub clean: Vec<u32>,
    /// The labels to train on.
    pub noisy: Vec<u32>,
    /// The fraction that was asked to be replaced.
    pub asked: f64,
    /// The fraction expected to be wrong: `q (C-1)/C` or `q`.
    pub expected_wrong: f64,
    /// How many of the labels open to noise are wrong in fact.
    pub wrong: usize,
}

impl LabelNoise {
    /// Replaces `round(fraction * open.len())` of the labels at the indices `open`, chosen by seed; all others stay.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a fraction outside `0..=1`, fewer than two classes, an index past the end or a label that is
    /// not below `classes`.
    pub fn apply(&self, labels: &[u32], open: &[usize], classes: u32) -> Result<NoisyLabels> {
        self.check(labels, open, classes)?;
        let count = (self.fraction * open.len() as f64).round() as usize;
        let mut noisy = labels.to_vec();
        for &i in &in_seeded_order(open.to_vec(), self.seed)[..count] {
            noisy[i] = self.draw(i, labels[i], classes);
        }
        let share_wrong = match self.replacement {
            Replacement::UniformAny => f64::from(classes - 1) / f64::from(classes),
            Replacement::UniformOther => 1.0,
        };
        Ok(NoisyLabels {
            wrong: open.iter().filter(|&&i| noisy[i] != labels[i]).count(),
            clean: labels.to_vec(),
            noisy,
            asked: self.fraction,
            expected_wrong: self.fraction * share_wrong,
        })
    }

    fn draw(&self, index: usize, truth: u32, classes: u32) -> u32 {
        // A second hash: the first one ordered the records, so the chosen ones all have small keys.
        let bits = splitmix64(record_key(self.seed, index));
        let below = |bound: u32| ((u128::from(bits) * u128::from(bound)) >> 64) as u32;
        match self.replacement {
            Replacement::UniformAny => below(classes),
            Replacement::UniformOther => {
                let other = below(classes - 1);
                other + u32::from(other >= truth)
            }
        }
    }

    fn check(&self, labels: &[u32], open: &[usize], classes: u32) -> Result<()> {
        if !(0.0..=1.0).contains(&self.fraction) {
            return Err(DataError::bad_request("the noise fraction", self.fraction, "a number from 0 to 1"));
        }
        if classes < 2 {
            return Err(DataError::bad_request("the number of classes", classes, "at least 2 for label noise"));
        }
        if let Some(i) = open.iter().find(|&&i| i >= labels.len()) {
            return Err(DataError::bad_request("a record index", i, format!("below {}", labels.len())));
        }
        match labels.iter().find(|&&label| label >= classes) {
            Some(label) => Err(DataError::bad_request("a label", label, format!("below {classes}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<u32> {
        (0..20_000).map(|i| i % 10).collect()
    }

    #[test]
    fn uniform_other_makes_exactly_the_asked_fraction_wrong() {
        let noise = LabelNoise { fraction: 0.3, seed: 5, replacement: Replacement::UniformOther };
        let open: Vec<usize> = (0..10_000).collect();
        let result = noise.apply(&labels(), &open, 10).unwrap();
        assert_eq!(result.wrong, 3000);
        assert_eq!(result.noisy[10_000..], labels()[10_000..], "records outside the open ones are never touched");
        assert_eq!(result.clean, labels());
    }

    #[test]
    fn uniform_any_replaces_by_each_class_equally() {
        let noise = LabelNoise { fraction: 1.0, seed: 1, replacement: Replacement::UniformAny };
        let result = noise.apply(&labels(), &(0..20_000).collect::<Vec<_>>(), 10).unwrap();
        // 20,000 draws of 10 classes: 2,000 each with standard deviation 42; wrong: 18,000 with 42.
        for class in 0..10 {
            let count = result.noisy.iter().filter(|&&label| label == class).count();
            assert!(count.abs_diff(2000) < 210, "class {class}: {count}");
        }
        assert!(result.wrong.abs_diff(18_000) < 210, "{}", result.wrong);
        assert!((result.expected_wrong - 0.9).abs() < 1e-12);
    }

    #[test]
    fn bad_requests_are_named() {
        let noise = |fraction| LabelNoise { fraction, seed: 0, replacement: Replacement::UniformAny };
        assert!(noise(f64::NAN).apply(&[0], &[0], 2).is_err());
        assert!(noise(0.5).apply(&[0], &[0], 1).is_err());
        assert!(noise(0.5).apply(&[0], &[1], 2).is_err());
        let error = noise(0.5).apply(&[7], &[0], 2).unwrap_err().to_string();
        assert!(error.contains("label is 7") && error.contains("below 2"), "{error}");
    }
}
