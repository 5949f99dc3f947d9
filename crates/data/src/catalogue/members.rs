//! The files of a set, taken out of an archive or a folder and checked before anything trusts them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{FileId, Files, Members, mismatch};
use crate::archive::{self, Member, MemberKind};
use crate::error::{DataError, Result};
use crate::nearest::nearest;

/// As many names of an archive are remembered for the message about one that is missing.
const MOST_NAMES: usize = 10_000;

/// The verified members of a set, by their names below the root.
#[derive(Debug, Default)]
pub struct MemberFiles {
    by_name: BTreeMap<String, Vec<u8>>,
}

impl MemberFiles {
    /// Name and bytes of a member.
    ///
    /// # Errors
    /// [`DataError::MemberMissing`].
    pub fn get<'a>(&'a self, name: &'a str) -> Result<(&'a str, &'a [u8])> {
        let bytes = self.by_name.get(name).ok_or_else(|| missing("the archive", name, self.by_name.keys()))?;
        Ok((name, bytes))
    }

    /// All members in byte order of their names.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.by_name
    }

    /// Takes the members out of an archive.
    ///
    /// # Errors
    /// [`DataError::MemberMissing`], [`DataError::HashMismatch`], [`DataError::UnsafeMember`], [`DataError::Malformed`].
    pub(crate) fn from_archive(files: &Files, path: &Path) -> Result<Self> {
        let mut collector = Collector::new(files, path);
        archive::visit(path, &mut |member| collector.visit(member))?;
        collector.finish()
    }

    /// Reads the members from a folder: the archive's root, or the folder that holds it.
    ///
    /// # Errors
    /// As [`from_archive`](Self::from_archive), and [`DataError::Unreadable`].
    pub(crate) fn from_folder(files: &Files, folder: &Path) -> Result<Self> {
        let mut collector = Collector::new(files, folder);
        for (name, path) in candidates(files, folder)? {
            let mut file = File::open(&path).map_err(DataError::unreadable(&path))?;
            let stated_bytes = file.metadata().map_err(DataError::unreadable(&path))?.len();
            let member = Member { name: &name, kind: MemberKind::File, stated_bytes, content: &mut file };
            collector.visit(member)?;
        }
        collector.finish()
    }
}

/// Whether a folder holds every listed member under its name and with its size.
pub(super) fn folder_looks_complete(files: &Files, folder: &Path) -> bool {
    let Members::Listed(list) = files.members else { return false };
    list.iter().all(|file| std::fs::metadata(folder.join(file.name)).is_ok_and(|about| about.len() == file.bytes))
}

/// Names below the root and paths of the files in a folder that may be members.
fn candidates(files: &Files, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let Members::Listed(list) = files.members else { return files_below(folder) };
    let places = [folder.to_path_buf(), folder.join(files.root)];
    let find = |file: &FileId| places.iter().map(|place| place.join(file.name)).find(|path| path.is_file());
    let found: Vec<_> = list.iter().filter_map(|file| Some((file.name.to_owned(), find(file)?))).collect();
    // Where nothing fits, the names that are there make the error helpful.
    if found.is_empty() { files_below(folder) } else { Ok(found) }
}

fn files_below(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root.to_path_buf())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(DataError::unreadable(&folder))? {
            let entry = entry.map_err(DataError::unreadable(&folder))?;
            let kind = entry.file_type().map_err(DataError::unreadable(&folder))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                open.push((format!("{name}/"), entry.path()));
            } else if kind.is_file() {
                found.push((name, entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Picks the wanted members, each read no further than its expected size allows.
struct Collector<'a> {
    files: &'a Files,
    source: String,
    found: MemberFiles,
    bytes: u64,
    names: Vec<String>,
}

impl<'a> Collector<'a> {
    fn new(files: &'a Files, source: &Path) -> Self {
        let source = source.display().to_string();
        Self { files, source, found: MemberFiles::default(), bytes: 0, names: Vec::new() }
    }

    fn visit(&mut self, member: Member<'_>) -> Result<()> {
        if member.kind == MemberKind::Other {
            return Ok(());
        }
        if self.names.len() < MOST_NAMES {
            self.names.push(member.name.to_owned());
        }
        let Some(name) = self.files.wanted(member.name) else { return Ok(()) };
        if member.kind == MemberKind::Link {
            let (archive, member) = (self.source.clone(), member.name.to_owned());
            return Err(DataError::UnsafeMember { archive, member, reason: "a link" });
        }
        let what = format!("{} in {}", member.name, self.source);
        let bytes = match self.listed(name) {
            Some(file) => {
                let bytes = self.read(member.content, member.stated_bytes, file.bytes, &what)?;
                file.check(&what, &bytes)?;
                bytes
            }
            None => self.read(member.content, member.stated_bytes, self.files.bytes().saturating_sub(self.bytes), &what)?,
        };
        self.bytes += bytes.len() as u64;
        self.found.by_name.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn listed(&self, name: &str) -> Option<&'static FileId> {
        match self.files.members {
            Members::Listed(list) => list.iter().find(|file| file.name == name),
            Members::Matching { .. } => None,
        }
    }

    fn read(&self, content: &mut dyn Read, stated: u64, limit: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(stated.min(limit) as usize);
        let read = content.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| DataError::malformed(what, bytes.len() as u64, "more of the member", error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(mismatch(what, "size", format!("at most {limit}"), format!("more than {limit}")));
        }
        Ok(bytes)
    }

    fn finish(self) -> Result<MemberFiles> {
        match self.files.members {
            Members::Listed(list) => {
                if let Some(file) = list.iter().find(|file| !self.found.by_name.contains_key(file.name)) {
                    return Err(missing(&self.source, &format!("{}{}", self.files.root, file.name), &self.names));
                }
            }
            Members::Matching { count, bytes, .. } => {
                let found = self.found.by_name.len();
                if found == 0 {
                    return Err(missing(&self.source, self.files.root, &self.names));
                }
                if (found, self.bytes) != (count, bytes) {
                    let describe = |count, bytes| format!("{count} files of {bytes} bytes");
                    return Err(mismatch(&self.source, "size", describe(count, bytes), describe(found, self.bytes)));
                }
            }
        }
        Ok(self.found)
    }
}

fn missing<'a>(archive: &str, member: &str, names: impl IntoIterator<Item = &'a String>) -> DataError {
    DataError::MemberMissing {
        archive: archive.to_owned(),
        member: member.to_owned(),
        nearest: nearest(member, names.into_iter().map(String::as_str), 10),
    }
}
