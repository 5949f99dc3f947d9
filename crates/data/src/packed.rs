//! The packed file: a whole data set in one file that is mapped, not read.
//!
//! ```text
//! 0   8  magic "THWGDS01"
//! 8   8  length H of the JSON (u64, little-endian, as all numbers here)
//! 16  H  JSON header: description, kind, shape, n, classes, splits, content sha256
//! ..     zeros to the next multiple of 4096
//! ..     images: n * height * width * channels bytes | text: n + 1 offsets (u64), then UTF-8
//! ..     labels: n * u32, where the header says so
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::content_hash::{Hasher, Sha256Hash};
use crate::dataset::{About, DataSet, ImageShape, Kind, Records, SplitPart};
use crate::error::{DataError, Result};
use crate::mapped;
use crate::storage::Storage;

const MAGIC: [u8; 8] = *b"THWGDS01";
const JSON_START: usize = 16;
const PAGE: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    about: About,
    kind: Kind,
    dtype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<ImageShape>,
    n: usize,
    labelled: bool,
    classes: Vec<String>,
    splits: Vec<SplitPart>,
    content_sha256: Sha256Hash,
}

/// Size and digest of a packed file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Hash,
}

/// Writes `set` to `path` and waits until the disk has it.
pub(crate) fn write(set: &DataSet, path: &Path) -> Result<Written> {
    let header = header_bytes(set);
    let labels: Vec<u8> = set.labels().unwrap_or_default().iter().flat_map(|label| label.to_le_bytes()).collect();
    let records: [&[u8]; 2] = match set.records() {
        Records::Images { pixels, .. } => [pixels, &[]],
        Records::Text { offsets, bytes } => [offsets, bytes],
    };
    let pieces = [&header, records[0], records[1], &labels];
    let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
    let write_all = || -> std::io::Result<Sha256Hash> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut hasher = Hasher::new();
        for piece in pieces {
            hasher.update(piece);
            file.write_all(piece)?;
        }
        file.into_inner()?.sync_all()?;
        Ok(hasher.finish())
    };
    let sha256 = write_all().map_err(DataError::not_writable(path, bytes))?;
    Ok(Written { bytes, sha256 })
}

fn header_bytes(set: &DataSet) -> Vec<u8> {
    let header = Header {
        about: set.about().clone(),
        kind: set.kind(),
        dtype: "u8".to_owned(),
        shape: set.image_shape().ok(),
        n: set.len(),
        labelled: set.labels().is_some(),
        classes: set.classes().to_vec(),
        splits: set.splits().to_vec(),
        content_sha256: set.content_hash(),
    };
    let json = serde_json::to_vec(&header).expect("a header of strings and numbers is always JSON");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    bytes
}

/// Maps a packed file. Its lengths, labels, splits and text are checked; its digest is not.
///
/// # Errors
/// [`DataError::Unreadable`], [`DataError::Malformed`].
pub(crate) fn open(path: &Path) -> Result<DataSet> {
    parse(&mapped::map(path)?, &path.display().to_string())
}

/// As [`open`], from bytes that are there already; `file` names them in errors.
pub(crate) fn parse(map: &Storage, file: &str) -> Result<DataSet> {
    let (header, data_start) = parse_header(map, file)?;
    let damaged = |offset: usize, what: String| DataError::malformed(file, offset as u64, "a sound packed file", what);
    let labels_len = if header.labelled { header.n.checked_mul(4) } else { Some(0) };
    let labels_start = labels_len
        .and_then(|length| map.len().checked_sub(length))
        .filter(|start| *start >= data_start)
        .ok_or_else(|| damaged(data_start, format!("too few bytes for {} labels", header.n)))?;
    let records = map_records(map, &header, data_start..labels_start)
        .ok_or_else(|| damaged(data_start, format!("{} bytes for {} records", labels_start - data_start, header.n)))?;
    let sound = |error: DataError| damaged(data_start, error.to_string());
    let set = DataSet::from_records(header.about, records).map_err(sound)?;
    if set.len() != header.n {
        return Err(damaged(data_start, format!("{} records where the header says {}", set.len(), header.n)));
    }
    let labels: Vec<u32> = map[labels_start..].as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let set = if header.labelled { set.with_labels(labels, header.classes).map_err(sound)? } else { set };
    Ok(set.with_splits(header.splits).map_err(sound)?.with_known_hash(header.content_sha256))
}

