//! The scores of an attack on canaries that took part and on canaries that did not.

use crate::error::{Error, Result};

/// One score a canary: the higher, the more it looks as if the canary had taken part.
///
/// Every audit is of the one-sided attack that says "in" from a threshold on.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// In rising order.
    inside: Vec<f64>,
    /// In rising order.
    outside: Vec<f64>,
}

/// How many canaries there are, and how many reach a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Canaries that took part.
    pub inside: usize,
    /// Canaries that did not.
    pub outside: usize,
    /// Canaries that took part and reach the threshold.
    pub true_positives: usize,
    /// Canaries that did not, and reach it.
    pub false_positives: usize,
}

impl Scores {
    /// The scores of canaries that took part, and of those that did not, in any order.
    ///
    /// # Errors
    /// [`Error::Value`] when either is empty, a score is no finite number, or all scores are the same.
    pub fn new(mut inside: Vec<f64>, mut outside: Vec<f64>) -> Result<Self> {
        for (what, scores) in [("the scores inside", &inside), ("the scores outside", &outside)] {
            if scores.is_empty() {
                return Err(Error::value(what, "empty", "at least one score"));
            }
            if let Some((at, score)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
                return Err(Error::value(&format!("score {at} of {what}"), score, "a finite number"));
            }
        }
        if inside.iter().chain(&outside).all(|&score| score == inside[0]) {
            return Err(Error::value("every score", inside[0], "different for some canaries: constant scores tell nothing"));
        }
        inside.sort_by(f64::total_cmp);
        outside.sort_by(f64::total_cmp);
        Ok(Self { inside, outside })
    }

    /// Of parts of valid scores, in rising order.
    pub(super) fn sorted(inside: Vec<f64>, outside: Vec<f64>) -> Self {
        Self { inside, outside }
    }

    /// The scores of canaries that took part, in rising order.
    pub fn inside(&self) -> &[f64] {
        &self.inside
    }

    /// The scores of canaries that did not, in rising order.
    pub fn outside(&self) -> &[f64] {
        &self.outside
    }

    /// The number of distinct scores.
    pub fn distinct(&self) -> usize {
        self.roc().len() - 1
    }

    /// What reaches a threshold, itself included.
    pub fn counts(&self, threshold: f64) -> Counts {
        let reach = |scores: &[f64]| scores.len() - scores.partition_point(|&score| score < threshold);
        Counts {
            inside: self.inside.len(),
            outside: self.outside.len(),
            true_positives: reach(&self.inside),
            false_positives: reach(&self.outside),
        }
    }

    /// The points of the ROC curve from (0, 0) to (all, all): one for a threshold above all scores (infinity), and one for each
    /// distinct score.
    pub fn roc(&self) -> Vec<(f64, Counts)> {
        let (mut inside, mut outside) = (self.inside.iter().rev().peekable(), self.outside.iter().rev().peekable());
        let mut counts = self.counts(f64::INFINITY);
        let mut points = vec![(f64::INFINITY, counts)];
        while let Some(threshold) = highest(inside.peek().copied(), outside.peek().copied()) {
            while inside.next_if(|&&score| score == threshold).is_some() {
                counts.true_positives += 1;
            }
            while outside.next_if(|&&score| score == threshold).is_some() {
                counts.false_positives += 1;
            }
            points.push((threshold, counts));
        }
        points
    }

    /// The corners of the least concave curve above the ROC curve, with both ends.
    pub fn frontier(&self) -> Vec<(f64, Counts)> {
        let mut frontier: Vec<(f64, Counts)> = Vec::new();
        for point in self.roc() {
            while let [.., before, last] = &frontier[..]
                && !turns_right(&before.1, &last.1, &point.1)
            {
                frontier.pop();
            }
            frontier.push(point);
        }
        frontier
    }
}

/// The higher of the two next scores.
fn highest(a: Option<&f64>, b: Option<&f64>) -> Option<f64> {
    match (a, b) {
        (Some(&a), Some(&b)) => Some(a.max(b)),
        (a, b) => a.or(b).copied(),
    }
}

/// Whether the way from a over b to c turns right, with false positives to the right and true ones upwards.
fn turns_right(a: &Counts, b: &Counts, c: &Counts) -> bool {
    let step = |from: &Counts, to: &Counts| {
        let difference = |to: usize, from: usize| to as i128 - from as i128;
        (difference(to.false_positives, from.false_positives), difference(to.true_positives, from.true_positives))
    };
    let ((x, y), (next_x, next_y)) = (step(a, b), step(b, c));
    x * next_y < y * next_x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_counts_what_reaches_each_threshold() {
        let scores = Scores::new(vec![3.0, 1.0, 2.0, 2.0], vec![2.0, 0.0, -1.0]).unwrap();
        let pairs: Vec<_> = scores.roc().iter().map(|(t, c)| (*t, c.true_positives, c.false_positives)).collect();
        let expected = [(f64::INFINITY, 0, 0), (3.0, 1, 0), (2.0, 3, 1), (1.0, 4, 1), (0.0, 4, 2), (-1.0, 4, 3)];
        assert_eq!(pairs, expected);
        for (threshold, counts) in scores.roc() {
            assert_eq!(counts, scores.counts(threshold));
        }
        let corners: Vec<_> = scores.frontier().iter().map(|(_, c)| (c.true_positives, c.false_positives)).collect();
        assert_eq!(corners, [(0, 0), (1, 0), (4, 1), (4, 3)]);
    }

    #[test]
    fn zeros_of_either_sign_are_one_score() {
        let scores = Scores::new(vec![0.0, -0.0, 1.0], vec![-0.0, 0.0]).unwrap();
        let expected = Counts { inside: 3, outside: 2, true_positives: 3, false_positives: 2 };
        assert_eq!(scores.roc().len(), 3);
        assert_eq!(scores.roc()[2].1, expected);
        assert_eq!(scores.counts(0.0), expected);
    }

    #[test]
    fn what_is_no_set_of_scores_is_refused() {
        let refused = |inside: &[f64], outside: &[f64], part: &str| {
            let error = Scores::new(inside.to_vec(), outside.to_vec()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(&[], &[1.0], "scores inside is empty");
        refused(&[1.0], &[], "scores outside is empty");
        refused(&[1.0, f64::NAN], &[2.0], "score 1 of the scores inside is NaN");
        refused(&[1.0], &[f64::INFINITY], "score 0 of the scores outside is inf");
        refused(&[2.0, 2.0], &[2.0], "constant");
    }
}
