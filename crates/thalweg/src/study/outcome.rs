//! What the cells of a study come to.

use serde::Serialize;
use thalweg_report::Verdict;

use crate::study::rule::Direction;
use crate::study::{Cell, Decision, MeanInterval, StudyFile, mean_interval};

/// Claimed, measured, interval, verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The study's name.
    pub study: String,
    /// The claim.
    pub claimed: String,
    /// Who claims it.
    pub source: String,
    /// Cells finished.
    pub finished: usize,
    /// Cells in all.
    pub cells: usize,
    /// Each setting by itself.
    pub settings: Vec<SettingOutcome>,
    /// The verdict and the numbers behind it; `None` while cells are missing.
    pub decision: Option<Decision>,
}

/// One arm of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingOutcome {
    /// Its name.
    pub name: String,
    /// The value that tuning chose.
    pub tuned: Option<String>,
    /// The quantity by seed, in the order of the study's seeds; those that are finished.
    pub values: Vec<f64>,
    /// Their mean and interval at the rule's confidence.
    pub mean: Option<MeanInterval>,
}

impl Outcome {
    /// From each cell's value, `None` where it is not finished.
    pub(crate) fn of(study: &StudyFile, cells: &[Cell], values: &[Option<f64>]) -> Self {
        let finished = values.iter().flatten().count();
        let settings: Vec<SettingOutcome> =
            study.settings.iter().map(|setting| setting_outcome(study, &setting.name, cells, values)).collect();
        let decision = match &study.not_testable_here {
            Some(reason) => Some(Decision {
                verdict: Verdict::NotTestableHere,
                measured: None,
                differences: Vec::new(),
                reason: reason.clone(),
            }),
            None => (finished == cells.len()).then(|| decide(study, &settings)),
        };
        Self {
            study: study.name.clone(),
            claimed: study.claim.clone(),
            source: study.source.clone(),
            finished,
            cells: cells.len(),
            settings,
            decision,
        }
    }
}

fn decide(study: &StudyFile, settings: &[SettingOutcome]) -> Decision {
    let values = |name: &str| {
        let found = settings.iter().find(|setting| setting.name == name);
        found.map(|setting| setting.values.clone()).unwrap_or_default()
    };
    study.rule.decide(&values(&study.rule.better), &values(&study.rule.than))
}

fn setting_outcome(study: &StudyFile, name: &str, cells: &[Cell], values: &[Option<f64>]) -> SettingOutcome {
    let value_of = |chosen: usize, seed: u64| {
        let place = cells.iter().position(|cell| cell.setting == name && cell.value == chosen && cell.seed == seed);
        place.and_then(|place| values[place])
    };
    let chosen = tuned(study, &value_of);
    let values: Vec<f64> = study.seeds.iter().filter_map(|&seed| value_of(chosen, seed)).collect();
    SettingOutcome {
        name: name.to_owned(),
        tuned: study.tuning.as_ref().map(|tuning| format!("{} = {}", tuning.key, tuning.values[chosen])),
        mean: mean_interval(&values, study.rule.confidence),
        values,
    }
}

/// The number of the value with the best mean over the tuning seeds; the first of equals.
fn tuned(study: &StudyFile, value_of: &dyn Fn(usize, u64) -> Option<f64>) -> usize {
    let Some(tuning) = &study.tuning else { return 0 };
    let sign = Direction::sign(study.rule.direction);
    let score = |value: usize| -> f64 { tuning.seeds.iter().filter_map(|&seed| value_of(value, seed)).sum::<f64>() * sign };
    (1..tuning.values.len()).fold(0, |best, value| if score(value) > score(best) { value } else { best })
}
