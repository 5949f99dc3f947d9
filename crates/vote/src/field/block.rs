//! Arithmetic on blocks of elements, one byte each, without division, branches or table look-ups on secret values.
//!
//! Each loop compiles to vector instructions, chosen at run time. A reduction modulo p is a multiplication by
//! `floor(2^16 / p)`, a subtraction, and a minimum. All blocks of one call have the same length.

use pulp::Arch;

use super::Field;
use crate::wiped::Wiped;

/// `floor(2^16 / p)`: one multiplication by it gives a quotient that is right or 1 too small.
const fn reciprocal(field: Field) -> u16 {
    (65_536 / field.order as u32) as u16
}

#[inline(always)]
const fn high_half(a: u16, b: u16) -> u16 {
    ((a as u32 * b as u32) >> 16) as u16
}

/// `x mod p` for any 16-bit x.
#[inline(always)]
fn reduce(x: u16, p: u16, reciprocal: u16) -> u16 {
    let rest = x.wrapping_sub(high_half(x, reciprocal).wrapping_mul(p));
    // Below p the difference wraps round to a large number.
    rest.min(rest.wrapping_sub(p))
}

/// `a += b`.
pub(crate) fn add_assign(field: Field, a: &mut [u8], b: &[u8]) {
    let p = field.order;
    Arch::new().dispatch(|| {
        for (a, &b) in a.iter_mut().zip(b) {
            let rest = a.wrapping_sub(p - b);
            *a = rest.wrapping_add(p & u8::from(*a < p - b).wrapping_neg());
        }
    });
}

/// `a -= b`.
pub(crate) fn subtract_assign(field: Field, a: &mut [u8], b: &[u8]) {
    let p = field.order;
    Arch::new().dispatch(|| {
        for (a, &b) in a.iter_mut().zip(b) {
            let borrow = u8::from(*a < b).wrapping_neg();
            *a = a.wrapping_sub(b).wrapping_add(p & borrow);
        }
    });
}

/// `a = a b`.
pub(crate) fn multiply_assign(field: Field, a: &mut [u8], b: &[u8]) {
    let (p, m) = (u16::from(field.order), reciprocal(field));
    Arch::new().dispatch(|| {
        for (a, &b) in a.iter_mut().zip(b) {
            *a = reduce(u16::from(*a) * u16::from(b), p, m) as u8;
        }
    });
}

/// `a += b c`.
pub(crate) fn multiply_add_assign(field: Field, a: &mut [u8], b: &[u8], c: &[u8]) {
    let (p, m) = (u16::from(field.order), reciprocal(field));
    Arch::new().dispatch(|| {
        for ((a, &b), &c) in a.iter_mut().zip(b).zip(c) {
            *a = reduce(u16::from(*a) + u16::from(b) * u16::from(c), p, m) as u8;
        }
    });
}

/// Writes the residues of any bytes.
pub(crate) fn reduce_into(field: Field, bytes: &[u8], residues: &mut [u8]) {
    let (p, m) = (u16::from(field.order), reciprocal(field));
    Arch::new().dispatch(|| {
        for (residue, &byte) in residues.iter_mut().zip(bytes) {
            *residue = reduce(u16::from(byte), p, m) as u8;
        }
    });
}

/// `chosen = a` where `places` is `place`; the places are public.
pub(crate) fn choose_where(chosen: &mut [u8], a: &[u8], places: &[u8], place: u8) {
    Arch::new().dispatch(|| {
        for ((chosen, &a), &at) in chosen.iter_mut().zip(a).zip(places) {
            *chosen = if at == place { a } else { *chosen };
        }
    });
}

/// `sum_c a_c b_c`.
pub(crate) fn dot(field: Field, a: &[u8], b: &[u8]) -> u8 {
    // 4,096 products of at most 250^2 fit 32 bits.
    let part = |(a, b): (&[u8], &[u8])| {
        let sum = Arch::new().dispatch(|| a.iter().zip(b).fold(0u32, |sum, (&a, &b)| sum + u32::from(a) * u32::from(b)));
        u64::from(sum)
    };
    let sum: u64 = a.chunks(4_096).zip(b.chunks(4_096)).map(part).sum();
    (sum % u64::from(field.order)) as u8
}

