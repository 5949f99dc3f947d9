//! Files that are whole or absent.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::StoreError;

/// Writes a file beside its final name, syncs and renames it, so that a reader never sees a half-written one. Several processes may
/// write the same file; the last one to finish wins.
///
/// # Errors
/// [`StoreError::Io`]; then nothing new lies under `path`, and no partial file beside it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    write_by_way_of(&with_ending(path, &format!("{}-{number}.part", std::process::id())), path, bytes)
}

/// The same for a file that nobody else writes: what a killed writer left beside it is written over, and does not gather.
pub(crate) fn write_atomically_alone(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_by_way_of(&with_ending(path, "part"), path, bytes)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn write_by_way_of(part: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = write_synced(part, bytes).and_then(|()| fs::rename(part, path).map_err(StoreError::io("rename", part)));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(part);
    }
    written?;
    // A bare name has an empty parent.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).map_err(StoreError::io("create", path))?;
    file.write_all(bytes).map_err(StoreError::io("write", path))?;
    file.sync_all().map_err(StoreError::io("sync", path))
}

/// Makes a rename in the folder durable, where the platform can sync a folder.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let opened = File::open(folder).map_err(StoreError::io("open", folder))?;
        opened.sync_all().map_err(StoreError::io("sync", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_of_one_file_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write_atomically(path, &[writer; 5000]).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bare_name_lies_in_the_folder_where_one_is() {
        let name = format!("atomic-{}.tmp", std::process::id());
        write_atomically(Path::new(&name), b"whole").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"whole");
        fs::remove_file(&name).unwrap();
    }
}
