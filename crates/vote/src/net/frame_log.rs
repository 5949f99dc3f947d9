//! The log of a process's frames: a line with the hash of each that it sent or took, so that nobody can say later to have sent
//! another.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::folder::{append_private, hex};
use crate::wire::{Frame, Party};
use crate::{Error, Result};

/// A file with a line of JSON for each frame. It holds no frame's contents, but hashes of short messages can be guessed: it is
/// readable by its owner alone.
#[derive(Debug)]
pub struct FrameLog {
    path: PathBuf,
    file: File,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    Sent,
    Received,
}

#[derive(Serialize)]
struct Line {
    way: Way,
    /// At the other end.
    party: String,
    #[serde(flatten)]
    place: Option<Place>,
    bytes: usize,
    sha256: String,
}

/// What the header says; absent for what is no frame.
#[derive(Serialize)]
struct Place {
    #[serde(rename = "type")]
    kind: String,
    round: u32,
    attempt: u16,
    group: u16,
    step: u16,
    first_coordinate: u32,
}

impl FrameLog {
    /// Appends to a file, which is made if there is none.
    ///
    /// # Errors
    /// [`Error::Folder`] if it cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = append_private(path).map_err(|error| Error::folder(path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(super) fn note(&mut self, way: Way, party: Party, bytes: &[u8]) -> Result<()> {
        let place = Frame::parse(bytes).ok().map(|frame| Place {
            kind: frame.header.kind.to_string(),
            round: frame.header.round,
            attempt: frame.header.attempt,
            group: frame.header.group,
            step: frame.header.step,
            first_coordinate: frame.header.offset,
        });
        let line = Line { way, party: party.to_string(), place, bytes: bytes.len(), sha256: hex(&Sha256::digest(bytes)) };
        let failed = |reason: String| Error::Folder { path: self.path.clone(), reason };
        let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.to_string()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_frame_and_its_hash_and_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.jsonl");
        for bytes in [&b"no frame"[..], &[0; 60]] {
            FrameLog::open(&path).unwrap().note(Way::Received, Party::User(3), bytes).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((text.lines().count(), first["party"].as_str(), first["bytes"].as_u64()), (2, Some("user 3"), Some(8)));
        assert_eq!(first["sha256"], hex(&Sha256::digest(b"no frame")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(FrameLog::open(folder.path()).is_err());
    }
}
