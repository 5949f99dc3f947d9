//! What the cells of a study come to.

use serde::Serialize;
use thalweg_report::Verdict;

use crate::study::rule::{Direction, Simultaneous};
use crate::study::statistics::percent;
use crate::study::{Cell, Claim, Decision, MeanInterval, StudyFile, mean_interval};

/// Claimed, measured, interval, verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The study's name.
    pub study: String,
    /// Who claims it.
    pub source: String,
    /// Cells finished.
    pub finished: usize,
    /// Cells in all.
    pub cells: usize,
    /// Each setting by itself.
    pub settings: Vec<SettingOutcome>,
    /// How sure the intervals of the claims are.
    pub intervals: Intervals,
    /// Each claim.
    pub claims: Vec<ClaimOutcome>,
}

/// How sure the intervals of a study's claims are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// What `confidence` is of: each interval, or all of them.
    pub simultaneous: Simultaneous,
    /// The rule's.
    pub confidence: f64,
    /// That of a single interval.
    pub each: f64,
}

impl Intervals {
    fn of(study: &StudyFile) -> Self {
        let StudyFile { rule, claims, .. } = study;
        Self { simultaneous: rule.simultaneous, confidence: rule.confidence, each: rule.confidence_of_each(claims.len()) }
    }

    /// In a sentence, where there are several claims.
    pub fn describe(&self, claims: usize) -> Option<String> {
        let (all, each) = (percent(self.confidence), percent(self.each));
        match self.simultaneous {
            _ if claims < 2 => None,
            Simultaneous::None => {
                Some(format!("Each of the {claims} intervals has {each} % by itself: of many such verdicts some are chance."))
            }
            Simultaneous::Bonferroni => {
                Some(format!("The {claims} intervals hold together with at least {all} % (Bonferroni): each has {each} %."))
            }
        }
    }
}

/// A claim, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimOutcome {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
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
        let seeds = study.seeds.len() + study.tuning.as_ref().map_or(0, |tuning| tuning.seeds.len() * tuning.values.len());
        let needed = needed(study, cells, values);
        let finished = needed.iter().filter(|place| values[**place].is_some()).count();
        let count = if study.not_testable_here.is_some() { 0 } else { seeds * study.settings.len() };
        let settings: Vec<SettingOutcome> =
            study.settings.iter().map(|setting| setting_outcome(study, &setting.name, cells, values)).collect();
        let decide = |claim: &Claim| match &study.not_testable_here {
            Some(reason) => Some(Decision {
                verdict: Verdict::NotTestableHere,
                measured: None,
                differences: Vec::new(),
                reason: reason.clone(),
            }),
            None => (finished == count).then(|| decide(study, claim, &settings)),
        };
        let claims = study.claims.iter().map(|claim| ClaimOutcome { claim: claim.clone(), decision: decide(claim) }).collect();
        let (name, source, intervals) = (study.name.clone(), study.source.clone(), Intervals::of(study));
        Self { study: name, source, finished, cells: count, settings, intervals, claims }
    }
}

fn decide(study: &StudyFile, claim: &Claim, settings: &[SettingOutcome]) -> Decision {
    let values = |name: &str| {
        let found = settings.iter().find(|setting| setting.name == name);
        found.map(|setting| setting.values.clone()).unwrap_or_default()
    };
    study.rule.decide(study.claims.len(), claim.threshold, &values(&claim.better), &values(&claim.than))
}

/// The places of the cells that count: those that tune, and those that decide with the value that tuning chose. The deciding cells
/// of a setting that is still to be tuned are not among them.
pub(crate) fn needed(study: &StudyFile, cells: &[Cell], values: &[Option<f64>]) -> Vec<usize> {
    let chosen: Vec<Option<usize>> = study
        .settings
        .iter()
        .map(|setting| tuned(study, &|value, seed| value_at(&setting.name, value, seed, cells, values)))
        .collect();
    let counts = |cell: &Cell| {
        let setting = study.settings.iter().position(|setting| setting.name == cell.setting);
        study.tunes(cell.seed) || setting.is_some_and(|setting| chosen[setting] == Some(cell.value))
    };
    (0..cells.len()).filter(|place| counts(&cells[*place])).collect()
}

fn value_at(setting: &str, value: usize, seed: u64, cells: &[Cell], values: &[Option<f64>]) -> Option<f64> {
    let place = cells.iter().position(|cell| cell.setting == setting && cell.value == value && cell.seed == seed)?;
    values[place]
}

fn setting_outcome(study: &StudyFile, name: &str, cells: &[Cell], values: &[Option<f64>]) -> SettingOutcome {
    let value_of = |value: usize, seed: u64| value_at(name, value, seed, cells, values);
    let chosen = tuned(study, &value_of);
    let values: Vec<f64> =
        chosen.map(|chosen| study.seeds.iter().filter_map(|&seed| value_of(chosen, seed)).collect()).unwrap_or_default();
    SettingOutcome {
        name: name.to_owned(),
        tuned: study.tuning.as_ref().zip(chosen).map(|(tuning, chosen)| format!("{} = {}", tuning.key, tuning.values[chosen])),
        mean: mean_interval(&values, study.rule.confidence),
        values,
    }
}

/// The number of the value with the best mean over the tuning seeds, the first of equals; `None` while a tuning run is missing.
fn tuned(study: &StudyFile, value_of: &dyn Fn(usize, u64) -> Option<f64>) -> Option<usize> {
    let Some(tuning) = &study.tuning else { return Some(0) };
    let sign = Direction::sign(study.rule.direction);
    let score = |value: usize| tuning.seeds.iter().map(|&seed| value_of(value, seed)).sum::<Option<f64>>().map(|sum| sum * sign);
    let scores = (0..tuning.values.len()).map(score).collect::<Option<Vec<f64>>>()?;
    Some((1..scores.len()).fold(0, |best, value| if scores[value] > scores[best] { value } else { best }))
}
