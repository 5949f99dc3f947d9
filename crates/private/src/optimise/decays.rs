//! The decays of a buffered linear Toeplitz matrix and of its inverse, as free numbers.
//!
//! The weights omega are positive, those of the inverse negative and all decays in (0, 1) exactly when the decays interlace,
//! `1 > theta_1 > theta_hat_1 > theta_2 > ... > theta_d > theta_hat_d > 0`: the `theta_hat` are the eigenvalues of
//! `diag(theta) - omega 1^T`, which has one of them between any two theta, and the one below `theta_d` is above 0 if and only if
//! `sum omega / theta < 1`. Then `sum omega = sum theta - sum theta_hat < 1`, because the gaps lie side by side in (0, 1). So the
//! logits of such a chain, as the first one and the logarithms of the differences, need no barrier: any numbers will do.

/// Logits beyond this one are decays that f64 does not tell from 1.
const HIGHEST_LOGIT: f64 = 34.0;

/// Neighbours closer than this fraction of their distance from 1 make weights that rounding decides.
const CLOSEST: f64 = 1e-9;

/// The column `x_0 = 1, x_t = sum_j weight_j decay_j^{t-1}`; one side of a buffered linear Toeplitz matrix.
#[derive(Clone, Debug)]
pub(crate) struct Exponentials {
    /// `1 - decay`, which is what matters of a decay near 1.
    pub(crate) gap: Vec<f64>,
    /// The weights.
    pub(crate) weight: Vec<f64>,
}

/// Derivatives in the decays and weights of one side.
#[derive(Clone, Debug)]
pub(crate) struct Slopes {
    pub(crate) decay: Vec<f64>,
    pub(crate) weight: Vec<f64>,
}

/// The interlacing decays of both sides.
#[derive(Clone, Debug)]
pub(crate) struct Decays {
    free: Vec<f64>,
    /// `1 - x` for the chain x of both sides, so that it rises.
    gaps: Vec<f64>,
}

impl Slopes {
    /// Of what does not depend on a side.
    pub(crate) fn none(side: &Exponentials) -> Self {
        Self { decay: vec![0.0; side.gap.len()], weight: vec![0.0; side.gap.len()] }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.decay.iter_mut().zip(&other.decay).for_each(|(sum, more)| *sum += more);
        self.weight.iter_mut().zip(&other.weight).for_each(|(sum, more)| *sum += more);
    }
}

impl Exponentials {
    pub(crate) fn decay(&self, j: usize) -> f64 {
        1.0 - self.gap[j]
    }

    /// The first `steps` entries of the column.
    pub(crate) fn column(&self, steps: usize) -> Vec<f64> {
        let decays: Vec<f64> = (0..self.gap.len()).map(|j| self.decay(j)).collect();
        let mut powers = self.weight.clone();
        let mut column = Vec::with_capacity(steps);
        column.push(1.0);
        while column.len() < steps {
            column.push(powers.iter().sum());
            powers.iter_mut().zip(&decays).for_each(|(power, decay)| *power *= decay);
        }
        column
    }

    /// The derivatives of a function of the column, from those in its entries: both sums over the entries by Horner's rule.
    pub(crate) fn slopes(&self, in_column: &[f64]) -> Slopes {
        let decays: Vec<f64> = (0..self.gap.len()).map(|j| self.decay(j)).collect();
        let (mut decay, mut weight) = (vec![0.0; decays.len()], vec![0.0; decays.len()]);
        for entry in in_column[1..].iter().rev() {
            for ((decay, weight), at) in decay.iter_mut().zip(&mut weight).zip(&decays) {
                *decay = *decay * at + *weight;
                *weight = *weight * at + entry;
            }
        }
        decay.iter_mut().zip(&self.weight).for_each(|(decay, weight)| *decay *= weight);
        Slopes { decay, weight }
    }
}

impl Decays {
    /// None where decays coincide in f64, with each other or with 0 or 1.
    pub(crate) fn of_free(free: &[f64]) -> Option<Self> {
        let mut logit = f64::INFINITY;
        let next = |(k, value): (usize, &f64)| {
            logit = if k == 0 { *value } else { logit - value.exp() };
            1.0 / (1.0 + logit.exp())
        };
        let gaps: Vec<f64> = free.iter().enumerate().map(next).collect();
        let distinct = gaps.windows(2).all(|pair| pair[1] - pair[0] > CLOSEST * pair[1]);
        let inside = free.first().is_none_or(|&highest| highest < HIGHEST_LOGIT) && gaps.last().is_none_or(|&last| last < 1.0);
        (distinct && inside).then(|| Self { free: free.to_vec(), gaps })
    }

