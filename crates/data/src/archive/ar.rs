//! The `ar` archive around a Debian package: 60-byte headers in ASCII, contents padded to an even length.

use std::io::{Read, Seek, SeekFrom, Take};

pub(super) const MAGIC: &[u8] = b"!<arch>\n";

const HEADER_LEN: u64 = 60;
const NAME: std::ops::Range<usize> = 0..16;
const SIZE: std::ops::Range<usize> = 48..58;
const END: &[u8] = b"`\n";

/// The first member whose name begins with `prefix`.
///
/// # Errors
/// A sentence that says what is wrong; the caller knows the file.
pub(super) fn member<'a, R: Read + Seek>(reader: &'a mut R, prefix: &str) -> Result<Take<&'a mut R>, String> {
    let mut at = MAGIC.len() as u64;
    loop {
        reader.seek(SeekFrom::Start(at)).map_err(|error| error.to_string())?;
        let mut header = [0; HEADER_LEN as usize];
        reader.read_exact(&mut header).map_err(|_| format!("it ends at byte {at} without a member {prefix}*"))?;
        let size = std::str::from_utf8(&header[SIZE]).ok().and_then(|digits| digits.trim().parse::<u64>().ok());
        let Some(size) = size.filter(|_| header.ends_with(END)) else {
            return Err(format!("no member header at byte {at}"));
        };
        if header[NAME].starts_with(prefix.as_bytes()) {
            return Ok(reader.take(size));
        }
        let next = at.checked_add(HEADER_LEN).and_then(|at| at.checked_add(size.checked_next_multiple_of(2)?));
        at = next.ok_or_else(|| format!("the member at byte {at} is longer than any file"))?;
    }
}
