//! What the fuzz targets in `fuzz/` run, and what the tests replay on `fuzz/corpus`.
//!
//! Each function takes bytes of no good will. It gives an error where they are refused, and panics where what was accepted is not
//! sound.

use std::path::Path;

use crate::store::checkpoint::{checkpoint_from_bytes, checkpoint_to_bytes};
use crate::store::events::parse_events;
use crate::{Real, Schedule};

/// Whether the bytes were accepted.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What is run on the bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// Every target, by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 3] = [("checkpoint", checkpoint), ("events", events), ("schedule", schedule)];

/// An event log. What was read is read again from what it is written as.
///
/// # Errors
/// Where a line is no event.
pub fn events(bytes: &[u8]) -> Outcome {
    let path = Path::new("events.jsonl");
    let records = parse_events(bytes, path)?;
    let mut log = Vec::new();
    for record in &records {
        serde_json::to_writer(&mut log, record.as_json())?;
        log.push(b'\n');
    }
    assert_eq!(parse_events(&log, path)?, records);
    Ok(())
}

/// A checkpoint of either number type.
///
/// # Errors
/// Where it is none.
pub fn checkpoint(bytes: &[u8]) -> Outcome {
    checkpoint_of::<f32>(bytes).or_else(|error| checkpoint_of::<f64>(bytes).map_err(|_| error))
}

/// The parameters are those of the layout, and a checkpoint of the snapshot says the same.
fn checkpoint_of<F: Real>(bytes: &[u8]) -> Outcome {
    let path = Path::new("checkpoint");
    let (snapshot, event_bytes) = checkpoint_from_bytes::<F>(bytes, path)?;
    assert_eq!(snapshot.parameters.len(), snapshot.layout.len());
    let written = checkpoint_to_bytes(path, &snapshot, event_bytes)?;
    let (again, event_bytes_again) = checkpoint_from_bytes::<F>(&written, path)?;
    // Compared as bytes, so that NaN equals itself.
    assert_eq!((checkpoint_to_bytes(path, &again, event_bytes)?, event_bytes_again), (written, event_bytes));
    Ok(())
}

/// A schedule as a person writes it. Where it fits a run its ratios are above 0, and at most 1 unless they are listed.
///
/// # Errors
/// Where it is none.
pub fn schedule(bytes: &[u8]) -> Outcome {
    let schedule: Schedule = std::str::from_utf8(bytes)?.parse()?;
    assert_eq!(schedule.to_string().parse::<Schedule>()?, schedule);
    let largest = largest_ratio(&schedule);
    for steps in [0, 1, 2, 7, 1000, u64::MAX] {
        let fits = schedule.validate(steps).is_ok();
        for step in [0, 1, steps / 2, steps.saturating_sub(1), u64::MAX] {
            let ratio = schedule.ratio(step, steps);
            assert!(!fits || (ratio > 0.0 && ratio <= largest), "{schedule}, step {step} of {steps}: {ratio}");
        }
    }
    Ok(())
}

fn largest_ratio(schedule: &Schedule) -> f64 {
    const ROUNDING: f64 = 1e-12;
    match schedule {
        Schedule::Listed { .. } => f64::MAX,
        Schedule::WarmUp { then, .. } => largest_ratio(then),
        _ => 1.0 + ROUNDING,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Names in a folder below `fuzz`, without their endings.
    fn names(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_fuzz_target_is_replayed() {
        let expected = TARGETS.map(|(name, _)| name);
        assert_eq!(
            (names("fuzz_targets"), names("corpus")),
            (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
        );
    }

    /// What is wrong with a target's outcome on its corpus.
    fn surprises(target: &str, run: Target) -> Vec<String> {
        let files = names(&format!("corpus/{target}"));
        let judge = |name: &String| {
            let outcome = run(&fs::read(format!("{}/fuzz/corpus/{target}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap());
            let as_named = if outcome.is_ok() { name.starts_with("good-") } else { name.starts_with("bad-") };
            (!as_named).then(|| format!("{target}/{name}: {outcome:?}"))
        };
        let kinds = ["good-", "bad-"].into_iter().filter(|kind| !files.iter().any(|name| name.starts_with(kind)));
        kinds.map(|kind| format!("{target} has no file {kind}*")).chain(files.iter().filter_map(judge)).collect()
    }

    #[test]
    fn the_corpus_is_accepted_or_refused_as_its_names_say() {
        let surprises: Vec<_> = TARGETS.into_iter().flat_map(|(target, run)| surprises(target, run)).collect();
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    }
}
