//! Getting a set: from the cache, from a package manager's folder, from an archive at hand, or with a package client.
//!
//! Every step leaves its result under a final name or not at all, so a run that is killed anywhere is repeated from the step it was in.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lock::{Lock, of_dead_holder};
use super::manifest::{FileState, Manifest};
use super::place::{PackedState, Place, publish, set_aside};
use super::{Cache, copy};
use crate::catalogue::{self, Entry, Files, MemberFiles, Origin};
use crate::content_hash::Sha256Hash;
use crate::error::{DataError, Result};
use crate::packed;

/// Whether a package client may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// No other program is started.
    #[default]
    Offline,
    /// The client that the catalogue names may be started, unless the environment says `THALWEG_OFFLINE=1`.
    PackageClient,
}

/// What to do where the set is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Nothing.
    #[default]
    Keep,
    /// Get it anew.
    Replace,
}

/// What to do with the archive once the set is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepArchive {
    /// Delete it.
    #[default]
    No,
    /// Keep it in the cache.
    Yes,
}

/// How to get a set. The default starts no other program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GetOptions {
    /// Whether a package client may be started.
    pub network: Network,
    /// What to do where the set is there already.
    pub existing: Existing,
    /// What to do with the archive once the set is packed.
    pub archive: KeepArchive,
}

/// Where a set came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is part of the program.
    Embedded,
    /// It was in the cache.
    Cached,
    /// A package manager had installed it; packed now.
    Installed,
    /// A package client got it; packed now.
    Downloaded,
    /// The archive was in the cache or was given by the user; packed now.
    Unpacked,
}

/// A set that is ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Got {
    /// Catalogue name.
    pub name: String,
    /// Catalogue version.
    pub version: String,
    /// Where it came from.
    pub outcome: Outcome,
    /// The packed file; none for an embedded set.
    pub path: Option<PathBuf>,
    /// Number of records.
    pub records: usize,
    /// Bytes of the packed file; 0 for an embedded set.
    pub bytes: u64,
    /// Digest of the records.
    pub content_sha256: Sha256Hash,
}

impl Cache {
    /// Makes a set ready to be loaded. Where it is ready nothing is done and no other program is started.
    ///
    /// # Errors
    /// [`DataError::UnknownSet`], [`DataError::NotCached`] where nothing may be started, [`DataError::ClientNotFound`],
    /// [`DataError::ClientFailed`], [`DataError::HashMismatch`], [`DataError::MemberMissing`], [`DataError::CacheNotWritable`],
    /// [`DataError::Locked`].
    pub fn get(&self, name: &str, options: &GetOptions) -> Result<Got> {
        let entry = catalogue::find(self.entries, name)?;
        let files = match entry.origin {
            Origin::Files(files) => files,
            Origin::Embedded(_) => return self.embedded(entry),
        };
        let options = GetOptions { network: allowed_network(options.network), ..*options };
        let job = Job { cache: self, entry, files, place: Place::of(&self.root, entry), options };
        if let Some(got) = job.ready() {
            job.tidy_after_a_kill();
            return Ok(got);
        }
        job.check_that_something_can_be_done()?;
        job.place.create()?;
        let _lock = Lock::acquire(&self.root, name, self.lock_patience)?;
        job.run()
    }

    /// Takes a set from an archive or a folder of the user's own. An archive is copied first; a copy that was interrupted goes on
    /// where it stopped. Where the set is ready already nothing is done, unless [`Existing::Replace`] is asked for.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`DataError::BadRequest`] for an embedded set.
    pub fn add(&self, name: &str, source: &Path, options: &GetOptions) -> Result<Got> {
        let entry = catalogue::find(self.entries, name)?;
        let Origin::Files(files) = entry.origin else {
            return Err(DataError::bad_request("the data set to add", name, "one that is not part of the program already"));
        };
        let is_folder = std::fs::metadata(source).map_err(DataError::unreadable(source))?.is_dir();
        let job = Job { cache: self, entry, files, place: Place::of(&self.root, entry), options: *options };
        if let Some(got) = job.ready() {
            job.tidy_after_a_kill();
            return Ok(got);
        }
        job.place.create()?;
        let _lock = Lock::acquire(&self.root, name, self.lock_patience)?;
        if is_folder {
            return job.pack(&MemberFiles::from_folder(&files, source)?, Outcome::Unpacked);
        }
        copy::resumable(source, &job.place.archive())?;
        job.unpack(Outcome::Unpacked)
    }

    fn embedded(&self, entry: &Entry) -> Result<Got> {
        let set = self.load(entry.name)?;
        Ok(Got {
            name: entry.name.to_owned(),
            version: entry.version.to_owned(),
            outcome: Outcome::Embedded,
            path: None,
            records: set.len(),
            bytes: 0,
            content_sha256: set.content_hash(),
        })
    }
}

fn allowed_network(asked: Network) -> Network {
    let forbidden = std::env::var_os("THALWEG_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0");
    if forbidden { Network::Offline } else { asked }
}

/// One set on its way into the cache.
struct Job<'a> {
    cache: &'a Cache,
    entry: &'a Entry,
    files: Files,
    place: Place,
    options: GetOptions,
}

