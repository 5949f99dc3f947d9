//! Alphabets for language modelling by bytes or characters.

use std::collections::BTreeSet;

use crate::error::{DataError, Result};

/// A numbered set of symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alphabet {
    /// The 256 bytes.
    Bytes,
    /// The sorted characters of a training text; one more symbol stands for every other.
    Characters(Vec<char>),
    /// Space and a-z, after [`text27`]: space is 0, `a` is 1.
    Text27,
}

impl Alphabet {
    /// The alphabet of the characters that occur in `training_text`.
    #[must_use]
    pub fn characters_of(training_text: &str) -> Self {
        let characters: BTreeSet<char> = training_text.chars().collect();
        Self::Characters(characters.into_iter().collect())
    }

    /// Number of symbols, the one for unknown characters included.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes => 256,
            Self::Characters(characters) => characters.len() + 1,
            Self::Text27 => 27,
        }
    }

    /// Never: each alphabet has a symbol.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The symbols of a text.
    ///
    /// ```
    /// use thalweg_data::formats::alphabet::Alphabet;
    /// assert_eq!(Alphabet::Text27.encode("B 2!"), [2, 0, 20, 23, 15]);
    /// assert_eq!(Alphabet::characters_of("ba").encode("abc"), [0, 1, 2]);
    /// ```
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Bytes => text.bytes().map(u32::from).collect(),
            Self::Characters(known) => {
                let symbol = |c| known.binary_search(&c).unwrap_or(known.len()) as u32;
                text.chars().map(symbol).collect()
            }
            Self::Text27 => text27(text).bytes().map(|byte| u32::from(byte.saturating_sub(b'a' - 1))).collect(),
        }
    }

    /// The text of symbols: the unknown symbol, and bytes that are not UTF-8, become U+FFFD.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a symbol that is not below [`len`](Self::len).
    pub fn decode(&self, symbols: &[u32]) -> Result<String> {
        if let Some(symbol) = symbols.iter().find(|&&symbol| symbol as usize >= self.len()) {
            return Err(DataError::bad_request("a symbol", symbol, format!("below {}", self.len())));
        }
        Ok(match self {
            Self::Bytes => {
                let bytes: Vec<u8> = symbols.iter().map(|&symbol| symbol as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Characters(known) => {
                let character = |&symbol: &u32| known.get(symbol as usize).copied().unwrap_or(char::REPLACEMENT_CHARACTER);
                symbols.iter().map(character).collect()
            }
            Self::Text27 => {
                symbols.iter().map(|&symbol| if symbol == 0 { ' ' } else { char::from(b'`' + symbol as u8) }).collect()
            }
        })
    }
}

/// Text in the alphabet of text8, a-z and space: ASCII letters in lower case, each digit spelled out, every other run of characters one
/// space, none at the ends.
///
/// This is *like* text8 and not text8: figures on it are reported as `text27 on CORPUS`.
///
/// ```
/// use thalweg_data::formats::alphabet::text27;
/// assert_eq!(text27("In 1984, DON'T panic!\n"), "in one nine eight four don t panic");
/// ```
#[must_use]
pub fn text27(text: &str) -> String {
    const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    let mut push_word = |word: &str, gap: bool| {
        if gap && !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    };
    for byte in text.bytes() {
        match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => {
                push_word(char::from(letter).encode_utf8(&mut [0; 4]), gap);
                gap = false;
            }
            digit @ b'0'..=b'9' => {
                push_word(DIGITS[usize::from(digit - b'0')], true);
                gap = true;
            }
            _ => gap = true,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four rules of the definition, one after the other.
    fn text27_by_rules(text: &str) -> String {
        let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        let mut text = text.to_ascii_lowercase();
        for (digit, word) in words.iter().enumerate() {
            text = text.replace(&digit.to_string(), &format!(" {word} "));
        }
        text.split(|c: char| !c.is_ascii_lowercase()).filter(|run| !run.is_empty()).collect::<Vec<_>>().join(" ")
    }

    proptest::proptest! {
        #[test]
        fn one_pass_agrees_with_the_rules(text in "([a-cX-Z0-2 '\n]|\\PC){0,60}") {
            proptest::prop_assert_eq!(text27(&text), text27_by_rules(&text));
        }

        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,40}") {
            for alphabet in [Alphabet::Bytes, Alphabet::characters_of(&text)] {
                proptest::prop_assert_eq!(alphabet.decode(&alphabet.encode(&text)).unwrap(), text.clone());
            }
            let symbols = Alphabet::Text27.encode(&text);
            proptest::prop_assert_eq!(Alphabet::Text27.decode(&symbols).unwrap(), text27(&text));
        }
    }

    #[test]
    fn unknown_symbols() {
        let alphabet = Alphabet::characters_of("ab");
        assert_eq!(alphabet.len(), 3);
        assert_eq!(alphabet.decode(&alphabet.encode("a?")).unwrap(), "a\u{FFFD}");
        assert!(alphabet.decode(&[3]).is_err());
    }
}
