//! Vote polynomials, schedules and their costs against the vectors of an independent program.

use serde::Deserialize;
use thalweg_vote::{Degree, Domain, Field, Majority, ScheduleKind, Tie};

#[derive(Deserialize)]
struct Case {
    n: usize,
    p: u8,
    bits: u32,
    tie: Tie,
    degree: usize,
    coeffs: Vec<u8>,
    support: Vec<usize>,
    min_degree_coeffs: Vec<u8>,
    #[serde(rename = "R")]
    products: usize,
    depth: usize,
    schedule: Option<Vec<Step>>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Step {
    k: usize,
    i: usize,
    j: usize,
    level: usize,
}

fn without_leading_zeros(mut coefficients: Vec<u8>) -> Vec<u8> {
    while coefficients.len() > 1 && coefficients.last() == Some(&0) {
        coefficients.pop();
    }
    coefficients
}

#[test]
fn polynomials_and_schedules() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/polynomials.json")).unwrap();
    assert_eq!(cases.len(), 135);
    for case in cases {
        let full = Majority::new(Domain::Binary, case.n, case.tie, Degree::Full).unwrap();
        let least = Majority::new(Domain::Binary, case.n, case.tie, Degree::Least).unwrap();
        assert_eq!((full.field().order(), full.field().bits()), (case.p, case.bits));
        assert_eq!((full.degree(), full.support()), (case.degree, case.support), "{} {:?}", case.n, case.tie);
        assert_eq!(full.base().coefficients(), without_leading_zeros(case.coeffs));
        assert_eq!(least.base().coefficients(), without_leading_zeros(case.min_degree_coeffs));
        let schedule = full.schedule(ScheduleKind::Halving);
        assert_eq!((schedule.products().len(), schedule.depth()), (case.products, case.depth));
        if let Some(steps) = case.schedule {
            let made: Vec<Step> = schedule
                .products()
                .iter()
                .map(|product| Step { k: product.k, i: product.i, j: product.j, level: product.level })
                .collect();
            assert_eq!(made, steps);
        }
    }
}

#[derive(Deserialize)]
struct General {
    domain: Domain,
    n: usize,
    p: u16,
    tie: Tie,
    coeffs: Vec<u8>,
    min_degree_coeffs: Vec<u8>,
}

#[test]
fn other_domains_and_larger_fields() {
    let cases: Vec<General> = serde_json::from_str(include_str!("vectors/polynomials_general.json")).unwrap();
    assert_eq!(cases.len(), 22);
    for case in cases {
        let field = Field::new(case.p).unwrap();
        for (degree, expected) in [(Degree::Full, case.coeffs), (Degree::Least, case.min_degree_coeffs)] {
            let majority = Majority::over(field, case.domain, case.n, case.tie, degree).unwrap();
            assert_eq!(majority.base().coefficients(), without_leading_zeros(expected), "{} over F_{}", case.n, case.p);
        }
    }
}
