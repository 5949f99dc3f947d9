//! What both sides measured, and ratios between them, round by round.

use serde::Serialize;

use crate::clock::median;
use crate::measurement::{EventLogSpeed, Measurement, Setting, StepCost};

/// A comparison: all rounds of all steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Where and when.
    pub setting: Setting,
    /// One row for each engine, task and mode, in the order of their first measurement.
    pub steps: Vec<Row>,
    /// The event log, round by round.
    pub event_log: Vec<EventLogSpeed>,
}

/// One engine's step, over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `thalweg`, or the peer's name.
    pub engine: String,
    /// The network.
    pub task: String,
    /// What a step does.
    pub mode: String,
    /// Each round's median, in CPU milliseconds.
    pub cpu_ms: Vec<f64>,
    /// Each round's median, in milliseconds on the wall, where it was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wall_ms: Vec<f64>,
    /// Each round's peak memory in MiB.
    pub peak_mib: Vec<f64>,
    /// Each round's memory before the network was built, in MiB.
    pub start_mib: Vec<f64>,
    /// What came out in each round, where both sides must agree.
    pub values: Vec<f64>,
}

/// The median over rounds, and how far the rounds spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Comparison {
    /// From lines of JSON, in the order in which they were measured.
    ///
    /// # Errors
    /// When a line is no measurement.
    pub fn from_lines(lines: &str) -> serde_json::Result<Self> {
        let mut comparison = Self::default();
        for line in lines.lines() {
            match serde_json::from_str(line)? {
                Measurement::Setting(setting) => comparison.setting = setting,
                Measurement::Step(cost) => comparison.add(cost),
                Measurement::EventLog(speed) => comparison.event_log.push(speed),
            }
        }
        Ok(comparison)
    }

    fn add(&mut self, cost: StepCost) {
        let at = self.position(&cost.engine, &cost.task, &cost.mode).unwrap_or_else(|| {
            let StepCost { engine, task, mode, .. } = cost.clone();
            self.steps.push(Row {
                engine,
                task,
                mode,
                cpu_ms: vec![],
                wall_ms: vec![],
                peak_mib: vec![],
                start_mib: vec![],
                values: vec![],
            });
            self.steps.len() - 1
        });
        let row = &mut self.steps[at];
        row.cpu_ms.push(median(&cost.cpu_ms));
        row.wall_ms.extend((!cost.wall_ms.is_empty()).then(|| median(&cost.wall_ms)));
        row.peak_mib.push(cost.peak_mib);
        row.start_mib.push(cost.start_mib);
        row.values.extend(cost.value);
    }

    fn position(&self, engine: &str, task: &str, mode: &str) -> Option<usize> {
        self.steps.iter().position(|row| row.engine == engine && row.task == task && row.mode == mode)
    }

    /// One row, where it was measured.
    pub fn row(&self, engine: &str, task: &str, mode: &str) -> Option<&Row> {
        self.position(engine, task, mode).map(|at| &self.steps[at])
    }
}

impl Row {
    /// The memory that the steps took beyond what the process held before, in MiB, round by round.
    pub fn growth_mib(&self) -> Vec<f64> {
        self.peak_mib.iter().zip(&self.start_mib).map(|(peak, start)| peak - start).collect()
    }
}

impl Spread {
    /// Of the values of all rounds.
    pub fn of(values: &[f64]) -> Self {
        let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        Self { median: median(values), least: fold(f64::min), most: fold(f64::max) }
    }

    /// Of the ratios of ours to theirs, each round's to the same round's.
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn line(engine: &str, task: &str, mode: &str, cpu_ms: &[f64], peak_mib: f64) -> String {
        let (engine, task, mode) = (engine.to_owned(), task.to_owned(), mode.to_owned());
        Measurement::Step(StepCost {
            engine,
            task,
            mode,
            cpu_ms: cpu_ms.to_vec(),
            wall_ms: cpu_ms.to_vec(),
            peak_mib,
            start_mib: 7.0,
            value: None,
        })
        .to_line()
            + "\n"
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // Both sides are ten times slower in the second round: the ratio does not see it.
        let lines = line("thalweg", "mlp", "private", &[1.0, 1.0, 9.0], 30.0)
            + &line("pytorch", "mlp", "ghost", &[2.0], 700.0)
            + &line("thalweg", "mlp", "private", &[10.0], 31.0)
            + &line("pytorch", "mlp", "ghost", &[20.0], 710.0);
        let comparison = Comparison::from_lines(&lines).unwrap();
        let row = |engine, mode| comparison.row(engine, "mlp", mode).unwrap();
        let (ours, theirs) = (row("thalweg", "private"), row("pytorch", "ghost"));
        assert_eq!(ours.cpu_ms, [1.0, 10.0]);
        assert_eq!(ours.growth_mib(), [23.0, 24.0]);
        assert_eq!(Spread::of_ratios(&ours.cpu_ms, &theirs.cpu_ms), Spread { median: 0.5, least: 0.5, most: 0.5 });
        assert!(comparison.row("thalweg", "mlp", "ghost").is_none());
    }

    #[test]
    fn what_is_no_measurement_is_an_error() {
        assert!(Comparison::from_lines("{}").is_err());
        assert!(Comparison::from_lines("{\"kind\":\"dream\"}").is_err());
    }
}
