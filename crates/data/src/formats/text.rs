//! Plain text: finding the encoding, making line ends equal, and cutting a corpus into parts.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder;
use crate::dataset::{About, DataSet, SplitPart};
use crate::error::{DataError, Result};

/// How bytes were read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// Windows-1252.
    Cp1252,
}

impl Encoding {
    /// The name as reports print it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Cp1252 => "cp1252",
        }
    }
}

/// Which encodings are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodingChoice {
    /// UTF-8, and Windows-1252 where the bytes are not UTF-8.
    #[default]
    Detect,
    /// UTF-8 or an error.
    StrictUtf8,
}

/// Text with the encoding it was read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without byte-order mark, with `\n` at every line end.
    pub text: String,
    /// How it was read.
    pub encoding: Encoding,
}

/// Decodes bytes: no byte is dropped but a byte-order mark and the `\r` of line ends. `file` names them in errors.
///
/// # Errors
/// [`DataError::NotDecodable`] under [`EncodingChoice::StrictUtf8`], and always for UTF-16, which begins with its own mark.
///
/// ```
/// use thalweg_data::formats::text::{Encoding, EncodingChoice, decode};
/// let price = decode(b"5 \xA3\r\n".to_vec(), EncodingChoice::Detect, "price.txt")?;
/// assert_eq!((price.text.as_str(), price.encoding), ("5 £\n", Encoding::Cp1252));
/// # Ok::<(), thalweg_data::DataError>(())
/// ```
pub fn decode(bytes: Vec<u8>, choice: EncodingChoice, file: &str) -> Result<Decoded> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        let encoding = "UTF-8 or Windows-1252; it begins with the mark of UTF-16, convert it first";
        return Err(DataError::NotDecodable { file: file.to_owned(), offset: 0, byte: bytes[0], encoding });
    }
    let (text, encoding) = match choice {
        EncodingChoice::StrictUtf8 => (utf8(bytes, file)?, Encoding::Utf8),
        EncodingChoice::Detect => match String::from_utf8(bytes) {
            Ok(text) => (text, Encoding::Utf8),
            Err(error) => (error.as_bytes().iter().map(|&byte| from_cp1252(byte)).collect(), Encoding::Cp1252),
        },
    };
    Ok(Decoded { text: with_line_feeds(text.strip_prefix('\u{FEFF}').unwrap_or(&text)), encoding })
}

pub(crate) fn utf8(bytes: Vec<u8>, file: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[offset];
        DataError::NotDecodable { file: file.to_owned(), offset, byte, encoding: "UTF-8" }
    })
}

/// Windows-1252 as browsers read it: the five bytes it leaves undefined are the control characters of the same number.
fn from_cp1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', //
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => FROM_80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn with_line_feeds(text: &str) -> String {
    if !text.contains('\r') {
        return text.to_owned();
    }
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Reads a text file as a corpus for language modelling; see [`corpus`].
///
/// # Errors
/// [`DataError::Unreadable`], and as [`decode`].
pub fn read_corpus(path: &Path, choice: EncodingChoice) -> Result<DataSet> {
    let bytes = std::fs::read(path).map_err(DataError::unreadable(path))?;
    let decoded = decode(bytes, choice, &path.display().to_string())?;
    let about = About { encoding: Some(decoded.encoding.name().to_owned()), ..folder::about(path) };
    Ok(corpus(about, &decoded.text))
}

/// Cuts one text into `train`, `valid` and `test`, the first 90 %, the next 5 % and the rest of its characters, each one record.
/// Never by shuffled line: neighbouring lines know of each other.
#[must_use]
pub fn corpus(about: About, text: &str) -> DataSet {
    let characters = text.chars().count();
    let byte_at = |character: usize| text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte);
    let (valid, test) = (byte_at(characters * 90 / 100), byte_at(characters * 95 / 100));
    let parts = [&text[..valid], &text[valid..test], &text[test..]];
    let names = ["train", "valid", "test"].into_iter().zip(0..);
    with_parts(DataSet::from_texts(about, parts), names.map(|(name, i)| SplitPart::run(name, i..i + 1)).collect())
}

/// A corpus of documents in the given order: every 20th is for `valid`, every 20th from the 11th on for `test`, the others for
/// `train`.
#[must_use]
pub fn corpus_of_documents<S: AsRef<str>>(about: About, documents: &[S]) -> DataSet {
    let numbers = |wanted: fn(usize) -> bool| (0..documents.len()).filter(|&i| wanted(i % 20)).collect();
    let parts = vec![
        SplitPart::list("train", numbers(|remainder| remainder != 0 && remainder != 10)),
        SplitPart::list("valid", numbers(|remainder| remainder == 0)),
        SplitPart::list("test", numbers(|remainder| remainder == 10)),
    ];
    with_parts(DataSet::from_texts(about, documents), parts)
}

fn with_parts(set: DataSet, parts: Vec<SplitPart>) -> DataSet {
    set.with_splits(parts).expect("the parts are made of the set's own records")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(bytes: &[u8]) -> Decoded {
        decode(bytes.to_vec(), EncodingChoice::Detect, "t").unwrap()
    }

    #[test]
    fn marks_and_line_ends() {
        assert_eq!(detect(b"\xEF\xBB\xBFa\r\nb\rc\n\r").text, "a\nb\nc\n\n");
        assert_eq!(detect(b"").text, "");
        assert_eq!(decode(vec![0xFF, 0xFE, b'a', 0], EncodingChoice::Detect, "t").unwrap_err().code(), "E13");
    }

    #[test]
    fn windows_1252_keeps_every_byte() {
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\r').collect();
        let decoded = detect(&all);
        assert_eq!(decoded.encoding, Encoding::Cp1252);
        assert_eq!(decoded.text.chars().count(), 255);
        assert_eq!(detect(b"\x80\x99\xA3\xE9\x81").text, "€™£é\u{81}");
    }

    #[test]
    fn strict_utf8_names_the_byte() {
        let error = decode(b"ab\xA3".to_vec(), EncodingChoice::StrictUtf8, "sports/199.txt").unwrap_err();
        assert_eq!(error.to_string(), "E13: sports/199.txt, byte 2: not valid UTF-8 (byte 0xa3)");
    }

    #[test]
    fn a_corpus_is_cut_by_characters() {
        let text: String = "äb".repeat(100);
        let set = corpus(About::named("t"), &text);
        let lengths: Vec<usize> = (0..3).map(|i| set.text(i).unwrap().chars().count()).collect();
        assert_eq!(lengths, [180, 10, 10]);
        assert_eq!((0..3).map(|i| set.text(i).unwrap()).collect::<String>(), text);
        assert_eq!(set.indices("valid").unwrap(), [1]);
        assert_eq!(corpus(About::named("t"), "").len(), 3);
    }

    #[test]
    fn documents_go_to_parts_by_number() {
        let documents: Vec<String> = (0..500).map(|i| i.to_string()).collect();
        let set = corpus_of_documents(About::named("t"), &documents);
        assert_eq!(set.indices("valid").unwrap()[..2], [0, 20]);
        assert_eq!(set.indices("test").unwrap()[..2], [10, 30]);
        assert_eq!(set.indices("train").unwrap().len(), 450);
    }
}
