//! One run, locked by the process that works on it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::store::events::EventLog;
use crate::store::timings::{Timing, append_timing};
use crate::store::{Snapshot, StoreError, load_checkpoint, read_events, save_checkpoint};
use crate::{Real, Record};

/// How many checkpoints are kept: the newest, and the one before it should the newest be damaged.
const KEPT: usize = 2;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A process works on it.
    Running,
    /// It ended before its last step and can be resumed.
    Interrupted,
    /// All its steps are taken.
    Finished,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
        })
    }
}

/// A run that this process has locked. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct Run {
    id: String,
    folder: PathBuf,
    config: String,
    _lock: File,
}

impl Run {
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = lock_patiently(folder, &id)?;
        let path = folder.join("config.toml");
        let config = fs::read_to_string(&path).map_err(StoreError::io("read", &path))?;
        let run = Self { id, folder: folder.to_owned(), config, _lock: lock };
        run.check_config()?;
        Ok(run)
    }

    /// Its name in the store.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of `config.toml`.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Where a run stands, without locking it for longer than a moment.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its event log is.
    pub fn status(folder: &Path) -> Result<Status, StoreError> {
        // In a read-only store the lock fails otherwise; its runs can still be read.
        if let Err(StoreError::InUse { .. }) = try_lock(folder, "") {
            return Ok(Status::Running);
        }
        Ok(if is_finished(folder)? { Status::Finished } else { Status::Interrupted })
    }

    /// Whether a step was ever begun: the event log exists.
    pub fn has_begun(&self) -> bool {
        self.events_path().exists()
    }

    /// Whether all its steps are taken.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its event log is.
    pub fn is_finished(&self) -> Result<bool, StoreError> {
        is_finished(&self.folder)
    }

    /// The newest whole checkpoint and the event log cut back to it; `None` and a log with its first line when there is none.
    ///
    /// # Errors
    /// [`StoreError::Version`] for a checkpoint of another version, [`StoreError::Damaged`] when all checkpoints are damaged.
    pub(crate) fn recover<F: Real>(&self) -> Result<(Option<Snapshot<F>>, EventLog), StoreError> {
        let mut damage = None;
        for path in self.checkpoints()?.into_iter().rev() {
            let recovered = load_checkpoint(&path)
                .and_then(|(snapshot, bytes)| Ok((Some(snapshot), EventLog::open_at(&self.events_path(), bytes)?)));
            match recovered {
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::warn!("{error}; going back to the checkpoint before it");
                    damage.get_or_insert(error);
                }
                other => return other,
            }
        }
        match damage {
            Some(error) => Err(error),
            None => Ok((None, self.start_events()?)),
        }
    }

    fn start_events(&self) -> Result<EventLog, StoreError> {
        let mut log = EventLog::open_at(&self.events_path(), 0)?;
        let mut start = Record::default();
        start.put("started", true);
        start.put("config_blake3", self.config_hash());
        log.append(&start)?;
        log.sync()?;
        Ok(log)
    }

    /// Saves a checkpoint and forgets all but the newest ones.
    pub(crate) fn checkpoint<F: Real>(&self, snapshot: &Snapshot<F>, event_bytes: u64) -> Result<(), StoreError> {
        let folder = self.checkpoint_folder();
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        save_checkpoint(&folder.join(format!("{:012}.safetensors", snapshot.step)), snapshot, event_bytes)?;
        let all = self.checkpoints()?;
        for old in &all[..all.len().saturating_sub(KEPT)] {
            fs::remove_file(old).map_err(StoreError::io("remove", old))?;
        }
        Ok(())
    }

    /// The final or newest snapshot of a run, read without a lock.
    ///
    /// # Errors
    /// As [`load_checkpoint`]; [`StoreError::Damaged`] when there is none.
    pub fn newest_snapshot<F: Real>(folder: &Path) -> Result<Snapshot<F>, StoreError> {
        let checkpoints = list_checkpoints(&folder.join("checkpoints"))?;
        let newest = checkpoints.last().ok_or_else(|| StoreError::damaged(folder, "it has no checkpoint yet"))?;
        Ok(load_checkpoint(newest)?.0)
    }

    pub(crate) fn record_timing(&self, timing: &Timing) -> Result<(), StoreError> {
        append_timing(&self.folder.join("timings.jsonl"), timing)
    }

    fn checkpoints(&self) -> Result<Vec<PathBuf>, StoreError> {
        list_checkpoints(&self.checkpoint_folder())
    }

    fn checkpoint_folder(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    fn events_path(&self) -> PathBuf {
        self.folder.join("events.jsonl")
    }

    fn config_hash(&self) -> String {
        blake3::hash(self.config.as_bytes()).to_hex().to_string()
    }

    /// A changed configuration would continue another run under this one's name, and replay its noise on other gradients.
    fn check_config(&self) -> Result<(), StoreError> {
        let path = self.events_path();
        if !path.exists() {
            return Ok(());
        }
        let first = first_line(&path)?;
        match first.as_ref().and_then(|record| record.get("config_blake3")?.as_str()) {
            Some(hash) if hash != self.config_hash() => Err(StoreError::ConfigChanged { path: self.folder.join("config.toml") }),
            _ => Ok(()),
        }
    }
}

fn is_finished(folder: &Path) -> Result<bool, StoreError> {
    let events = folder.join("events.jsonl");
    Ok(events.exists() && read_events(&events)?.last().is_some_and(|record| record.get("finished").is_some()))
}

/// The first event, unless a kill left it half.
fn first_line(path: &Path) -> Result<Option<Record>, StoreError> {
    use std::io::{BufRead, BufReader};
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    let mut line = String::new();
    BufReader::new(file).read_line(&mut line).map_err(StoreError::io("read", path))?;
    Ok(serde_json::from_str::<serde_json::Map<_, _>>(&line).ok().map(Record::from))
}

fn list_checkpoints(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// Locks, and writes our process id for the message that another process shows.
fn lock_patiently(folder: &Path, id: &str) -> Result<File, StoreError> {
    // Whoever only looks at the status holds the lock for less than this.
    const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);
    let began = std::time::Instant::now();
    let mut file = loop {
        match try_lock(folder, id) {
            Err(StoreError::InUse { .. }) if began.elapsed() < PATIENCE => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            other => break other?,
        }
    };
    let path = folder.join("lock");
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(StoreError::io("write", &path))?;
    Ok(file)
}

fn try_lock(folder: &Path, id: &str) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let opened = File::options().create(true).read(true).write(true).truncate(false).open(&path);
    let mut file = opened.map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: some platforms forbid reading a locked file.
            let _ = file.read_to_string(&mut holder);
            let holder = Some(holder.trim().to_owned()).filter(|pid| !pid.is_empty());
            Err(StoreError::InUse { id: id.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
    }
}
