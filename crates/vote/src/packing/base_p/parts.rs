//! Digits of several words at once: words are cut into parts below 2^31, whose digits 32-bit multiplications find in vectors.

use pulp::NullaryFnOnce;

use super::Words;

/// The words taken apart at once.
pub(super) const LANES: usize = 8;

/// A part has at most so many digits, as many as fit the bytes of a lane.
const LONGEST: usize = 8;

/// How the words of a field are cut.
pub(super) struct Parts {
    p: u64,
    /// Digits of a word.
    digits: usize,
    /// The largest word.
    largest: u64,
    /// Digits of a part; the last part may have fewer.
    length: usize,
    /// `p^length`, and `floor((2^64 - 1) / p^length)`: a quotient by it is right or 1 too small.
    divisor: u64,
    reciprocal: u64,
    /// `floor(x / p) = x factor >> shift` for x below 2^31.
    factor: u32,
    shift: u32,
}

impl Parts {
    pub(super) fn of(words: &Words) -> Self {
        let p = words.p;
        let longest = (1..=LONGEST as u32).take_while(|&digits| p.pow(digits) <= 1 << 31).count();
        let length = words.digits.div_ceil(words.digits.div_ceil(longest));
        let divisor = p.pow(length as u32);
        // The error of the factor, less than 2^(shift - 31), cannot show below 2^31.
        let shift = 31 + (u64::BITS - (p - 1).leading_zeros());
        let factor = ((1u64 << shift).div_ceil(p)) as u32;
        Self {
            p,
            digits: words.digits,
            largest: words.largest(words.digits),
            length,
            divisor,
            reciprocal: u64::MAX / divisor,
            factor,
            shift,
        }
    }

    /// Writes the digits of words, one word after the other; gives whether a word has further digits.
    #[inline(always)]
    pub(super) fn write_digits(&self, words: &[[u8; 8]; LANES], digits: &mut [u8]) -> bool {
        let (mut numbers, mut beyond) = ([0; LANES], false);
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = u64::from_le_bytes(*word);
            beyond |= *number > self.largest;
        }
        let mut parts = [[0; LANES]; 8];
        let count = self.digits.div_ceil(self.length);
        for part in &mut parts[..count] {
            *part = self.digits_of(self.cut(&mut numbers));
        }
        // Each part is written as 8 bytes; what stands out is written over by what follows.
        let mut bytes = [0; LANES * 64 + 8];
        for lane in 0..LANES {
            for (i, part) in parts[..count].iter().enumerate() {
                let place = lane * self.digits + i * self.length;
                bytes[place..place + 8].copy_from_slice(&part[lane].to_le_bytes());
            }
        }
        digits.copy_from_slice(&bytes[..LANES * self.digits]);
        beyond
    }

    /// Cuts the lowest part off each number.
    #[inline(always)]
    fn cut(&self, numbers: &mut [u64; LANES]) -> [u32; LANES] {
        let mut parts = [0; LANES];
        for (number, part) in numbers.iter_mut().zip(&mut parts) {
            let quotient = ((u128::from(*number) * u128::from(self.reciprocal)) >> 64) as u64;
            let rest = *number - quotient * self.divisor;
            let above = u64::from(rest >= self.divisor);
            *part = (rest - above * self.divisor) as u32;
            *number = quotient + above;
        }
        parts
    }

    /// The digits of each part, one in each byte.
    #[inline(always)]
    fn digits_of(&self, mut parts: [u32; LANES]) -> [u64; LANES] {
        let mut bytes = [0u64; LANES];
        for j in 0..self.length {
            for (part, bytes) in parts.iter_mut().zip(&mut bytes) {
                let number = u64::from(*part);
                let quotient = (number * u64::from(self.factor)) >> self.shift;
                *bytes |= (number - quotient * self.p) << (8 * j);
                *part = quotient as u32;
            }
        }
        bytes
    }
}

/// Writes the digits of groups of words; gives whether a word has further digits.
pub(super) struct Unpack<'a> {
    pub(super) parts: &'a Parts,
    pub(super) words: &'a [[[u8; 8]; LANES]],
    pub(super) digits: &'a mut [u8],
}

impl NullaryFnOnce for Unpack<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let mut beyond = false;
        for (words, digits) in self.words.iter().zip(self.digits.chunks_exact_mut(LANES * self.parts.digits)) {
            beyond |= self.parts.write_digits(words, digits);
        }
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    #[test]
    fn parts_give_the_digits_of_whole_words() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        for field in (2..=251).filter_map(|order| Field::new(order).ok()) {
            let words = Words::of(field);
            let parts = Parts::of(&words);
            let near = |x: u64| [x.wrapping_sub(1), x, x.wrapping_add(1)];
            let edges = [
                0,
                1 << 31,
                words.largest(words.digits),
                parts.divisor,
                parts.divisor * 5,
                u64::MAX / parts.divisor * parts.divisor,
            ];
            let numbers: Vec<u64> = edges.into_iter().flat_map(near).chain((0..200).map(|_| random())).collect();
            for group in numbers.as_chunks::<LANES>().0 {
                let mut fast = vec![0; LANES * words.digits];
                let beyond = parts.write_digits(&group.map(u64::to_le_bytes), &mut fast);
                let mut expected_beyond = false;
                for (&number, fast) in group.iter().zip(fast.chunks(words.digits)) {
                    let mut digits = vec![0; words.digits];
                    let rest = words.write_digits(number, &mut digits);
                    expected_beyond |= rest != 0;
                    assert!(rest != 0 || digits == fast, "{number} over {field:?}");
                }
                assert_eq!(beyond, expected_beyond);
            }
        }
    }

    #[test]
    fn the_factor_divides_at_the_edges() {
        for field in (2..=251).filter_map(|order| Field::new(order).ok()) {
            let parts = Parts::of(&Words::of(field));
            for multiple in [0, 1, 2, (1 << 31) / parts.p - 1, (1 << 31) / parts.p] {
                for number in [multiple * parts.p, (multiple * parts.p).saturating_sub(1), multiple * parts.p + parts.p - 1] {
                    if number < 1 << 31 {
                        assert_eq!(
                            (number * u64::from(parts.factor)) >> parts.shift,
                            number / parts.p,
                            "{number} by {}",
                            parts.p
                        );
                    }
                }
            }
        }
    }
}
