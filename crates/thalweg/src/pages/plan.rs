//! The page of a plan: all mechanisms side by side.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_private::comparison::{Evaluated, Outcome};
use thalweg_private::{Comparison, Kind, Name};
use thalweg_report::{Axis, Cell, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};

use crate::pages::{drawing, write_with};

/// Lines that a person can tell apart in one chart.
const MOST_LINES: usize = 6;

/// What a plan's page shows.
#[derive(Clone, Copy, Debug)]
pub struct PlanPage<'a> {
    /// The steps, schedule and participation in words.
    pub title: &'a str,
    /// The mechanisms.
    pub comparison: &'a Comparison,
    /// What is worth knowing, a sentence each.
    pub findings: &'a [String],
}

impl PlanPage<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn write(&self, path: &Path) -> Result<PathBuf> {
        let mut words = Section::new("In words").prose(recommendation(self.comparison));
        for finding in self.findings {
            words = words.prose(finding.clone());
        }
        let mut all = Section::new("All mechanisms")
            .prose(
                "Errors are roots, in units of noise multiplier times clip norm. The memory is in vectors of the model's size.",
            )
            .table(plan_table(self.comparison)?);
        for left_out in left_out(self.comparison) {
            all = all.prose(left_out);
        }
        let page = Page::new("Which noise suits the schedule").subtitle(self.title);
        write_with(page.section(words).section(self.curves()?).section(all), "from exact formulas", path)
    }

    fn curves(&self) -> Result<Section> {
        let mut chart = XyChart::new(Axis::new("step"), Axis::new("root of the expected squared error").log());
        for (name, found) in drawn(self.comparison) {
            let points = found.curve.rows.iter().zip(&found.curve.errors).map(|(row, error)| (*row as f64, *error));
            chart = chart.line(Line::new(name.to_string(), points));
        }
        if let Some(bound) = self.comparison.lower_bound {
            chart = chart.level("no mechanism's mean is below", bound);
        }
        let figure = drawing(Figure::xy("The error of each iterate", &chart))?
            .caption("How far the noise moves the parameters after each step, in units of noise multiplier times clip norm.");
        Ok(Section::new("On the way down").figure(figure))
    }
}

/// The recommended mechanism, the well-known ones, and then those with the least error.
fn drawn(comparison: &Comparison) -> Vec<(Name, &Evaluated)> {
    let mut known: Vec<(Name, &Evaluated)> =
        comparison.mechanisms.iter().filter_map(|entry| Some((entry.name, entry.evaluated()?))).collect();
    let first =
        |name: Name| comparison.recommended == Some(name) || matches!(name, Name::Identity | Name::PrefixRoot | Name::LrRoot);
    known.sort_by(|(a, left), (b, right)| {
        let error = |found: &Evaluated| found.get(comparison.objective);
        first(*b).cmp(&first(*a)).then(error(left).total_cmp(&error(right)))
    });
    known.truncate(MOST_LINES);
    known.sort_by_key(|(name, _)| *name);
    known
}

/// All mechanisms that could be built, in a table for terminal and page.
///
/// # Errors
/// None in practice: every row has its cells.
pub fn plan_table(comparison: &Comparison) -> Result<Table> {
    let error = NumberFormat::Fixed(6);
    let mut table = Table::new([
        Column::text("mechanism"),
        Column::number("MaxSE", error),
        Column::number("worst step", NumberFormat::Fixed(0)),
        Column::number("MeanSE", error),
        Column::number("sensitivity", error),
        Column::text(""),
        Column::number("memory", NumberFormat::Fixed(0)),
    ]);
    for entry in &comparison.mechanisms {
        let Some(found) = entry.evaluated() else { continue };
        let kind = match found.sensitivity_kind {
            Kind::Exact => "exact",
            Kind::Upper => "upper",
        };
        let recommended = comparison.recommended == Some(entry.name);
        let name = if recommended { format!("{} (recommended)", entry.name) } else { entry.name.to_string() };
        let row = [
            Cell::from(name),
            Cell::from(found.max_se),
            Cell::from(found.argmax_row as f64),
            Cell::from(found.mean_se),
            Cell::from(found.sensitivity),
            Cell::from(kind),
            Cell::from(found.memory_vectors as f64),
        ];
        drawing(table.row(row))?;
    }
    Ok(table)
}

/// What to take, and why.
pub fn recommendation(comparison: &Comparison) -> String {
    match comparison.recommended {
        Some(_) => format!("Recommended: {}.", comparison.reason),
        None => comparison.reason.clone(),
    }
}

/// The mechanisms that were left out, each with its reason.
pub fn left_out(comparison: &Comparison) -> Vec<String> {
    let reason = |outcome: &Outcome| match outcome {
        Outcome::Evaluated(_) => None,
        Outcome::Skipped { skipped } => Some(skipped.clone()),
    };
    comparison.mechanisms.iter().filter_map(|entry| Some(format!("Left out: {}", reason(&entry.outcome)?))).collect()
}
