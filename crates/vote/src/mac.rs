//! Authentication codes of shares (in the manner of SPDZ): for a dealt value v the members also share `alpha v`, for a key alpha
//! that nobody knows, in an extension field of at least 2^40 elements. Codes of sums and of public multiples come for free.
//!
//! A single element of F_p would be guessed one time in p; so alpha lies in `F_q = F_p[X] / (X^k + aX + b)`, and since values lie in
//! F_p, the code of a value is k elements of F_p.

use zeroize::Zeroizing;

use crate::correlation::Slot;
use crate::field::block;
use crate::prg::{StreamKey, Suite};
use crate::{Error, Field, Result};

/// The slot of a user's share of the key in its stream for codes.
const KEY_SLOT: Slot = Slot::MAX;

/// The stream of a component of a vector's code.
pub(crate) const fn mac_slot(slot: Slot, component: usize) -> Slot {
    slot * 32 + component as Slot
}

/// `F_q = F_p[X] / (X^k + aX + b)` with `p^k >= 2^40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacField {
    field: Field,
    degree: usize,
    linear: u8,
    constant: u8,
}

/// p, k, a, b: the trinomials are irreducible, see the tests.
const TRINOMIALS: [(u8, usize, u8, u8); 10] = [
    (5, 18, 1, 1),
    (7, 16, 2, 3),
    (11, 12, 1, 7),
    (13, 11, 1, 5),
    (17, 10, 1, 7),
    (19, 10, 4, 1),
    (23, 9, 1, 3),
    (29, 9, 1, 3),
    (31, 9, 0, 3),
    (37, 8, 0, 2),
];

impl MacField {
    /// The extension of a field.
    ///
    /// # Errors
    /// [`Error::Value`] for fields other than F_5 to F_37: groups of 3 to 36.
    pub fn of(field: Field) -> Result<Self> {
        TRINOMIALS
            .iter()
            .find(|(p, ..)| *p == field.order())
            .map(|&(_, degree, linear, constant)| Self { field, degree, linear, constant })
            .ok_or_else(|| {
                Error::value("the field of authenticated votes", field.order(), "from 5 to 37: groups of 3 to 36 members")
            })
    }

    /// The number k of components.
    pub const fn degree(&self) -> usize {
        self.degree
    }

    /// The field of a component.
    pub const fn base(&self) -> Field {
        self.field
    }

    /// `x y`, components ascending.
    pub fn multiply(&self, x: &[u8], y: &[u8]) -> Vec<u8> {
        let mut product = vec![0; 2 * self.degree - 1];
        for (i, &x) in x.iter().enumerate() {
            for (j, &y) in y.iter().enumerate() {
                product[i + j] = self.field.add(product[i + j], self.field.multiply(x, y));
            }
        }
        self.reduce(product)
    }

    /// The residue of a polynomial of degree at most `2k - 2`: `X^k = -aX - b`.
    pub(crate) fn reduce(&self, mut polynomial: Vec<u8>) -> Vec<u8> {
        for at in (self.degree..polynomial.len()).rev() {
            let leading = std::mem::take(&mut polynomial[at]);
            let low = at - self.degree;
            polynomial[low] = self.field.subtract(polynomial[low], self.field.multiply(leading, self.constant));
            polynomial[low + 1] = self.field.subtract(polynomial[low + 1], self.field.multiply(leading, self.linear));
        }
        polynomial.truncate(self.degree);
        polynomial
    }
}

/// The key alpha, or a share of it. Wiped when dropped.
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    /// A member's share.
    pub fn share(field: &MacField, key: &StreamKey, suite: Suite) -> Self {
        let mut components = Zeroizing::new(vec![0; field.degree]);
        key.expand(suite, KEY_SLOT, 0, field.field, &mut components);
        Self(components)
    }

    /// The key of all members' shares.
    pub fn sum<'a>(field: &MacField, keys: impl Iterator<Item = &'a StreamKey>, suite: Suite) -> Self {
        let mut sum = Zeroizing::new(vec![0; field.degree]);
        for key in keys {
            block::add_assign(field.field, &mut sum, &Self::share(field, key, suite).0);
        }
        Self(sum)
    }

    pub(crate) fn component(&self, component: usize) -> u8 {
        self.0[component]
    }

    pub(crate) fn components(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> impl Iterator<Item = MacField> {
        TRINOMIALS.iter().map(|&(p, ..)| MacField::of(Field::new(p.into()).unwrap()).unwrap())
    }

    /// `x^(p^times)`, by squaring and multiplying.
    fn frobenius(field: &MacField, x: &[u8], times: usize) -> Vec<u8> {
        (0..times).fold(x.to_vec(), |x, _| {
            let mut one = vec![0; field.degree];
            one[0] = 1;
            (0..field.field.order()).fold(one, |power, _| field.multiply(&power, &x))
        })
    }

    /// The greatest common divisor of two polynomials, ascending coefficients, up to a factor.
    fn gcd(field: Field, mut a: Vec<u8>, mut b: Vec<u8>) -> Vec<u8> {
        let trim = |v: &mut Vec<u8>| {
            while v.last() == Some(&0) {
                v.pop();
            }
        };
        trim(&mut a);
        trim(&mut b);
        while !b.is_empty() {
            while a.len() >= b.len() {
                let factor = field.multiply(a[a.len() - 1], field.inverse(b[b.len() - 1]).unwrap());
                let shift = a.len() - b.len();
                for (i, &coefficient) in b.iter().enumerate() {
                    a[shift + i] = field.subtract(a[shift + i], field.multiply(factor, coefficient));
                }
                trim(&mut a);
            }
            std::mem::swap(&mut a, &mut b);
        }
        a
    }

    /// Rabin's test: `X^(p^k) = X`, and `X^(p^(k/r)) - X` is prime to the trinomial for each prime divisor r of k.
    fn is_irreducible(field: &MacField) -> bool {
        let (k, p) = (field.degree, field.field);
        let mut x = vec![0; k];
        x[1] = 1;
        let divisors = (2..=k).filter(|&r| k.is_multiple_of(r) && (2..r).all(|s| !r.is_multiple_of(s)));
        let mut trinomial = vec![0; k + 1];
        (trinomial[0], trinomial[1], trinomial[k]) = (field.constant, field.linear, 1);
        let is_prime_to = |r: usize| {
            let mut difference = frobenius(field, &x, k / r);
            difference[1] = p.subtract(difference[1], 1);
            gcd(p, trinomial.clone(), difference).len() == 1
        };
        frobenius(field, &x, k) == x && divisors.into_iter().all(is_prime_to)
    }

    #[test]
    fn the_trinomials_are_irreducible_and_the_fields_large_enough() {
        for field in fields() {
            assert!(u128::from(field.field.order()).pow(field.degree as u32) >= 1 << 40);
            assert!(is_irreducible(&field), "{field:?}");
        }
    }

    #[test]
    fn reducible_trinomials_fail_the_test() {
        // X^18 + 1 over F_5 has the root 2: 2^18 = -1.
        let field = MacField { linear: 0, ..MacField::of(Field::new(5).unwrap()).unwrap() };
        assert!(!is_irreducible(&field));
    }

    #[test]
    fn other_fields_are_refused() {
        assert!(MacField::of(Field::new(3).unwrap()).is_err() && MacField::of(Field::new(41).unwrap()).is_err());
    }
}
