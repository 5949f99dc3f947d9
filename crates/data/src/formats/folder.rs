//! What the readers of folders share: names in byte order, and a description that names the folder.

use std::path::{Path, PathBuf};

use crate::dataset::About;
use crate::error::{DataError, Result};

/// A description that knows no more than the path.
pub(crate) fn about(path: &Path) -> About {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    About { source: path.display().to_string(), ..About::named(name) }
}

/// Paths of everything in `dir` that does not begin with a dot, in byte order of their names.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(dir).map_err(DataError::unreadable(dir))?;
    let paths: std::io::Result<Vec<PathBuf>> = list.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(DataError::unreadable(dir))?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(paths)
}

/// Names of everything in `dir`, as many as an error message can bear.
pub(crate) fn names_in(dir: &Path) -> Result<Vec<String>> {
    Ok(entries(dir)?.iter().take(10).map(|path| name(path)).collect())
}

/// The last part of a path, for people and for comparisons.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
