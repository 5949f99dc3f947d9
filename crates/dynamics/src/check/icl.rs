//! Vector files of in-context learning.

use faer::Mat;
use serde::Deserialize;
use serde_json::Value;
use thalweg_descent::Seed;

use super::{Row, Sheet, read};
use crate::error::Result;
use crate::icl::matrix_flow::wishart_mean;
use crate::icl::sgd::{self, Band, Plan};
use crate::icl::{Modes, Problem, Published, Tasks, Transformer, Weights, exact, plateau};
use crate::matrix::{self, to_rows};
use crate::ode::Tolerance;

fn modes(s: &[f64], n: u64, moments: Option<&Vec<f64>>) -> Result<Modes> {
    let modes = Modes::new(s, n)?;
    match moments {
        Some(moments) => modes.with_task_moments(moments),
        None => Ok(modes),
    }
}

/// The largest distance of two tables.
fn largest_gap(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[derive(Deserialize)]
struct AlignedFile {
    tol: AlignedTolerances,
    cases: Vec<AlignedCase>,
}

#[derive(Deserialize)]
struct AlignedTolerances {
    closed_form: f64,
    ode: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct AlignedCase {
    s: Vec<f64>,
    N: u64,
    a0: f64,
    A: Option<Vec<f64>>,
    t: Vec<f64>,
    p_exact: Vec<Vec<f64>>,
    q_exact: Vec<Vec<f64>>,
    loss_exact: Vec<f64>,
    a_inf_exact: Vec<f64>,
    active: Vec<bool>,
    tau_fixed_point: f64,
    per_mode_gap_max: Vec<f64>,
    #[serde(flatten)]
    published: Option<PublishedValues>,
}

#[derive(Deserialize)]
struct PublishedValues {
    s_inf: Vec<f64>,
    a_inf_published: Vec<f64>,
    t_half_published: Vec<f64>,
    t_escape: Vec<f64>,
    a_published: Vec<Vec<f64>>,
    loss_published: Vec<f64>,
    max_gap: f64,
}

pub(super) fn aligned(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: AlignedFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        aligned_case(case, &file.tol, &mut sheet)?;
    }
    Ok(sheet.rows)
}

fn aligned_case(case: &AlignedCase, tolerance: &AlignedTolerances, sheet: &mut Sheet) -> Result<()> {
    let modes = modes(&case.s, case.N, case.A.as_ref())?;
    let path = exact::flow(&modes, &Weights::balanced(modes.len(), case.a0)?, &case.t, &Tolerance::default())?;
    sheet.all_near("exact p", case.p_exact.iter().flatten(), path.weights.iter().flat_map(|w| &w.p), tolerance.ode);
    sheet.all_near("exact q", case.q_exact.iter().flatten(), path.weights.iter().flat_map(|w| &w.q), tolerance.ode);
    sheet.all_near("exact loss", &case.loss_exact, &path.losses, tolerance.ode);
    let imbalance = path.weights.iter().map(|w| w.imbalance().abs()).fold(0.0, f64::max);
    sheet.at_most("drift of sum p^2 - q^2", 1e-10, imbalance);
    let gaps = |mode: usize| path.weights.iter().map(|w| (w.p[mode].powi(2) - w.q[mode].powi(2)).abs()).fold(0.0, f64::max);
    let per_mode: Vec<f64> = (0..modes.len()).map(gaps).collect();
    sheet.all_near("largest p^2 - q^2 of each mode", &case.per_mode_gap_max, &per_mode, tolerance.ode);
    let found = plateau::of(&modes);
    sheet.all_near("exact plateau", &case.a_inf_exact, &found.products, tolerance.closed_form);
    sheet.same("learned modes are the same", true, found.active == case.active);
    sheet.near("cut-off", case.tau_fixed_point, found.cutoff, tolerance.closed_form);
    let Some(published) = &case.published else { return Ok(()) };
    published_case(case, published, &modes, tolerance, sheet)?;
    let theory: Vec<Vec<f64>> = path.weights.iter().map(Weights::products).collect();
    sheet.near("largest gap of both dynamics", published.max_gap, largest_gap(&published.a_published, &theory), tolerance.ode);
    Ok(())
}

fn published_case(
    case: &AlignedCase,
    expected: &PublishedValues,
    modes: &Modes,
    tolerance: &AlignedTolerances,
    sheet: &mut Sheet,
) -> Result<()> {
    let theory = Published::new(modes)?;
    let products = case.t.iter().map(|&t| theory.products(case.a0, t)).collect::<Result<Vec<_>>>()?;
    let losses: Vec<f64> = products.iter().map(|products| theory.loss(products)).collect();
    let closed = tolerance.closed_form;
    sheet.all_near("published inverse plateau", &expected.s_inf, theory.inverse_plateau(), closed);
    sheet.all_near("published plateau", &expected.a_inf_published, &theory.plateau(), closed);
    // Times grow to about 100: their tolerance is relative.
    let relative = |values: &[f64]| closed * values.iter().copied().fold(1.0, f64::max);
    let (half, escape) = (theory.half_times(case.a0)?, theory.escape_times(case.a0)?);
    sheet.all_near("published half-times", &expected.t_half_published, &half, relative(&half));
    sheet.all_near("published escape times", &expected.t_escape, &escape, relative(&escape));
    sheet.all_near("published a", expected.a_published.iter().flatten(), products.iter().flatten(), closed);
    sheet.all_near("published loss", &expected.loss_published, &losses, closed);
    Ok(())
}

#[derive(Deserialize)]
struct UnbalancedFile {
    tol: f64,
    cases: Vec<UnbalancedCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct UnbalancedCase {
    s: Vec<f64>,
    N: u64,
    p0: Vec<f64>,
    q0: Vec<f64>,
    t: Vec<f64>,
    p: Vec<Vec<f64>>,
    q: Vec<Vec<f64>>,
}

pub(super) fn unbalanced(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: UnbalancedFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        let theory = Published::new(&Modes::new(&case.s, case.N)?)?;
        let start = Weights { p: case.p0.clone(), q: case.q0.clone() };
        let path = case.t.iter().map(|&t| theory.weights(&start, t)).collect::<Result<Vec<_>>>()?;
        sheet.all_near("published p", case.p.iter().flatten(), path.iter().flat_map(|w| &w.p), file.tol);
        sheet.all_near("published q", case.q.iter().flatten(), path.iter().flat_map(|w| &w.q), file.tol);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct CutoffFile {
    tol: f64,
    cases: Vec<CutoffCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct CutoffCase {
    s: Vec<f64>,
    N: u64,
    A: Option<Vec<f64>>,
    a_formula: Vec<f64>,
    active: Vec<bool>,
    tau: f64,
    ode_T: f64,
    z0: f64,
    a_ode: Vec<f64>,
    a_published: Option<Vec<f64>>,
}

pub(super) fn cutoff(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: CutoffFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        let modes = modes(&case.s, case.N, case.A.as_ref())?;
        let found = plateau::of(&modes);
        sheet.all_near("plateau in closed form", &case.a_formula, &found.products, file.tol);
        sheet.same("learned modes are the same", true, found.active == case.active);
        sheet.near("cut-off", case.tau, found.cutoff, file.tol);
        let start = Weights { p: vec![case.z0; modes.len()], q: vec![case.z0; modes.len()] };
        let path = exact::flow(&modes, &start, &[0.0, case.ode_T], &Tolerance::default())?;
        sheet.all_near("exact a at the end", &case.a_ode, &path.weights[1].products(), file.tol);
        if let Some(expected) = &case.a_published {
            sheet.all_near("published plateau", expected, &Published::new(&modes)?.plateau(), file.tol);
        }
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct WishartFile {
    tol: f64,
    cases: Vec<WishartCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct WishartCase {
    N: u64,
    Sigma: Vec<Vec<f64>>,
    A: Vec<Vec<f64>>,
    E: Vec<Vec<f64>>,
}

fn square(what: &str, rows: &[Vec<f64>]) -> Result<Mat<f64>> {
    matrix::from_rows(what, &rows.concat(), rows.len(), rows.len())
}

pub(super) fn wishart(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: WishartFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        let found = wishart_mean(square("Sigma", &case.Sigma)?.as_ref(), square("A", &case.A)?.as_ref(), case.N);
        sheet.all_near("E[Sh A Sh]", case.E.iter().flatten(), &to_rows(found.as_ref()), file.tol);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct MatrixFile {
    tol: f64,
    cases: Vec<MatrixCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct MatrixCase {
    N: u64,
    U: Vec<Vec<f64>>,
    Sigma: Vec<Vec<f64>>,
    tasks: Vec<Vec<Vec<f64>>>,
    p0: Vec<Vec<f64>>,
    q0: Vec<Vec<f64>>,
    t: Vec<f64>,
    p: Vec<Vec<Vec<f64>>>,
    q: Vec<Vec<Vec<f64>>>,
    loss: Vec<f64>,
    offdiag_norms_p_q: Vec<Vec<f64>>,
    frob_gap: Vec<f64>,
}

pub(super) fn matrix_flow(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: MatrixFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        let tasks = Tasks::new(&case.tasks.iter().map(|task| task.concat()).collect::<Vec<_>>())?;
        let problem = Problem::new(&case.Sigma.concat(), case.N, tasks)?;
        let (p, q, u) = (square("p0", &case.p0)?, square("q0", &case.q0)?, square("U", &case.U)?);
        let path = problem.flow(p.as_ref(), q.as_ref(), &case.t, &Tolerance::default())?;
        let flat = |tables: &[Mat<f64>]| tables.iter().flat_map(|table| to_rows(table.as_ref())).collect::<Vec<f64>>();
        sheet.all_near("p", case.p.iter().flatten().flatten(), &flat(&path.p), file.tol);
        sheet.all_near("q", case.q.iter().flatten().flatten(), &flat(&path.q), file.tol);
        let pairs = || path.p.iter().zip(&path.q);
        let loss = pairs().map(|(p, q)| problem.loss(p.as_ref(), q.as_ref())).collect::<Result<Vec<f64>>>()?;
        sheet.all_near("loss", &case.loss, &loss, file.tol);
        let off = |table: &Mat<f64>| {
            let mut turned = u.transpose() * table * &u;
            (0..u.nrows()).for_each(|i| turned[(i, i)] = 0.0);
            turned.norm_l2()
        };
        let offs: Vec<f64> = pairs().flat_map(|(p, q)| [off(p), off(q)]).collect();
        sheet.all_near("off-diagonal norms of p and q", case.offdiag_norms_p_q.iter().flatten(), &offs, file.tol);
        let gap: Vec<f64> = pairs().map(|(p, q)| p.norm_l2().powi(2) - q.norm_l2().powi(2)).collect();
        sheet.all_near("|p|^2 - |q|^2", &case.frob_gap, &gap, file.tol);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct SgdFile {
    s: Vec<f64>,
    a0: f64,
    cases: Vec<SgdCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct SgdCase {
    N: u64,
    etaP: f64,
    steps: u64,
    batch_per_task: usize,
    seeds: u32,
    t: Vec<f64>,
    a_mean: Vec<Vec<f64>>,
    a_sd: Vec<Vec<f64>>,
    rms_vs_paper: f64,
    rms_vs_exact: f64,
    final_paper: Vec<f64>,
    final_exact: Vec<f64>,
}

/// How far the mean of the runs may be from the exact dynamics, in what their spread lets one expect. Nearly all of it is one random
/// shift in time of the slowest mode, so that this is about a normal number: one false alarm in 15 000.
const EXPECTED_RMS: f64 = 4.0;

/// How far the mean of the runs must be from the published dynamics.
const FAR_FROM_PUBLISHED: f64 = 0.1;

/// Two means of 8 seeds at 60 times and 4 modes: 6 standard errors of their difference, by Student's t with 14 degrees of freedom,
/// are exceeded by chance in less than one of a hundred runs; the seeds here are fixed.
const STANDARD_ERRORS: f64 = 6.0;

pub(super) fn sgd(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: SgdFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (at, case) in file.cases.iter().enumerate() {
        sheet.case(name, &format!("{at} N = {}", case.N));
        sgd_case(&file, case, &mut sheet)?;
    }
    Ok(sheet.rows)
}

fn sgd_case(file: &SgdFile, case: &SgdCase, sheet: &mut Sheet) -> Result<()> {
    let modes = Modes::new(&file.s, case.N)?;
    let d = modes.len();
    let record_every = (case.steps / (case.t.len() as u64 - 1).max(1)).max(1);
    let plan = Plan { rate_times_tasks: case.etaP, steps: case.steps, batch_per_task: case.batch_per_task, record_every };
    let root = file.a0.sqrt();
    let diagonal: Vec<f64> = (0..d * d).map(|at| if at / d == at % d { root } else { 0.0 }).collect();
    let start = Transformer::reduced(d, &diagonal, &diagonal)?;
    let band = sgd::ensemble(&Problem::aligned(&modes)?, &start, &plan, Seed(0), case.seeds)?;
    sheet.all_near("times of the records", &case.t, &band.times, 1e-9);

    let theory = Published::new(&modes)?;
    let published = case.t.iter().map(|&t| theory.products(file.a0, t)).collect::<Result<Vec<_>>>()?;
    let path = exact::flow(&modes, &Weights::balanced(d, file.a0)?, &case.t, &Tolerance::default())?;
    let exact: Vec<Vec<f64>> = path.weights.iter().map(Weights::products).collect();
    sheet.all_near("published a at the end", &case.final_paper, &published[published.len() - 1], 1e-9);
    sheet.all_near("exact a at the end", &case.final_exact, &exact[exact.len() - 1], 1e-9);
    let near = EXPECTED_RMS * band.expected_rms();
    sheet.at_most("distance of descent from the exact dynamics (rms) against its spread", near, band.rms(&exact));
    sheet.at_most("the reference runs' distance against this spread", near, case.rms_vs_exact);
    sheet.at_least("distance of descent from the published dynamics (rms)", FAR_FROM_PUBLISHED, band.rms(&published));
    sheet.near("distance from the published dynamics (rms)", case.rms_vs_paper, band.rms(&published), near);
    sheet.at_most("difference from the reference runs, in standard errors", STANDARD_ERRORS, difference(case, &band));
    let drift =
        band.runs.iter().flatten().map(|record| (record.imbalance - record.predicted_imbalance).abs()).fold(0.0, f64::max);
    sheet.at_most("imbalance against its predicted drift", 1e-10, drift);
    Ok(())
}

/// The largest difference of both means in standard errors.
fn difference(case: &SgdCase, band: &Band) -> f64 {
    let mut largest = 0.0f64;
    for at in 1..band.times.len().min(case.t.len()) {
        for mode in 0..band.mean[at].len() {
            let error = ((case.a_sd[at][mode].powi(2) + band.deviation[at][mode].powi(2)) / f64::from(case.seeds)).sqrt();
            largest = largest.max((case.a_mean[at][mode] - band.mean[at][mode]).abs() / error);
        }
    }
    largest
}
