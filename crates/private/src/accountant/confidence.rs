//! What a Monte-Carlo estimate of delta proves.
//!
//! The mean of N independent values in [0, 1] with mean t is at most d < t with probability at most `exp(-N KL(d || t))` (Hoeffding 1963).
//! A check that accepts where the mean is at most d lets through a mechanism whose true delta exceeds t no more often than that; if it
//! does, privacy is lost. So whoever checks before a release has `delta = min over t > d of t + exp(-N KL(d || t)) (1 - t)` over the
//! draws and the noise together (Wang et al., arXiv 2304.07927).

/// The delta that holds after up to `attempts` checks, each with its own draws, that accept a mean of at most `threshold`.
fn overall(draws: u64, attempts: u32, threshold: f64) -> f64 {
    let n = draws as f64;
    // From far below the standard error of the mean up to 1.
    let mut beyond = 1e-2 * ((threshold / n).sqrt() + 1.0 / n);
    let mut least = 1.0f64;
    while threshold + beyond < 1.0 {
        let t = threshold + beyond;
        let deceived = (f64::from(attempts) * (-n * divergence(threshold, t)).exp()).min(1.0);
        least = least.min(t + deceived * (1.0 - t));
        beyond *= 1.03;
    }
    least
}

/// `KL(p || q)` of two coins.
fn divergence(p: f64, q: f64) -> f64 {
    let heads = if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    heads + (1.0 - p) * ((-p).ln_1p() - (-q).ln_1p())
}

/// The largest mean of `draws` values that may be accepted for a guarantee at `delta`; nothing where the draws are too few.
pub(super) fn acceptance(draws: u64, attempts: u32, delta: f64) -> Option<f64> {
    if overall(draws, attempts, 0.0) > delta {
        return None;
    }
    let (mut low, mut high) = (0.0, delta);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if overall(draws, attempts, middle) <= delta { low = middle } else { high = middle }
    }
    Some(low)
}

/// The least number of draws from which on a mean of `share` times delta may be accepted.
pub(super) fn draws_for(attempts: u32, delta: f64, share: f64) -> u64 {
    let enough = |draws: u64| overall(draws, attempts, share * delta) <= delta;
    let mut high = 1u64;
    while !enough(high) && high < 1 << 60 {
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 + high / 1000 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_threshold_is_below_delta_and_rises_with_the_draws() {
        for delta in [1e-2, 1e-5, 1e-9] {
            let least = draws_for(1, delta, 0.0);
            // No value may come out wrong, in at least 1/delta log(1/delta) draws.
            assert!(least as f64 > (1.0 / delta) * (1.0 / delta).ln(), "{least}");
            assert_eq!(acceptance(least / 2, 1, delta), None);
            let mut before = -1.0;
            for factor in [1, 4, 16, 256] {
                let threshold = acceptance(least * factor, 1, delta).unwrap();
                assert!(threshold > before && threshold < delta);
                before = threshold;
            }
            assert!(before > 0.8 * delta, "many draws prove nearly what they suggest: {before:e}");
            let half = draws_for(1, delta, 0.5);
            assert!((acceptance(half, 1, delta).unwrap() / (0.5 * delta) - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn more_attempts_cost_threshold() {
        let draws = draws_for(1, 1e-4, 0.5);
        assert!(acceptance(draws, 8, 1e-4).unwrap() < acceptance(draws, 1, 1e-4).unwrap());
    }

    /// `P[Bin(n, p) <= k]`.
    fn binomial(n: u64, p: f64, k: u64) -> f64 {
        let mut term = (n as f64 * (-p).ln_1p()).exp();
        let mut sum = term;
        for i in 0..k {
            term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
            sum += term;
        }
        sum
    }

    proptest! {
        #[test]
        fn the_bound_on_wrong_acceptance_holds_for_coins(p in 1e-3f64..0.2, share in 0.1f64..0.95) {
            let n = 2000;
            let k = (share * p * n as f64).floor() as u64;
            let bound = (-(n as f64) * divergence(k as f64 / n as f64, p)).exp();
            prop_assert!(binomial(n, p, k) <= bound * (1.0 + 1e-9));
        }
    }
}
