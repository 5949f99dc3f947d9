//! `threshold.json`: one-round with survivors and Shamir's shares.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Checks;
use crate::dealer::shamir::lagrange_at_zero;
use crate::{Degree, Domain, Field, Majority, Polynomial, Tie};

#[derive(Deserialize)]
struct Case {
    n: usize,
    p: u16,
    t: usize,
    uploaded: Vec<u8>,
    finished: Vec<u8>,
    coeffs: Vec<u8>,
    coords: Vec<Coordinate>,
}

#[derive(Deserialize)]
struct Coordinate {
    x: Vec<i8>,
    m: Vec<u8>,
    #[serde(rename = "D")]
    difference: u8,
    r: u8,
    shamir_coeffs: Vec<Vec<u8>>,
    weights: Vec<u8>,
    #[serde(rename = "final")]
    answers: BTreeMap<u8, u8>,
    lagrange: BTreeMap<u8, u8>,
    #[serde(rename = "F")]
    result: u8,
}

impl Coordinate {
    fn check(&self, case: &Case, field: Field, rule: &Majority, checks: &mut Checks) {
        let name = format!("{} of {} users left", case.uploaded.len(), case.n);
        let add = |values: &mut dyn Iterator<Item = u8>| values.fold(0, |sum, value| field.add(sum, value));
        let place = |&user: &u8| usize::from(user);
        let mask = add(&mut case.uploaded.iter().map(|user| self.m[place(user)]));
        let sum: i32 = case.uploaded.iter().map(|user| i32::from(self.x[place(user)])).sum();
        checks.equal(&name, &mask, &self.r);
        checks.equal(&name, &field.subtract(field.element(sum), mask), &self.difference);
        checks.equal(&name, &rule.base().shifted(self.difference), &self.weights);
        let share = |j: usize, point: u8| {
            let polynomial = &self.shamir_coeffs[j - 1];
            polynomial.iter().rev().fold(0, |value, &a| field.add(field.multiply(value, point), a))
        };
        let answer = |&user: &u8| {
            let terms = (1..self.weights.len()).map(|j| field.multiply(self.weights[j], share(j, user + 1)));
            (user, field.add(self.weights[0], add(&mut terms.into_iter())))
        };
        checks.equal(&name, &case.finished.iter().map(answer).collect(), &self.answers);
        let first = &case.finished[..case.t.min(case.finished.len())];
        let points: Vec<u8> = first.iter().map(|user| user + 1).collect();
        let weights = lagrange_at_zero(field, &points);
        checks.equal(&name, &first.iter().copied().zip(weights.iter().copied()).collect(), &self.lagrange);
        let result = add(&mut first.iter().zip(&weights).map(|(user, &weight)| field.multiply(weight, self.answers[user])));
        checks.equal(&name, &result, &self.result);
        checks.equal(&name, &result, &field.element(sum.signum()));
    }
}

pub(super) fn interpolation(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Case>>(text)? {
        checks.case();
        let rule = Field::new(case.p)
            .and_then(|field| Majority::over(field, Domain::Binary, case.uploaded.len(), Tie::Zero, Degree::Full));
        let Some(rule) = checks.value(format!("{} users", case.n), rule) else { continue };
        let expected = Polynomial::new(rule.field(), case.coeffs.clone());
        checks.equal("coefficients", rule.base(), &expected);
        case.coords.iter().for_each(|coordinate| coordinate.check(&case, rule.field(), &rule, &mut checks));
    }
    Ok(checks)
}
