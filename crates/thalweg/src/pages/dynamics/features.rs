//! The page of the features lab.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_dynamics::features::{Mean, Record, Report, Simulation};
use thalweg_report::format::{percent, significant};
use thalweg_report::{Axis, Figure, Line, Page, Section, XyChart};

use super::write_computed;
use crate::pages::drawing;

/// Draws the runs of a simulation over their steps: accuracies, coefficients beside the control, and label-aligned memorisation.
///
/// # Errors
/// When the page cannot be written.
pub fn write_features_page(title: &str, simulation: &Simulation, report: &Report, path: &Path) -> Result<PathBuf> {
    let page = Page::new(title)
        .subtitle("Who learns the signal, who memorises the noise, and what of it is injected.")
        .section(end(simulation, report))
        .section(Section::new("Right on which examples?").figure(accuracies(report)?))
        .section(coefficients(report)?);
    write_computed(page, path)
}

fn end(simulation: &Simulation, report: &Report) -> Section {
    let data = simulation.data;
    let runs = report.runs.len();
    Section::new("The end").facts([
        ("right on unseen examples", percent(report.test_accuracy, 1)),
        ("right on training examples", percent(report.train_accuracy, 1)),
        ("largest coefficient of the signal", significant(report.signal, 4)),
        ("largest coefficient of a noise patch", significant(report.noise, 4)),
        ("... of the injected noise alone", significant(report.control_noise, 4)),
        ("injected outside the span of all patches", significant(report.residual, 4)),
        ("runs that memorise beyond doubt", format!("{} of {runs}", report.memorising_runs)),
        ("noise multiplier", significant(report.noise_multiplier, 6)),
        ("examples, dimensions of a patch", format!("{}, {}", data.examples, data.dimension)),
        ("steps, rate", format!("{}, {}", simulation.descent.steps, simulation.descent.rate)),
    ])
}

/// The mean over runs, with the band from the lowest to the highest.
fn line(name: &str, report: &Report, value: fn(&Record) -> f64) -> Line {
    let records = report.runs.first().map_or(0, Vec::len);
    let samples = (0..records).map(|at| {
        let mean = Mean::of(report.runs.iter().map(|run| value(&run[at])));
        (report.runs[0][at].step as f64, mean.mean, mean.lowest, mean.highest)
    });
    Line::new(name, samples.collect::<Vec<_>>())
}

fn accuracies(report: &Report) -> Result<Figure> {
    let chart = XyChart::new(Axis::new("step"), Axis::new("share that is right").percent())
        .line(line("training", report, |record| record.train_accuracy))
        .line(line("unseen", report, |record| record.test_accuracy));
    Ok(drawing(Figure::xy("Accuracy on training and on unseen examples", &chart))?.caption(BAND))
}

const BAND: &str = "Mean over runs; band: lowest to highest.";

fn coefficients(report: &Report) -> Result<Section> {
    let largest = XyChart::new(Axis::new("step"), Axis::new("largest coefficient"))
        .line(line("signal", report, |record| record.signal))
        .line(line("noise patches", report, |record| record.noise))
        .line(line("injected alone", report, |record| record.control_noise));
    let aligned = XyChart::new(Axis::new("step"), Axis::new("alignment with the label"))
        .line(line("noise patches", report, |record| record.alignment.value))
        .level("nothing memorised", 0.0);
    let largest = drawing(Figure::xy("Signal and noise in the filters", &largest))?.caption(format!(
        "{BAND} Injected noise reaches the noise patches' coefficients too: what lies on its curve is not memorised."
    ));
    let aligned = drawing(Figure::xy("What is memorised", &aligned))?.caption(format!(
        "{BAND} The mean difference of a noise patch's coefficients between filters that vote for its label and against it: injected \
         noise cancels."
    ));
    Ok(Section::new("What the filters hold").figure(largest).figure(aligned))
}
