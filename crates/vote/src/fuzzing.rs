//! What the fuzz targets in `fuzz/` run, and what the tests replay on `fuzz/corpus`.
//!
//! Each function takes bytes of no good will. It gives an error where they are refused, and panics where what was accepted is not
//! sound.

use std::sync::OnceLock;

use crate::machine::{Action, Event, Machine, StateName};
use crate::settings::{Outer, Settings, Switch};
use crate::simulate::{SentFrame, Simulation, SimulationConfig};
use crate::wire::{
    Abort, ConfirmAll, Fault, Frame, FrameKind, Hello, HelloList, Party, RoundPlan, SurvivorSet, Unsent, VoteCode, read_mean,
    split_flags, write_mean,
};
use crate::{Encoding, Field};

/// Whether the bytes were accepted.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What is run on the bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// Every target, by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("frame", frame),
    ("payload", payload),
    ("elements", elements),
    ("client", client),
    ("aggregator", aggregator),
    ("dealer", dealer),
];

/// The header of a frame: what was read is written as the same bytes.
///
/// # Errors
/// Where the bytes are no frame.
pub fn frame(bytes: &[u8]) -> Outcome {
    let frame = Frame::parse(bytes)?;
    assert_eq!(frame.header.frame(|payload| payload.extend_from_slice(frame.payload)), bytes);
    Ok(())
}

/// The payload of a frame, by its type: what was read is written as the same bytes.
///
/// # Errors
/// Where the payload is none of its type.
pub fn payload(bytes: &[u8]) -> Outcome {
    let frame = Frame::parse(bytes)?;
    let mut written = Vec::new();
    match frame.header.kind {
        FrameKind::Hello => Hello::read(&frame)?.write(frame.header.sender.code(), &mut written),
        FrameKind::HelloAll => HelloList::read(&frame)?.write(&mut written),
        FrameKind::RoundPlan => RoundPlan::read(&frame, Unsent { group_size: 3, ..Unsent::default() })?.write(&mut written),
        FrameKind::ConfirmAll => ConfirmAll::read(&frame)?.write(&mut written),
        FrameKind::Abort => Abort::read(&frame)?.write(&mut written),
        FrameKind::Survivors => SurvivorSet::read(&frame)?.write(&mut written),
        FrameKind::Vote => {
            let code = VoteCode::new(frame.payload.len() > (frame.header.length as usize).div_ceil(8));
            code.write(&code.read(&frame)?, &mut written);
        }
        FrameKind::Mean => {
            let (groups, sums) = read_mean(&frame)?;
            write_mean(&sums, groups, &mut written);
        }
        FrameKind::SignFlagsAll => {
            split_flags(&frame, 3)?.iter().for_each(|flags| crate::wire::pack_flags(flags, &mut written));
        }
        kind => return Err(Box::new(Fault::WrongState { kind, state: "payload".into() })),
    }
    assert_eq!(written, frame.payload);
    Ok(())
}

/// Packed elements: a field, an encoding, a number of elements (two bytes), and the bytes.
///
/// # Errors
/// Where they are no elements of the field.
pub fn elements(bytes: &[u8]) -> Outcome {
    let [order, encoding, low, high, packed @ ..] = bytes else { return Err("too short".into()) };
    let field = Field::new(u16::from(*order))?;
    let encoding = if encoding % 2 == 0 { Encoding::Bits } else { Encoding::BaseP };
    let mut elements = vec![0; usize::from(u16::from_le_bytes([*low, *high]))];
    encoding.unpack(field, packed, &mut elements)?;
    assert!(elements.iter().all(|&element| element < field.order()));
    let mut again = Vec::new();
    encoding.pack(field, &elements, &mut again);
    assert_eq!(again, packed);
    Ok(())
}

/// A session with everything in it: groups, signatures, masked signs, codes.
fn config() -> SimulationConfig {
    let mut settings = Settings { group_size: 3, chunk: 4, outer: Outer::Vote, ..Settings::new(5) };
    (settings.options.confirm, settings.options.sign_mask, settings.options.mac) = (Switch::On, Switch::On, Switch::On);
    let config = SimulationConfig { insecure_seed: Some(1), keep_frames: Switch::On, ..SimulationConfig::new(settings, 6) };
    SimulationConfig { beacon: crate::BeaconRule::CommitReveal, ..config }
}

fn votes() -> Vec<Vec<i8>> {
    (0..6).map(|user| (0..5).map(|c| if (user * c) % 3 == 0 { 1 } else { -1 }).collect()).collect()
}

