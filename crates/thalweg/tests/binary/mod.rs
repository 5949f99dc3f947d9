//! The real binary in a folder, as a person calls it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The call, in that folder, with the folder of runs left at its default.
pub(crate) fn command(folder: &Path, call: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command
}

/// What came of it.
pub(crate) fn run(folder: &Path, call: &str) -> Output {
    command(folder, call).output().unwrap()
}

/// The document of a call that must succeed.
#[track_caller]
pub(crate) fn json(folder: &Path, call: &str) -> Value {
    let output = run(folder, &format!("{call} --json"));
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code 2, and a message that names all parts.
#[track_caller]
pub(crate) fn refused(folder: &Path, call: &str, parts: &[&str]) {
    let output = run(folder, call);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{call}: {message}");
    for part in parts {
        assert!(message.contains(part), "{call}: {message}");
    }
}
