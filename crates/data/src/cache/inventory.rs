//! What there is: one line a set, and all about one set.

use std::path::PathBuf;

use serde::Serialize;

use super::Cache;
use super::place::{PackedState, Place};
use crate::catalogue::{self, Entry, Origin, State};
use crate::content_hash::Sha256Hash;
use crate::dataset::{DataSet, ImageShape, Kind};
use crate::error::Result;

/// A set in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The name it is asked for by.
    pub name: String,
    /// The name reports print.
    pub title: String,
    /// Catalogue version.
    pub version: String,
    /// Pictures or text.
    pub kind: Kind,
    /// Number of records.
    pub records: usize,
    /// How it can be had now.
    pub state: State,
    /// Bytes that getting it moves (its archive, else its files); 0 for an embedded set.
    pub archive_bytes: u64,
    /// Licence and terms.
    pub licence: String,
    /// What it is.
    pub summary: String,
}

/// A named part and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartInfo {
    /// `train`, `test`, ...
    pub name: String,
    /// Number of records.
    pub records: usize,
    /// Records of each class; empty where there are no labels.
    pub of_class: Vec<usize>,
}

/// All about a set. The facts below `loaded` are there only where the set is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The line of the list.
    #[serde(flatten)]
    pub listing: Listing,
    /// Whom to cite.
    pub citation: String,
    /// What a user should know before trusting a figure; may be empty.
    pub caution: String,
    /// Where it comes from.
    pub source: String,
    /// How to get it; none where it is there.
    pub remedy: Option<String>,
    /// The packed file; none for an embedded or absent set.
    pub path: Option<PathBuf>,
    /// What was found in the records.
    pub loaded: Option<LoadedInfo>,
}

/// What is found in the records of a set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadedInfo {
    /// Digest of the records.
    pub content_sha256: Sha256Hash,
    /// Size of the pictures.
    pub shape: Option<ImageShape>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The named parts.
    pub parts: Vec<PartInfo>,
    /// Records whose bytes occur earlier in the set.
    pub repeated: usize,
    /// Records of `train` that also occur in `test`; none where there are no such parts.
    pub train_in_test: Option<usize>,
    /// Encoding of the text where it was not UTF-8.
    pub encoding: Option<String>,
}

impl Cache {
    /// All sets of the catalogue.
    #[must_use]
    pub fn list(&self) -> Vec<Listing> {
        self.entries.iter().map(|entry| self.listing(entry)).collect()
    }

    /// All about one set; reads its records where it is embedded or cached. Changes nothing.
    ///
    /// # Errors
    /// [`DataError::UnknownSet`](crate::DataError::UnknownSet); as [`load`](Self::load) for a damaged file.
    pub fn info(&self, name: &str) -> Result<Info> {
        let entry = catalogue::find(self.entries, name)?;
        let listing = self.listing(entry);
        let is_loadable = matches!(listing.state, State::Embedded | State::Cached);
        let loaded = if is_loadable { Some(LoadedInfo::of(&self.load(name)?)?) } else { None };
        let remedy = match entry.origin {
            Origin::Files(files) if listing.state == State::Absent => Some(entry.remedy(&files)),
            _ => None,
        };
        let is_cached = listing.state == State::Cached;
        Ok(Info {
            listing,
            citation: entry.citation.to_owned(),
            caution: entry.caution.to_owned(),
            source: entry.source(),
            remedy,
            path: is_cached.then(|| Place::of(&self.root, entry).packed()),
            loaded,
        })
    }

    fn listing(&self, entry: &Entry) -> Listing {
        let archive_bytes = match entry.origin {
            Origin::Embedded(_) => 0,
            Origin::Files(files) => files.archive.map_or_else(|| files.bytes(), |archive| archive.bytes),
        };
        Listing {
            name: entry.name.to_owned(),
            title: entry.title.to_owned(),
            version: entry.version.to_owned(),
            kind: entry.kind,
            records: entry.records,
            state: self.state(entry),
            archive_bytes,
            licence: entry.licence.to_owned(),
            summary: entry.summary.to_owned(),
        }
    }

    /// How a set can be had now. A damaged one is absent: it has to be got again.
    pub(super) fn state(&self, entry: &Entry) -> State {
        let Origin::Files(files) = entry.origin else { return State::Embedded };
        match Place::of(&self.root, entry).packed_state() {
            PackedState::Sound(_) => State::Cached,
            _ if files.installed_folder().is_some() => State::System,
            _ => State::Absent,
        }
    }
}

impl LoadedInfo {
    /// Looks through a set.
    ///
    /// # Errors
    /// [`DataError::BadRequest`](crate::DataError::BadRequest) for parts that lie outside the set.
    pub fn of(set: &DataSet) -> Result<Self> {
        let has = |name: &str| set.splits().iter().any(|part| part.name == name);
        let train_in_test = if has("train") && has("test") {
            Some(set.dedup_across(&set.indices("train")?, &set.indices("test")?)?.dropped.len())
        } else {
            None
        };
        Ok(Self {
            content_sha256: set.content_hash(),
            shape: set.image_shape().ok(),
            classes: set.classes().to_vec(),
            parts: set.splits().iter().map(|part| part_info(set, &part.name, &part.indices())).collect(),
            repeated: set.repeated(),
            train_in_test,
            encoding: set.about().encoding.clone(),
        })
    }
}

fn part_info(set: &DataSet, name: &str, indices: &[usize]) -> PartInfo {
    let mut of_class = vec![0; set.classes().len()];
    if let Some(labels) = set.labels() {
        indices.iter().for_each(|&i| of_class[labels[i] as usize] += 1);
    }
    PartInfo { name: name.to_owned(), records: indices.len(), of_class }
}
