//! What can go wrong in the run store.

use std::path::{Path, PathBuf};

/// An error of the run store: which file, what is wrong with it, what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// What was being done, such as `write`.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// There is no run of that name.
    #[error("there is no run {id:?} in {root}{}", nearest(existing), root = root.display())]
    NoSuchRun {
        /// The name asked for.
        id: String,
        /// The store.
        root: PathBuf,
        /// The runs that exist.
        existing: Vec<String>,
    },

    /// A run's name would lead out of the store.
    #[error("{id:?} cannot name a run; use letters, digits, '-', '_' and '.', not starting with '.'")]
    BadName {
        /// The name.
        id: String,
    },

    /// The folder for a new run is taken.
    #[error("{path} exists already; resume that run, or choose another --out", path = path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },

    /// Another process works on the run.
    #[error("run {id} is in use by another process{}; wait for it or stop it first", holder.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The run.
        id: String,
        /// The holder's process id, where known.
        holder: Option<String>,
    },

    /// A file of the run is damaged.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },

    /// A file was written by another version.
    #[error("{path} has format {found}, this program reads format {expected}; resume it with the version that wrote it", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        expected: u64,
    },

    /// `config.toml` is not the one with which the run began.
    #[error("{path} was changed after the run began; restore it, or start a new run with the new configuration", path = path.display())]
    ConfigChanged {
        /// The configuration file.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether the input or the call is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Io { doing, .. } if *doing != "read")
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => "; free some space and resume the run: its last checkpoint is whole",
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder you may write to with --out or THALWEG_RUNS"
        }
        _ => "",
    }
}

fn nearest(existing: &[String]) -> String {
    const SHOWN: usize = 5;
    let Some(newest) = existing.last() else {
        return "; it is empty".to_owned();
    };
    let shown = &existing[existing.len().saturating_sub(SHOWN)..];
    if existing.len() > SHOWN {
        return format!("; the newest of its {} runs is {newest}", existing.len());
    }
    format!("; it has {}", shown.join(", "))
}
