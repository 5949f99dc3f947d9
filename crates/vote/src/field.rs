//! Prime fields of at most 251 elements: one element is one byte in `0..p`, and `-1` is `p - 1`.
//!
//! A vote of n users takes the smallest prime above n, so that the sums `-n..=n` of equal parity are distinct. General-purpose
//! field crates are built for primes of many limbs; here a block of coordinates is a `&[u8]`.

pub(crate) mod block;
pub(crate) mod lookup;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The field of the integers modulo a prime of at most [`Field::LARGEST`].
///
/// ```
/// use thalweg_vote::Field;
///
/// let field = Field::above(24)?;
/// assert_eq!((field.order(), field.bits()), (29, 5));
/// assert_eq!(field.multiply(field.element(-1), 28), 1);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Field {
    order: u8,
}

impl Field {
    /// The largest order: the last prime that fits one byte.
    pub const LARGEST: u8 = 251;

    /// The field of `order` elements.
    ///
    /// # Errors
    /// [`Error::Value`] unless the order is a prime of at most 251.
    pub fn new(order: u16) -> Result<Self> {
        match u8::try_from(order) {
            Ok(order) if is_prime(order) => Ok(Self { order }),
            _ => Err(Error::value("the order of the field", order, "a prime from 2 to 251")),
        }
    }

    /// The smallest field with more than `number` elements.
    ///
    /// # Errors
    /// [`Error::Value`] for numbers above 250.
    pub fn above(number: usize) -> Result<Self> {
        let first = u8::try_from(number).ok().filter(|&number| number < Self::LARGEST);
        let first = first.ok_or_else(|| Error::value("the number that the field must exceed", number, "at most 250"))?;
        let order = (first + 1..=Self::LARGEST).find(|&order| is_prime(order)).unwrap_or(Self::LARGEST);
        Ok(Self { order })
    }

    /// The number p of elements.
    pub const fn order(self) -> u8 {
        self.order
    }

    /// The bits of an element on the wire: the bit length of `p - 1`.
    pub const fn bits(self) -> u32 {
        u8::BITS - (self.order - 1).leading_zeros()
    }

    /// The element of an integer.
    pub const fn element(self, integer: i32) -> u8 {
        integer.rem_euclid(self.order as i32) as u8
    }

    /// `a + b`.
    pub const fn add(self, a: u8, b: u8) -> u8 {
        ((a as u16 + b as u16) % self.order as u16) as u8
    }

    /// `a - b`.
    pub const fn subtract(self, a: u8, b: u8) -> u8 {
        ((a as u16 + self.order as u16 - b as u16) % self.order as u16) as u8
    }

    /// `a b`.
    pub const fn multiply(self, a: u8, b: u8) -> u8 {
        ((a as u16 * b as u16) % self.order as u16) as u8
    }

    /// `a^exponent`, with `0^0 = 1`.
    pub const fn power(self, a: u8, mut exponent: u32) -> u8 {
        let (mut square, mut power) = (a % self.order, 1 % self.order);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = self.multiply(power, square);
            }
            square = self.multiply(square, square);
            exponent >>= 1;
        }
        power
    }

    /// `1 / a`; 0 has none.
    pub const fn inverse(self, a: u8) -> Option<u8> {
        if a == 0 { None } else { Some(self.power(a, self.order as u32 - 2)) }
    }

    /// The elements in ascending order.
    pub fn elements(self) -> impl Iterator<Item = u8> {
        0..self.order
    }
}

impl TryFrom<u16> for Field {
    type Error = Error;

    fn try_from(order: u16) -> Result<Self> {
        Self::new(order)
    }
}

impl From<Field> for u16 {
    fn from(field: Field) -> Self {
        Self::from(field.order)
    }
}

const fn is_prime(number: u8) -> bool {
    let mut divisor = 2;
    while divisor < 16 && divisor < number {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 1;
    }
    number >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_the_54_primes_up_to_251() {
        let primes: Vec<u16> = (0..=300).filter(|&order| Field::new(order).is_ok()).collect();
        assert_eq!(primes.len(), 54);
        assert!(primes.iter().all(|&p| (2..p).all(|divisor| !p.is_multiple_of(divisor))));
        assert_eq!((primes[0], primes[53]), (2, 251));
    }

    #[test]
    fn the_smallest_field_above_a_number() {
        for (number, order) in [(0, 2), (2, 3), (3, 5), (4, 5), (24, 29), (28, 29), (29, 31), (250, 251)] {
            assert_eq!(Field::above(number).unwrap().order(), order, "{number}");
        }
        assert!(Field::above(251).is_err() && Field::above(usize::MAX).is_err());
    }

    #[test]
    fn every_non_zero_element_has_an_inverse() {
        for order in (2..=251).filter(|&order| Field::new(order).is_ok()) {
            let field = Field::new(order).unwrap();
            assert_eq!(field.inverse(0), None);
            for a in 1..field.order() {
                assert_eq!(field.multiply(a, field.inverse(a).unwrap()), 1);
                assert_eq!(field.add(a, field.subtract(0, a)), 0);
            }
            assert!(1u32 << field.bits() >= u32::from(order));
            assert!(1u32 << (field.bits() - 1) < u32::from(order));
        }
    }
}
