//! Vectors and matrices of several contexts side by side, one in each lane of the vector instructions.

use pulp::Simd;

/// So many contexts lie side by side.
pub(super) const LANES: usize = 8;

/// One number of each context.
pub(super) type Lanes = [f64; LANES];

pub(super) const ZERO: Lanes = [0.0; LANES];

/// `out += scale a`
#[inline(always)]
pub(super) fn add_scaled<S: Simd>(simd: S, out: &mut Lanes, scale: f64, a: &Lanes) {
    let scale = simd.splat_f64s(scale);
    let parts = S::as_mut_simd_f64s(out).0.iter_mut().zip(S::as_simd_f64s(a).0);
    parts.for_each(|(out, a)| *out = simd.mul_add_f64s(scale, *a, *out));
}

/// `out += a b`
#[inline(always)]
pub(super) fn add_product<S: Simd>(simd: S, out: &mut Lanes, a: &Lanes, b: &Lanes) {
    let factors = S::as_simd_f64s(a).0.iter().zip(S::as_simd_f64s(b).0);
    let parts = S::as_mut_simd_f64s(out).0.iter_mut().zip(factors);
    parts.for_each(|(out, (a, b))| *out = simd.mul_add_f64s(*a, *b, *out));
}

/// `out = A x`, A the same in all lanes.
#[inline(always)]
pub(super) fn times<S: Simd>(simd: S, a: &[f64], x: &[Lanes], out: &mut [Lanes]) {
    let d = x.len();
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = ZERO;
        for (j, x) in x.iter().enumerate() {
            add_scaled(simd, &mut sum, a[i * d + j], x);
        }
        *out = sum;
    }
}

/// `out = A^T x`, A the same in all lanes.
#[inline(always)]
pub(super) fn transposed_times<S: Simd>(simd: S, a: &[f64], x: &[Lanes], out: &mut [Lanes]) {
    let d = x.len();
    for (j, out) in out.iter_mut().enumerate() {
        let mut sum = ZERO;
        for (i, x) in x.iter().enumerate() {
            add_scaled(simd, &mut sum, a[i * d + j], x);
        }
        *out = sum;
    }
}

/// `out = A x`, A another in each lane.
#[inline(always)]
pub(super) fn lanes_times<S: Simd>(simd: S, a: &[Lanes], x: &[Lanes], out: &mut [Lanes]) {
    let d = x.len();
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = ZERO;
        for (j, x) in x.iter().enumerate() {
            add_product(simd, &mut sum, &a[i * d + j], x);
        }
        *out = sum;
    }
}

/// `out += a`
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, out: &mut [Lanes], a: &[Lanes]) {
    for (out, a) in out.iter_mut().zip(a) {
        add_scaled(simd, out, 1.0, a);
    }
}

/// `out -= a`
#[inline(always)]
pub(super) fn subtract<S: Simd>(simd: S, out: &mut [Lanes], a: &[Lanes]) {
    for (out, a) in out.iter_mut().zip(a) {
        add_scaled(simd, out, -1.0, a);
    }
}

/// `out += <x, y> / N x`: the query's own share of the covariance.
#[inline(always)]
pub(super) fn add_query<S: Simd>(simd: S, out: &mut [Lanes], x: &[Lanes], y: &[Lanes], length: f64) {
    let mut product = ZERO;
    for (x, y) in x.iter().zip(y) {
        add_product(simd, &mut product, x, y);
    }
    product.iter_mut().for_each(|entry| *entry /= length);
    for (out, x) in out.iter_mut().zip(x) {
        add_product(simd, out, &product, x);
    }
}

/// `A += a b^T`
#[inline(always)]
pub(super) fn add_outer<S: Simd>(simd: S, out: &mut [Lanes], a: &[Lanes], b: &[Lanes]) {
    let d = b.len();
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            add_product(simd, &mut out[i * d + j], a, b);
        }
    }
}
