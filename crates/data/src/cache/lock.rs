//! One process at a time changes a set.
//!
//! The lock is the operating system's lock on a file, so it ends with the process that holds it, however that ends. A note beside it
//! says who holds it; a note without a lock is what a killed process leaves.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::platform;

const POLL: Duration = Duration::from_millis(50);

/// Who holds a lock.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    /// Seconds since 1970.
    since: u64,
}

/// A lock that is held until it is dropped.
pub(super) struct Lock {
    note: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits up to `patience` for the lock of the set `name`.
    ///
    /// # Errors
    /// [`DataError::Locked`], [`DataError::CacheNotWritable`].
    pub(super) fn acquire(root: &Path, name: &str, patience: Duration) -> Result<Self> {
        let folder = root.join("locks");
        std::fs::create_dir_all(&folder).map_err(DataError::not_writable(&folder, 0))?;
        let path = folder.join(format!("{name}.lock"));
        let note = folder.join(format!("{name}.holder.json"));
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(DataError::not_writable(&path, 0))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(DataError::not_writable(&path, 0)(error)),
                Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    let holder = Holder::read(&note).map_or_else(|| "another process".to_owned(), |holder| holder.describe());
                    return Err(DataError::Locked { name: name.to_owned(), holder, waited_s: patience.as_secs(), lock: path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
            }
        }
        if let Some(holder) = Holder::read(&note) {
            tracing::warn!("taking over the lock of `{name}` from {}, which ended without giving it back", holder.describe());
        }
        Holder::this_process().write(&note);
        Ok(Self { note, _file: file })
    }
}

/// The lock, where the process that held it last was killed. Only a look where there is no note: a set that is ready needs no lock.
pub(super) fn of_dead_holder(root: &Path, name: &str) -> Option<Lock> {
    let is_noted = root.join("locks").join(format!("{name}.holder.json")).exists();
    // Where somebody alive has it, the note is right.
    is_noted.then(|| Lock::acquire(root, name, Duration::ZERO).ok()).flatten()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The note goes while the lock is still held; the lock itself goes with the file.
        let _ = std::fs::remove_file(&self.note);
    }
}

impl Holder {
    fn this_process() -> Self {
        Self { pid: std::process::id(), host: platform::host(), since: seconds_since_1970() }
    }

    fn read(note: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(note).ok()?).ok()
    }

    /// The note is for messages only, so failing to write it is no failure.
    fn write(&self, note: &Path) {
        let _ = std::fs::write(note, serde_json::to_vec(self).unwrap_or_default());
    }

    fn describe(&self) -> String {
        let age = seconds_since_1970().saturating_sub(self.since);
        format!("process {} on {}, for {age} s", self.pid, self.host)
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder_and_a_dropped_one_is_free() {
        let root = tempfile::tempdir().unwrap();
        let held = Lock::acquire(root.path(), "imdb", Duration::ZERO).unwrap();
        let error = Lock::acquire(root.path(), "imdb", Duration::ZERO).err().unwrap();
        assert_eq!(error.code(), "E07");
        let message = error.to_string();
        assert!(message.contains(&std::process::id().to_string()) && message.contains(&platform::host()), "{message}");
        Lock::acquire(root.path(), "digits", Duration::ZERO).unwrap();
        drop(held);
        Lock::acquire(root.path(), "imdb", Duration::ZERO).unwrap();
    }

    #[test]
    fn the_note_of_a_dead_process_does_not_hold_the_lock() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("locks")).unwrap();
        Holder { pid: u32::MAX, host: platform::host(), since: 0 }.write(&root.path().join("locks/imdb.holder.json"));
        Lock::acquire(root.path(), "imdb", Duration::ZERO).unwrap();
    }

    #[test]
    fn the_note_of_a_dead_process_is_forgotten_and_that_of_a_living_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let note = root.path().join("locks/imdb.holder.json");
        let held = Lock::acquire(root.path(), "imdb", Duration::ZERO).unwrap();
        assert!(of_dead_holder(root.path(), "imdb").is_none() && note.exists());
        drop(held);
        assert!(of_dead_holder(root.path(), "imdb").is_none());
        Holder { pid: u32::MAX, host: platform::host(), since: 0 }.write(&note);
        drop(of_dead_holder(root.path(), "imdb").unwrap());
        assert!(!note.exists());
    }
}
