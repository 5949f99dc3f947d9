//! The mean squared error of a banded inverse Toeplitz strategy as one small quadratic form.

use crate::workload::Workload;

/// `Q_ij = <A N^i, A N^j>` for i, j < p, with the shift N: `|A toep(ct)|_F^2 = ct^T Q ct` for p coefficients ct.
#[derive(Clone, Debug)]
pub(crate) struct Gram {
    size: usize,
    entries: Vec<f64>,
}

impl Gram {
    /// In O(n p) time and O(n + p^2) memory.
    ///
    /// `Q_{i,i+l}` is the sum of the entries `W_{s,s+l}` of `W = A^T A` with `s >= i`. And `W_{s,t} = x^T P x'` for the states of
    /// the optimiser after step t that gradients 1 in steps s and t left, where `P = sum_{m>=t} F^T e e^T F` over its free course
    /// F from t to m.
    pub(crate) fn new(workload: &Workload, size: usize) -> Self {
        let (n, momentum, decay) = (workload.steps(), workload.momentum(), workload.decay());
        let chi = workload.ratios().values();
        let keep = |t: usize| 1.0 - decay * chi[t];
        let ahead = forms(workload);
        let (mut entries, mut sums) = (vec![0.0; size * size], vec![0.0; size]);
        for s in (0..n).rev() {
            let (mut v, mut theta) = (1.0, chi[s]);
            for (lag, sum) in sums.iter_mut().enumerate().take(n - s) {
                let t = s + lag;
                if lag > 0 {
                    v *= momentum;
                    theta = keep(t) * theta + chi[t] * v;
                }
                let [vv, vt, tt] = ahead[t];
                *sum += v * (vv + vt * chi[t]) + theta * (vt + tt * chi[t]);
            }
            for (lag, &sum) in sums.iter().enumerate().take(size.saturating_sub(s)) {
                entries[s * size + s + lag] = sum;
                entries[(s + lag) * size + s] = sum;
            }
        }
        Self { size, entries }
    }

    /// `ct^T Q ct` and `2 Q ct`, for at most p coefficients.
    pub(crate) fn of(&self, ct: &[f64]) -> (f64, Vec<f64>) {
        let row = |i: usize| self.entries[i * self.size..][..ct.len()].iter().zip(ct).map(|(q, ct)| q * ct).sum::<f64>();
        let products: Vec<f64> = (0..ct.len()).map(row).collect();
        let value = products.iter().zip(ct).map(|(product, ct)| product * ct).sum();
        (value, products.iter().map(|product| 2.0 * product).collect())
    }
}

/// `P_t = e e^T + F_{t+1}^T P_{t+1} F_{t+1}` as its entries (v,v), (v,theta), (theta,theta).
fn forms(workload: &Workload) -> Vec<[f64; 3]> {
    let (n, momentum) = (workload.steps(), workload.momentum());
    let chi = workload.ratios().values();
    let mut forms = vec![[0.0, 0.0, 1.0]; n];
    for t in (1..n).rev() {
        let [vv, vt, tt] = forms[t];
        let keep = 1.0 - workload.decay() * chi[t];
        forms[t - 1] = [
            momentum * momentum * (vv + 2.0 * chi[t] * vt + chi[t] * chi[t] * tt),
            momentum * keep * (vt + chi[t] * tt),
            1.0 + keep * keep * tt,
        ];
    }
    forms
}
