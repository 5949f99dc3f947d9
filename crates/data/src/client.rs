//! Running the user's own package client, the only way this crate ever reaches a network: through a program the user already trusts.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::catalogue::{Client, Entry, Files};
use crate::error::{DataError, Result};
use crate::platform;

/// How often a running client is looked at.
const POLL: Duration = Duration::from_millis(20);

/// As many lines of a client's errors are shown.
const SHOWN_LINES: usize = 20;

/// Where clients are looked for and how long they may take.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// Folders to look in; the environment's `PATH` where there are none.
    pub(crate) search_path: Option<OsString>,
    pub(crate) timeout: Duration,
}

impl Clients {
    /// Runs the client of `entry` in the empty folder `folder` and returns the one archive that it leaves there.
    ///
    /// # Errors
    /// [`DataError::ClientNotFound`], [`DataError::ClientFailed`], [`DataError::CacheNotWritable`].
    pub(crate) fn download(&self, entry: &Entry, files: &Files, client: &Client, folder: &Path) -> Result<PathBuf> {
        let (program, first_arguments) = self.find(client).ok_or_else(|| not_found(entry, files, client))?;
        let errors_path = folder.join(".client-errors");
        let errors = File::create(&errors_path).map_err(DataError::not_writable(&errors_path, 0))?;
        let mut command = Command::new(program);
        command.args(first_arguments).args(client.arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let failed = |outcome: String| DataError::ClientFailed {
            command: client.to_string(),
            outcome,
            stderr_tail: last_lines(&errors_path),
        };
        let mut child = command.spawn().map_err(|error| failed(format!("could not be started: {error}")))?;
        match self.wait(&mut child).map_err(|error| failed(format!("could not be waited for: {error}")))? {
            None => return Err(failed(format!("was stopped after {} s", self.timeout.as_secs()))),
            Some(status) if !status.success() => return Err(failed(describe(status))),
            Some(_) => {}
        }
        let archive = the_archive(folder, files).map_err(DataError::unreadable(folder))?;
        archive.ok_or_else(|| failed("ended well but did not leave one archive".to_owned()))
    }

    fn find(&self, client: &Client) -> Option<(PathBuf, &'static [&'static str])> {
        let environment = std::env::var_os("PATH").unwrap_or_default();
        let search_path: &OsStr = self.search_path.as_ref().unwrap_or(&environment);
        let calls = client.program.calls().iter();
        calls.filter_map(|(name, first)| Some((platform::find_program(name, search_path)?, *first))).next()
    }

    /// The exit status, or `None` where the client ran too long and was killed.
    fn wait(&self, child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= self.timeout {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

fn not_found(entry: &Entry, files: &Files, client: &Client) -> DataError {
    let also = match files.installed_at {
        [] => String::new(),
        places => format!("; or install the package system-wide, so that its files are in {}", places.join(" or ")),
    };
    let (name, program) = (entry.name.to_owned(), client.program.name().to_owned());
    DataError::ClientNotFound { name, program, command: client.to_string(), also }
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => format!("was killed ({status})"),
    }
}

fn last_lines(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The file of the expected name, else the only file that is not hidden.
fn the_archive(folder: &Path, files: &Files) -> std::io::Result<Option<PathBuf>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            left.push(entry.path());
        }
    }
    let expected = files.archive.map(|archive| folder.join(archive.name));
    let exact = left.iter().find(|path| Some(*path) == expected.as_ref()).cloned();
    Ok(exact.or_else(|| if left.len() == 1 { left.pop() } else { None }))
}
