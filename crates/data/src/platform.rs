//! The few questions whose answer depends on the operating system, each with an answer for the ones not known here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The user's cache folder: `$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`.
pub(crate) fn user_cache() -> Option<PathBuf> {
    let folder = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return Some(folder("LOCALAPPDATA")?.join("thalweg").join("cache"));
    }
    if cfg!(target_os = "macos") {
        return Some(folder("HOME")?.join("Library").join("Caches").join("thalweg"));
    }
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("thalweg"))
}

/// A name for this machine.
pub(crate) fn host() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = from_kernel.or_else(|| std::env::var("COMPUTERNAME").ok()).or_else(|| std::env::var("HOSTNAME").ok());
    named.map_or_else(|| "unknown host".to_owned(), |name| name.trim().to_owned())
}

/// The file of a program on the search path. On Windows the endings of `PATHEXT` are tried.
pub(crate) fn find_program(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    let endings =
        if cfg!(windows) { std::env::var("PATHEXT").unwrap_or_else(|_| ".EXE;.CMD;.BAT".to_owned()) } else { String::new() };
    let names: Vec<String> = endings.split(';').map(|ending| format!("{name}{ending}")).collect();
    let folders = std::env::split_paths(search_path).filter(|folder| folder.is_absolute());
    folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>()).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// Asks the disk to keep the names in a folder, where the system can do that.
pub(crate) fn sync_folder(folder: &Path) {
    // A folder cannot be opened as a file everywhere. Where it cannot, the rename is durable by other means or not at all, and the
    // cache stays consistent either way: a lost name only means that its step is done again.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}
