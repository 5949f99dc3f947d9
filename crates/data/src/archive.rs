//! Archives as package managers ship them, told apart by their first bytes: zip (wheels), tar packed with gzip, xz or zstd (npm, source
//! archives), and Debian packages, which are an `ar` archive around such a tar.
//!
//! Nothing is ever written under a member's own name. Members are handed out one after the other, and names that would lead out of a
//! folder are refused all the same: an archive that holds one was not made in good faith.

mod ar;
mod rationed;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::error::{DataError, Result};
use rationed::Rationed;

/// What a member of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    /// A file with bytes.
    File,
    /// A symbolic or hard link.
    Link,
    /// A folder, device or anything else without bytes of its own.
    Other,
}

/// One member of an archive.
pub(crate) struct Member<'a> {
    /// Name with `/` between steps, safe to join to a folder.
    pub(crate) name: &'a str,
    pub(crate) kind: MemberKind,
    /// Size the archive states; not to be trusted.
    pub(crate) stated_bytes: u64,
    pub(crate) content: &'a mut dyn Read,
}

/// Calls `visit` for every member of the archive at `path`, in the archive's order.
///
/// # Errors
/// [`DataError::Malformed`] for something that is no archive or a damaged one, [`DataError::UnsafeMember`], and those of `visit`.
pub(crate) fn visit(path: &Path, visit: &mut dyn FnMut(Member<'_>) -> Result<()>) -> Result<()> {
    visit_stream(File::open(path).map_err(DataError::unreadable(path))?, &path.display().to_string(), visit)
}

/// As [`visit`], from an open archive; `archive` names it in errors.
pub(crate) fn visit_stream(
    stream: impl Read + Seek,
    archive: &str,
    visit: &mut dyn FnMut(Member<'_>) -> Result<()>,
) -> Result<()> {
    let unreadable = || DataError::unreadable(Path::new(archive));
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let magic = first_bytes(&mut reader).map_err(unreadable())?;
    let visitor = Visitor { archive, visit };
    if magic.starts_with(b"PK\x03\x04") {
        return visitor.zip(reader);
    }
    if magic.starts_with(ar::MAGIC) {
        let data = ar::member(&mut reader, "data.tar").map_err(|reason| damaged(archive, "a Debian package", &reason))?;
        let mut data = BufReader::new(data);
        let magic = first_bytes_of_stream(&mut data).map_err(unreadable())?;
        return visitor.tar(unpacked(&magic, data, archive)?);
    }
    visitor.tar(unpacked(&magic, reader, archive)?)
}

/// The most memory an xz header may ask for. The strongest preset, `-9`, needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// The most a tar may say of one member before its content. The `tar` crate reads a long name whole, and a packed one of zeros can be
/// thousands of times longer than the archive.
const LONGEST_HEADERS: u64 = 1 << 20;

const TAR_BLOCK: u64 = 512;

const LONGEST_MAGIC: usize = 262;

fn first_bytes(reader: &mut (impl Read + Seek)) -> std::io::Result<Vec<u8>> {
    let mut magic = Vec::with_capacity(LONGEST_MAGIC);
    reader.by_ref().take(LONGEST_MAGIC as u64).read_to_end(&mut magic)?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(magic)
}

fn first_bytes_of_stream(reader: &mut impl std::io::BufRead) -> std::io::Result<Vec<u8>> {
    let buffered = reader.fill_buf()?;
    Ok(buffered[..buffered.len().min(LONGEST_MAGIC)].to_vec())
}

/// The stream inside a packed one.
fn unpacked<'a>(magic: &[u8], reader: impl Read + 'a, archive: &str) -> Result<Box<dyn Read + 'a>> {
    if magic.starts_with(&[0x1F, 0x8B]) {
        return Ok(Box::new(MultiGzDecoder::new(reader)));
    }
    if magic.starts_with(&[0xFD, b'7', b'z', b'X', b'Z', 0]) {
        return Ok(Box::new(XzReader::new_mem_limit(reader, true, XZ_MEMORY_KIB)));
    }
    if magic.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        let decoder = StreamingDecoder::new(reader).map_err(|error| damaged(archive, "a zstd stream", &error.to_string()))?;
        return Ok(Box::new(decoder));
    }
    if magic.get(257..262) == Some(b"ustar") {
        return Ok(Box::new(reader));
    }
    let found = magic.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let expected = "a zip, Debian package or tar, packed with gzip, xz or zstd or not";
    Err(DataError::malformed(archive, 0, expected, format!("first bytes {found}")))
}

fn damaged(archive: &str, kind: &str, reason: &str) -> DataError {
    DataError::malformed(archive, 0, format!("{kind} that is whole"), reason)
}

struct Visitor<'a> {
    archive: &'a str,
    visit: &'a mut dyn FnMut(Member<'_>) -> Result<()>,
}

