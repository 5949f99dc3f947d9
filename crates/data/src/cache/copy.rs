//! Copying a file into the cache so that a copy that was interrupted goes on where it stopped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::{publish, write_synced};
use crate::content_hash::{Hasher, Sha256Hash};
use crate::error::{DataError, Result};

/// So many bytes are copied between two notes of the progress.
const STRIDE: u64 = 16 << 20;

/// How far a copy has come: so many bytes are on the disk, with this digest.
#[derive(Serialize, Deserialize)]
struct Progress {
    bytes: u64,
    sha256: Sha256Hash,
}

/// Copies `source` to `target` by way of `<target>.part`, whose progress is noted in `<target>.part.json`.
///
/// # Errors
/// [`DataError::Unreadable`], [`DataError::CacheNotWritable`].
pub(super) fn resumable(source: &Path, target: &Path) -> Result<()> {
    Copy::new(source, target)?.run()
}

struct Copy<'a> {
    source: &'a Path,
    target: &'a Path,
    part: PathBuf,
    note: PathBuf,
    reader: File,
    total: u64,
}

impl<'a> Copy<'a> {
    fn new(source: &'a Path, target: &'a Path) -> Result<Self> {
        let reader = File::open(source).map_err(DataError::unreadable(source))?;
        let total = reader.metadata().map_err(DataError::unreadable(source))?.len();
        let (part, note) = (target.with_extension("part"), target.with_extension("part.json"));
        Ok(Self { source, target, part, note, reader, total })
    }

    fn run(mut self) -> Result<()> {
        let (part, total) = (self.part.clone(), self.total);
        let not_writable = |error| DataError::not_writable(&part, total)(error);
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&self.part);
        let mut writer = opened.map_err(not_writable)?;
        let (mut done, mut hasher) = match self.resumed(&mut writer) {
            Some((bytes, hasher)) => (bytes, hasher),
            None => (0, Hasher::new()),
        };
        tracing::debug!("copying {} from byte {done}", self.source.display());
        writer.set_len(done).map_err(not_writable)?;
        writer.seek(SeekFrom::Start(done)).map_err(not_writable)?;
        self.reader.seek(SeekFrom::Start(done)).map_err(DataError::unreadable(self.source))?;
        while done < self.total {
            let copied = self.copy_stride(&mut writer, &mut hasher)?;
            if copied == 0 {
                break;
            }
            done += copied;
            self.note_progress(&writer, Progress { bytes: done, sha256: hasher.so_far() })?;
        }
        drop(writer);
        publish(&self.part, self.target)?;
        let _ = std::fs::remove_file(&self.note);
        Ok(())
    }

    /// The length of the part that can be kept and its digest: the bytes noted, if both files still begin with them.
    fn resumed(&mut self, part: &mut File) -> Option<(u64, Hasher)> {
        let progress: Progress = serde_json::from_slice(&std::fs::read(&self.note).ok()?).ok()?;
        let of_part = digest_prefix(part, progress.bytes).ok()?;
        let of_source = digest_prefix(&mut self.reader, progress.bytes).ok()?;
        (of_part.so_far() == progress.sha256 && of_source.so_far() == progress.sha256).then_some((progress.bytes, of_source))
    }

    fn copy_stride(&mut self, writer: &mut File, hasher: &mut Hasher) -> Result<u64> {
        let mut piece = vec![0; 1 << 16];
        let mut copied = 0;
        while copied < STRIDE {
            let read = self.reader.read(&mut piece).map_err(DataError::unreadable(self.source))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            writer.write_all(&piece[..read]).map_err(DataError::not_writable(&self.part, self.total))?;
            copied += read as u64;
        }
        Ok(copied)
    }

    fn note_progress(&self, writer: &File, progress: Progress) -> Result<()> {
        let note = || -> std::io::Result<()> {
            writer.sync_all()?;
            let fresh = self.note.with_extension("json.part");
            write_synced(&fresh, &serde_json::to_vec(&progress).unwrap_or_default())?;
            std::fs::rename(fresh, &self.note)
        };
        note().map_err(DataError::not_writable(&self.note, self.total))
    }
}

/// The digest of the first `bytes` bytes, which must be there.
fn digest_prefix(file: &mut File, bytes: u64) -> std::io::Result<Hasher> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let wanted = left.min(piece.len() as u64) as usize;
        file.read_exact(&mut piece[..wanted])?;
        hasher.update(&piece[..wanted]);
        left -= wanted as u64;
    }
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 MB with no two strides alike.
    fn source(folder: &Path) -> (PathBuf, Vec<u8>) {
        let bytes: Vec<u8> = (0..5_000_000u64).flat_map(|i| crate::split::splitmix64(i).to_le_bytes()).collect();
        std::fs::write(folder.join("source"), &bytes).unwrap();
        (folder.join("source"), bytes)
    }

    fn interrupt(folder: &Path, bytes: &[u8], noted: usize, written: usize) {
        std::fs::write(folder.join("archive.part"), &bytes[..written]).unwrap();
        let progress = Progress { bytes: noted as u64, sha256: Sha256Hash::of(&bytes[..noted]) };
        std::fs::write(folder.join("archive.part.json"), serde_json::to_vec(&progress).unwrap()).unwrap();
    }

    #[test]
    fn a_copy_goes_on_where_it_stopped_or_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (source, bytes) = source(folder.path());
        let target = folder.path().join("archive");
        let mut other = bytes.clone();
        other[3] ^= 1;
        let cases: [(&[u8], usize, usize); 5] = [
            (&bytes, 0, 0),
            (&bytes, 20_000_000, 30_000_000),
            (&other, 9, 9),
            (&bytes, 100, 50),
            (&bytes, bytes.len(), bytes.len()),
        ];
        for (start, noted, written) in cases {
            let _ = std::fs::remove_file(&target);
            std::fs::write(folder.path().join("archive.part"), &start[..written]).unwrap();
            interrupt(folder.path(), start, noted, written.max(noted));
            if written < noted {
                std::fs::write(folder.path().join("archive.part"), &start[..written]).unwrap();
            }
            resumable(&source, &target).unwrap();
            assert!(std::fs::read(&target).unwrap() == bytes, "noted {noted}, written {written}");
            assert!(!folder.path().join("archive.part").exists() && !folder.path().join("archive.part.json").exists());
        }
    }

    #[test]
    fn the_kept_prefix_is_not_copied_again() {
        let folder = tempfile::tempdir().unwrap();
        let (source, bytes) = source(folder.path());
        interrupt(folder.path(), &bytes, 1000, 2000);
        let target = folder.path().join("archive");
        let mut copy = Copy::new(&source, &target).unwrap();
        let mut part = File::open(folder.path().join("archive.part")).unwrap();
        assert_eq!(copy.resumed(&mut part).unwrap().0, 1000);
    }
}
