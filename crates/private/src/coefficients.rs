//! Coefficient sequences of lower-triangular Toeplitz matrices, and their algebra.
//!
//! A lower-triangular Toeplitz matrix is a power series cut off at n terms; product, inverse and square root of the matrices
//! are those of the series.

/// `r_j = |binom(-1/2, j)|`: 1, 1/2, 3/8, ..., the series of `(1-x)^{-1/2}`; the square root of the prefix-sum matrix.
pub fn root(len: usize) -> Vec<f64> {
    recurrence(len, |j| (j - 0.5) / j)
}

/// 1, -1/2, -1/8, ..., the series of `(1-x)^{1/2}`; the inverse of [`root`].
pub fn inverse_root(len: usize) -> Vec<f64> {
    recurrence(len, |j| (j - 1.5) / j)
}

fn recurrence(len: usize, factor: impl Fn(f64) -> f64) -> Vec<f64> {
    let next = |last: &mut f64, j: usize| {
        if j > 0 {
            *last *= factor(j as f64);
        }
        Some(*last)
    };
    (0..len).scan(1.0, next).collect()
}

/// Coefficient j times `factor^j`.
pub fn scaled(coefficients: &[f64], factor: f64) -> Vec<f64> {
    let mut power = 1.0;
    let mut next = |&coefficient: &f64| {
        let value = coefficient * power;
        power *= factor;
        value
    };
    coefficients.iter().map(&mut next).collect()
}

/// The first `len` coefficients of the product of two series.
pub fn product(a: &[f64], b: &[f64], len: usize) -> Vec<f64> {
    let mut out = vec![0.0; len];
    for (i, &a) in a.iter().enumerate().take(len) {
        for (out, &b) in out[i..].iter_mut().zip(b) {
            *out += a * b;
        }
    }
    out
}

/// The first `len` coefficients of `1/ct`: `c_0 = 1/ct_0`, `c_t = -(1/ct_0) sum_{k=1}^{min(t,p-1)} ct_k c_{t-k}`.
///
/// # Panics
/// When `ct` is empty; its first coefficient must not be 0.
pub fn inverse(ct: &[f64], len: usize) -> Vec<f64> {
    let mut c: Vec<f64> = Vec::with_capacity(len);
    for t in 0..len {
        let carried: f64 = ct[1..].iter().zip(c.iter().rev()).map(|(a, b)| a * b).sum();
        c.push(if t == 0 { 1.0 / ct[0] } else { -carried / ct[0] });
    }
    c
}

/// The series whose square is `a`: `c_0 = sqrt(a_0)`, `c_j = (a_j - sum_{i=1}^{j-1} c_i c_{j-i}) / (2 c_0)`.
///
/// # Panics
/// When `a` is empty; its first coefficient must be above 0.
pub fn square_root(a: &[f64]) -> Vec<f64> {
    let mut c = vec![a[0].sqrt()];
    for j in 1..a.len() {
        let inner: f64 = c[1..].iter().zip(c[1..].iter().rev()).map(|(a, b)| a * b).sum();
        c.push((a[j] - inner) / (2.0 * c[0]));
    }
    c
}

/// Whether the coefficients are non-negative and never grow.
pub fn is_non_increasing(c: &[f64]) -> bool {
    c.iter().all(|&value| value >= 0.0) && c.windows(2).all(|pair| pair[0] >= pair[1])
}

/// The non-increasing majorant `c'_j = max_{i>=j} |c_i|`.
pub fn majorant(c: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = c.iter().map(|value| value.abs()).collect();
    for j in (1..out.len()).rev() {
        out[j - 1] = out[j - 1].max(out[j]);
    }
    out
}

/// The Euclidean norm.
pub(crate) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
        }
    }

    #[test]
    fn sequences_start_as_tabulated() {
        close(&root(6), &[1.0, 0.5, 0.375, 0.3125, 35.0 / 128.0, 63.0 / 256.0], 1e-15);
        close(&inverse_root(6), &[1.0, -0.5, -0.125, -0.0625, -5.0 / 128.0, -7.0 / 256.0], 1e-15);
    }

    #[test]
    fn identities_of_the_root_hold() {
        let (r, rt) = (root(40), inverse_root(40));
        close(&product(&r, &r, 40), &[1.0; 40], 1e-13);
        close(&inverse(&rt, 40), &r, 1e-13);
        let sums: Vec<f64> = rt
            .iter()
            .scan(0.0, |sum, value| {
                *sum += value;
                Some(*sum)
            })
            .collect();
        close(&sums, &r, 1e-14);
    }

    #[test]
    fn root_of_a_schedule_matches_the_golden_values() {
        let alpha: f64 = 0.25f64.powf(1.0 / 99.0);
        let chi: Vec<f64> = (0..100).map(|t| alpha.powi(t)).collect();
        let c = square_root(&chi);
        close(&c[..5], &[1.0, 0.493_047_306_1, 0.364_643_469_1, 0.299_644_133_6, 0.258_542_782_5], 1e-10);
        close(&inverse(&c, 5), &[1.0, -0.493_047_306_1, -0.121_547_823_0, -0.059_928_826_7, -0.036_934_683_2], 1e-10);

        let linear: Vec<f64> = (0..6).map(|t| 1.0 - 0.9 * f64::from(t) / 5.0).collect();
        let c = square_root(&linear);
        close(&c, &[1.0, 0.41, 0.23595, 0.133_260_5, 0.057_526_993_8, -0.005_028_882_4], 1e-10);
        close(&inverse(&c, 6), &[1.0, -0.41, -0.06785, -0.008_702_5, 0.016_687_043_7, 0.032_868_341_7], 1e-10);
    }

    #[test]
    fn majorant_is_above_and_falls() {
        let c = [1.0, -0.2, 0.5, 0.1, -0.3];
        assert_eq!(majorant(&c), [1.0, 0.5, 0.5, 0.3, 0.3]);
        assert!(!is_non_increasing(&c) && is_non_increasing(&majorant(&c)));
    }
}
