//! Draws what came of runs, tours and studies. Every figure comes from the files of the store, so a page can be drawn again.

mod audit;
mod comparison;
mod dynamics;
mod plan;
mod probes;
mod run;
mod series;
mod study;
mod tour;
mod vote_plan;

use std::path::{Path, PathBuf};

use thalweg_descent::store::write_atomically;
use thalweg_descent::{Error, Result};
use thalweg_report::Page;

pub use audit::write_audit_report;
pub use comparison::write_comparison;
pub use dynamics::{write_deq_page, write_features_page, write_icl_page, write_phase_page, write_xor_study_page};
pub use plan::{PlanPage, left_out, plan_table, recommendation};
pub use run::write_run_report;
pub use study::write_study_report;
pub use tour::{InContextFigures, MethodFigures, TourFigures, VoteFigures, write_tour_report};
pub use vote_plan::{vote_modes, write_vote_plan};

/// Writes a page beside its final name and renames it; makes its folder where that is missing.
fn write(page: Page, path: &Path) -> Result<PathBuf> {
    write_with(page, "from the files of the run", path)
}

/// The same, saying where its figures come from.
fn write_with(page: Page, origin: &str, path: &Path) -> Result<PathBuf> {
    let page = page.footer(format!("Drawn by Thalweg {} {origin}.", crate::VERSION));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::input(format!("{}: {error}", folder.display())))?;
    }
    write_atomically(path, page.to_html().as_bytes())?;
    Ok(path.to_owned())
}

/// A chart or table that cannot be made of the numbers at hand.
fn drawing<T>(result: Result<T, impl std::error::Error + Send + Sync + 'static>) -> Result<T> {
    result.map_err(|error| Error::piece("drawing the report", error))
}
