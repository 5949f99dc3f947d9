//! The page of the error-against-data study of 2-XOR.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_dynamics::relu::Protocol;
use thalweg_dynamics::relu::study::Row;
use thalweg_report::format::significant;
use thalweg_report::{Axis, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};

use super::write_computed;
use crate::compose::xor_study::{AtDepth, XorFound, XorStudy};
use crate::pages::drawing;

/// Draws the test error over d^2 / n, with the line through it, for each depth and number of steps.
///
/// # Errors
/// When the page cannot be written.
pub fn write_xor_study_page(study: &XorStudy, found: &XorFound, path: &Path) -> Result<PathBuf> {
    let trials = study.study().trials;
    let protocol = study.study().protocol;
    let mut page = Page::new("2-XOR: test error against d²/n").subtitle(match protocol {
        Protocol::Text => "By the text's protocol: hidden layers alone, from the symmetric start, without biases.",
        Protocol::Notebook => "By the notebook's protocol: one hidden layer, both layers and their biases, and an early end.",
    });
    if found.finished < found.cells {
        page = page.banner(format!("{} of {} trials are computed; the picture is of these.", found.finished, found.cells));
    }
    let mut section = Section::new("Error on all 2^d points, training points included").table(slopes(found)?);
    for of_depth in &found.depths {
        section = section.figure(curve(of_depth, protocol, trials)?);
    }
    if let Some(reason) = &found.reason {
        section = section.prose(format!("{} trials failed. The first of them: {reason}", found.failed));
    }
    write_computed(page.section(section), path)
}

fn slopes(found: &XorFound) -> Result<Table> {
    let count = |title: &str| Column::number(title, NumberFormat::Count);
    let mut table = Table::new([
        count("depth"),
        count("steps"),
        Column::text("slope over d²/n"),
        Column::text("standard error"),
        Column::text("intercept"),
    ]);
    for of_depth in &found.depths {
        for row in &of_depth.rows {
            let [slope, error, intercept] = match &row.line {
                Some(line) => [line.slope, line.standard_error, line.intercept].map(|value| significant(value, 3)),
                None => ["-"; 3].map(str::to_owned),
            };
            let (depth, steps) = (of_depth.depth as f64, row.steps as f64);
            drawing(table.row([depth.into(), steps.into(), slope.into(), error.into(), intercept.into()]))?;
        }
    }
    Ok(table)
}

/// The line that is quoted for the notebook's protocol.
const QUOTED: f64 = 0.15;

fn curve(of_depth: &AtDepth, protocol: Protocol, trials: u32) -> Result<Figure> {
    let mut chart = XyChart::new(Axis::new("d² / n"), Axis::new("test error").percent());
    let mut widest: Option<(f64, f64)> = None;
    for row in &of_depth.rows {
        let mut cells: Vec<_> = row.cells.iter().collect();
        cells.sort_by(|a, b| a.d_squared_over_n.total_cmp(&b.d_squared_over_n));
        if let (Some(first), Some(last)) = (cells.first(), cells.last()) {
            widest = Some((first.d_squared_over_n, last.d_squared_over_n));
        }
        let band = cells.iter().map(|cell| {
            let (low, high) = (cell.mean - cell.standard_error, cell.mean + cell.standard_error);
            (cell.d_squared_over_n, cell.mean, low, high)
        });
        chart = chart.line(Line::new(format!("{} steps", row.steps), band.collect::<Vec<_>>()));
        if let Some(line) = fitted(row, widest) {
            chart = chart.line(line);
        }
    }
    if let (Protocol::Notebook, Some((low, high))) = (protocol, widest) {
        // Half is what guessing gets.
        let quoted = |x: f64| (x, (QUOTED * x).min(0.5));
        chart =
            chart.line(Line::new("0.15 d²/n, as quoted", [quoted(low), quoted((0.5 / QUOTED).clamp(low, high)), quoted(high)]));
    }
    let words = format!("{} hidden {}", of_depth.depth, if of_depth.depth == 1 { "layer" } else { "layers" });
    let caption = format!("Mean over at most {trials} trials; band: one standard error.");
    Ok(drawing(Figure::xy(words, &chart))?.caption(caption))
}

/// The line through the cells of a row.
fn fitted(row: &Row, ends: Option<(f64, f64)>) -> Option<Line> {
    let (line, (low, high)) = (row.line?, ends?);
    let at = |x: f64| (x, line.intercept + line.slope * x);
    Some(Line::new(format!("line through them, slope {}", significant(line.slope, 3)), [at(low), at(high)]))
}
