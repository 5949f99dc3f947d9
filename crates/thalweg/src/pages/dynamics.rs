//! Pages of exact learning dynamics: theory drawn over measurement.

mod deq;
mod features;
mod icl;
mod phase;
mod xor_study;

use std::path::{Path, PathBuf};

use thalweg_descent::{Error, Result};
use thalweg_report::Page;

pub use deq::write_deq_page;
pub use features::write_features_page;
pub(crate) use icl::mode_curve;
pub use icl::write_icl_page;
pub use phase::write_phase_page;
pub use xor_study::write_xor_study_page;

/// Writes a page that has no run behind it, with its folder where there is none.
fn write_computed(page: Page, path: &Path) -> Result<PathBuf> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::input(format!("{}: {error}", folder.display())))?;
    }
    super::write_with(page, "at the end of its computation", path)
}