/// The largest element, 0 for none.
pub(crate) fn largest(a: &[u8]) -> u8 {
    Arch::new().dispatch(|| a.iter().fold(0, |largest, &a| largest.max(a)))
}

/// The elements of votes in {-1, 0, +1}.
pub(crate) fn from_votes(field: Field, votes: &[i8], elements: &mut [u8]) {
    let p = field.order;
    Arch::new().dispatch(|| {
        for (element, &vote) in elements.iter_mut().zip(votes) {
            // The sign bit, spread over the byte, adds p to -1.
            *element = (vote as u8).wrapping_add(p & (vote >> 7) as u8);
        }
    });
}

/// Sums of elements and of products, reduced as seldom as 16 bits allow. Wiped when dropped.
pub(crate) struct Accumulator {
    field: Field,
    sums: Wiped<u16>,
    /// The largest value that a sum can have by now.
    bound: u32,
}

impl Accumulator {
    /// `length` sums, all zero.
    pub(crate) fn new(field: Field, length: usize) -> Self {
        Self { field, sums: Wiped::new(vec![0; length]), bound: 0 }
    }

    /// Makes room for a term of at most `term` in each sum.
    fn expect(&mut self, term: u32) {
        if self.bound + term > u32::from(u16::MAX) {
            self.reduce();
        }
        self.bound += term;
    }

    fn reduce(&mut self) {
        let (p, m) = (u16::from(self.field.order), reciprocal(self.field));
        let sums = &mut self.sums[..];
        Arch::new().dispatch(|| {
            for sum in sums {
                *sum = reduce(*sum, p, m);
            }
        });
        self.bound = u32::from(p) - 1;
    }

    fn largest(&self) -> u32 {
        u32::from(self.field.order) - 1
    }

    /// Adds `a`.
    pub(crate) fn add(&mut self, a: &[u8]) {
        self.expect(self.largest());
        let sums = &mut self.sums[..];
        Arch::new().dispatch(|| {
            for (sum, &a) in sums.iter_mut().zip(a) {
                *sum += u16::from(a);
            }
        });
    }

    /// Adds `scale a`.
    pub(crate) fn add_scaled(&mut self, scale: u8, a: &[u8]) {
        // The bound does not depend on the scale, which may be secret.
        self.expect(self.largest() * self.largest());
        let (scale, sums) = (u16::from(scale), &mut self.sums[..]);
        Arch::new().dispatch(|| {
            for (sum, &a) in sums.iter_mut().zip(a) {
                *sum += scale * u16::from(a);
            }
        });
    }

    /// Adds `a b`.
    pub(crate) fn add_product(&mut self, a: &[u8], b: &[u8]) {
        self.expect(self.largest() * self.largest());
        let sums = &mut self.sums[..];
        Arch::new().dispatch(|| {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum += u16::from(a) * u16::from(b);
            }
        });
    }

    /// Makes room for one more byte in each sum, whatever the byte.
    pub(crate) fn bytes(&mut self) -> Bytes<'_> {
        self.expect(u32::from(u8::MAX));
        Bytes(&mut self.sums)
    }

    /// Makes room for one more product of an element and any byte in each sum.
    pub(crate) fn products(&mut self) -> Products<'_> {
        self.expect(self.largest() * u32::from(u8::MAX));
        Products(&mut self.sums)
    }

    /// Writes the residues of the sums and starts again at zero.
    pub(crate) fn finish(&mut self, residues: &mut [u8]) {
        let (p, m) = (u16::from(self.field.order), reciprocal(self.field));
        let sums = &mut self.sums[..];
        Arch::new().dispatch(|| {
            for (residue, sum) in residues.iter_mut().zip(sums) {
                *residue = reduce(*sum, p, m) as u8;
                *sum = 0;
            }
        });
        self.bound = 0;
    }
}

/// Room for a byte in each sum of an [`Accumulator`].
pub(crate) struct Bytes<'a>(&'a mut [u16]);

