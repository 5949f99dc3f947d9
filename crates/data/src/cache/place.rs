//! Where one version of one set lies in the cache, and what the names there mean.
//!
//! A file is complete when it has its final name: everything is written as `*.part`, brought to the disk, and renamed.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::manifest::{FileState, Manifest};
use crate::catalogue::{Entry, mismatch};
use crate::content_hash::Sha256Hash;
use crate::error::{DataError, Result};
use crate::platform;

/// The folder `<cache>/<name>/<version>`.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
}

/// What is known about the packed file without opening it.
pub(super) enum PackedState {
    Absent,
    Sound(Manifest),
    Damaged(DataError),
}

impl Place {
    pub(super) fn of(root: &Path, entry: &Entry) -> Self {
        Self { folder: root.join(entry.name).join(entry.version) }
    }

    /// The archive as it came from the client or the user.
    pub(super) fn archive(&self) -> PathBuf {
        self.folder.join("archive")
    }

    /// The records, ready to be mapped.
    pub(super) fn packed(&self) -> PathBuf {
        self.folder.join("packed")
    }

    /// What the packed file should be. Written last: without it the packed file does not count.
    pub(super) fn manifest(&self) -> PathBuf {
        self.folder.join("manifest.json")
    }

    /// A folder for a client to run in, never used before. A client of an earlier run that was killed may still write to its own.
    pub(super) fn fresh_download_folder(&self) -> Result<PathBuf> {
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = self.folder.join(format!("download.{}.{moment}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(DataError::not_writable(&folder, 0))?;
        Ok(folder)
    }

    pub(super) fn create(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(DataError::not_writable(&self.folder, 0))
    }

    /// The state of the packed file. Its digest is computed only where size and time of change are not those of the manifest.
    pub(super) fn packed_state(&self) -> PackedState {
        let Ok(text) = std::fs::read(self.manifest()) else { return PackedState::Absent };
        let manifest = match Manifest::parse(&text, &self.manifest()) {
            Ok(manifest) => manifest,
            Err(error) => return PackedState::Damaged(error),
        };
        let Ok(state) = FileState::of(&self.packed()) else { return PackedState::Absent };
        if state == manifest.state() {
            return PackedState::Sound(manifest);
        }
        match self.check_packed_digest(&manifest) {
            Ok(()) => {
                // Copied or touched, but whole. Remembering that spares the next run the digest; a cache that cannot be written
                // works without.
                let touched = Manifest { modified: state.modified, ..manifest };
                let _ = self.write_manifest(&touched);
                PackedState::Sound(touched)
            }
            Err(error) => PackedState::Damaged(error),
        }
    }

    /// Reads the whole packed file and compares it with the manifest.
    pub(super) fn check_packed_digest(&self, manifest: &Manifest) -> Result<()> {
        let path = self.packed();
        let found = Sha256Hash::of_file(&path)?;
        if found == manifest.packed_sha256 {
            return Ok(());
        }
        let expected = manifest.packed_sha256.to_string();
        Err(mismatch(&path.display().to_string(), "sha256", expected, found.to_string()))
    }

    pub(super) fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = manifest.to_text();
        let part = self.manifest().with_extension("part");
        write_synced(&part, text.as_bytes()).map_err(DataError::not_writable(&part, text.len() as u64))?;
        publish(&part, &self.manifest())
    }

    /// Removes what an interrupted run may have left. What cannot be removed now is left for the next time.
    pub(super) fn sweep(&self) {
        for path in self.leftovers() {
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }

    /// Unfinished files and download folders.
    pub(super) fn leftovers(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let is_leftover = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("download.") || name.contains(".part")
        };
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_leftover).collect()
    }
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a complete file its final name.
pub(super) fn publish(part: &Path, path: &Path) -> Result<()> {
    std::fs::rename(part, path).map_err(DataError::not_writable(path, 0))?;
    if let Some(folder) = path.parent() {
        platform::sync_folder(folder);
    }
    Ok(())
}

/// Renames a file that is not what it should be to `<name>.bad`, and tells so in the error.
pub(super) fn set_aside(path: &Path, error: DataError) -> DataError {
    let mut bad = path.as_os_str().to_owned();
    bad.push(".bad");
    let kept_now = match std::fs::rename(path, &bad) {
        Ok(()) => format!(". The file was kept as {}", Path::new(&bad).display()),
        Err(_) => String::new(),
    };
    match error {
        DataError::HashMismatch { what, quantity, expected, found, kept } => {
            DataError::HashMismatch { what, quantity, expected, found, kept: kept + &kept_now }
        }
        other => other,
    }
}
