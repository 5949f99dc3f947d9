//! The columns of `B = A C^{-1}`, one answer of the optimiser each, for a banded `C^{-1}` in O(n p) time.
//!
//! Column j is what the optimiser `v <- momentum v + x_t; theta <- keep_t theta + chi_t v` makes of the p entries
//! `x_j, ..., x_{j+p-1}` of column j of `C^{-1}`. After them it runs freely, and the state (v, theta) of each column tells all
//! the rest: forwards, the sum over columns of its outer products gives the row norms; backwards, a quadratic form gives the
//! weighted sum of squares still to come.

use rayon::prelude::*;

use crate::workload::Workload;

/// Columns that go through the recursion together, so that the processor's vector instructions serve.
const LANES: usize = 8;

/// Parts of the columns that are summed apart, whatever the number of threads.
const PARTS: usize = 16;

/// Below this many entries of `C^{-1}` threads cost more than they save.
const WORTH_THREADS: usize = 1 << 18;

/// The optimiser's factors of each step, with zeros behind the last, where nothing moves any more.
struct Recursion {
    momentum: f64,
    chi: Vec<f64>,
    keep: Vec<f64>,
}

impl Recursion {
    fn new(workload: &Workload, band: usize) -> Self {
        let padded = |mut values: Vec<f64>| {
            values.resize(workload.steps() + band + LANES, 0.0);
            values
        };
        let chi = workload.ratios().values();
        let keep = chi.iter().map(|chi| 1.0 - workload.decay() * chi).collect();
        Self { momentum: workload.momentum(), chi: padded(chi.to_vec()), keep: padded(keep) }
    }

    /// The first columns of the groups, divided into parts.
    fn parts(steps: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let part = steps.div_ceil(PARTS).next_multiple_of(LANES);
        (0..steps).step_by(part).map(move |first| first..(first + part).min(steps))
    }
}

/// `f` of each part, in order.
fn each_part<T: Send>(steps: usize, band: usize, f: impl Fn(std::ops::Range<usize>) -> T + Sync + Send) -> Vec<T> {
    if steps * band < WORTH_THREADS {
        return Recursion::parts(steps).map(f).collect();
    }
    Recursion::parts(steps).collect::<Vec<_>>().into_par_iter().map(f).collect()
}

/// A state (v, theta), or a symmetric form on such states: the entries (v,v), (v,theta), (theta,theta).
#[derive(Clone, Copy, Default)]
struct Form {
    vv: f64,
    vt: f64,
    tt: f64,
}

/// The squared norms of the rows of B, where `C^{-1}[t, t-lag] = entry(t, lag)` for `lag < band`, and 0 otherwise.
pub(crate) fn squared_row_norms(workload: &Workload, band: usize, entry: impl Fn(usize, usize) -> f64 + Sync + Send) -> Vec<f64> {
    let n = workload.steps();
    let recursion = Recursion::new(workload, band);
    let mut squares = vec![0.0; n];
    let mut landed = vec![Form::default(); n];
    for (part, (more, ended)) in
        Recursion::parts(n).zip(each_part(n, band, |columns| squares_of_columns(&recursion, band, &entry, n, columns)))
    {
        squares[part.start..].iter_mut().zip(&more).for_each(|(square, more)| *square += more);
        let first = (part.start + band - 1).min(n);
        landed[first..].iter_mut().zip(ended).for_each(|(landed, ended)| *landed = ended);
    }
    // The columns that run freely.
    let mut free = landed[0];
    for t in 1..n {
        let (momentum, chi, keep) = (recursion.momentum, recursion.chi[t], recursion.keep[t]);
        let v = Form { vv: momentum * momentum * free.vv, vt: momentum * keep * free.vt, tt: keep * keep * free.tt };
        free = Form { vv: v.vv, vt: chi * v.vv + v.vt, tt: chi * chi * v.vv + 2.0 * chi * v.vt + v.tt };
        squares[t] += free.tt;
        free = Form { vv: free.vv + landed[t].vv, vt: free.vt + landed[t].vt, tt: free.tt + landed[t].tt };
    }
    squares
}