impl Job<'_> {
    /// The set, where it is in the cache and may stay.
    fn ready(&self) -> Option<Got> {
        match (self.options.existing, self.place.packed_state()) {
            (Existing::Keep, PackedState::Sound(manifest)) => Some(self.got(manifest, Outcome::Cached)),
            _ => None,
        }
    }

    /// Before anything is locked or written: an empty cache that may not be filled is not touched.
    fn check_that_something_can_be_done(&self) -> Result<()> {
        let at_hand = self.place.archive().is_file() || self.files.installed_folder().is_some();
        let damaged = matches!(self.place.packed_state(), PackedState::Damaged(_));
        if at_hand || damaged || self.usable_client().is_some() {
            return Ok(());
        }
        Err(self.cache.not_cached(self.entry, &self.files))
    }

    fn usable_client(&self) -> Option<catalogue::Client> {
        self.files.client.filter(|_| self.options.network == Network::PackageClient)
    }

    fn run(&self) -> Result<Got> {
        // Another process may have got it while this one waited for the lock.
        if let Some(got) = self.ready() {
            return Ok(got);
        }
        let damage = match self.place.packed_state() {
            PackedState::Damaged(error) => Some(self.set_packed_aside(error)),
            _ => None,
        };
        if let Some(got) = self.take_installed() {
            return got;
        }
        let replace = self.options.existing == Existing::Replace;
        match self.usable_client() {
            Some(client) if replace || !self.place.archive().is_file() => {
                self.download(&client)?;
                self.unpack(Outcome::Downloaded)
            }
            _ if self.place.archive().is_file() => self.unpack(Outcome::Unpacked),
            _ => Err(damage.unwrap_or_else(|| self.cache.not_cached(self.entry, &self.files))),
        }
    }

    fn set_packed_aside(&self, error: DataError) -> DataError {
        tracing::warn!("{error}");
        let _ = std::fs::remove_file(self.place.manifest());
        let error = if self.place.packed().is_file() { set_aside(&self.place.packed(), error) } else { error };
        match error {
            DataError::HashMismatch { what, quantity, expected, found, kept } => {
                let kept = format!("{kept}. {}", self.entry.remedy(&self.files));
                DataError::HashMismatch { what, quantity, expected, found, kept }
            }
            other => other,
        }
    }

    /// `None` where no package manager has the files, or has others than the catalogue knows.
    fn take_installed(&self) -> Option<Result<Got>> {
        let folder = self.files.installed_folder()?;
        match MemberFiles::from_folder(&self.files, &folder) {
            Ok(members) => Some(self.pack(&members, Outcome::Installed)),
            Err(error) => {
                tracing::warn!("passing over {}: {error}", folder.display());
                None
            }
        }
    }

    fn download(&self, client: &catalogue::Client) -> Result<()> {
        let folder = self.place.fresh_download_folder()?;
        tracing::info!("running `{client}` in {}", folder.display());
        let result = self.cache.clients.download(self.entry, &self.files, client, &folder).and_then(|archive| {
            let synced = std::fs::File::open(&archive).and_then(|file| file.sync_all());
            synced.map_err(DataError::not_writable(&archive, 0))?;
            publish(&archive, &self.place.archive())
        });
        let _ = std::fs::remove_dir_all(&folder);
        result
    }

    /// From the archive in the cache to the packed file. An archive that is not what it should be is set aside, so that the next run
    /// gets it anew.
    fn unpack(&self, outcome: Outcome) -> Result<Got> {
        let members = self.members_of_archive().map_err(|error| set_aside(&self.place.archive(), error))?;
        self.pack(&members, outcome)
    }

    /// An archive other than the known one will do where every member has a known digest: packages are released anew with the same
    /// files.
    fn members_of_archive(&self) -> Result<MemberFiles> {
        let path = self.place.archive();
        let members = || MemberFiles::from_archive(&self.files, &path);
        let Some(mismatch) = self.files.archive.and_then(|known| known.check_file(&path).err()) else {
            return members();
        };
        if !self.files.members_are_verified() {
            return Err(mismatch);
        }
        tracing::warn!("{mismatch}; looking at the files inside");
        members().map_err(|error| match error {
            DataError::Malformed { .. } => mismatch,
            telling => telling,
        })
    }

    fn pack(&self, members: &MemberFiles, outcome: Outcome) -> Result<Got> {
        let set = (self.files.read)(self.entry.about(), members)?;
        self.entry.check_content(&set)?;
        let part = self.place.packed().with_extension("part");
        let written = packed::write(&set, &part).inspect_err(|_| {
            // A full disk is not made fuller by half a file.
            let _ = std::fs::remove_file(&part);
        })?;
        publish(&part, &self.place.packed())?;
        let state = FileState::of(&self.place.packed()).map_err(DataError::unreadable(&self.place.packed()))?;
        let manifest = Manifest {
            name: self.entry.name.to_owned(),
            version: self.entry.version.to_owned(),
            records: set.len(),
            content_sha256: set.content_hash(),
            packed_sha256: written.sha256,
            packed_bytes: written.bytes,
            modified: state.modified,
        };
        self.place.write_manifest(&manifest)?;
        self.tidy();
        Ok(self.got(manifest, outcome))
    }

    /// What can be removed once the manifest is written.
    fn tidy(&self) {
        if self.options.archive == KeepArchive::No {
            let _ = std::fs::remove_file(self.place.archive());
        }
        self.place.sweep();
    }

    /// Does what a process still had to do that was killed when its set was ready.
    fn tidy_after_a_kill(&self) {
        if let Some(_lock) = of_dead_holder(&self.cache.root, self.entry.name) {
            self.tidy();
        }
    }

    fn got(&self, manifest: Manifest, outcome: Outcome) -> Got {
        Got {
            name: manifest.name,
            version: manifest.version,
            outcome,
            path: Some(self.place.packed()),
            records: manifest.records,
            bytes: manifest.packed_bytes,
            content_sha256: manifest.content_sha256,
        }
    }
}
