//! The page of one run.

use std::path::{Path, PathBuf};

use thalweg_descent::store::{Status, read_events, read_timings};
use thalweg_descent::{Record, Result};
use thalweg_private::{NoiseKey, PlanSummary};
use thalweg_report::format::{bytes, percent, seconds, significant};
use thalweg_report::{Axis, Figure, Line, Page, Section, XyChart};

use crate::compose::{Milestones, Task, Training, TrainingConfig};
use crate::pages::series::over_steps;
use crate::pages::{drawing, probes, write};

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
    let unaccounted = config.probe.unaccounted(&config);
    if !unaccounted.is_empty() {
        let names: Vec<&str> = unaccounted.iter().map(|name| name.as_str()).collect();
        page = page.banner(format!(
            "NOT COVERED: {} read training examples without noise. The guarantee holds for the parameters alone, not for this page and \
             the run's events.",
            names.join(", ")
        ));
    }
    page = page.section(summary(&config, &records, folder, &training)?);
    if let Some(plan) = &training.privacy {
        page = page.section(guarantee(&plan.summary()));
    }
    page = page.section(charts(&config, &records)?);
    if let Some(Task::InContext { .. }) = &config.task {
        page = page.section(modes(&config, &records)?);
    }
    for section in probes::sections(&config, &records)? {
        page = page.section(section);
    }
    page = page.section(Section::new("Configuration").source("config.toml", config.to_toml()?));
    write(page, &folder.join("report.html"))
}

fn summary(config: &TrainingConfig, records: &[Record], folder: &Path, training: &Training) -> Result<Section> {
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
    if let Some(Task::ModularAddition { .. }) = &config.task {
        let found = Milestones::of(records);
        let at = |step: Option<u64>| step.map_or_else(|| "not yet".to_owned(), |step| format!("from step {step} on"));
        facts.push(("99 % of the training pairs", at(found.memorised_at)));
        facts.push(("95 % of the other pairs", at(found.generalised_at)));
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

/// The share of each mode that is answered, and the loss beside what linear attention can reach.
fn modes(config: &TrainingConfig, records: &[Record]) -> Result<Section> {
    let Some(Task::InContext { spectrum, context, .. }) = &config.task else { return Ok(Section::new("Modes")) };
    let [linear, zero] = Task::reference_losses(spectrum, *context)?;
    let mut chart = XyChart::new(Axis::new("step"), Axis::new("share answered"));
    for (mode, variance) in spectrum.iter().enumerate().take(DRAWN_MODES) {
        let name = format!("variance {}", significant(*variance, 3));
        chart = chart.line(Line::new(name, over_steps(records, &format!("mode.{}", mode + 1))));
    }
    let loss = XyChart::new(Axis::new("step"), Axis::new("half the squared error"))
        .line(Line::new("test loss", over_steps(records, "test.loss")))
        .level("the end of one layer of linear attention", linear);
    let caption = "A mode is a direction of the inputs. Its share is the regression of the answers on the targets: 0 for nothing, 1 for \
                   all of it. Linear attention learns its modes strongest first.";
    Ok(Section::new("In context")
        .prose(format!(
            "The exact theory of one layer of linear attention ends at a loss of {}; answering 0 costs {}. It says nothing of softmax \
             attention or several layers: that is what is measured here.",
            significant(linear, 4),
            significant(zero, 4)
        ))
        .figure(drawing(Figure::xy("Each mode on its way", &chart))?.caption(caption))
        .figure(drawing(Figure::xy("Loss beside linear attention", &loss))?))
}

/// Modes that a chart tells apart.
const DRAWN_MODES: usize = 6;

fn guarantee(plan: &PlanSummary) -> Section {
    let kind = format!("{:?}", plan.sensitivity_kind).to_lowercase();
    Section::new("Guarantee")
        .prose(format!(
            "Two data sets that differ as in “{}” give the released parameters with probabilities within a factor e^{} of each other, \
             but for a probability of {}. The loop withholds losses and norms on the batches: no accountant has counted them.",
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

fn charts(config: &TrainingConfig, records: &[Record]) -> Result<Section> {
    let mut section = Section::new("On the way down");
    let unlabelled = config.task.as_ref().is_some_and(|task| task.train_examples().is_none());
    for (title, label, quantity) in CHARTS {
        let label = if unlabelled && quantity.ends_with(".loss") { "half the squared error" } else { label };
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
