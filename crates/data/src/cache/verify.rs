//! Reading every byte of a set and comparing it with what it should be.

use serde::Serialize;

use super::Cache;
use super::manifest::Manifest;
use super::place::Place;
use crate::catalogue::{self, Entry, Files, MemberFiles, Origin, State, mismatch};
use crate::error::{DataError, Result};
use crate::packed;

/// What was found about one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Catalogue name.
    pub name: String,
    /// How it can be had now; nothing of an absent set is read.
    pub state: State,
    /// What is wrong, each with its code; empty where all is well.
    pub damage: Vec<String>,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Cache {
    /// Checks one set, or all that are there. Every byte is read; nothing is changed. Damage is part of the answer, not an error.
    ///
    /// # Errors
    /// [`DataError::UnknownSet`].
    pub fn verify(&self, name: Option<&str>) -> Result<Vec<Verification>> {
        let entries = match name {
            Some(name) => std::slice::from_ref(catalogue::find(self.entries, name)?),
            None => self.entries,
        };
        Ok(entries.iter().map(|entry| self.verify_entry(entry)).collect())
    }

    fn verify_entry(&self, entry: &Entry) -> Verification {
        let damage = match entry.origin {
            Origin::Embedded(read) => failures([read(entry.about()).and_then(|set| entry.check_content(&set))]),
            Origin::Files(files) => self.verify_files(entry, &files),
        };
        Verification { name: entry.name.to_owned(), state: self.state(entry), damage }
    }

    fn verify_files(&self, entry: &Entry, files: &Files) -> Vec<String> {
        let place = Place::of(&self.root, entry);
        let installed = files.installed_folder().map(|folder| MemberFiles::from_folder(files, &folder).map(|_| ()));
        failures([verify_archive(files, &place), verify_packed(entry, &place), installed.unwrap_or(Ok(()))])
    }
}

fn failures(checks: impl IntoIterator<Item = Result<()>>) -> Vec<String> {
    checks.into_iter().filter_map(|check| Some(check.err()?.to_string())).collect()
}

/// An archive that was kept.
fn verify_archive(files: &Files, place: &Place) -> Result<()> {
    let path = place.archive();
    match files.archive {
        Some(known) if path.is_file() && known.check_file(&path).is_err() && files.members_are_verified() => {
            MemberFiles::from_archive(files, &path).map(|_| ())
        }
        Some(known) if path.is_file() => known.check_file(&path),
        _ => Ok(()),
    }
}

fn verify_packed(entry: &Entry, place: &Place) -> Result<()> {
    let path = place.manifest();
    if !path.is_file() {
        return Ok(());
    }
    let text = std::fs::read(&path).map_err(DataError::unreadable(&path))?;
    let manifest = Manifest::parse(&text, &path)?;
    place.check_packed_digest(&manifest)?;
    let set = packed::open(&place.packed())?;
    let found = set.compute_content_hash();
    if found != manifest.content_sha256 {
        let what = place.packed().display().to_string();
        return Err(mismatch(&what, "content sha256", manifest.content_sha256.to_string(), found.to_string()));
    }
    entry.check_content(&set.with_known_hash(found))
}
