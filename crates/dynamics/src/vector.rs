//! Sums over slices, in `f64` and in a fixed order.

/// `sum a_i b_i`
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `|a|`
pub(crate) fn norm(a: &[f64]) -> f64 {
    norm_squared(a).sqrt()
}

/// `|a|^2`
pub(crate) fn norm_squared(a: &[f64]) -> f64 {
    dot(a, a)
}

/// `a += scale b`
pub(crate) fn add_scaled(a: &mut [f64], scale: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += scale * b;
    }
}
