//! Vector files of equilibrium models.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Row, Sheet, read};
use crate::deq::published::tanh_data;
use crate::deq::{Activation, Backward, Descent, LinearDeq, MatrixDeq, Outcome, SingleIndex, local};
use crate::error::{Error, Result};
use crate::ode::Tolerance;

#[derive(Deserialize)]
struct FlowFile {
    tol: FlowTolerances,
    #[serde(default)]
    scalar: Vec<ScalarFlow>,
    #[serde(default)]
    vector: Vec<VectorFlow>,
    #[serde(default)]
    intercept: Vec<InterceptFlow>,
    #[serde(default)]
    matrix: Vec<MatrixFlow>,
}

#[derive(Deserialize)]
struct FlowTolerances {
    theta: f64,
    invariant: f64,
    t_closed: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct ScalarFlow {
    xi: f64,
    Ex2: f64,
    theta0: Vec<f64>,
    r2: f64,
    t: Vec<f64>,
    theta: Vec<Vec<f64>>,
    beta: Vec<f64>,
    t_closed: Vec<f64>,
    theta_inf: Vec<f64>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct VectorFlow {
    Sigma: Vec<Vec<f64>>,
    xi: Vec<f64>,
    u0: Vec<f64>,
    v0: f64,
    r2: f64,
    t: Vec<f64>,
    theta: Vec<Vec<f64>>,
    loss: Vec<f64>,
    exp_bound: Vec<f64>,
}

#[derive(Deserialize)]
struct InterceptFlow {
    theta0: Vec<f64>,
    target: Vec<f64>,
    t: Vec<f64>,
    theta: Vec<Vec<f64>>,
    r2: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct MatrixFlow {
    k: usize,
    W0: Vec<Vec<f64>>,
    U0: Vec<Vec<f64>>,
    M: Vec<Vec<f64>>,
    Sx: Vec<f64>,
    t: Vec<f64>,
    W: Vec<Vec<Vec<f64>>>,
    U: Vec<Vec<Vec<f64>>>,
    BBt0: Vec<Vec<f64>>,
}

pub(super) fn flow(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: FlowFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.scalar.iter().enumerate() {
        sheet.case(name, &format!("scalar {at}"));
        scalar_flow(case, &file.tol, &mut sheet)?;
    }
    for (at, case) in file.vector.iter().enumerate() {
        sheet.case(name, &format!("vector {at}"));
        vector_flow(case, &file.tol, &mut sheet)?;
    }
    for (at, case) in file.intercept.iter().enumerate() {
        sheet.case(name, &format!("intercept {at}"));
        // The inputs are 1 and x ~ U(0, 1).
        let model = LinearDeq::new(&[1.0, 0.5, 0.5, 1.0 / 3.0], &case.target)?;
        linear_flow(&model, &case.theta0, &case.t, &case.theta, case.r2, &file.tol, &mut sheet)?;
    }
    for (at, case) in file.matrix.iter().enumerate() {
        sheet.case(name, &format!("matrix {at}"));
        matrix_flow(case, &file.tol, &mut sheet)?;
    }
    Ok(sheet.rows)
}

fn scalar_flow(case: &ScalarFlow, tolerance: &FlowTolerances, sheet: &mut Sheet) -> Result<()> {
    let model = LinearDeq::scalar(case.Ex2, case.xi)?;
    let path = linear_flow(&model, &case.theta0, &case.t, &case.theta, case.r2, tolerance, sheet)?;
    let beta = path.iter().map(|theta| Ok(model.effective_weights(theta)?[0])).collect::<Result<Vec<f64>>>()?;
    sheet.all_near("beta", &case.beta, &beta, tolerance.theta);
    let times = case.beta.iter().map(|&beta| model.time_to_reach(&case.theta0, beta)).collect::<Result<Vec<f64>>>()?;
    sheet.all_near("time in closed form", &case.t_closed, &times, tolerance.t_closed);
    sheet.all_near("limit of theta", &case.theta_inf, &model.flow_limit(&case.theta0)?, tolerance.t_closed);
    Ok(())
}

fn vector_flow(case: &VectorFlow, tolerance: &FlowTolerances, sheet: &mut Sheet) -> Result<()> {
    let model = LinearDeq::new(&case.Sigma.concat(), &case.xi)?;
    let start: Vec<f64> = case.u0.iter().copied().chain([case.v0]).collect();
    let path = linear_flow(&model, &start, &case.t, &case.theta, case.r2, tolerance, sheet)?;
    let loss = path.iter().map(|theta| model.risk(theta)).collect::<Result<Vec<f64>>>()?;
    sheet.all_near("loss", &case.loss, &loss, tolerance.theta);
    let rate = model.certified_rate(&start)?;
    let bound: Vec<f64> = case.t.iter().map(|t| loss[0] * (-rate * t).exp()).collect();
    sheet.all_near("certified bound of the loss", &case.exp_bound, &bound, tolerance.theta);
    let excess = loss.iter().zip(&bound).map(|(loss, bound)| loss - bound).fold(f64::NEG_INFINITY, f64::max);
    sheet.at_most("loss above its certified bound", tolerance.invariant, excess);
    Ok(())
}

/// Follows a linear model's flow and compares it and its radius.
fn linear_flow(
    model: &LinearDeq,
    start: &[f64],
    times: &[f64],
    expected: &[Vec<f64>],
    radius_squared: f64,
    tolerance: &FlowTolerances,
    sheet: &mut Sheet,
) -> Result<Vec<Vec<f64>>> {
    let path = model.flow(start, times, &Tolerance::default())?.states;
    sheet.all_near("theta", expected.iter().flatten(), path.iter().flatten(), tolerance.theta);
    let radii: Vec<f64> = path.iter().map(|theta| model.radius_squared(theta)).collect();
    sheet.all_near("squared radius", &vec![radius_squared; radii.len()], &radii, tolerance.invariant);
    Ok(path)
}

fn matrix_flow(case: &MatrixFlow, tolerance: &FlowTolerances, sheet: &mut Sheet) -> Result<()> {
    let d = case.Sx.len();
    let moment: Vec<f64> = (0..d * d).map(|at| if at / d == at % d { case.Sx[at / d] } else { 0.0 }).collect();
    let model = MatrixDeq::new(&case.M.concat(), case.k, &moment)?;
    let join = |w: &[Vec<f64>], u: &[Vec<f64>]| [w.concat(), u.concat()].concat();
    let path = model.flow(&join(&case.W0, &case.U0), &case.t, &Tolerance::default())?;
    let expected: Vec<f64> = case.W.iter().zip(&case.U).flat_map(|(w, u)| join(w, u)).collect();
    sheet.all_near("W and U", &expected, path.states.iter().flatten(), tolerance.theta);
    let conserved = case.BBt0.concat();
    for (what, theta) in [("B B^T at the start", &path.states[0]), ("B B^T at the end", &path.last().to_vec())] {
        let found = model.conserved(theta)?;
        let found: Vec<f64> = (0..case.k * case.k).map(|at| found[(at / case.k, at % case.k)]).collect();
        sheet.all_near(what, &conserved, &found, tolerance.invariant);
    }
    Ok(())
}

#[derive(Deserialize)]
struct DescentFile {
    tol: f64,
    cases: Vec<DescentCase>,
}

#[derive(Deserialize)]
struct DescentCase {
    theta0: Vec<f64>,
    eta: f64,
    steps: u64,
    xi: f64,
    m2: f64,
    backward: Backward,
    checkpoints: BTreeMap<u64, Vec<f64>>,
    r#final: Vec<f64>,
    r2_0: f64,
    r2_final: f64,
    final_risk: f64,
}

pub(super) fn descent(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: DescentFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} {}", case.backward));
        let record: Vec<u64> = case.checkpoints.keys().copied().collect();
        let descent = Descent { rate: case.eta, steps: case.steps, backward: case.backward, record };
        let run = descent.run(&mut LinearDeq::scalar(case.m2, case.xi)?, &case.theta0)?;
        let measured = run.records.iter().flat_map(|record| &record.theta);
        sheet.all_near("theta at checkpoints", case.checkpoints.values().flatten(), measured, file.tol);
        sheet.all_near("final theta", &case.r#final, &run.theta, file.tol);
        sheet.near("final risk", case.final_risk, run.risk, file.tol);
        sheet.near("squared radius at the start", case.r2_0, run.radius_squared.start, file.tol);
        sheet.near("squared radius at the end", case.r2_final, run.radius_squared.end, file.tol * case.r2_final);
        radius_identity(&run, 1e-12, &mut sheet);
    }
    Ok(sheet.rows)
}

/// The end of the squared radius against its prediction, both of this run.
fn radius_identity(run: &Outcome, relative: f64, sheet: &mut Sheet) {
    let radius = &run.radius_squared;
    sheet.near("squared radius against its predicted drift", radius.predicted_end, radius.end, relative * radius.end);
}

#[derive(Deserialize)]
struct StressFile {
    cases: Vec<StressCase>,
}

#[derive(Deserialize)]
struct StressCase {
    seed: u64,
    theta0: Vec<f64>,
    eta: f64,
    steps: u64,
    xi: f64,
    m2: f64,
    r2_final: f64,
    threshold: f64,
    max_step_length: f64,
    risk: f64,
    converged: bool,
}

pub(super) fn stress(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: StressFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        sheet.case(name, &format!("seed {}", case.seed));
        let mut model = LinearDeq::scalar(case.m2, case.xi)?;
        let descent = Descent { rate: case.eta, steps: case.steps, backward: Backward::Exact, record: Vec::new() };
        let run = descent.run(&mut model, &case.theta0)?;
        sheet.near("stability line", case.threshold, model.stability_line(case.eta)?, 1e-12);
        sheet.at_least("squared radius at the end against the stability line", case.threshold, run.radius_squared.end);
        radius_identity(&run, 1e-10, &mut sheet);
        sheet.same("converged (risk below 1e-20)", case.converged, run.risk < 1e-20);
        if case.max_step_length < 1.0 {
            sheet.near("squared radius at the end", case.r2_final, run.radius_squared.end, 1e-9);
            sheet.near("longest step", case.max_step_length, run.longest_step, 1e-9);
            sheet.near("risk", case.risk, run.risk, 1e-9);
        } else {
            // A step longer than 1 amplifies rounding: only the order of magnitude is comparable.
            let order = |value: f64| value.log10();
            sheet.near("log10 of the squared radius", order(case.r2_final), order(run.radius_squared.end), 0.5);
            sheet.near("log10 of the longest step", order(case.max_step_length), order(run.longest_step), 0.5);
        }
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct SigmoidFile {
    activation: Activation,
    target: String,
    eta: f64,
    tol_theta: f64,
    x: Vec<f64>,
    theta0: Vec<f64>,
    backward: Backward,
    record: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    step: u64,
    theta: Vec<f64>,
    risk: f64,
    max_abs_v_dsigma: f64,
    param_error: Option<f64>,
}

pub(super) fn sigmoid(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: SigmoidFile = read(name, value)?;
    // The target is written like sigmoid(2x).
    let inner = file.target.split_once('(').and_then(|(_, rest)| rest.strip_suffix("x)"));
    let teacher: f64 = inner
        .and_then(|teacher| teacher.parse().ok())
        .ok_or_else(|| Error::value("the target", format!("{:?}", file.target), "written like sigmoid(2x)"))?;
    let mut sheet = Sheet::new(name);
    let mut model = SingleIndex::new(file.activation, &file.x, &[teacher])?;
    compare_records(&mut model, &file.theta0, file.eta, file.backward, &file.record, file.tol_theta, &mut sheet)?;
    Ok(sheet.rows)
}

fn compare_records(
    model: &mut SingleIndex,
    start: &[f64],
    rate: f64,
    backward: Backward,
    expected: &[Record],
    tolerance: f64,
    sheet: &mut Sheet,
) -> Result<Outcome> {
    let record: Vec<u64> = expected.iter().map(|record| record.step).collect();
    let steps = record.last().copied().unwrap_or(0);
    let run = Descent { rate, steps, backward, record }.run(model, start)?;
    let thetas = run.records.iter().flat_map(|record| &record.theta);
    sheet.all_near("theta at checkpoints", expected.iter().flat_map(|record| &record.theta), thetas, tolerance);
    let risks: Vec<f64> = run.records.iter().map(|record| record.risk).collect();
    sheet.all_near("risk at checkpoints", expected.iter().map(|record| &record.risk), &risks, tolerance);
    let slopes: Vec<f64> = run.records.iter().map(|record| record.contraction).collect();
    sheet.all_near("largest |v slope|", expected.iter().map(|record| &record.max_abs_v_dsigma), &slopes, tolerance);
    Ok(run)
}

#[derive(Deserialize)]
struct TanhFile {
    tol_theta: f64,
    cases: Vec<TanhCase>,
}

#[derive(Deserialize)]
struct TanhCase {
    seed: u64,
    d: usize,
    n: usize,
    eta: f64,
    xi: Vec<f64>,
    theta0: Vec<f64>,
    hessian_min: f64,
    hessian_max: f64,
    runs: BTreeMap<String, Vec<Record>>,
}

pub(super) fn tanh(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: TanhFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        let (teacher, start, inputs) = tanh_data(case.seed, case.d, case.n);
        let model = SingleIndex::new(Activation::Tanh, &inputs, &teacher)?;
        sheet.case(name, &format!("seed {}", case.seed));
        sheet.all_near("target weights", &case.xi, &teacher, 1e-14);
        sheet.all_near("start", &case.theta0, &start, 1e-14);
        let curvatures = model.curvatures()?;
        sheet.near("least curvature", case.hessian_min, curvatures[0], file.tol_theta);
        sheet.near("greatest curvature", case.hessian_max, curvatures[case.d], file.tol_theta);
        for (backward, expected) in &case.runs {
            sheet.case(name, &format!("seed {} {backward}", case.seed));
            let way: Backward = backward.parse()?;
            let run = compare_records(&mut model.clone(), &start, case.eta, way, expected, file.tol_theta, &mut sheet)?;
            let distance = |theta: &[f64]| {
                let target = teacher.iter().copied().chain([0.0]);
                theta.iter().zip(target).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            };
            let found: Vec<f64> = run.records.iter().map(|record| distance(&record.theta)).collect();
            let errors = expected.iter().filter_map(|record| record.param_error.as_ref());
            sheet.all_near("distance from the target", errors, &found, file.tol_theta);
        }
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct CurvatureFile {
    tol: f64,
    cases: BTreeMap<String, Curvatures>,
}

#[derive(Deserialize)]
struct Curvatures {
    perp: f64,
    lam_min: f64,
    lam_mid: f64,
    eta_max: f64,
}

pub(super) fn curvatures(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: CurvatureFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (case, expected) in &file.cases {
        sheet.case(name, case);
        let parts = case.split_once("|rho=").and_then(|(name, rho)| Some((name, rho.parse::<f64>().ok()?)));
        let (activation, norm) = parts.ok_or_else(|| Error::value("a case", format!("{case:?}"), "written like tanh|rho=1.0"))?;
        let found = local::curvatures(activation.parse()?, norm)?;
        sheet.near("orthogonal curvature", expected.perp, found.orthogonal, file.tol);
        sheet.near("least curvature", expected.lam_min, found.least, file.tol);
        sheet.near("greater curvature in the plane", expected.lam_mid, found.greater, file.tol);
        sheet.near("largest stable rate", expected.eta_max, found.largest_rate(), file.tol * expected.eta_max.powi(2));
    }
    Ok(sheet.rows)
}
