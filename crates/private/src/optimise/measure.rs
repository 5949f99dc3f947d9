//! What is measured of the row norms of B, so that a descent can follow it.

use crate::evaluation::Objective;

/// A measure of the squared row norms.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    /// The mean of the squares.
    Mean,
    /// The largest square, which has kinks.
    Max,
    /// The q-norm of the squares: smooth, and above the largest one by at most the factor `n^{1/q}`.
    Norm(f64),
}

impl Measure {
    /// What is descended, one after the other, each from where the last one ended: the largest row is approached by norms of
    /// growing order.
    pub(super) fn stages(objective: Objective) -> &'static [Self] {
        match objective {
            Objective::Mean => &[Self::Mean],
            Objective::Max => &[Self::Norm(8.0), Self::Norm(64.0), Self::Norm(512.0), Self::Max],
        }
    }

    /// The logarithm of the measure, and its derivative in the squares.
    pub(super) fn of(self, squares: &[f64]) -> (f64, Vec<f64>) {
        let total: f64 = squares.iter().sum();
        if let Self::Mean = self {
            return ((total / squares.len() as f64).ln(), vec![1.0 / total; squares.len()]);
        }
        let (row, largest) = squares.iter().enumerate().fold((0, 0.0), |best, (m, &x)| if x > best.1 { (m, x) } else { best });
        let Self::Norm(order) = self else {
            let mut weights = vec![0.0; squares.len()];
            weights[row] = 1.0 / largest;
            return (largest.ln(), weights);
        };
        let powers: Vec<f64> = squares.iter().map(|square| (square / largest).powf(order - 1.0)).collect();
        let sum: f64 = powers.iter().zip(squares).map(|(power, square)| power * square / largest).sum();
        (largest.ln() + sum.ln() / order, powers.iter().map(|power| power / (sum * largest)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_approach_the_largest_square_from_above() {
        let squares = [0.3, 1.7, 0.2, 1.69];
        let largest = Measure::Max.of(&squares).0;
        let mut above = f64::INFINITY;
        for order in [2.0, 8.0, 64.0, 512.0] {
            let norm = Measure::Norm(order).of(&squares).0;
            assert!(norm > largest && norm < above && norm <= largest + 4f64.ln() / order);
            above = norm;
        }
    }
}