/// For the columns of one part: the squares they add to the rows from the part's first on while their noise lasts, and the
/// states in which it leaves them, as outer products.
fn squares_of_columns(
    recursion: &Recursion,
    band: usize,
    entry: &impl Fn(usize, usize) -> f64,
    steps: usize,
    columns: std::ops::Range<usize>,
) -> (Vec<f64>, Vec<Form>) {
    let mut squares = vec![0.0; columns.len() + band + LANES];
    let mut ended = Vec::with_capacity(columns.len());
    for first in columns.clone().step_by(LANES) {
        let (mut v, mut theta) = ([0.0; LANES], [0.0; LANES]);
        for lag in 0..band.min(steps - first) {
            let t = first + lag;
            let (chi, keep) = (&recursion.chi[t..t + LANES], &recursion.keep[t..t + LANES]);
            let squares = &mut squares[t - columns.start..][..LANES];
            for lane in 0..LANES {
                v[lane] = recursion.momentum * v[lane] + entry((t + lane).min(steps - 1), lag);
                theta[lane] = keep[lane] * theta[lane] + chi[lane] * v[lane];
                squares[lane] += theta[lane] * theta[lane];
            }
        }
        let state = |lane: usize| Form { vv: v[lane] * v[lane], vt: v[lane] * theta[lane], tt: theta[lane] * theta[lane] };
        // Columns whose noise lasts to the end land nowhere: their place lies beyond the last step.
        ended.extend((0..LANES.min(columns.end - first)).map(state));
    }
    squares.truncate(steps - columns.start);
    (squares, ended)
}

/// The derivative in ct of `sum_m weights_m |B_m|^2` for `C^{-1} = toep(ct)`.
pub(crate) fn gradient(workload: &Workload, ct: &[f64], weights: &[f64]) -> Vec<f64> {
    let n = workload.steps();
    let recursion = Recursion::new(workload, ct.len());
    let mut weights = weights.to_vec();
    weights.resize(recursion.chi.len(), 0.0);
    let ahead = forms_ahead(&recursion, &weights);
    let mut gradient = vec![0.0; ct.len()];
    for part in each_part(n, ct.len(), |columns| gradient_of_columns(&recursion, ct, &weights, &ahead, n, columns)) {
        gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    gradient
}

/// For each step, the weighted squares of all later rows as a form in the state after it: `P_{t-1} = F_t^T (P_t + w_t e e^T) F_t`.
fn forms_ahead(recursion: &Recursion, weights: &[f64]) -> Vec<Form> {
    let mut forms = vec![Form::default(); weights.len()];
    for t in (1..weights.len()).rev() {
        let (momentum, chi, keep) = (recursion.momentum, recursion.chi[t], recursion.keep[t]);
        let next = Form { tt: forms[t].tt + weights[t], ..forms[t] };
        forms[t - 1] = Form {
            vv: momentum * momentum * (next.vv + 2.0 * chi * next.vt + chi * chi * next.tt),
            vt: momentum * keep * (next.vt + chi * next.tt),
            tt: keep * keep * next.tt,
        };
    }
    forms
}

fn gradient_of_columns(
    recursion: &Recursion,
    ct: &[f64],
    weights: &[f64],
    ahead: &[Form],
    steps: usize,
    columns: std::ops::Range<usize>,
) -> Vec<f64> {
    let mut gradient = vec![0.0; ct.len()];
    let mut history = vec![[0.0; LANES]; ct.len()];
    for first in columns.step_by(LANES) {
        let len = ct.len().min(steps - first);
        let (mut v, mut theta) = ([0.0; LANES], [0.0; LANES]);
        for (lag, coefficient) in ct[..len].iter().enumerate() {
            let t = first + lag;
            let (chi, keep) = (&recursion.chi[t..t + LANES], &recursion.keep[t..t + LANES]);
            for lane in 0..LANES {
                v[lane] = recursion.momentum * v[lane] + coefficient;
                theta[lane] = keep[lane] * theta[lane] + chi[lane] * v[lane];
            }
            history[lag] = theta;
        }
        // The derivatives in the state, first of what comes after the noise.
        let (mut in_v, mut in_theta) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let form = ahead[first + len - 1 + lane];
            in_v[lane] = 2.0 * (form.vv * v[lane] + form.vt * theta[lane]);
            in_theta[lane] = 2.0 * (form.vt * v[lane] + form.tt * theta[lane]);
        }
        for lag in (0..len).rev() {
            let t = first + lag;
            let (chi, keep) = (&recursion.chi[t..t + LANES], &recursion.keep[t..t + LANES]);
            let (weights, theta) = (&weights[t..t + LANES], &history[lag]);
            let mut sum = 0.0;
            for lane in 0..LANES {
                in_theta[lane] += 2.0 * weights[lane] * theta[lane];
                in_v[lane] += chi[lane] * in_theta[lane];
                sum += in_v[lane];
                in_v[lane] *= recursion.momentum;
                in_theta[lane] *= keep[lane];
            }
            gradient[lag] += sum;
        }
    }
    gradient
}
