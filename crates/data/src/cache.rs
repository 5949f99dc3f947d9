//! The folder where sets lie ready, and the ways in and out of it.

use std::path::{Path, PathBuf};

use crate::catalogue::{self, CATALOGUE, Entry, Origin};
use crate::dataset::DataSet;
use crate::error::{DataError, Result};
use crate::platform;

/// The environment variable that names the cache folder.
pub(crate) const FOLDER_VARIABLE: &str = "THALWEG_DATA_DIR";

/// Loads a set of the catalogue from the program or from the user's cache. Starts no other program and uses no network.
///
/// # Errors
/// As [`Cache::load`].
///
/// ```
/// let digits = thalweg_data::load("digits")?;
/// assert_eq!(digits.len(), 1797);
/// # Ok::<(), thalweg_data::DataError>(())
/// ```
pub fn load(name: &str) -> Result<DataSet> {
    let entry = catalogue::find(CATALOGUE, name)?;
    match entry.origin {
        Origin::Embedded(read) => read(entry.about()),
        Origin::Files(_) => Cache::user()?.load(name),
    }
}

/// An embedded set, which is known to be whole.
pub(crate) fn embedded(name: &str) -> DataSet {
    load(name).expect("embedded sets are read in the tests of this crate")
}

/// A folder of packed data sets and the catalogue it is filled from.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    entries: &'static [Entry],
}

impl Cache {
    /// The cache in the folder `root`, which need not exist yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), entries: CATALOGUE }
    }

    /// The user's cache: `$THALWEG_DATA_DIR`, else the platform's cache folder.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where the environment names neither.
    pub fn user() -> Result<Self> {
        let named = std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = named.or_else(platform::user_cache);
        root.map(Self::at)
            .ok_or_else(|| DataError::bad_request("the cache folder", "unknown", format!("named by {FOLDER_VARIABLE}")))
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Loads a set that is embedded or cached. Starts no other program.
    ///
    /// # Errors
    /// [`DataError::UnknownSet`]; [`DataError::NotCached`] with the command that gets it.
    pub fn load(&self, name: &str) -> Result<DataSet> {
        let entry = catalogue::find(self.entries, name)?;
        match entry.origin {
            Origin::Embedded(read) => read(entry.about()),
            Origin::Files(files) => {
                Err(DataError::NotCached { name: name.to_owned(), remedy: entry.remedy(&files), cache: self.root.clone() })
            }
        }
    }
}
