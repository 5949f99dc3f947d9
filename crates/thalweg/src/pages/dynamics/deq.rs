//! The page of an equilibrium model.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_dynamics::deq::Outcome;
use thalweg_report::format::significant;
use thalweg_report::{Axis, Figure, Line, Page, Section, XyChart};

use super::write_computed;
use crate::pages::drawing;

/// Draws a descent: the conserved radius with its predicted drift, and the risk.
///
/// # Errors
/// When the page cannot be written.
pub fn write_deq_page(title: &str, outcome: &Outcome, path: &Path) -> Result<PathBuf> {
    let radius = outcome.radius_squared;
    let theta: Vec<String> = outcome.theta.iter().map(|value| significant(*value, 8)).collect();
    let facts = [
        ("parameters at the end (weights, v)", theta.join(", ")),
        ("risk at the end", significant(outcome.risk, 5)),
        ("squared radius at the start", significant(radius.start, 12)),
        ("... at the end", significant(radius.end, 12)),
        ("... predicted", significant(radius.predicted_end, 12)),
        ("longest step", significant(outcome.longest_step, 4)),
    ];
    let page = Page::new(title)
        .subtitle("Gradient flow keeps |u|² + (1 − v)². Descent moves it by exactly η² times the squared gradient, step by step.")
        .section(Section::new("The end").facts(facts))
        .section(Section::new("What flow conserves").figure(radii(outcome)?).figure(residual(outcome)?))
        .section(Section::new("What descent lowers").figure(risk(outcome)?));
    write_computed(page, path)
}

fn radii(outcome: &Outcome) -> Result<Figure> {
    let curve = |value: fn(&thalweg_dynamics::deq::Snapshot) -> f64| {
        outcome.records.iter().map(|record| (record.step as f64, value(record))).collect::<Vec<_>>()
    };
    let chart = XyChart::new(Axis::new("step"), Axis::new("squared radius"))
        .line(Line::new("measured", curve(|record| record.radius_squared)))
        .line(Line::new("predicted", curve(|record| record.predicted_radius_squared)));
    let figure = drawing(Figure::xy("The squared distance from the degenerate point", &chart))?;
    Ok(figure.caption("The prediction is exact for linear models, whatever way back the gradient takes."))
}

fn residual(outcome: &Outcome) -> Result<Figure> {
    let values =
        outcome.records.iter().map(|record| (record.step as f64, record.radius_squared - record.predicted_radius_squared));
    let chart =
        XyChart::new(Axis::new("step"), Axis::new("measured less predicted")).line(Line::new("measured less predicted", values));
    let figure = drawing(Figure::xy("What the prediction leaves over", &chart))?;
    Ok(figure
        .caption("Rounding alone for a linear model. A wrong gradient, or an optimiser that is not plain descent, shows here."))
}

fn risk(outcome: &Outcome) -> Result<Figure> {
    // A logarithmic axis has no place for an exact 0.
    let values = outcome.records.iter().filter(|record| record.risk > 0.0).map(|record| (record.step as f64, record.risk));
    let chart = XyChart::new(Axis::new("step"), Axis::new("risk").log()).line(Line::new("risk", values));
    drawing(Figure::xy("Risk", &chart))
}
