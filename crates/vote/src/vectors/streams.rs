//! `prg.json`, `packing.json`, `negative_frames.json`.

use serde::Deserialize;

use super::{Checks, Hex};
use crate::prg::{Context, Purpose, Seed, SessionId, Suite};
use crate::scene::chunk_of;
use crate::settings::Settings;
use crate::wire::{Fault, Frame, unpack_vectors};
use crate::{Encoding, Field};

pub(super) fn suite_of(code: u8) -> Suite {
    if code == 1 { Suite::ChaCha20 } else { Suite::Aes256Ctr }
}

#[derive(Deserialize)]
struct Stream {
    suite: u8,
    session: Hex,
    seed: Hex,
    purpose: String,
    round: u32,
    attempt: u16,
    group: u16,
    user: u16,
    key: Hex,
    slot: u32,
    chunk: u64,
    p: u16,
    elements: Vec<u8>,
}

pub(super) fn elements(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Stream>>(text)? {
        checks.case();
        let name = format!("suite {}, purpose {}, slot {}", case.suite, case.purpose, case.slot);
        let purpose = match case.purpose.as_str() {
            "corr" => Purpose::Correlation,
            "sgns" => Purpose::Signs,
            _ => Purpose::Macs,
        };
        let Some(session) = checks.value(&name, case.session.array()) else { continue };
        let Some(seed) = checks.value(&name, case.seed.array()) else { continue };
        let Some(field) = checks.value(&name, Field::new(case.p)) else { continue };
        let context = Context { round: case.round, attempt: case.attempt, group: case.group, user: case.user };
        let key = Seed::from_bytes(seed).derive(SessionId(session), purpose, context);
        checks.equal(&name, &key.bytes().to_vec(), &case.key.0);
        // A longer vector starts with the same elements.
        let mut longer = vec![0; case.elements.len() + 10_000];
        key.expand(suite_of(case.suite), case.slot, case.chunk, field, &mut longer);
        checks.equal(&name, &longer[..case.elements.len()].to_vec(), &case.elements);
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Packed {
    p: u16,
    values: Vec<u8>,
    packed_bits: Hex,
    packed_base_p: Hex,
}

pub(super) fn packings(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Packed>>(text)? {
        checks.case();
        let name = format!("{} elements of F_{}", case.values.len(), case.p);
        let Some(field) = checks.value(&name, Field::new(case.p)) else { continue };
        for (encoding, expected) in [(Encoding::Bits, case.packed_bits), (Encoding::BaseP, case.packed_base_p)] {
            let mut packed = Vec::new();
            encoding.pack(field, &case.values, &mut packed);
            checks.equal(&name, &packed, &expected.0);
            let mut values = vec![0; case.values.len()];
            if checks.value(&name, encoding.unpack(field, &expected.0, &mut values)).is_some() {
                checks.equal(&name, &values, &case.values);
            }
        }
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    frame: Hex,
    error: String,
}

/// The checks that a machine makes of an opening of 20 coordinates over F_5.
fn read_opening(bytes: &[u8]) -> Result<(), Fault> {
    let frame = Frame::parse(bytes)?;
    let field = Field::new(5).map_err(|_| Fault::BadField(5))?;
    chunk_of(&Settings::new(20), &frame)?;
    unpack_vectors(&frame, Encoding::Bits, field, 1)?;
    Ok(())
}

pub(super) fn refused_frames(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Refused>>(text)? {
        checks.case();
        let found = read_opening(&case.frame.0).map_or_else(|fault| fault.name(), |()| "nothing".into());
        checks.equal(case.name, &found, &case.error);
    }
    Ok(checks)
}