impl Visitor<'_> {
    fn tar(self, stream: Box<dyn Read + '_>) -> Result<()> {
        let wrong = |error: std::io::Error| damaged(self.archive, "a tar", &error.to_string());
        let (stream, ration) = Rationed::new(stream);
        let mut tar = tar::Archive::new(stream);
        let mut entries = tar.entries().map_err(wrong)?;
        loop {
            // What is left is the content that the visitor did not read; it is passed over on the way to the next header.
            ration.add(LONGEST_HEADERS);
            let Some(entry) = entries.next() else { return Ok(()) };
            let mut entry = entry.map_err(wrong)?;
            ration.set(bytes_in_archive(&entry).map_err(wrong)?);
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = match entry.header().entry_type() {
                kind if kind.is_file() => MemberKind::File,
                kind if kind.is_symlink() || kind.is_hard_link() => MemberKind::Link,
                _ => MemberKind::Other,
            };
            let name = safe_name(&name, self.archive)?;
            let stated_bytes = entry.size();
            (self.visit)(Member { name, kind, stated_bytes, content: &mut entry })?;
        }
    }

    fn zip(self, reader: impl Read + Seek) -> Result<()> {
        let wrong = |error: zip::result::ZipError| damaged(self.archive, "a zip", &error.to_string());
        let mut zip = zip::ZipArchive::new(reader).map_err(wrong)?;
        for number in 0..zip.len() {
            let mut entry = zip.by_index(number).map_err(wrong)?;
            let name = entry.name().map_err(wrong)?.into_owned();
            let kind = match (entry.is_dir(), entry.is_symlink()) {
                (true, _) => MemberKind::Other,
                (_, true) => MemberKind::Link,
                _ => MemberKind::File,
            };
            let name = safe_name(&name, self.archive)?;
            let stated_bytes = entry.size();
            (self.visit)(Member { name, kind, stated_bytes, content: &mut entry })?;
        }
        Ok(())
    }
}

/// The bytes that a member takes in the archive, which may be fewer than it has: a sparse file is stored without its gaps.
fn bytes_in_archive<R: Read>(entry: &tar::Entry<'_, R>) -> std::io::Result<u64> {
    let bytes = if entry.header().entry_type().is_gnu_sparse() { entry.header().entry_size()? } else { entry.size() };
    Ok(bytes.checked_next_multiple_of(TAR_BLOCK).unwrap_or(u64::MAX))
}

/// The name without a leading `./`, where it stays inside the folder it is joined to.
fn safe_name<'a>(stated: &'a str, archive: &str) -> Result<&'a str> {
    let name = stated.strip_prefix("./").unwrap_or(stated);
    let refuse = |reason| Err(DataError::UnsafeMember { archive: archive.to_owned(), member: stated.to_owned(), reason });
    let has_drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.starts_with(['/', '\\']) || has_drive {
        return refuse("an absolute name");
    }
    if name.split(['/', '\\']).any(|step| step == "..") {
        return refuse("a step up with `..`");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut found = Vec::new();
        visit(file.path(), &mut |member| {
            let mut content = Vec::new();
            member.content.read_to_end(&mut content).map_err(|error| damaged("x", "a member", &error.to_string()))?;
            if member.kind == MemberKind::File {
                found.push((member.name.to_owned(), content));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn tar(name: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(5);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &b"hello"[..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        crate::formats::gzip::packed(bytes)
    }

    fn deb(data: &[u8]) -> Vec<u8> {
        let mut out = ar::MAGIC.to_vec();
        for (name, bytes) in [("debian-binary", &b"2.0"[..]), ("control.tar.gz", b"xx"), ("data.tar.gz", data)] {
            out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).into_bytes());
            out.extend_from_slice(bytes);
            out.extend(std::iter::repeat_n(b'\n', bytes.len() % 2));
        }
        out
    }

    fn zip(name: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"hello").unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn every_kind_gives_its_members() {
        let expected = vec![("a/b".to_owned(), b"hello".to_vec())];
        let plain = tar("./a/b");
        let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (kind, bytes) in
            [("gz", gz(&plain)), ("zstd", zstd), ("deb", deb(&gz(&plain))), ("zip", zip("a/b")), ("tar", plain.clone())]
        {
            assert_eq!(names(&bytes).unwrap(), expected, "{kind}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../x", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", "\\x", ".//x", "./C:x"] {
            assert_eq!(names(&gz(&tar(name))).unwrap_err().code(), "E08", "{name}");
        }
        assert_eq!(names(&zip("../x")).unwrap_err().code(), "E08");
    }

    #[test]
    fn what_is_cut_off_or_no_archive_is_an_error_and_never_a_panic() {
        let whole = tar("a/b");
        for archive in [gz(&whole), deb(&gz(&whole)), zip("a/b")] {
            for cut in 0..archive.len() {
                if let Ok(found) = names(&archive[..cut]) {
                    assert!(found.iter().all(|(_, content)| content == b"hello"), "cut at {cut}");
                }
            }
        }
        assert_eq!(names(b"").unwrap_err().code(), "E09");
        assert_eq!(names(b"<html>not found</html>").unwrap_err().code(), "E09");
        assert_eq!(names(b"!<arch>\nshort").unwrap_err().code(), "E09");
    }
}