fn parse_header(map: &[u8], file: &str) -> Result<(Header, usize)> {
    let wrong = |offset, expected: &str, found: String| DataError::malformed(file, offset, expected, found);
    if !map.starts_with(&MAGIC) {
        let found = String::from_utf8_lossy(&map[..map.len().min(8)]).into_owned();
        return Err(wrong(0, "the magic bytes THWGDS01", found));
    }
    let length = map.get(8..JSON_START).and_then(<[u8]>::first_chunk).map(|bytes| u64::from_le_bytes(*bytes));
    let json_end = length.and_then(|length| usize::try_from(length).ok()?.checked_add(JSON_START));
    let json = json_end.and_then(|end| map.get(JSON_START..end));
    let (Some(json), Some(json_end)) = (json, json_end) else {
        return Err(wrong(8, "a header inside the file", format!("length {length:?} of {} bytes", map.len())));
    };
    let header = serde_json::from_slice(json).map_err(|error| wrong(16, "a JSON header", error.to_string()))?;
    let data_start = json_end.checked_next_multiple_of(PAGE).filter(|start| *start <= map.len());
    let data_start = data_start.ok_or_else(|| wrong(8, "records after the header", "the end of the file".to_owned()))?;
    Ok((header, data_start))
}

/// `None` where the lengths do not belong together.
fn map_records(map: &Storage, header: &Header, range: std::ops::Range<usize>) -> Option<Records> {
    match (header.kind, header.shape) {
        (Kind::Image, Some(shape)) => Some(Records::Images { shape, pixels: map.part(range) }),
        (Kind::Image, None) => None,
        (Kind::Text, _) => {
            let offsets_end = header.n.checked_add(1)?.checked_mul(8)?.checked_add(range.start)?;
            let bytes = (offsets_end <= range.end).then(|| map.part(offsets_end..range.end))?;
            Some(Records::Text { offsets: map.part(range.start..offsets_end), bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> DataSet {
        let shape = ImageShape { height: 2, width: 1, channels: 3 };
        DataSet::from_images(About::named("i"), shape, (0..18).collect())
            .and_then(|set| set.with_labels(vec![1, 0, 1], vec!["a".to_owned(), "b".to_owned()]))
            .and_then(|set| set.with_splits(vec![SplitPart::run("train", 0..2), SplitPart::list("test", vec![2])]))
            .unwrap()
    }

    fn texts() -> DataSet {
        DataSet::from_texts(About { encoding: Some("cp1252".to_owned()), ..About::named("t") }, ["ä", "", "xyz"])
    }

    #[test]
    fn what_is_written_is_mapped_back() {
        let dir = tempfile::tempdir().unwrap();
        let empty = DataSet::from_texts(About::named("e"), [""; 0]);
        for (i, set) in [images(), texts(), empty].into_iter().enumerate() {
            let path = dir.path().join(i.to_string());
            let written = write(&set, &path).unwrap();
            assert_eq!(written.sha256, Sha256Hash::of_file(&path).unwrap());
            let back = open(&path).unwrap();
            assert_eq!(back.about(), set.about());
            assert_eq!(
                (0..back.len()).map(|i| back.record(i)).collect::<Vec<_>>(),
                (0..set.len()).map(|i| set.record(i)).collect::<Vec<_>>()
            );
            assert_eq!((back.labels(), back.classes(), back.splits()), (set.labels(), set.classes(), set.splits()));
            assert_eq!(back.compute_content_hash(), set.content_hash());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        for set in [images(), texts()] {
            write(&set, &path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            let cuts = (1..200).chain(4000..whole.len());
            for cut in cuts {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert_eq!(open(&path).unwrap_err().code(), "E09", "cut at {cut}");
            }
        }
    }

    #[test]
    fn damaged_headers_and_offsets_are_errors_and_never_panics() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        for set in [images(), texts()] {
            write(&set, &path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for at in (0..400).chain(PAGE..whole.len()) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x81;
                std::fs::write(&path, &bytes).unwrap();
                if let Ok(damaged) = open(&path) {
                    (0..damaged.len()).for_each(|i| assert!(damaged.record(i).len() <= whole.len()));
                }
            }
        }
    }
}
