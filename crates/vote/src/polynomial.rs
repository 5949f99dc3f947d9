//! Vote polynomials: F over a prime field with `F(sum of votes) = majority`.
//!
//! By Fermat, `1 - (x - m)^(p-1)` is 1 at m and 0 elsewhere, so that
//! `F(x) = sum over reachable sums m of sign(m) (1 - (x - m)^(p-1))`. Its coefficients have a closed form, since
//! `C(p-1, k) = (-1)^k mod p`:
//!
//! `a_0 = sum_m s(m) (1 - m^(p-1))` and `a_k = - sum_m s(m) m^(p-1-k)`, with `0^0 = 1`.

mod interpolation;
mod rule;

use serde::{Deserialize, Serialize};

use crate::{Domain, Error, Field, Result};

pub use interpolation::interpolate;
pub use rule::{Degree, Majority, PolynomialSummary};

/// A polynomial over a prime field, constant term first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Polynomial {
    field: Field,
    coefficients: Vec<u8>,
}

impl Polynomial {
    /// The polynomial of these coefficients, constant term first; leading zeros are cut.
    pub(crate) fn new(field: Field, mut coefficients: Vec<u8>) -> Self {
        let length = coefficients.iter().rposition(|&a| a != 0).map_or(1, |degree| degree + 1);
        coefficients.truncate(length);
        Self { field, coefficients }
    }

    /// The polynomial of degree at most `p - 1` that is `value(m)` at every sum m of `voters` votes and 0 at all other elements.
    ///
    /// # Errors
    /// [`Error::Value`] if two sums are the same element.
    pub fn indicator_sum(field: Field, domain: Domain, voters: usize, value: impl Fn(i32) -> i8) -> Result<Self> {
        check_separation(field, domain, voters)?;
        let last = u32::from(field.order()) - 1;
        let mut coefficients = vec![0; usize::from(field.order())];
        for sum in domain.sums(voters) {
            let (m, s) = (field.element(sum), field.element(i32::from(value(sum))));
            coefficients[0] = field.add(coefficients[0], s);
            for (k, a) in (0..=last).zip(&mut coefficients) {
                *a = field.subtract(*a, field.multiply(s, field.power(m, last - k)));
            }
        }
        Ok(Self::new(field, coefficients))
    }

    /// The polynomial of least degree that is `value(m)` at every sum m of `voters` votes.
    ///
    /// # Errors
    /// As [`indicator_sum`](Self::indicator_sum).
    pub fn least_degree(field: Field, domain: Domain, voters: usize, value: impl Fn(i32) -> i8) -> Result<Self> {
        check_separation(field, domain, voters)?;
        let points: Vec<(u8, u8)> =
            domain.sums(voters).map(|sum| (field.element(sum), field.element(i32::from(value(sum))))).collect();
        interpolate(field, &points)
    }

    /// The field.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// The coefficients `a_0, a_1, ..., a_degree`.
    pub fn coefficients(&self) -> &[u8] {
        &self.coefficients
    }

    /// The coefficient of `x^k`, 0 beyond the degree.
    pub fn coefficient(&self, k: usize) -> u8 {
        self.coefficients.get(k).copied().unwrap_or(0)
    }

    /// The degree; 0 for a constant.
    pub const fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// The powers with a coefficient other than 0, ascending.
    pub fn support(&self) -> impl Iterator<Item = usize> {
        self.coefficients.iter().enumerate().filter(|(_, a)| **a != 0).map(|(k, _)| k)
    }

    /// The value at an element, by Horner's rule.
    pub fn evaluate(&self, x: u8) -> u8 {
        self.coefficients.iter().rev().fold(0, |value, &a| self.field.add(self.field.multiply(value, x), a))
    }

    /// The coefficients `w_j` of `F(shift + y)` as a polynomial in y: `w_j = sum_{k>=j} a_k C(k,j) shift^(k-j)`.
    pub fn shifted(&self, shift: u8) -> Vec<u8> {
        let mut weights = self.coefficients.clone();
        // Repeated division by y - shift (Horner's scheme).
        for first in 0..weights.len() {
            for k in (first..weights.len() - 1).rev() {
                weights[k] = self.field.add(weights[k], self.field.multiply(weights[k + 1], shift));
            }
        }
        weights
    }
}

fn check_separation(field: Field, domain: Domain, voters: usize) -> Result<()> {
    if domain.is_separated_by(field, voters) {
        return Ok(());
    }
    let smallest = domain.field(voters)?;
    Err(Error::value("the order of the field", field.order(), &format!("at least {} for {voters} voters", smallest.order())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(sum: i32) -> i8 {
        sum.signum() as i8
    }

    #[test]
    fn the_closed_form_is_the_sign_on_every_sum_and_zero_elsewhere() {
        for (domain, most) in [(Domain::Binary, 250), (Domain::Ternary, 125)] {
            for voters in 1..=most {
                let field = domain.field(voters).unwrap();
                let f = Polynomial::indicator_sum(field, domain, voters, sign).unwrap();
                let mut expected = vec![0; usize::from(field.order())];
                for sum in domain.sums(voters) {
                    expected[usize::from(field.element(sum))] = field.element(sum.signum());
                }
                assert!(field.elements().all(|x| f.evaluate(x) == expected[usize::from(x)]), "{domain:?} {voters}");
            }
        }
    }

    #[test]
    fn the_closed_form_is_the_interpolation_over_all_elements() {
        for voters in (2..=60).chain([100, 125, 199, 250]) {
            let field = Field::above(voters).unwrap();
            let f = Polynomial::indicator_sum(field, Domain::Binary, voters, sign).unwrap();
            let points: Vec<_> = field.elements().map(|x| (x, f.evaluate(x))).collect();
            assert_eq!(interpolate(field, &points).unwrap(), f);
        }
    }

    #[test]
    fn a_shifted_polynomial_by_its_definition() {
        let choose = |n: usize, k: usize| (0..k).fold(1u64, |c, i| c * (n - i) as u64 / (i as u64 + 1));
        for voters in [2, 3, 8, 24] {
            let field = Field::above(voters).unwrap();
            let f = Polynomial::indicator_sum(field, Domain::Binary, voters, sign).unwrap();
            for shift in field.elements() {
                let weights = f.shifted(shift);
                for (j, &weight) in weights.iter().enumerate() {
                    let terms = (j..=f.degree()).map(|k| {
                        let binomial = (choose(k, j) % u64::from(field.order())) as u8;
                        field.multiply(f.coefficient(k), field.multiply(binomial, field.power(shift, (k - j) as u32)))
                    });
                    assert_eq!(weight, terms.fold(0, |sum, term| field.add(sum, term)));
                }
                let g = Polynomial::new(field, weights);
                assert!(field.elements().all(|y| g.evaluate(y) == f.evaluate(field.add(shift, y))));
            }
        }
    }

    #[test]
    fn a_field_that_confuses_two_sums_is_refused() {
        let small = Field::new(23).unwrap();
        let error = Polynomial::indicator_sum(small, Domain::Binary, 24, sign).unwrap_err().to_string();
        assert_eq!(error, "the order of the field is 23, but must be at least 29 for 24 voters");
        assert!(Polynomial::least_degree(small, Domain::Ternary, 12, sign).is_err());
    }
}
