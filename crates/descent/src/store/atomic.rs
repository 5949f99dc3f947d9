//! Files that are whole or absent.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::store::StoreError;

/// Writes a file beside its final name, syncs and renames it, so that a reader never sees a half-written one.
///
/// # Errors
/// [`StoreError::Io`]; then nothing new lies under `path`, and no partial file beside it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
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
    fn a_bare_name_lies_in_the_folder_where_one_is() {
        let name = format!("atomic-{}.tmp", std::process::id());
        write_atomically(Path::new(&name), b"whole").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"whole");
        fs::remove_file(&name).unwrap();
    }
}
