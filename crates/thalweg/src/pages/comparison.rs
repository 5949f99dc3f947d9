//! Runs side by side.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_descent::store::read_events;
use thalweg_report::{Axis, Figure, Line, Page, Section, XyChart};

use crate::compose::TrainingConfig;
use crate::pages::series::over_steps;
use crate::pages::{drawing, write};

/// Draws test accuracy and loss of several runs into one page.
///
/// # Errors
/// When a run cannot be read, or the page not be written.
pub fn write_comparison(folders: &[PathBuf], path: &Path) -> Result<PathBuf> {
    let mut accuracy = XyChart::new(Axis::new("step"), Axis::new("test accuracy").percent());
    let mut loss = XyChart::new(Axis::new("step"), Axis::new("test loss, nats"));
    let mut configurations = Section::new("Configurations");
    for folder in folders {
        let records = read_events(&folder.join("events.jsonl"))?;
        let config = TrainingConfig::read(&folder.join("config.toml"))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let label = format!("{name} ({})", config.privacy.mechanism);
        accuracy = accuracy.line(Line::new(label.clone(), over_steps(&records, "test.accuracy")));
        loss = loss.line(Line::new(label.clone(), over_steps(&records, "test.loss")));
        configurations = configurations.source(label, config.to_toml()?);
    }
    let figures = Section::new("On the way down")
        .figure(drawing(Figure::xy("Test accuracy", &accuracy))?)
        .figure(drawing(Figure::xy("Test loss", &loss))?);
    let page = Page::new("Runs side by side").section(figures).section(configurations);
    write(page, path)
}
