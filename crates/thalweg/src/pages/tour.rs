//! The page of the tour.

mod in_context;
mod vote;

use std::path::PathBuf;

use serde::Serialize;
use thalweg_descent::Result;
use thalweg_private::NoiseKey;
use thalweg_report::format::significant;
use thalweg_report::{Axis, Cell, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};

use crate::compose::{Training, TrainingConfig};
use crate::pages::series::{band, over_steps};
use crate::pages::{drawing, write};
use crate::study::{Laboratory, MeanInterval, STUDY, mean_interval};
use crate::tour::{ARMS, EPSILON};

pub use in_context::InContextFigures;
pub use vote::VoteFigures;

/// The figures of all methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct TourFigures {
    methods: Vec<MethodFigures>,
    #[serde(skip)]
    data: String,
}

/// The figures of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodFigures {
    /// The mechanism.
    pub mechanism: String,
    /// What it is.
    pub what: String,
    /// The bound epsilon; `None` without privacy.
    pub epsilon: Option<f64>,
    /// The bound delta; `None` without privacy.
    pub delta: Option<f64>,
    /// Standard deviation of the noise behind one coordinate of the update.
    pub noise_std: Option<f64>,
    /// The worst iterate's error, in units of noise multiplier times clip norm.
    pub max_se: Option<f64>,
    /// The mean error likewise.
    pub mean_se: Option<f64>,
    /// On the test examples, by seed.
    pub test_accuracy: Vec<f64>,
    /// Its mean and 95 % interval.
    pub mean: Option<MeanInterval>,
    #[serde(skip)]
    curve: Vec<(f64, f64, f64, f64)>,
}

impl TourFigures {
    /// Reads them from the tour's finished runs.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub fn of(laboratory: &Laboratory) -> Result<Self> {
        let mut methods = Vec::new();
        let mut data = String::new();
        for (mechanism, what) in ARMS {
            let (figures, description) = method(laboratory, mechanism, what)?;
            methods.push(figures);
            data = description;
        }
        Ok(Self { methods, data })
    }

    /// The table for terminal and page.
    pub fn table(&self) -> Table {
        let number = |title: &str| Column::number(title, NumberFormat::Significant(4));
        let mut table = Table::new([
            Column::text("method"),
            number("epsilon"),
            number("noise"),
            number("MaxSE"),
            number("MeanSE"),
            Column::number("test accuracy", NumberFormat::Percent(1)),
        ]);
        for method in &self.methods {
            let mean = method.mean.map_or(Cell::Empty, |mean| Cell::Estimate(mean.mean, mean.half_width));
            let cells = [
                method.mechanism.as_str().into(),
                method.epsilon.into(),
                method.noise_std.into(),
                method.max_se.into(),
                method.mean_se.into(),
                mean,
            ];
            table.row(cells).expect("there is a cell for each column above");
        }
        table
    }
}

fn method(laboratory: &Laboratory, mechanism: &str, what: &str) -> Result<(MethodFigures, String)> {
    let mut curves = Vec::new();
    let mut plan = None;
    let mut data = String::new();
    for cell in laboratory.all_cells().iter().filter(|cell| cell.setting == mechanism) {
        curves.push(over_steps(&laboratory.events(cell)?, "test.accuracy"));
        let config = TrainingConfig::parse(&cell.config.to_string(), &cell.id)?;
        let training = Training::prepare(&config, &NoiseKey::insecure(0))?;
        plan = training.privacy.map(|plan| plan.summary());
        data = training.data;
    }
    let test_accuracy: Vec<f64> = curves.iter().filter_map(|curve| curve.last().map(|(_, value)| *value)).collect();
    let figures = MethodFigures {
        mechanism: mechanism.to_owned(),
        what: what.to_owned(),
        epsilon: plan.as_ref().map(|plan| plan.epsilon),
        delta: plan.as_ref().map(|plan| plan.delta),
        noise_std: plan.as_ref().map(|plan| plan.noise_std),
        max_se: plan.as_ref().map(|plan| plan.max_se),
        mean_se: plan.as_ref().map(|plan| plan.mean_se),
        mean: mean_interval(&test_accuracy, 0.95),
        test_accuracy,
        curve: band(&curves),
    };
    Ok((figures, data))
}

/// Draws `report.html` in the tour's folder.
///
/// # Errors
/// When the page cannot be written.
pub fn write_tour_report(
    laboratory: &Laboratory,
    figures: &TourFigures,
    vote: &VoteFigures,
    in_context: &InContextFigures,
) -> Result<PathBuf> {
    let seeds = laboratory.study().seeds.len();
    let mut chart = XyChart::new(Axis::new("step"), Axis::new("test accuracy").percent());
    for method in &figures.methods {
        chart = chart.line(Line::new(&method.mechanism, method.curve.clone()));
    }
    let caption = format!("Mean of {seeds} seeds; band: lowest to highest.");
    let accuracy = drawing(Figure::xy("Accuracy on the way down", &chart))?.caption(caption);
    let methods = Section::new("Private training")
        .prose(format!(
            "One network, four ways to train it on handwritten digits. The three private ways have the same guarantee, epsilon {} for each \
             run by itself; they differ in how the noise of different steps is correlated. MaxSE and MeanSE are the exact errors of the \
             iterates, in units of noise multiplier times clip norm: smaller is better.",
            significant(EPSILON, 2)
        ))
        .table(figures.table())
        .figure(accuracy)
        .facts(figures.methods.iter().map(|method| (method.mechanism.clone(), method.what.clone())))
        .prose(format!(
            "{seeds} seeds show what to expect and decide nothing; studies/private-schedule.toml puts the comparison to the test."
        ));
    let page = Page::new("A tour of Thalweg")
        .subtitle(figures.data.clone())
        .banner("NOT PRIVATE: the tour's noise comes from its seed, so that the same seed shows the same figures.")
        .section(methods)
        .section(vote.section()?)
        .section(in_context.section()?)
        .section(Section::new("Configuration").source("the tour as a study", study_text(laboratory)));
    write(page, &laboratory.folder().join("report.html"))
}

fn study_text(laboratory: &Laboratory) -> String {
    std::fs::read_to_string(laboratory.folder().join(STUDY)).unwrap_or_default()
}
