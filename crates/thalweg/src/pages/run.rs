//! The page of one run.

use std::path::{Path, PathBuf};

use thalweg_descent::store::{Status, read_events, read_timings};
use thalweg_descent::{Record, Result};
use thalweg_private::{NoiseKey, PlanSummary};
use thalweg_report::format::{bytes, percent, seconds, significant};
use thalweg_report::{Axis, Figure, Line, Page, Section, XyChart};

use crate::compose::{Training, TrainingConfig};
use crate::pages::series::over_steps;
use crate::pages::{drawing, write};

/// What is drawn where a run recorded it: title, axis, quantity.
const CHARTS: [(&str, &str, &str); 7] = [
    ("Test accuracy", "test accuracy", "test.accuracy"),
    ("Test accuracy of the averaged parameters", "test accuracy", "ema.accuracy"),
    ("Test loss", "cross-entropy, nats", "test.loss"),
    ("Ties in the vote", "share of coordinates", "vote.ties"),
    ("Training loss", "cross-entropy on the batch, nats", "train.loss"),
    ("Distance from zero", "norm of the parameters", "norm.parameters"),
    ("Size of the update", "norm of the released update", "norm.update"),
];

/// Draws `report.html` in a run's folder from its files.
///
/// # Errors
/// When a file of the run cannot be read, or the page not be written.
pub fn write_run_report(folder: &Path) -> Result<PathBuf> {
    let config = TrainingConfig::read(&folder.join("config.toml"))?;
    let events = folder.join("events.jsonl");
    let records = if events.exists() { read_events(&events)? } else { Vec::new() };
    // Plan and data are functions of the configuration; the key plays no part in them.
    let training = Training::prepare(&config, &NoiseKey::insecure(0))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut page = Page::new(format!("Run {name}")).subtitle(training.data.clone());
    if config.guarantee().is_some_and(|privacy| privacy.insecure_seed.is_some()) {
        page = page.banner("NOT PRIVATE: the noise comes from an insecure seed that anybody can repeat.");
    }
    page = page.section(summary(&records, folder, &training)?);
    if let Some(plan) = &training.privacy {
        page = page.section(guarantee(&plan.summary()));
    }
    page = page.section(charts(&records)?);
    page = page.section(Section::new("Configuration").source("config.toml", config.to_toml()?));
    write(page, &folder.join("report.html"))
}

fn summary(records: &[Record], folder: &Path, training: &Training) -> Result<Section> {
    let last = |quantity: &str| over_steps(records, quantity).last().map(|(_, value)| *value);
    let steps = over_steps(records, "step").last().map_or(0.0, |(step, _)| *step);
    // Told from the log alone: whoever draws the page may still hold the run's lock.
    let finished = records.last().is_some_and(|record| record.get("finished").is_some());
    let mut facts = vec![
        ("status", if finished { Status::Finished } else { Status::Interrupted }.to_string()),
        ("steps", format!("{steps} recorded of {}", training.descent.rates().steps())),
        ("parameters", training.descent.parameters().len().to_string()),
    ];
    if let Some(accuracy) = last("test.accuracy") {
        facts.push(("test accuracy", percent(accuracy, 2)));
    }
    if let Some(loss) = last("test.loss") {
        facts.push(("test loss", significant(loss, 4)));
    }
    let timings = read_timings(&folder.join("timings.jsonl"))?;
    if let Some(timing) = timings.last() {
        facts.push(("time since begun or resumed", seconds(timing.seconds)));
        if let Some(peak) = timing.peak_memory_bytes {
            facts.push(("peak memory", bytes(peak as f64)));
        }
    }
    Ok(Section::new("Outcome").facts(facts))
}

fn guarantee(plan: &PlanSummary) -> Section {
    let kind = format!("{:?}", plan.sensitivity_kind).to_lowercase();
    Section::new("Guarantee")
        .prose(format!(
            "Two data sets that differ as in “{}” give the released parameters with probabilities within a factor e^{} of each other, \
             but for a probability of {}. Losses and norms on the batches are withheld from this page: no accountant has counted them.",
            plan.neighbours, plan.epsilon, plan.delta
        ))
        .facts([
            ("epsilon, delta", format!("{}, {}", plan.epsilon, plan.delta)),
            ("mechanism", plan.mechanism.to_string()),
            ("batches", plan.participation.to_string()),
            ("accountant", plan.accountant.clone()),
            ("noise multiplier", significant(plan.noise_multiplier, 6)),
            ("sensitivity", format!("{} ({kind})", significant(plan.sensitivity, 6))),
            ("clip norm", significant(plan.clip, 4)),
            ("noise in one coordinate", significant(plan.noise_std, 4)),
            ("worst iterate's error, MaxSE", format!("{} at step {}", significant(plan.max_se, 5), plan.argmax_row)),
            ("mean error, MeanSE", significant(plan.mean_se, 5)),
        ])
}

fn charts(records: &[Record]) -> Result<Section> {
    let mut section = Section::new("On the way down");
    for (title, label, quantity) in CHARTS {
        let samples = over_steps(records, quantity);
        if samples.is_empty() {
            continue;
        }
        let axis = if quantity.ends_with(".accuracy") { Axis::new(label).percent() } else { Axis::new(label) };
        let chart = XyChart::new(Axis::new("step"), axis).line(Line::new(label, samples));
        section = section.figure(drawing(Figure::xy(title, &chart))?);
    }
    let (drift, predicted) = (over_steps(records, "balance.drift"), over_steps(records, "balance.predicted"));
    if !drift.is_empty() {
        let chart = XyChart::new(Axis::new("step"), Axis::new("change of |W1|² + |b1|² − |W2|²"))
            .line(Line::new("measured", drift))
            .line(Line::new("predicted from the step size", predicted));
        let caption = "Gradient flow keeps the balance of neighbouring layers; a plain step moves it by the rate squared times the \
                       difference of the squared gradient norms. Where the lines part, the gradient is wrong.";
        section = section.figure(drawing(Figure::xy("Balance of the first two layers", &chart))?.caption(caption));
    }
    Ok(section)
}
