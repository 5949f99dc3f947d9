//! A folder of runs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::{Run, StoreError, write_atomically};

/// A folder whose sub-folders are runs.
#[derive(Clone, Debug)]
pub struct RunStore {
    root: PathBuf,
}

impl RunStore {
    /// The store in that folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates a run with the next free number, such as `private-7`, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder cannot be written.
    pub fn create(&self, kind: &str, config: &str) -> Result<Run, StoreError> {
        let numbers = self.list()?.into_iter().filter_map(|id| id.strip_prefix(kind)?.strip_prefix('-')?.parse::<u64>().ok());
        let mut number = numbers.max().unwrap_or(0);
        loop {
            number += 1;
            match self.create_named(&format!("{kind}-{number}"), config) {
                // Another process took the number between the look and the leap.
                Err(StoreError::Taken { .. }) => {}
                created => return created,
            }
        }
    }

    /// Creates a run of that name and locks it. The folder appears with its configuration in it or not at all.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when it exists; [`StoreError::BadName`]; [`StoreError::Io`].
    pub fn create_named(&self, id: &str, config: &str) -> Result<Run, StoreError> {
        check_name(id)?;
        fs::create_dir_all(&self.root).map_err(StoreError::io("create", &self.root))?;
        let folder = self.root.join(id);
        let taken = || StoreError::Taken { path: folder.clone() };
        if folder.exists() {
            return Err(taken());
        }
        let part = self.root.join(format!(".{id}.{}.part", std::process::id()));
        let prepared = prepare(&part, config);
        // Renaming onto a folder that exists and is not empty fails: of two processes, one wins.
        let renamed = prepared.and_then(|()| {
            fs::rename(&part, &folder).map_err(|source| match folder.exists() {
                true => taken(),
                false => StoreError::io("create", &folder)(source),
            })
        });
        if let Err(error) = renamed {
            let _ = fs::remove_dir_all(&part);
            return Err(error);
        }
        super::atomic::sync_folder(&self.root)?;
        Run::open(&folder)
    }

    /// Opens and locks a run to go on with it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::InUse`], [`StoreError::ConfigChanged`], [`StoreError::Damaged`].
    pub fn open(&self, id: &str) -> Result<Run, StoreError> {
        Run::open(&self.find(id)?)
    }

    /// Opens the run of that name, or creates it: a script that is run again goes on where it stopped.
    ///
    /// # Errors
    /// [`StoreError::ConfigChanged`] when it exists with another configuration; those of [`open`](Self::open).
    pub fn open_or_create(&self, id: &str, config: &str) -> Result<Run, StoreError> {
        match self.create_named(id, config) {
            Err(StoreError::Taken { .. }) => {}
            created => return created,
        }
        let run = self.open(id)?;
        if run.config() != config {
            return Err(StoreError::ConfigChanged { path: run.folder().join("config.toml") });
        }
        Ok(run)
    }

    /// The folder of a run, to read it without a lock.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::BadName`].
    pub fn find(&self, id: &str) -> Result<PathBuf, StoreError> {
        check_name(id)?;
        let folder = self.root.join(id);
        if folder.join("config.toml").is_file() {
            return Ok(folder);
        }
        let existing = self.list().unwrap_or_default();
        Err(StoreError::NoSuchRun { id: id.to_owned(), root: self.root.clone(), existing })
    }

    /// The names of all runs, those with numbers in their order.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder exists but cannot be read.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        if !self.root.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.root).map_err(StoreError::io("read", &self.root))?;
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("config.toml").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
        Ok(names)
    }
}

fn prepare(folder: &Path, config: &str) -> Result<(), StoreError> {
    let checkpoints = folder.join("checkpoints");
    fs::create_dir_all(&checkpoints).map_err(StoreError::io("create", &checkpoints))?;
    write_atomically(&folder.join("config.toml"), config.as_bytes())
}

fn check_name(id: &str) -> Result<(), StoreError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.starts_with('.') || id.len() > 200 || !id.chars().all(fine) {
        return Err(StoreError::BadName { id: id.to_owned() });
    }
    Ok(())
}

/// `private-9` before `private-10`.
fn order_key(id: &str) -> (&str, u64, &str) {
    match id.rsplit_once('-') {
        Some((kind, number)) => (kind, number.parse().unwrap_or(u64::MAX), id),
        None => (id, 0, id),
    }
}