    /// The two sides, C and its inverse:
    /// `omega_i = prod_j (theta_i - theta_hat_j) / prod_{j != i} (theta_i - theta_j)`, and the other way round.
    pub(crate) fn sides(&self) -> (Exponentials, Exponentials) {
        let (theta, inverse): (Vec<f64>, Vec<f64>) = self.gaps.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
        let side = |own: &[f64], other: &[f64]| Exponentials {
            gap: own.to_vec(),
            weight: (0..own.len()).map(|i| weight(own, other, i)).collect(),
        };
        (side(&theta, &inverse), side(&inverse, &theta))
    }

    /// The derivatives in the free numbers, from those in the decays and weights of both sides.
    pub(crate) fn pull_back(&self, direct: Slopes, inverse: Slopes) -> Vec<f64> {
        let (c, ct) = self.sides();
        let mut in_theta = direct.decay;
        let mut in_inverse = inverse.decay;
        add_through_weights(&c, &ct.gap, &direct.weight, &mut in_theta, &mut in_inverse);
        add_through_weights(&ct, &c.gap, &inverse.weight, &mut in_inverse, &mut in_theta);
        let in_chain = in_theta.iter().zip(&in_inverse).flat_map(|(a, b)| [*a, *b]);
        let in_logits: Vec<f64> = in_chain.zip(&self.gaps).map(|(slope, gap)| slope * gap * (1.0 - gap)).collect();
        let mut later = 0.0;
        let mut gradient: Vec<f64> = in_logits
            .iter()
            .zip(&self.free)
            .rev()
            .map(|(slope, free)| {
                later += slope;
                -free.exp() * later
            })
            .collect();
        gradient.reverse();
        if let Some(first) = gradient.first_mut() {
            *first = later;
        }
        gradient
    }

    /// theta and theta_hat.
    pub(crate) fn values(&self) -> (Vec<f64>, Vec<f64>) {
        self.gaps.chunks_exact(2).map(|pair| (1.0 - pair[0], 1.0 - pair[1])).unzip()
    }
}

/// The weight of decay i, as a product of ratios that are all positive but the first, which has the side's sign.
fn weight(own: &[f64], other: &[f64], i: usize) -> f64 {
    let ratio = |j: usize| (other[j] - own[i]) / (own[j] - own[i]);
    (0..own.len()).filter(|&j| j != i).map(ratio).product::<f64>() * (other[i] - own[i])
}

/// Adds to the derivatives in the decays of both sides those through the weights of the one:
/// `d ln weight_i = sum_j (d own_i - d other_j) / (own_i - other_j) - sum_{j != i} (d own_i - d own_j) / (own_i - own_j)`.
fn add_through_weights(side: &Exponentials, other: &[f64], in_weight: &[f64], in_own: &mut [f64], in_other: &mut [f64]) {
    let own = &side.gap;
    for i in 0..own.len() {
        let logarithmic = in_weight[i] * side.weight[i];
        for j in 0..own.len() {
            let apart = logarithmic / (other[j] - own[i]);
            in_own[i] += apart;
            in_other[j] -= apart;
            if j != i {
                let apart = logarithmic / (own[j] - own[i]);
                in_own[i] -= apart;
                in_own[j] += apart;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_free_numbers_give_weights_of_the_right_signs() {
        for free in [vec![2.0, -1.0], vec![7.5, 0.9, 0.9, 0.9], vec![-3.0, 0.2, -2.0, 1.1, 0.0, -0.7]] {
            let decays = Decays::of_free(&free).unwrap();
            let (c, ct) = decays.sides();
            assert!(c.weight.iter().all(|&weight| weight > 0.0) && ct.weight.iter().all(|&weight| weight < 0.0));
            assert!(c.weight.iter().sum::<f64>() < 1.0);
            let product = crate::coefficients::product(&c.column(50), &ct.column(50), 50);
            assert!((product[0] - 1.0).abs() < 1e-14 && product[1..].iter().all(|value| value.abs() < 1e-13), "{free:?}");
        }
        assert!(Decays::of_free(&[1.0, -40.0]).is_none(), "coinciding decays");
        assert!(Decays::of_free(&[40.0, 0.0]).is_none(), "a decay of 1");
    }

    #[test]
    fn weights_are_those_of_the_golden_example() {
        let logit = |x: f64| (x / (1.0 - x)).ln();
        let chain = [0.9, 0.7, 0.5, 0.3].map(logit);
        let free = [chain[0], (chain[0] - chain[1]).ln(), (chain[1] - chain[2]).ln(), (chain[2] - chain[3]).ln()];
        let (c, ct) = Decays::of_free(&free).unwrap().sides();
        for (found, expected) in c.weight.iter().chain(&ct.weight).zip([0.3, 0.1, -0.1, -0.3]) {
            assert!((found - expected).abs() < 1e-14);
        }
    }
}
