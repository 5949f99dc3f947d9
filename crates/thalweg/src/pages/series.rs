//! Numbers of an event log over the steps.

use thalweg_descent::Record;

/// A quantity over the steps of a run; steps are counted from 1.
pub(crate) fn over_steps(records: &[Record], quantity: &str) -> Vec<(f64, f64)> {
    records.iter().filter_map(|record| Some((record.number("step")? + 1.0, record.number(quantity)?))).collect()
}

/// Mean, lowest and highest over several runs, at the steps that all of them have.
pub(crate) fn band(runs: &[Vec<(f64, f64)>]) -> Vec<(f64, f64, f64, f64)> {
    let Some(first) = runs.first() else { return Vec::new() };
    first
        .iter()
        .filter_map(|&(step, _)| {
            let at = |run: &Vec<(f64, f64)>| run.iter().find(|(other, _)| *other == step).map(|(_, value)| *value);
            let values = runs.iter().map(at).collect::<Option<Vec<f64>>>()?;
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some((step, mean, low, high))
        })
        .collect()
}
