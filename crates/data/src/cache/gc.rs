//! Giving disk space back.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Cache;
use super::lock::Lock;
use crate::error::{DataError, Result};

/// Something that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// File or folder.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// What a collection did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Collected {
    /// What was removed.
    pub removed: Vec<Removed>,
    /// Bytes of all that was removed.
    pub freed_bytes: u64,
    /// Bytes of all that is left.
    pub kept_bytes: u64,
    /// Sets that another process is changing and that were left alone.
    pub busy: Vec<String>,
}

/// A packed set of a known version.
struct Kept {
    folder: PathBuf,
    bytes: u64,
    packed_at: SystemTime,
}

impl Cache {
    /// Removes what no set needs: unfinished and damaged files, archives, and versions that the catalogue does not know. With
    /// `max_bytes`, also the sets packed longest ago, until the rest is no larger.
    ///
    /// # Errors
    /// [`DataError::Unreadable`] and [`DataError::CacheNotWritable`].
    pub fn gc(&self, max_bytes: Option<u64>) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut kept = Vec::new();
        for entry in self.entries {
            let folder = self.root.join(entry.name);
            if !folder.is_dir() {
                continue;
            }
            match Lock::acquire(&self.root, entry.name, Duration::ZERO) {
                Ok(_lock) => kept.extend(collected.clean_set(&folder, entry.version)?),
                Err(DataError::Locked { .. }) => collected.busy.push(entry.name.to_owned()),
                Err(error) => return Err(error),
            }
        }
        collected.kept_bytes = kept.iter().map(|set| set.bytes).sum();
        kept.sort_by_key(|set| set.packed_at);
        for set in kept {
            if max_bytes.is_none_or(|most| collected.kept_bytes <= most) {
                break;
            }
            collected.remove(&set.folder)?;
            collected.kept_bytes -= set.bytes;
        }
        Ok(collected)
    }
}

impl Collected {
    /// Empties the folder of a set but for the packed file of its version.
    fn clean_set(&mut self, folder: &Path, version: &str) -> Result<Option<Kept>> {
        for path in entries(folder)? {
            if path.file_name().is_none_or(|name| name != version) {
                self.remove(&path)?;
            }
        }
        let current = folder.join(version);
        if !current.is_dir() {
            return Ok(None);
        }
        let manifest = std::fs::metadata(current.join("manifest.json"));
        let is_packed = |path: &Path| manifest.is_ok() && (path.ends_with("packed") || path.ends_with("manifest.json"));
        for path in entries(&current)? {
            if !is_packed(&path) {
                self.remove(&path)?;
            }
        }
        let packed_at = manifest.and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Some(Kept { bytes: bytes_of(&current), folder: current, packed_at }))
    }

    fn remove(&mut self, path: &Path) -> Result<()> {
        let bytes = bytes_of(path);
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.map_err(DataError::not_writable(path, 0))?;
        self.removed.push(Removed { path: path.to_path_buf(), bytes });
        self.freed_bytes += bytes;
        Ok(())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(folder).map_err(DataError::unreadable(folder))?;
    let mut paths =
        list.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(DataError::unreadable(folder))?;
    paths.sort();
    Ok(paths)
}

fn bytes_of(path: &Path) -> u64 {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => entries(path).unwrap_or_default().iter().map(|path| bytes_of(path)).sum(),
        Ok(about) => about.len(),
        Err(_) => 0,
    }
}
