//! The event log: one JSON object a line, appended.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Record;
use crate::store::StoreError;

/// An open `events.jsonl`.
///
/// Lines are buffered; [`sync`](Self::sync) makes them durable. What a kill loses of the buffer, a resume writes again.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl EventLog {
    /// Opens the log, creating it where missing, and cuts it to `bytes`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is shorter than that; [`StoreError::Io`].
    pub fn open_at(path: &Path, bytes: u64) -> Result<Self, StoreError> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(StoreError::io("open", path))?;
        let length = file.metadata().map_err(StoreError::io("read", path))?.len();
        if length < bytes {
            return Err(StoreError::damaged(path, format!("it has {length} bytes, but a checkpoint was written after {bytes}")));
        }
        if length > bytes {
            file.set_len(bytes).map_err(StoreError::io("truncate", path))?;
        }
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 16, file), bytes })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut counted = Counted { inner: &mut self.file, bytes: 0 };
        let written = serde_json::to_writer(&mut counted, record.as_json()).map_err(std::io::Error::from);
        written.and_then(|()| counted.write_all(b"\n")).map_err(StoreError::io("write", &self.path))?;
        self.bytes += counted.bytes;
        Ok(())
    }

    /// Makes everything appended durable, and returns the log's length in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync(&mut self) -> Result<u64, StoreError> {
        self.file.flush().map_err(StoreError::io("write", &self.path))?;
        self.file.get_ref().sync_data().map_err(StoreError::io("sync", &self.path))?;
        Ok(self.bytes)
    }
}

/// Counts what passes through.
struct Counted<'a, W> {
    inner: &'a mut W,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Reads all whole lines of a log. A last line without its end, as a kill leaves it, is left out.
///
/// # Errors
/// [`StoreError::Damaged`] naming the first line that is not a JSON object; [`StoreError::Io`].
pub fn read_events(path: &Path) -> Result<Vec<Record>, StoreError> {
    parse_events(&std::fs::read(path).map_err(StoreError::io("read", path))?, path)
}

/// As [`read_events`], from memory; `path` names the log in errors.
pub(crate) fn parse_events(bytes: &[u8], path: &Path) -> Result<Vec<Record>, StoreError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| match serde_json::from_slice(line) {
            Ok(Value::Object(map)) => Ok(Record::from(map)),
            Ok(_) => Err(StoreError::damaged(path, format!("line {} is no JSON object", number + 1))),
            Err(error) => Err(StoreError::damaged(path, format!("line {}: {error}", number + 1))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_number_comes_back_to_the_bit(bits in proptest::num::u64::ANY) {
            let number = f64::from_bits(bits);
            let mut record = Record::default();
            record.put_number("x", number);
            let line = serde_json::to_string(record.as_json()).unwrap() + "\n";
            let read = parse_events(line.as_bytes(), Path::new("events.jsonl")).unwrap();
            match read[0].number("x") {
                Some(found) => proptest::prop_assert_eq!(found.to_bits(), bits),
                None => proptest::prop_assert!(!number.is_finite()),
            }
        }
    }
}
