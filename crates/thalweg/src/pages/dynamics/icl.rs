//! The page of in-context learning.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_dynamics::icl::experiment::{Outcome, Report};
use thalweg_report::format::significant;
use thalweg_report::{Axis, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};

use super::write_computed;
use crate::pages::drawing;

/// More modes than this are in the table alone.
const DRAWN: usize = 8;

/// Draws each mode's product over time: the published curve, the exact one, and the band of the runs where there are some.
///
/// # Errors
/// When the page cannot be written.
pub fn write_icl_page(variances: &[f64], outcome: &Outcome, path: &Path) -> Result<PathBuf> {
    let subtitle = match &outcome.measured {
        Some(band) => format!("Two theories over {} runs of stochastic descent.", band.runs.len()),
        None => "Two theories of the same descent.".to_owned(),
    };
    let mut modes = Section::new("Each mode on its way").prose(
        "A mode is the product of its two weights. It stays near its start, rises within a short time, and ends on a plateau. The \
         published curve is exact for endless contexts or equal variances; the exact one holds for this context length.",
    );
    for (mode, variance) in variances.iter().enumerate().take(DRAWN) {
        modes = modes.figure(mode_curve(mode, *variance, outcome)?);
    }
    if variances.len() > DRAWN {
        modes = modes.prose(format!("The first {DRAWN} of {} modes are drawn.", variances.len()));
    }
    let page = Page::new("In-context learning of a linear transformer").subtitle(subtitle);
    write_computed(page.section(summary(variances, outcome)?).section(modes), path)
}

fn summary(variances: &[f64], outcome: &Outcome) -> Result<Section> {
    let Report { plateau, half_time, rms, expected_rms } = &outcome.report;
    let number = |title: &str| Column::number(title, NumberFormat::Significant(6));
    let mut table = Table::new([
        number("variance"),
        number("plateau, published"),
        number("plateau, exact"),
        number("half-time, published"),
        Column::text("half-time, exact"),
    ]);
    for (mode, variance) in variances.iter().enumerate() {
        let half = half_time.exact[mode].map_or_else(|| "-".to_owned(), |time| significant(time, 6));
        let published = half_time.published[mode];
        drawing(table.row([
            (*variance).into(),
            plateau.published[mode].into(),
            plateau.exact[mode].into(),
            published.into(),
            half.into(),
        ]))?;
    }
    let mut section = Section::new("Where it ends, and when").table(table);
    if let (Some(published), Some(exact), Some(expected)) = (rms.published, rms.exact, expected_rms) {
        section = section.facts([
            ("distance of descent from the exact curve", significant(exact, 3)),
            ("... from the published curve", significant(published, 3)),
            ("... that the spread over runs lets one expect", significant(*expected, 3)),
        ]);
    }
    Ok(section)
}

/// One mode by both theories, and the band of the runs.
///
/// # Errors
/// When a value cannot be drawn.
pub(crate) fn mode_curve(mode: usize, variance: f64, outcome: &Outcome) -> Result<Figure> {
    let theory =
        |values: &mut dyn Iterator<Item = f64>| -> Vec<(f64, f64)> { outcome.times.iter().copied().zip(values).collect() };
    let published = theory(&mut outcome.published.iter().map(|row| row[mode]));
    let exact = theory(&mut outcome.exact.weights.iter().map(|weights| weights.products()[mode]));
    let mut chart = XyChart::new(Axis::new("steps x rate x tasks"), Axis::new("product of both weights"))
        .line(Line::new("published", published))
        .line(Line::new("exact", exact));
    let mut caption = "Dashes tell the curves apart where they meet.".to_owned();
    if let Some(band) = &outcome.measured {
        let samples = band.times.iter().zip(&band.mean).zip(&band.deviation);
        let samples =
            samples.map(|((t, mean), deviation)| (*t, mean[mode], mean[mode] - deviation[mode], mean[mode] + deviation[mode]));
        chart = chart.line(Line::new("descent", samples));
        caption = "Descent: the mean over runs, and one standard deviation to both sides.".to_owned();
    }
    Ok(drawing(Figure::xy(format!("The mode of variance {}", significant(variance, 4)), &chart))?.caption(caption))
}
