//! `timings.jsonl`: what a repetition of the run does not give again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Steps taken.
    pub step: u64,
    /// Seconds since this process began or resumed the run.
    pub seconds: f64,
    /// The most memory the process has held.
    pub peak_memory_bytes: Option<u64>,
}

/// Appends a measurement in one write.
pub(crate) fn append_timing(path: &Path, timing: &Timing) -> Result<(), StoreError> {
    let mut line = serde_json::to_vec(timing).map_err(|error| StoreError::damaged(path, error))?;
    line.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(StoreError::io("open", path))?;
    file.write_all(&line).map_err(StoreError::io("write", path))
}

/// Reads the measurements; lines that a kill left half are left out.
///
/// # Errors
/// [`StoreError::Io`] when the file exists but cannot be read.
pub fn read_timings(path: &Path) -> Result<Vec<Timing>, StoreError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(StoreError::io("read", path))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
