//! Words of as many digits in base p as 64 bits hold.

mod parts;

use pulp::Arch;

use super::UnpackError;
use crate::Field;
use parts::{LANES, Parts, Unpack};

/// The words of a field: digits for each, and the constants that replace division.
pub(super) struct Words {
    p: u64,
    /// Digits of a full word.
    digits: usize,
    /// `floor((2^64 - 1) / p)`: a quotient by it is right or 1 too small.
    reciprocal: u64,
}

impl Words {
    pub(super) fn of(field: Field) -> Self {
        let p = u64::from(field.order());
        let mut digits = 0;
        let mut power = 1u128;
        while power * u128::from(p) <= 1 << 64 {
            power *= u128::from(p);
            digits += 1;
        }
        Self { p, digits, reciprocal: u64::MAX / p }
    }

    pub(super) const fn digits(&self) -> usize {
        self.digits
    }

    /// The largest number of `digits` digits.
    fn largest(&self, digits: usize) -> u64 {
        (0..digits).fold(0, |number, _| number * self.p + (self.p - 1))
    }

    /// The bytes of a word of `digits` digits.
    fn word_length(&self, digits: usize) -> usize {
        (u64::BITS - self.largest(digits).leading_zeros()).div_ceil(8) as usize
    }

    pub(super) fn length(&self, count: usize) -> usize {
        count / self.digits * 8 + self.word_length(count % self.digits)
    }

    pub(super) fn pack(&self, elements: &[u8], bytes: &mut Vec<u8>) {
        bytes.reserve(self.length(elements.len()));
        let words = elements.chunks_exact(self.digits);
        let last = words.remainder();
        for word in words {
            bytes.extend_from_slice(&self.number(word).to_le_bytes());
        }
        bytes.extend_from_slice(&self.number(last).to_le_bytes()[..self.word_length(last.len())]);
    }

    #[inline]
    fn number(&self, digits: &[u8]) -> u64 {
        digits.iter().rev().fold(0, |number, &digit| number * self.p + u64::from(digit))
    }

    pub(super) fn unpack(&self, bytes: &[u8], elements: &mut [u8]) -> Result<(), UnpackError> {
        let full = elements.len() / self.digits;
        let (words, last) = bytes.split_at(full * 8);
        let (full_elements, last_elements) = elements.split_at_mut(full * self.digits);
        let (groups, words) = words.as_chunks::<8>().0.as_chunks::<LANES>();
        let (group_elements, word_elements) = full_elements.split_at_mut(groups.len() * LANES * self.digits);
        let parts = Parts::of(self);
        let mut rest = u64::from(Arch::new().dispatch(Unpack { parts: &parts, words: groups, digits: group_elements }));
        for (word, digits) in words.iter().zip(word_elements.chunks_exact_mut(self.digits)) {
            rest |= self.write_digits(u64::from_le_bytes(*word), digits);
        }
        let mut word = [0; 8];
        word[..last.len()].copy_from_slice(last);
        rest |= self.write_digits(u64::from_le_bytes(word), last_elements);
        if rest == 0 { Ok(()) } else { Err(UnpackError::OutOfRange) }
    }

    /// Writes the digits of a number; gives what is left of it, 0 if it had no further digits.
    #[inline]
    fn write_digits(&self, mut number: u64, digits: &mut [u8]) -> u64 {
        for digit in digits {
            let quotient = ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u64;
            let rest = number - quotient * self.p;
            let above = u64::from(rest >= self.p);
            *digit = (rest - above * self.p) as u8;
            number = quotient + above;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_a_word() {
        for (order, digits) in [(2, 64), (3, 40), (5, 27), (7, 22), (11, 18), (13, 17), (29, 13), (101, 9), (251, 8)] {
            assert_eq!(Words::of(Field::new(order).unwrap()).digits, digits, "{order}");
        }
    }

    #[test]
    fn quotients_are_right_at_the_edges() {
        for order in (2..=251).filter_map(|order| Field::new(order).ok()) {
            let words = Words::of(order);
            let near = |x: u64| [x.saturating_sub(1), x, x.saturating_add(1)];
            let edges = [0, words.p, u64::MAX, u64::MAX / 2, u64::MAX / words.p * words.p, 1 << 32].into_iter().flat_map(near);
            for number in edges {
                let mut digit = [0];
                let quotient = words.write_digits(number, &mut digit);
                assert_eq!((quotient, u64::from(digit[0])), (number / words.p, number % words.p), "{number} by {}", words.p);
            }
        }
    }
}
