//! `grouping.json`, `hierarchical.json`, `agreement.json`, `leakage.json`.

use serde::Deserialize;

use super::{Checks, Hex};
use crate::grouping::{self, Beacon};
use crate::plain::{self, Ties};
use crate::prg::SessionId;
use crate::{Tie, leakage};

#[derive(Deserialize)]
struct Grouping {
    session: Hex,
    beacon: Hex,
    n: usize,
    n1: usize,
    round: u32,
    sizes: Vec<usize>,
    groups: Vec<Vec<u16>>,
    coin16: Vec<i8>,
}

pub(super) fn groups(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Grouping>>(text)? {
        checks.case();
        let name = format!("{} users in groups of {}, round {}", case.n, case.n1, case.round);
        let Some(session) = checks.value(&name, case.session.array()).map(SessionId) else { continue };
        let Some(beacon) = checks.value(&name, case.beacon.array()).map(Beacon) else { continue };
        let Some(sizes) = checks.value(&name, grouping::sizes(case.n, case.n1)) else { continue };
        let Some(groups) = checks.value(&name, grouping::draw(&beacon, session, case.round, case.n, sizes.len())) else {
            continue;
        };
        checks.equal(&name, &(sizes, groups), &(case.sizes, case.groups));
        checks.equal(&name, &beacon.coins(session, case.round, case.coin16.len()), &case.coin16);
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct TwoLevels {
    label: String,
    groups: Vec<Vec<u16>>,
    tie_intra: Tie,
    tie_inter: Tie,
    inputs: Vec<Vec<i8>>,
    subgroup_votes: Vec<Vec<i8>>,
    vote: Vec<i8>,
    flat_vote: Vec<i8>,
}

pub(super) fn two_levels(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<TwoLevels>>(text)? {
        checks.case();
        let ties = Ties { inner: case.tie_intra, outer: case.tie_inter };
        if let Some(votes) = checks.value(&case.label, plain::two_level(&case.inputs, &case.groups, ties, &[])) {
            checks.equal(&case.label, &(votes.groups, votes.vote), &(case.subgroup_votes, case.vote));
        }
        let flat = plain::flat(case.inputs.iter().map(Vec::as_slice), case.tie_inter, &[]);
        if let Some(flat) = checks.value(&case.label, flat) {
            checks.equal(&case.label, &flat, &case.flat_vote);
        }
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Agreement {
    n: usize,
    n1: usize,
    q: f64,
    p_same: f64,
    p_opposite: f64,
    p_hier_plus: f64,
    p_hier_tie: f64,
    p_flat_plus: f64,
    p_flat_tie: f64,
}

pub(super) fn agreement(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Agreement>>(text)? {
        checks.case();
        let name = format!("{} users in groups of {}, q = {}", case.n, case.n1, case.q);
        let found =
            grouping::sizes(case.n, case.n1).and_then(|sizes| crate::agreement::with_flat(&sizes, case.q, Ties::default()));
        let Some(found) = checks.value(&name, found) else { continue };
        checks.close(&name, found.same, case.p_same);
        checks.close(&name, found.opposite, case.p_opposite);
        checks.close(&name, found.two_level_plus, case.p_hier_plus);
        checks.close(&name, found.two_level_tie, case.p_hier_tie);
        checks.close(&name, found.flat_plus, case.p_flat_plus);
        checks.close(&name, found.flat_tie, case.p_flat_tie);
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Leakage {
    n: usize,
    colluders: usize,
    tie: Tie,
    mi_bits: f64,
    p_sign_determined: f64,
}

pub(super) fn leakage(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Leakage>>(text)? {
        checks.case();
        let name = format!("{} users, {} colluders", case.n, case.colluders);
        let Some(found) = checks.value(&name, leakage::of_vote(case.n, case.colluders, case.tie)) else { continue };
        checks.close(&name, found.bits, case.mi_bits);
        checks.close(&name, found.certain, case.p_sign_determined);
    }
    Ok(checks)
}
