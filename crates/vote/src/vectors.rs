//! Test vectors as files: this library, or one in another language, against an independent program.

mod plain_votes;
mod polynomials;
mod secret;
mod streams;
mod threshold;
mod transcripts;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result};

/// How a file of vectors fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file's name.
    pub file: String,
    /// The cases in it.
    pub cases: usize,
    /// What did not hold.
    pub failures: Vec<String>,
}

/// The checks of a file as they go on.
#[derive(Default)]
struct Checks {
    cases: usize,
    failures: Vec<String>,
}

impl Checks {
    fn case(&mut self) {
        self.cases += 1;
    }

    /// Notes a failure unless what was found is what is expected.
    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: impl std::fmt::Display, found: &T, expected: &T) {
        if found != expected {
            let short = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
            self.failures.push(format!("{what}: found {}, expected {}", short(found), short(expected)));
        }
    }

    /// Notes a failure unless what was found is close to what is expected, a number with six decimals.
    fn close(&mut self, what: impl std::fmt::Display, found: f64, expected: f64) {
        if (found - expected).abs() > 5.1e-7 {
            self.failures.push(format!("{what}: found {found}, expected {expected}"));
        }
    }

    /// The value of a step that can fail.
    fn value<T, E: std::fmt::Display>(&mut self, what: impl std::fmt::Display, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.failures.push(format!("{what}: {error}"))).ok()
    }
}

type Check = fn(&str) -> Result<Checks, serde_json::Error>;

/// The files, each with its check.
const FILES: [(&str, Check); 13] = [
    ("polynomials.json", polynomials::minimal_fields),
    ("polynomials_general.json", polynomials::other_fields),
    ("costs.csv", polynomials::costs),
    ("prg.json", streams::elements),
    ("packing.json", streams::packings),
    ("negative_frames.json", streams::refused_frames),
    ("grouping.json", plain_votes::groups),
    ("hierarchical.json", plain_votes::two_levels),
    ("agreement.json", plain_votes::agreement),
    ("leakage.json", plain_votes::leakage),
    ("transcripts_beaver_explicit.json", transcripts::beaver),
    ("transcripts_oneround_explicit.json", transcripts::one_round),
    ("transcripts_seeded.json", transcripts::seeded),
];

/// Checks all files of a folder: those of `tests/vectors`, or of the same names and forms. `threshold.json` too, if it is there.
///
/// # Errors
/// [`Error::Vectors`] for a file that cannot be read, or is not of its form.
pub fn check_vectors(folder: &Path) -> Result<Vec<FileReport>> {
    let files = FILES.into_iter().chain([("threshold.json", threshold::interpolation as Check)]);
    files.map(|(file, check)| check_file(folder, file, check)).collect()
}

fn check_file(folder: &Path, file: &str, check: Check) -> Result<FileReport> {
    let path: PathBuf = folder.join(file);
    let wrong = |reason: String| Error::Vectors { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let checks = check(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(FileReport { file: file.into(), cases: checks.cases, failures: checks.failures })
}

/// Bytes written as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl Hex {
    fn array<const N: usize>(&self) -> Result<[u8; N], String> {
        self.0.as_slice().try_into().map_err(|_| format!("{} bytes, where {N} are needed", self.0.len()))
    }
}

impl<'de> serde::Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}
