//! Elements of a field as bytes, in two encodings that waste little, with strict decoders.
//!
//! - **bits**: element i in bits `[i b, (i+1) b)`, least significant first, the last byte filled with zeros.
//! - **base-p**: words of w digits with `p^w <= 2^64`, each the number `sum e_i p^i` in 8 bytes; a last word of m digits in as
//!   many bytes as `p^m - 1` needs. Over F_29 an element takes 4.92 bits instead of 5, over F_5 2.37 instead of 3.

mod base_p;
mod bits;

use serde::{Deserialize, Serialize};

use crate::Field;
use crate::field::block;

/// How elements become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// A fixed number of bits for each element; the published byte counts.
    Bits,
    /// Digits of long words.
    #[default]
    BaseP,
}

/// Bytes that are no encoding of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Not the length that the number of elements takes.
    #[error("{found} bytes, where the elements take {expected}")]
    Length {
        /// The bytes given.
        found: usize,
        /// The bytes that are right.
        expected: usize,
    },
    /// An element, or a word of elements, beyond the field.
    #[error("an element is not in the field")]
    OutOfRange,
    /// Bits after the last element that are not zero.
    #[error("the bits after the last element are not zero")]
    Padding,
}

impl Encoding {
    /// The bytes of `count` elements.
    ///
    /// ```
    /// use thalweg_vote::{Encoding, Field};
    ///
    /// let field = Field::new(29)?;
    /// assert_eq!((Encoding::Bits.length(field, 8_000), Encoding::BaseP.length(field, 8_000)), (5_000, 4_924));
    /// # Ok::<(), thalweg_vote::Error>(())
    /// ```
    pub fn length(self, field: Field, count: usize) -> usize {
        match self {
            Self::Bits => bits::length(field.bits(), count),
            Self::BaseP => base_p::Words::of(field).length(count),
        }
    }

    /// Appends the encoding of a block of elements.
    pub fn pack(self, field: Field, elements: &[u8], bytes: &mut Vec<u8>) {
        match self {
            Self::Bits => bits::pack(field.bits(), elements, bytes),
            Self::BaseP => base_p::Words::of(field).pack(elements, bytes),
        }
    }

    /// Decodes exactly `elements.len()` elements.
    ///
    /// # Errors
    /// [`UnpackError`] for bytes that [`pack`](Self::pack) would not give; the elements are then meaningless.
    pub fn unpack(self, field: Field, bytes: &[u8], elements: &mut [u8]) -> Result<(), UnpackError> {
        let expected = self.length(field, elements.len());
        if bytes.len() != expected {
            return Err(UnpackError::Length { found: bytes.len(), expected });
        }
        match self {
            Self::Bits => {
                bits::unpack(field.bits(), bytes, elements)?;
                if block::largest(elements) < field.order() { Ok(()) } else { Err(UnpackError::OutOfRange) }
            }
            Self::BaseP => base_p::Words::of(field).unpack(bytes, elements),
        }
    }
}

/// The elements of a full word in base p.
pub(crate) fn digits_of_word(field: Field) -> usize {
    base_p::Words::of(field).digits()
}

pub(crate) use bits::{length as bits_length, pack as pack_bits, unpack as unpack_bits};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Iterator<Item = Field> {
        (2..=251).filter_map(|order| Field::new(order).ok())
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(order in 2u16..=251, raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let Ok(field) = Field::new(order) else { return Ok(()) };
            let elements: Vec<u8> = raw.iter().map(|byte| byte % field.order()).collect();
            for encoding in [Encoding::Bits, Encoding::BaseP] {
                let mut bytes = vec![7];
                encoding.pack(field, &elements, &mut bytes);
                prop_assert_eq!(bytes.len() - 1, encoding.length(field, elements.len()));
                let mut back = vec![0; elements.len()];
                prop_assert_eq!(encoding.unpack(field, &bytes[1..], &mut back), Ok(()));
                prop_assert_eq!(&back, &elements);
            }
        }

        /// Bytes that decode are the encoding of what they decode to: no two encodings of one block.
        #[test]
        fn every_block_has_one_encoding(order in 2u16..=251, count in 0usize..60, raw in prop::collection::vec(any::<u8>(), 80)) {
            let Ok(field) = Field::new(order) else { return Ok(()) };
            for encoding in [Encoding::Bits, Encoding::BaseP] {
                let bytes = &raw[..encoding.length(field, count)];
                let mut elements = vec![0; count];
                if encoding.unpack(field, bytes, &mut elements).is_ok() {
                    let mut again = Vec::new();
                    encoding.pack(field, &elements, &mut again);
                    prop_assert_eq!(&again[..], bytes);
                }
            }
        }
    }

    #[test]
    fn bits_by_definition() {
        for field in fields() {
            let elements: Vec<u8> = (0..67u32).map(|i| (i * 31 % u32::from(field.order())) as u8).collect();
            let mut bytes = Vec::new();
            Encoding::Bits.pack(field, &elements, &mut bytes);
            let b = field.bits() as usize;
            for (i, &element) in elements.iter().enumerate() {
                let value: u32 = (0..b).map(|bit| u32::from(bytes[(i * b + bit) / 8] >> ((i * b + bit) % 8) & 1) << bit).sum();
                assert_eq!(value, u32::from(element), "{field:?} {i}");
            }
        }
    }

    #[test]
    fn words_by_definition() {
        for field in fields() {
            let p = u128::from(field.order());
            let w = (1..=64).take_while(|&w| p.pow(w) <= 1 << 64).last().unwrap() as usize;
            let elements: Vec<u8> = (0..2 * w as u32 + 3).map(|i| (i * 57 % u32::from(field.order())) as u8).collect();
            let mut expected = Vec::new();
            for word in elements.chunks(w) {
                let value = word.iter().rev().fold(0u128, |value, &e| value * p + u128::from(e));
                let length = if word.len() == w { 8 } else { (128 - (p.pow(word.len() as u32) - 1).leading_zeros()).div_ceil(8) };
                expected.extend_from_slice(&value.to_le_bytes()[..length as usize]);
            }
            let mut bytes = Vec::new();
            Encoding::BaseP.pack(field, &elements, &mut bytes);
            assert_eq!(bytes, expected, "{field:?}");
        }
    }

    #[test]
    fn wrong_bytes_are_refused() {
        let field = Field::new(5).unwrap();
        let mut elements = [0; 3];
        let mut unpack = |encoding: Encoding, bytes: &[u8]| encoding.unpack(field, bytes, &mut elements).unwrap_err();
        assert_eq!(unpack(Encoding::Bits, &[0]), UnpackError::Length { found: 1, expected: 2 });
        assert_eq!(unpack(Encoding::Bits, &[5, 0]), UnpackError::OutOfRange);
        assert_eq!(unpack(Encoding::Bits, &[0, 2]), UnpackError::Padding);
        assert_eq!(unpack(Encoding::BaseP, &[125]), UnpackError::OutOfRange);
        let mut word = [0; 27];
        let beyond = 5u64.pow(27).to_le_bytes();
        assert_eq!(Encoding::BaseP.unpack(field, &beyond, &mut word), Err(UnpackError::OutOfRange));
    }
}
