//! A folder with a file for each finished cell of some grid: stopped at any moment, it is gone on with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_descent::store::write_atomically;
use thalweg_descent::{Error, Result};

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct CellFolder {
    folder: PathBuf,
}

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// It did all of its part.
    Done,
    /// It was asked to stop.
    Stopped,
}

impl CellFolder {
    /// Opens a folder, or begins it. The file `about` holds the text that describes the grid: a folder with another is refused.
    pub(crate) fn claim(folder: &Path, about: &str, text: &str) -> Result<Self> {
        let (path, cells) = (folder.join(about), folder.join("cells"));
        let unusable = |error: std::io::Error| Error::input(format!("{}: {error}; give a folder to write to", folder.display()));
        let claimed = Self { folder: folder.to_owned() };
        match std::fs::read_to_string(&path) {
            Ok(found) if found == text => std::fs::create_dir_all(&cells).map_err(unusable)?,
            Ok(_) => {
                return Err(Error::input(format!(
                    "{} holds another sweep (see {about} there); the same call goes on with it, this one needs another --out",
                    folder.display()
                )));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&cells).map_err(unusable)?;
                let written = write_atomically(&path, text.as_bytes());
                // Another shard may have written the same at the same time.
                if written.is_err() && std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
                    return Ok(claimed);
                }
                written?;
            }
            Err(error) => return Err(unusable(error)),
        }
        Ok(claimed)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Where a cell's file lies.
    pub(crate) fn cell_path(&self, cell: &str) -> PathBuf {
        self.folder.join("cells").join(format!("{cell}.json"))
    }

    /// What a cell came to, if it is finished.
    pub(crate) fn read<T: DeserializeOwned>(&self, cell: &str) -> Result<Option<T>> {
        let path = self.cell_path(cell);
        let wrong = |reason: String| Error::input(format!("{}: {reason}; delete it, and it is computed again", path.display()));
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(format!("it is no cell: {error}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Writes what a cell came to, whole or not at all.
    pub(crate) fn write(&self, cell: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| Error::piece("writing a cell", error))?;
        Ok(write_atomically(&self.cell_path(cell), text.as_bytes())?)
    }
}

/// Computes cells on all threads. `stop` is heeded between cells; `progress` hears how many of how many are done.
pub(crate) fn in_parallel<C: Sync>(
    cells: &[C],
    stop: &AtomicBool,
    progress: &(impl Fn(usize, usize) + Sync),
    compute: impl Fn(&C) -> Result<()> + Sync,
) -> Result<Worked> {
    use rayon::prelude::*;
    let done = AtomicUsize::new(0);
    progress(0, cells.len());
    cells.par_iter().try_for_each(|cell| {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        compute(cell)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, cells.len());
        Ok::<(), Error>(())
    })?;
    Ok(if done.into_inner() == cells.len() { Worked::Done } else { Worked::Stopped })
}
