//! `polynomials.json`, `polynomials_general.json`, `costs.csv`.

use serde::Deserialize;

use super::Checks;
use crate::{Circuit, Degree, Domain, Field, Majority, Product, Protocol, ScheduleKind, Tie, ZeroSharing};

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
    schedule: Option<Vec<Product>>,
}

fn without_leading_zeros(mut coefficients: Vec<u8>) -> Vec<u8> {
    while coefficients.len() > 1 && coefficients.last() == Some(&0) {
        coefficients.pop();
    }
    coefficients
}

pub(super) fn minimal_fields(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Case>>(text)? {
        checks.case();
        let name = format!("n = {}, tie {:?}", case.n, case.tie);
        let rule = |degree| Majority::new(Domain::Binary, case.n, case.tie, degree);
        let Some(full) = checks.value(&name, rule(Degree::Full)) else { continue };
        let Some(least) = checks.value(&name, rule(Degree::Least)) else { continue };
        checks.equal(&name, &(full.field().order(), full.field().bits(), full.degree()), &(case.p, case.bits, case.degree));
        checks.equal(&name, &full.support(), &case.support);
        checks.equal(&name, &full.base().coefficients().to_vec(), &without_leading_zeros(case.coeffs));
        checks.equal(&name, &least.base().coefficients().to_vec(), &without_leading_zeros(case.min_degree_coeffs));
        let schedule = full.schedule(ScheduleKind::Halving);
        checks.equal(&name, &(schedule.products().len(), schedule.depth()), &(case.products, case.depth));
        if let Some(products) = case.schedule {
            checks.equal(&name, &schedule.products().to_vec(), &products);
        }
    }
    Ok(checks)
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

pub(super) fn other_fields(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<General>>(text)? {
        checks.case();
        let name = format!("{:?}, n = {} over F_{}", case.domain, case.n, case.p);
        for (degree, expected) in [(Degree::Full, case.coeffs), (Degree::Least, case.min_degree_coeffs)] {
            let rule = Field::new(case.p).and_then(|field| Majority::over(field, case.domain, case.n, case.tie, degree));
            if let Some(rule) = checks.value(&name, rule) {
                checks.equal(&name, &rule.base().coefficients().to_vec(), &without_leading_zeros(expected));
            }
        }
    }
    Ok(checks)
}

/// The columns of the file, as this library finds them for n users.
fn columns(n: usize) -> crate::Result<Vec<usize>> {
    let rule = |degree| Majority::new(Domain::Binary, n, Tie::Zero, degree);
    let (full, least) = (rule(Degree::Full)?, rule(Degree::Least)?);
    let bits = full.field().bits() as usize;
    let circuit = |protocol, rule: &Majority| Circuit::new(protocol, rule.clone(), ScheduleKind::Halving, ZeroSharing::Off);
    let (beaver, lean) = (circuit(Protocol::Beaver, &full), circuit(Protocol::Lean, &full));
    let corrected = |circuit: &Circuit| circuit.recipe().corrected().count() - usize::from(circuit.recipe().has_zero_sharing());
    let one_round = |rule| corrected(&circuit(Protocol::OneRound, rule));
    let products = beaver.schedule().products().len();
    Ok([
        [n, full.field().order().into(), bits, crate::packing::digits_of_word(full.field())].as_slice(),
        &[full.degree(), least.degree(), products, beaver.levels(), lean.all_openings()],
        &[beaver.all_openings() * bits, lean.all_openings() * bits, 2 * bits],
        &[corrected(&beaver), corrected(&lean), one_round(&full), one_round(&least)],
    ]
    .concat())
}

pub(super) fn costs(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for line in text.lines().skip(1) {
        checks.case();
        let cells: Result<Vec<usize>, _> = line.split(',').map(str::parse).collect();
        let Some(cells) = checks.value(line, cells) else { continue };
        let Some(found) = checks.value(line, columns(cells.first().copied().unwrap_or_default())) else { continue };
        checks.equal(format!("n = {}", cells[0]), &found, &cells);
    }
    Ok(checks)
}
