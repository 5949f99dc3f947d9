//! Vector files of conserved quantities along descents of three small models.

use serde::Deserialize;
use serde_json::Value;
use thalweg_probes::conserved::{Conserved, Part};
use thalweg_probes::monitor::{Monitor, Precision};

use super::{Row, Sheet, SplitMix64, read};
use crate::error::Result;
use crate::vector::{add_scaled, dot, norm, norm_squared};

#[derive(Deserialize)]
struct File {
    tol: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Case {
    MatrixPair(MatrixPair),
    ScaleInvariant(ScaleInvariant),
    SoftmaxShift(SoftmaxShift),
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct MatrixPair {
    seed: u64,
    n: usize,
    d_in: usize,
    k: usize,
    d_out: usize,
    eta: f64,
    T: u64,
    C0: Vec<Vec<f64>>,
    C_final: Vec<Vec<f64>>,
    drift_predicted: Vec<Vec<f64>>,
    loss_final: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct ScaleInvariant {
    seed: u64,
    n: usize,
    d: usize,
    eta: f64,
    T: u64,
    r2_0: f64,
    r2_final: f64,
    r2_predicted: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct SoftmaxShift {
    seed: u64,
    n: usize,
    d: usize,
    classes: usize,
    eta: f64,
    T: u64,
    labels: Vec<usize>,
    column_sum_0: Vec<f64>,
    W_final: Vec<Vec<f64>>,
}

pub(super) fn check(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: File = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        match case {
            Case::MatrixPair(case) => {
                sheet.case(name, &format!("matrix pair, seed {}", case.seed));
                matrix_pair(case, file.tol, &mut sheet)?;
            }
            Case::ScaleInvariant(case) => {
                sheet.case(name, &format!("scale invariant, seed {}", case.seed));
                scale_invariant(case, file.tol, &mut sheet)?;
            }
            Case::SoftmaxShift(case) => {
                sheet.case(name, &format!("softmax shift, seed {}", case.seed));
                softmax_shift(case, file.tol, &mut sheet)?;
            }
        }
    }
    Ok(sheet.rows)
}

/// A monitor and the parameters at the end of a descent.
struct Descended {
    monitor: Monitor,
    theta: Vec<f64>,
}

fn descend(
    quantity: Conserved,
    start: Vec<f64>,
    rate: f64,
    steps: u64,
    gradient: impl Fn(&[f64]) -> Vec<f64>,
) -> Result<Descended> {
    let mut theta = start;
    let mut monitor = Monitor::new(quantity, &theta, Precision::Double)?;
    for _ in 0..steps {
        let update = gradient(&theta);
        monitor.before_step(&theta, &update, rate);
        add_scaled(&mut theta, -rate, &update);
    }
    Ok(Descended { monitor, theta })
}

/// `|X B^T A^T - Y|^2 / (2n)` by A (d_out x k) and then B (k x d_in).
fn matrix_pair(case: &MatrixPair, tolerance: f64, sheet: &mut Sheet) -> Result<()> {
    let MatrixPair { n, d_in, k, d_out, .. } = *case;
    let mut draws = SplitMix64::new(case.seed);
    let (x, y) = (draws.normals(n * d_in), draws.normals(n * d_out));
    let halved = |values: Vec<f64>| values.into_iter().map(|value| 0.5 * value).collect::<Vec<f64>>();
    let b = halved(draws.normals(k * d_in));
    let a = halved(draws.normals(d_out * k));
    let hidden = |b: &[f64], x: &[f64]| b.chunks_exact(d_in).map(|row| dot(row, x)).collect::<Vec<f64>>();
    let errors = |a: &[f64], h: &[f64], y: &[f64]| a.chunks_exact(k).zip(y).map(|(row, y)| dot(row, h) - y).collect::<Vec<f64>>();
    let gradient = |theta: &[f64]| {
        let (a, b) = theta.split_at(d_out * k);
        let mut gradient = vec![0.0; theta.len()];
        let (by_a, by_b) = gradient.split_at_mut(d_out * k);
        for (x, y) in x.chunks_exact(d_in).zip(y.chunks_exact(d_out)) {
            let h = hidden(b, x);
            let e = errors(a, &h, y);
            for (row, e) in by_a.chunks_exact_mut(k).zip(&e) {
                add_scaled(row, e / n as f64, &h);
            }
            for (at, row) in by_b.chunks_exact_mut(d_in).enumerate() {
                let back: f64 = e.iter().zip(a.chunks_exact(k)).map(|(e, a)| e * a[at]).sum();
                add_scaled(row, back / n as f64, x);
            }
        }
        gradient
    };
    let left = Part::new(0, d_out, k);
    let right = Part::new(d_out * k, k, d_in);
    let quantity = Conserved::Product { left, right };
    let start = [a, b].concat();
    sheet.all_near("A^T A - B B^T at the start", case.C0.iter().flatten(), &quantity.value(&start)?, tolerance);
    let found = descend(quantity, start, case.eta, case.T, gradient)?;
    let report = found.monitor.report(&found.theta)?;
    sheet.all_near("A^T A - B B^T at the end", case.C_final.iter().flatten(), &report.value, tolerance);
    sheet.all_near("predicted drift", case.drift_predicted.iter().flatten(), &report.predicted, tolerance);
    sheet.at_most("drift against its prediction", 1e-13, report.residual);
    sheet.same("the monitor agrees", true, report.agrees);
    let (a, b) = found.theta.split_at(d_out * k);
    let examples = x.chunks_exact(d_in).zip(y.chunks_exact(d_out));
    let loss: f64 = examples.map(|(x, y)| norm_squared(&errors(a, &hidden(b, x), y))).sum::<f64>() / (2.0 * n as f64);
    sheet.near("loss at the end", case.loss_final, loss, tolerance);
    Ok(())
}

/// The mean logistic loss of `y <w, x> / |w|`.
fn scale_invariant(case: &ScaleInvariant, tolerance: f64, sheet: &mut Sheet) -> Result<()> {
    let ScaleInvariant { n, d, .. } = *case;
    let mut draws = SplitMix64::new(case.seed);
    let x = draws.normals(n * d);
    let y: Vec<f64> = draws.normals(n).into_iter().map(f64::signum).collect();
    let gradient = |w: &[f64]| {
        let size = norm(w);
        let mut gradient = vec![0.0; d];
        for (x, y) in x.chunks_exact(d).zip(&y) {
            let f = dot(w, x) / size;
            let pull = -y / (1.0 + (y * f).exp()) / n as f64;
            add_scaled(&mut gradient, pull / size, x);
            add_scaled(&mut gradient, -pull * f / (size * size), w);
        }
        gradient
    };
    let found = descend(Conserved::Sphere { entries: 0..d, centre: Vec::new() }, draws.normals(d), case.eta, case.T, gradient)?;
    let report = found.monitor.report(&found.theta)?;
    sheet.near("|w|^2 at the start", case.r2_0, report.value[0] - report.drift[0], tolerance);
    sheet.near("|w|^2 at the end", case.r2_final, report.value[0], tolerance);
    sheet.near("predicted |w|^2 at the end", case.r2_predicted, case.r2_0 + report.predicted[0], tolerance);
    sheet.same("the monitor agrees", true, report.agrees);
    Ok(())
}

/// The mean cross-entropy of a softmax of `W x`.
fn softmax_shift(case: &SoftmaxShift, tolerance: f64, sheet: &mut Sheet) -> Result<()> {
    let SoftmaxShift { n, d, classes, .. } = *case;
    let mut draws = SplitMix64::new(case.seed);
    let x = draws.normals(n * d);
    let labels: Vec<usize> = (0..n).map(|_| (draws.next_u64() % classes as u64) as usize).collect();
    sheet.same("labels are the same", true, labels == case.labels);
    let gradient = |w: &[f64]| {
        let mut gradient = vec![0.0; classes * d];
        for (x, label) in x.chunks_exact(d).zip(&labels) {
            let logits: Vec<f64> = w.chunks_exact(d).map(|row| dot(row, x)).collect();
            let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - top).exp()).sum();
            for (class, (row, logit)) in gradient.chunks_exact_mut(d).zip(&logits).enumerate() {
                let share = (logit - top).exp() / total - f64::from(u8::from(class == *label));
                add_scaled(row, share / n as f64, x);
            }
        }
        gradient
    };
    let quantity = Conserved::ColumnSums { part: Part::new(0, classes, d) };
    let start = draws.normals(classes * d);
    sheet.all_near("column sums at the start", &case.column_sum_0, &quantity.value(&start)?, tolerance);
    let found = descend(quantity, start, case.eta, case.T, gradient)?;
    let report = found.monitor.report(&found.theta)?;
    sheet.all_near("W at the end", case.W_final.iter().flatten(), &found.theta, tolerance);
    sheet.at_most("drift of the column sums", 1e-13, report.residual);
    sheet.same("the monitor agrees", true, report.agrees);
    Ok(())
}
