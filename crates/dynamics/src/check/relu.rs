//! Vector files of deep ReLU networks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thalweg_probes::margin::{self, Margin, Search};

use super::{Row, Sheet, SplitMix64, read};
use crate::error::{Error, Result};
use crate::relu::two_layer::{Epochs, TwoLayer};
use crate::relu::{Certificate, Network, Protocol, Shape, Start, Study, Training, kernel, xor};

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct KernelFile {
    tol: f64,
    rho: Vec<f64>,
    K: BTreeMap<String, BTreeMap<usize, Vec<f64>>>,
}

fn start(name: &str) -> Result<Start> {
    match name {
        "symmetric" => Ok(Start::Symmetric),
        "independent" => Ok(Start::Independent),
        _ => Err(Error::value("a start", format!("{name:?}"), "symmetric or independent")),
    }
}

pub(super) fn kernel(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: KernelFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (label, depths) in &file.K {
        for (depth, expected) in depths {
            sheet.case(name, &format!("{label} L = {depth}"));
            let start = start(label)?;
            let measured: Vec<f64> = file.rho.iter().map(|rho| kernel::of_angle(rho.acos(), *depth, start)).collect();
            sheet.all_near("kernel", expected, &measured, file.tol);
        }
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct XorFile {
    tol: f64,
    gamma: BTreeMap<String, BTreeMap<usize, BTreeMap<usize, f64>>>,
    gamma_L4_d6: BTreeMap<String, f64>,
}

pub(super) fn xor_margin(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: XorFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for (label, depths) in &file.gamma {
        for (depth, dimensions) in depths {
            sheet.case(name, &format!("{label} L = {depth}"));
            for (d, expected) in dimensions {
                sheet.near(&format!("margin for d = {d}"), *expected, xor::margin(*d, *depth, start(label)?)?, file.tol);
            }
        }
    }
    for (label, expected) in &file.gamma_L4_d6 {
        sheet.case(name, &format!("{label} L = 4"));
        sheet.near("margin for d = 6", *expected, xor::margin(6, 4, start(label)?)?, file.tol);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct MarginFile {
    tol: MarginTolerances,
    infinite: Vec<InfiniteMargin>,
    finite: Vec<FiniteMargin>,
    subset: Vec<SubsetMargin>,
}

#[derive(Deserialize)]
struct MarginTolerances {
    bracket_width: f64,
    gamma: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct InfiniteMargin {
    d: usize,
    L: usize,
    gamma_upper: f64,
    closed: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct FiniteMargin {
    d: usize,
    m: usize,
    L: usize,
    seed: u64,
    gamma_upper: f64,
    K_first_row: Vec<f64>,
    trace_K: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct SubsetMargin {
    d: usize,
    L: usize,
    idx: Vec<usize>,
    gamma_upper: f64,
    nnz_p: usize,
}

/// The network that a seed stands for.
fn network(d: usize, m: usize, depth: usize, seed: u64) -> Result<Network> {
    let mut draws = SplitMix64::new(seed);
    Ok(Network::symmetric(Shape::new(d, m, depth)?, || draws.normal()))
}

fn bracket(found: &Margin, expected: f64, tolerance: &MarginTolerances, sheet: &mut Sheet) {
    sheet.at_most("width of the bracket", tolerance.bracket_width, found.upper - found.lower);
    sheet.near("margin", expected, found.margin, tolerance.gamma);
}

pub(super) fn margin_qp(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: MarginFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.infinite {
        sheet.case(name, &format!("infinite d = {} L = {}", case.d, case.L));
        let points = xor::all(case.d)?;
        let kernel = kernel::matrix(&points, case.L, Start::Symmetric)?;
        let found = margin::of(kernel.as_ref(), points.labels(), &Search::default())?;
        bracket(&found, case.gamma_upper, &file.tol, &mut sheet);
        sheet.near("margin in closed form", case.closed, xor::margin(case.d, case.L, Start::Symmetric)?, 1e-12);
        sheet.near("bracket against closed form", case.closed, found.margin, 1e-10);
    }
    for case in &file.finite {
        sheet.case(name, &format!("finite d = {} m = {} L = {} seed {}", case.d, case.m, case.L, case.seed));
        let points = xor::all(case.d)?;
        let kernel = network(case.d, case.m, case.L, case.seed)?.kernel(&points)?;
        let first: Vec<f64> = (0..points.len()).map(|j| kernel[(0, j)]).collect();
        sheet.all_near("first row of the kernel", &case.K_first_row, &first, 1e-12);
        let trace: f64 = (0..points.len()).map(|i| kernel[(i, i)]).sum();
        sheet.near("trace of the kernel", case.trace_K, trace, 1e-11);
        let found = margin::of(kernel.as_ref(), points.labels(), &Search::default())?;
        bracket(&found, case.gamma_upper, &file.tol, &mut sheet);
    }
    for case in &file.subset {
        sheet.case(name, &format!("subset d = {} L = {} n = {}", case.d, case.L, case.idx.len()));
        let points = xor::all(case.d)?.select(&case.idx)?;
        let kernel = kernel::matrix(&points, case.L, Start::Symmetric)?;
        let found = margin::of(kernel.as_ref(), points.labels(), &Search::default())?;
        bracket(&found, case.gamma_upper, &file.tol, &mut sheet);
        sheet.near("support points", case.nnz_p as f64, found.support as f64, 0.0);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
struct TrainFile {
    tol: f64,
    cases: Vec<TrainCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct TrainCase {
    d: usize,
    m: usize,
    L: usize,
    eta: f64,
    T: u64,
    seed: u64,
    idx: Vec<usize>,
    gamma_upper: f64,
    gamma_lower: f64,
    lambda_: f64,
    LS_Wbar: f64,
    Ftilde_S: f64,
    F_S: f64,
    inequality_holds: bool,
    step_size_cap: f64,
    W1_first_row: Vec<f64>,
    log: Vec<TrainRecord>,
}

#[derive(Deserialize)]
struct TrainRecord {
    k: u64,
    loss: f64,
    cum_eta_loss: f64,
    dist0: f64,
    flips: Vec<usize>,
    spec: Vec<f64>,
    distbar2: f64,
    train_err: f64,
    test_err: f64,
    max_grad_norm_per_layer: Vec<f64>,
    lin_residual: f64,
    layer_gap: Vec<f64>,
    layer_gap_predicted: Vec<f64>,
}

pub(super) fn train(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: TrainFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        sheet.case(name, &format!("L = {} seed {}", case.L, case.seed));
        train_case(case, file.tol, &mut sheet)?;
    }
    Ok(sheet.rows)
}

fn train_case(case: &TrainCase, tolerance: f64, sheet: &mut Sheet) -> Result<()> {
    let all = xor::all(case.d)?;
    let examples = all.select(&case.idx)?;
    let mut network = network(case.d, case.m, case.L, case.seed)?;
    let first: Vec<f64> = (0..case.d).map(|j| network.weights()[0][(0, j)]).collect();
    sheet.all_near("first row of W^1", &case.W1_first_row, &first, 1e-12);

    let certificate = Certificate::new(&network, &examples, case.eta, case.T)?;
    // Values far above 1 are compared relatively.
    let relative = |expected: f64| tolerance * expected.abs().max(1.0);
    for (quantity, expected, measured) in [
        ("margin, upper end", case.gamma_upper, certificate.margin.upper),
        ("margin, lower end", case.gamma_lower, certificate.margin.lower),
        ("distance of the reference", case.lambda_, certificate.reach),
        ("loss at the reference", case.LS_Wbar, certificate.reference_loss),
        ("slope of the loss at the reference", case.Ftilde_S, certificate.reference_slope),
        ("bound F", case.F_S, certificate.bound),
        ("largest proved rate", case.step_size_cap, certificate.largest_rate),
    ] {
        sheet.near(quantity, expected, measured, relative(expected));
    }

    let record = case.log.iter().map(|record| record.k).collect();
    let mut watch = certificate.watch();
    let probes = Training { rate: case.eta, steps: case.T, record }.run(&mut network, &examples, &all, &mut watch)?;
    sheet.same("the inequality holds", case.inequality_holds, watch.kept().holds);
    sheet.same("the bound says nothing", true, certificate.is_vacuous());
    for (record, probe) in case.log.iter().zip(&probes) {
        let at = |quantity: &str| format!("{quantity} after {} steps", record.k);
        let distance = watch.squared_distances()[usize::try_from(record.k).unwrap_or(usize::MAX)];
        for (quantity, expected, measured) in [
            ("loss", record.loss, probe.loss),
            ("rate times summed loss", record.cum_eta_loss, probe.summed_loss),
            ("distance from the start", record.dist0, probe.distance),
            ("squared distance from the reference", record.distbar2, distance),
            ("linearisation residual", record.lin_residual, probe.linearisation_residual),
        ] {
            sheet.near(&at(quantity), expected, measured, relative(expected));
        }
        let counts = |flips: &[usize]| flips.iter().map(|&count| count as f64).collect::<Vec<f64>>();
        sheet.all_near(&at("flips per layer"), &counts(&record.flips), &counts(&probe.flips), 0.0);
        sheet.all_near(&at("spectral distances"), &record.spec, &probe.spectral_distances, tolerance);
        sheet.all_near(&at("gradient norms per layer"), &record.max_grad_norm_per_layer, &probe.gradient_norms, tolerance);
        let size = record.layer_gap.iter().copied().fold(1.0, |a: f64, b: f64| a.max(b.abs()));
        sheet.all_near(&at("layer gaps"), &record.layer_gap, &probe.layer_gaps, tolerance * size);
        sheet.all_near(&at("predicted layer gaps"), &record.layer_gap_predicted, &probe.predicted_layer_gaps, tolerance * size);
        // At the start the network is 0 and its signs are rounding errors.
        if record.k > 0 {
            sheet.near(&at("training error"), record.train_err, probe.training_error, 0.0);
            sheet.near(&at("test error"), record.test_err, probe.test_error, 0.0);
        }
    }
    sheet.near("number of records", case.log.len() as f64, probes.len() as f64, 0.0);
    Ok(())
}

#[derive(Deserialize)]
struct TwoLayerFile {
    tol: f64,
    cases: Vec<TwoLayerCase>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct TwoLayerCase {
    d: usize,
    m: usize,
    eta: f64,
    T: u64,
    seed: u64,
    idx: Vec<usize>,
    log: Vec<TwoLayerRecord>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct TwoLayerRecord {
    epoch: u64,
    loss: f64,
    test_err: f64,
    c: f64,
    norm_W: f64,
    norm_v: f64,
    neuron_gap_max_drift: f64,
    neuron_gap_sum: f64,
}

pub(super) fn two_layer(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: TwoLayerFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        sheet.case(name, &format!("seed {}", case.seed));
        let all = xor::all(case.d)?;
        let mut draws = SplitMix64::new(case.seed);
        let mut network = TwoLayer::uniform(case.d, case.m, || draws.uniform())?;
        let record = case.log.iter().map(|record| record.epoch).collect();
        let epochs = Epochs { rate: case.eta, most: case.T, least_change: None, record };
        let snapshots = epochs.run(&mut network, &all.select(&case.idx)?)?;
        let start = snapshots.first().map(|snapshot| snapshot.balances.clone()).unwrap_or_default();
        let largest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        for (record, found) in case.log.iter().zip(&snapshots) {
            let at = |quantity: &str| format!("{quantity} at epoch {}", record.epoch);
            for (quantity, expected, measured) in [
                ("loss", record.loss, found.loss),
                ("offset c", record.c, found.network.offset()),
                ("norm of W", record.norm_W, found.network.incoming_norm()),
                ("norm of v", record.norm_v, found.network.outgoing_norm()),
                ("largest drift of a unit's balance", record.neuron_gap_max_drift, largest(&found.balances, &start)),
                ("sum of the balances", record.neuron_gap_sum, found.balances.iter().sum()),
            ] {
                sheet.near(&at(quantity), expected, measured, file.tol);
            }
            sheet.near(&at("test error"), record.test_err, found.network.error(&all)?, 0.0);
            let residual = largest(&found.balances, &found.predicted_balances);
            sheet.at_most(&at("balances against their predicted drift"), 1e-13, residual);
        }
        sheet.near("number of records", case.log.len() as f64, snapshots.len() as f64, 0.0);
    }
    Ok(sheet.rows)
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct ExperimentFile {
    ours_a: ReferenceTable,
    by_T: ReferenceByT,
}

#[derive(Deserialize)]
struct ReferenceTable {
    trials: u32,
    two_layer_epochs: u64,
    #[serde(rename = "theory_T")]
    theory_steps: u64,
    table: Vec<ReferenceCell>,
}

#[derive(Deserialize)]
struct ReferenceCell {
    n: usize,
    notebook_mean: f64,
    notebook_se: f64,
    faithful_mean: f64,
    faithful_se: f64,
}

#[derive(Deserialize)]
struct ReferenceByT {
    trials: u32,
    n: Vec<usize>,
    rows: Vec<ReferenceRow>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct ReferenceRow {
    T: u64,
    notebook_fit: Vec<f64>,
    faithful_fit: Vec<f64>,
}

/// Two means of a few trials, of which there are some dozen: 5 standard errors of their difference leave one false alarm in some ten
/// thousand runs; the seed here is fixed.
const STANDARD_ERRORS: f64 = 5.0;

/// The dimension of the published table (a).
const DIMENSION: usize = 6;

pub(super) fn xor_experiment(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: ExperimentFile = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for protocol in [Protocol::Notebook, Protocol::Text] {
        sheet.case(name, &format!("{protocol:?}"));
        compare_means(&file.ours_a, protocol, &mut sheet)?;
        compare_slopes(&file.by_T, protocol, &mut sheet)?;
    }
    Ok(sheet.rows)
}

fn compare_means(table: &ReferenceTable, protocol: Protocol, sheet: &mut Sheet) -> Result<()> {
    let steps = if protocol == Protocol::Notebook { table.two_layer_epochs } else { table.theory_steps };
    let cells = table.table.iter().map(|cell| (DIMENSION, cell.n)).collect();
    let study = Study { protocol, cells, trials: table.trials, steps: vec![steps], ..Study::default() };
    let rows = study.run()?;
    for (reference, found) in table.table.iter().zip(&rows[0].cells) {
        let (mean, error) = match protocol {
            Protocol::Notebook => (reference.notebook_mean, reference.notebook_se),
            Protocol::Text => (reference.faithful_mean, reference.faithful_se),
        };
        let tolerance = STANDARD_ERRORS * error.hypot(found.standard_error);
        sheet.near(&format!("test error of n = {} after {steps} steps", found.n), mean, found.mean, tolerance);
    }
    Ok(())
}

fn compare_slopes(reference: &ReferenceByT, protocol: Protocol, sheet: &mut Sheet) -> Result<()> {
    let cells = reference.n.iter().map(|&n| (DIMENSION, n)).collect();
    let steps = reference.rows.iter().map(|row| row.T).collect();
    let study = Study { protocol, cells, trials: reference.trials, steps, seed: 1, ..Study::default() };
    let rows = study.run()?;
    let missing = || Error::value("the cells", "one value of d^2 / n", "two or more");
    let mut slopes = Vec::new();
    for (expected, found) in reference.rows.iter().zip(&rows) {
        let fit = if protocol == Protocol::Notebook { &expected.notebook_fit } else { &expected.faithful_fit };
        let line = found.line.ok_or_else(missing)?;
        // The reference's slope has a standard error of its own, of about the same size.
        let tolerance = STANDARD_ERRORS * std::f64::consts::SQRT_2 * line.standard_error;
        let quantity = format!("slope of the error over d^2 / n after {} steps", expected.T);
        sheet.near(&quantity, fit.first().copied().unwrap_or(f64::NAN), line.slope, tolerance);
        slopes.push(line.slope);
    }
    sheet.same("the slope grows with the steps", true, slopes.windows(2).all(|pair| pair[1] > pair[0]));
    Ok(())
}