impl Bytes<'_> {
    /// Adds bytes from a place on; each place once.
    pub(crate) fn add(&mut self, at: usize, bytes: &[u8]) {
        let sums = &mut self.0[at..at + bytes.len()];
        Arch::new().dispatch(|| {
            for (sum, &byte) in sums.iter_mut().zip(bytes) {
                *sum += u16::from(byte);
            }
        });
    }
}

/// Room for a product in each sum of an [`Accumulator`].
pub(crate) struct Products<'a>(&'a mut [u16]);

impl Products<'_> {
    /// Adds the products of elements and bytes from a place on; each place once.
    pub(crate) fn add(&mut self, at: usize, elements: &[u8], bytes: &[u8]) {
        let sums = &mut self.0[at..at + bytes.len()];
        Arch::new().dispatch(|| {
            for ((sum, &element), &byte) in sums.iter_mut().zip(elements).zip(bytes) {
                *sum += u16::from(element) * u16::from(byte);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> impl Iterator<Item = Field> {
        (2..=251).filter_map(|order| Field::new(order).ok())
    }

    /// All pairs of elements, as two blocks.
    fn pairs(field: Field) -> (Vec<u8>, Vec<u8>) {
        field.elements().flat_map(|a| field.elements().map(move |b| (a, b))).unzip()
    }

    #[test]
    fn a_reduction_is_a_remainder_for_every_16_bit_number() {
        for field in fields() {
            let (p, m) = (u16::from(field.order()), reciprocal(field));
            assert!((0..=u16::MAX).all(|x| reduce(x, p, m) == x % p), "{field:?}");
        }
    }

    #[test]
    fn blocks_agree_with_single_elements_on_all_pairs() {
        for field in fields() {
            let (left, right) = pairs(field);
            let expect = |f: &dyn Fn(u8, u8) -> u8| -> Vec<u8> { left.iter().zip(&right).map(|(&a, &b)| f(a, b)).collect() };
            let run = |f: &dyn Fn(&mut [u8])| {
                let mut block = left.clone();
                f(&mut block);
                block
            };
            assert_eq!(run(&|a| add_assign(field, a, &right)), expect(&|a, b| field.add(a, b)));
            assert_eq!(run(&|a| subtract_assign(field, a, &right)), expect(&|a, b| field.subtract(a, b)));
            assert_eq!(run(&|a| multiply_assign(field, a, &right)), expect(&|a, b| field.multiply(a, b)));
            let sum = expect(&|a, b| field.add(a, field.multiply(a, b)));
            assert_eq!(run(&|a| multiply_add_assign(field, a, &left, &right)), sum);
        }
    }

    #[test]
    fn accumulators_never_overflow_with_the_largest_elements() {
        for field in fields() {
            let largest = field.order() - 1;
            let block = [largest; 40];
            let mut sums = Accumulator::new(field, 40);
            let (mut expected, mut residues) = (0u8, [0; 40]);
            for round in 0..300 {
                sums.add(&block);
                sums.add_scaled(largest, &block);
                sums.add_product(&block, &block);
                sums.bytes().add(0, &[255; 40]);
                sums.products().add(0, &block, &[255; 40]);
                let byte = 255 % field.order();
                expected = field.add(expected, field.add(byte, field.multiply(largest, byte)));
                let square = field.multiply(largest, largest);
                expected = field.add(expected, field.add(largest, field.add(square, square)));
                assert!(sums.bound <= u32::from(u16::MAX), "round {round}");
            }
            sums.finish(&mut residues);
            assert_eq!(residues, [expected; 40]);
            sums.finish(&mut residues);
            assert_eq!(residues, [0; 40]);
        }
    }

    #[test]
    fn votes_and_any_bytes_become_elements() {
        for field in fields() {
            let mut elements = [0; 3];
            from_votes(field, &[-1, 0, 1], &mut elements);
            assert_eq!(elements, [field.element(-1), 0, 1 % field.order()]);
            let bytes: Vec<u8> = (0..=255).collect();
            let mut residues = [0; 256];
            reduce_into(field, &bytes, &mut residues);
            assert!(residues.iter().zip(0..=255u8).all(|(&residue, byte)| residue == byte % field.order()));
        }
    }
}