/// The frames of an undisturbed round that go to a party.
fn frames_to(party: Party) -> Vec<&'static SentFrame> {
    static FRAMES: OnceLock<Vec<SentFrame>> = OnceLock::new();
    let all = FRAMES.get_or_init(|| {
        let round = Simulation::new(config()).and_then(|mut session| session.round(&votes()));
        round.map(|report| report.frames).unwrap_or_default()
    });
    all.iter().filter(|sent| sent.to == party).collect()
}

/// Gives a machine the frames that the bytes name: each step is the number of a frame of the round, a place in it, and what is added
/// to the byte there. After its end a machine must send nothing.
fn feed(machine: &mut dyn Machine, party: Party, bytes: &[u8]) -> StateName {
    let frames = frames_to(party);
    for step in bytes.as_chunks::<4>().0 {
        let [number, low, high, change] = *step;
        let sent = frames[usize::from(number) % frames.len()];
        let mut frame = sent.bytes.to_vec();
        let place = usize::from(u16::from_le_bytes([low, high])) % frame.len();
        frame[place] ^= change;
        let was_over = matches!(machine.state(), StateName::Done | StateName::Aborted);
        let actions = machine.handle(Event::Frame { from: sent.from, bytes: &frame }).unwrap_or_default();
        let sends = actions.iter().any(|action| matches!(action, Action::Send { .. }));
        assert!(!(was_over && sends), "{party} sends after its end");
    }
    machine.state()
}

/// Frames in any order, to a user.
///
/// # Errors
/// Where no result was accepted.
pub fn client(bytes: &[u8]) -> Outcome {
    let (mut client, _, _) = Simulation::new(config())?.into_machines(1).ok_or("no machines")?;
    client.begin(0, &votes()[1])?;
    ended(feed(&mut client, Party::User(1), bytes), StateName::Done)
}

/// Frames in any order, to the aggregator.
///
/// # Errors
/// Where no result was published.
pub fn aggregator(bytes: &[u8]) -> Outcome {
    let (_, mut aggregator, _) = Simulation::new(config())?.into_machines(0).ok_or("no machines")?;
    aggregator.begin(0, None)?;
    ended(feed(&mut aggregator, Party::Aggregator, bytes), StateName::Done)
}

/// Frames in any order, to the dealer.
///
/// # Errors
/// Where nothing was prepared.
pub fn dealer(bytes: &[u8]) -> Outcome {
    let (_, _, mut dealer) = Simulation::new(config())?.into_machines(0).ok_or("no machines")?;
    ended(feed(&mut dealer, Party::Dealer, bytes), StateName::Provisioned)
}

fn ended(found: StateName, expected: StateName) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("ended in state {found}").into()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn names(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let name =
            |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn every_target_has_a_file_and_a_corpus() {
        let mut targets = TARGETS.map(|(name, _)| name.to_owned());
        targets.sort();
        assert_eq!(names("fuzz_targets"), targets);
        assert_eq!(names("corpus"), targets);
    }

    #[test]
    fn good_inputs_are_accepted_and_bad_ones_refused() {
        let corpus: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let (mut good, mut bad) = (0, 0);
            for entry in fs::read_dir(corpus.join(name)).unwrap() {
                let path = entry.unwrap().path();
                let outcome = target(&fs::read(&path).unwrap());
                let is_good = path.file_name().unwrap().to_string_lossy().starts_with("good-");
                assert_eq!(outcome.is_ok(), is_good, "{}: {outcome:?}", path.display());
                *(if is_good { &mut good } else { &mut bad }) += 1;
            }
            assert!(good > 0 && bad > 0, "{name}: {good} good, {bad} bad");
        }
    }

    /// 200 inputs of each machine drawn at random: undisturbed prefixes, then anything.
    #[test]
    fn machines_take_frames_in_any_order() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for (target, most) in [(client as Target, 60), (aggregator, 160), (dealer, 2)] {
            for _ in 0..200 {
                let prefix = next() as u8 % most;
                let mut bytes: Vec<u8> = (0..prefix).flat_map(|number| [number, 0, 0, 0]).collect();
                for _ in 0..next() % 40 {
                    let word = next();
                    let change = if word >> 60 < 8 { 0 } else { (word >> 40) as u8 };
                    bytes.extend([(word >> 8) as u8, (word >> 16) as u8 % 60, 0, change]);
                }
                let _ = target(&bytes);
            }
        }
    }
}
