//! The run store filled by hand with damage: each gives a clear error or a safe recovery.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thalweg_descent::choose::Always;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::step::Sgd;
use thalweg_descent::store::{
    CheckpointEvery, Controls, EventLog, Outcome, Run, RunStore, Status, StoreError, load_checkpoint, read_events, read_timings,
    write_atomically,
};
use thalweg_descent::{
    Descent, Error, Layout, Mean, Observe, Pieces, Rates, Record, Reduction, Result, Schedule, Stateful, View,
};

const STEPS: u64 = 20;
const CONFIG: &str = "steps = 20\n";

struct Norm;

impl Stateful for Norm {}

impl Observe<f32> for Norm {
    fn observe(&mut self, view: &View<'_, f32>, record: &mut Record) -> Result<()> {
        record.put_number("norm", thalweg_descent::norm(view.parameters));
        Ok(())
    }
}

fn descent() -> Descent<(), f32> {
    let pieces = Pieces {
        choose: Box::new(Always(())),
        differentiate: Box::new(Gradient::new(|x: &[f32], _: &(), gradient: &mut [f32]| {
            gradient.copy_from_slice(x);
            Ok(0.0)
        })),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::new(0.9, 0.0).unwrap()),
        observe: vec![Box::new(Norm)],
    };
    let rates = Rates::new(0.1, Schedule::Constant, STEPS).unwrap();
    Descent::new(vec![1.0, 2.0, 3.0], Layout::single("x", &[3]), rates, pieces).unwrap()
}

/// Drives the run until `stop_at` steps are taken, with a checkpoint every 4.
fn drive(run: &Run, stop_at: u64) -> Result<(Outcome, Vec<f32>)> {
    let stop = AtomicBool::new(false);
    let mut descent = descent();
    let mut progress = |record: &Record| {
        if record.number("step") == Some(stop_at as f64 - 1.0) {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let outcome =
        run.drive(&mut descent, &mut Controls { checkpoints: CheckpointEvery::steps(4), stop: &stop, progress: &mut progress })?;
    Ok((outcome, descent.parameters().to_vec()))
}

#[test]
fn checkpoints_in_time_leave_quick_runs_with_the_last_one_and_slow_ones_with_one_a_step() {
    let numbers = |interval| {
        let folder = tempfile::tempdir().unwrap();
        let run = RunStore::at(folder.path()).create_named("r", "").unwrap();
        let checkpoints = CheckpointEvery::Time(interval);
        let mut controls = Controls { checkpoints, stop: &AtomicBool::new(false), progress: &mut |_| () };
        run.drive(&mut descent(), &mut controls).unwrap();
        fs::read_dir(run.folder().join("checkpoints")).unwrap().count()
    };
    assert_eq!(numbers(Duration::from_secs(3600)), 1);
    assert_eq!(numbers(Duration::ZERO), 2, "the newest two are kept");
}

/// A store with the run `r` stopped after 10 steps, and what an undisturbed run ends with.
fn stopped() -> (tempfile::TempDir, RunStore, PathBuf, (Vec<f32>, Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let store = RunStore::at(folder.path().join("runs"));
    let whole = store.create_named("whole", CONFIG).unwrap();
    let (outcome, parameters) = drive(&whole, STEPS).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let events = fs::read(whole.folder().join("events.jsonl")).unwrap();
    let run = store.create_named("r", CONFIG).unwrap();
    assert_eq!(drive(&run, 10).unwrap().0, Outcome::Stopped { step: 10 });
    let path = run.folder().to_owned();
    (folder, store, path, (parameters, events))
}

#[track_caller]
fn resumes_to(store: &RunStore, expected: &(Vec<f32>, Vec<u8>)) {
    let run = store.open("r").unwrap();
    let (outcome, parameters) = drive(&run, STEPS).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!(parameters, expected.0);
    assert_eq!(fs::read(run.folder().join("events.jsonl")).unwrap(), expected.1);
}

#[track_caller]
fn store_error(result: Result<(Outcome, Vec<f32>)>) -> StoreError {
    match result {
        Err(Error::Store(error)) => error,
        other => panic!("expected an error of the store, got {other:?}"),
    }
}

fn newest_checkpoint(run: &Path) -> PathBuf {
    let mut all: Vec<_> = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.pop().unwrap()
}

#[test]
fn a_stopped_run_resumes_to_the_same_bits() {
    let (_guard, store, path, expected) = stopped();
    assert_eq!(Run::status(&path).unwrap(), Status::Interrupted);
    resumes_to(&store, &expected);
    assert_eq!(Run::status(&path).unwrap(), Status::Finished);
    resumes_to(&store, &expected);
    let timings = read_timings(&path.join("timings.jsonl")).unwrap();
    assert!(timings.iter().any(|timing| timing.step == STEPS));
}

#[test]
fn lines_after_the_checkpoint_and_a_half_last_line_are_cut() {
    let (_guard, store, path, expected) = stopped();
    let events = path.join("events.jsonl");
    let mut log = fs::read(&events).unwrap();
    let whole_lines = read_events(&events).unwrap().len();
    log.extend_from_slice(b"{\"step\":10,\"norm\":1}\n{\"step\":11,\"no");
    fs::write(&events, log).unwrap();
    assert_eq!(read_events(&events).unwrap().len(), whole_lines + 1, "a reader leaves the half line out");
    resumes_to(&store, &expected);
}

#[test]
fn a_log_shorter_than_the_checkpoint_says_goes_back_one_checkpoint() {
    let (_guard, store, path, expected) = stopped();
    let events = path.join("events.jsonl");
    let log = fs::read(&events).unwrap();
    fs::write(&events, &log[..log.len() - 10]).unwrap();
    resumes_to(&store, &expected);
    // Shorter than both: nothing safe is left, and the error names the file.
    let (_guard, store, path, _) = stopped();
    fs::write(path.join("events.jsonl"), b"").unwrap();
    let error = store_error(drive(&store.open("r").unwrap(), STEPS));
    assert!(matches!(&error, StoreError::Damaged { path, .. } if path.ends_with("events.jsonl")), "{error}");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    for damage in ["flip", "truncate", "empty", "noise"] {
        let (_guard, store, path, expected) = stopped();
        let checkpoint = newest_checkpoint(&path);
        let mut bytes = fs::read(&checkpoint).unwrap();
        match damage {
            "flip" => *bytes.last_mut().unwrap() ^= 1,
            "truncate" => bytes.truncate(bytes.len() / 2),
            "empty" => bytes.clear(),
            _ => bytes = vec![0xff; 100],
        }
        fs::write(&checkpoint, bytes).unwrap();
        resumes_to(&store, &expected);
    }
}

#[test]
fn with_every_checkpoint_damaged_the_error_says_which_and_nothing_is_lost() {
    let (_guard, store, path, _) = stopped();
    for entry in fs::read_dir(path.join("checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), b"not a checkpoint").unwrap();
    }
    let before = fs::read(path.join("events.jsonl")).unwrap();
    let error = store_error(drive(&store.open("r").unwrap(), STEPS));
    assert!(matches!(error, StoreError::Damaged { .. }) && error.is_input(), "{error}");
    assert_eq!(fs::read(path.join("events.jsonl")).unwrap(), before);
}

#[test]
fn a_checkpoint_of_another_version_is_refused_with_both_numbers() {
    let (_guard, store, path, _) = stopped();
    let checkpoint = newest_checkpoint(&path);
    let text = fs::read(&checkpoint).unwrap();
    // The header is JSON in JSON; the format is its first field.
    let (old, new) = (br#"{\"format\":2,"#, br#"{\"format\":9,"#);
    let at = text.windows(old.len()).position(|window| window == old).unwrap();
    let mut changed = text.clone();
    changed[at..at + new.len()].copy_from_slice(new);
    fs::write(&checkpoint, changed).unwrap();
    let error = store_error(drive(&store.open("r").unwrap(), STEPS));
    assert!(matches!(error, StoreError::Version { found: 9, expected: 2, .. }), "{error}");
    // And one of another number type is damage, not a panic.
    assert!(matches!(load_checkpoint::<f64>(&newest_checkpoint(&path)), Err(StoreError::Version { .. })));
    fs::write(&checkpoint, text).unwrap();
    assert!(matches!(load_checkpoint::<f64>(&checkpoint), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_changed_configuration_is_refused() {
    let (_guard, store, path, _) = stopped();
    fs::write(path.join("config.toml"), "steps = 21\n").unwrap();
    let error = store.open("r").unwrap_err();
    assert!(matches!(error, StoreError::ConfigChanged { .. }) && error.to_string().contains("config.toml"), "{error}");
    assert!(matches!(store.open_or_create("whole", "other"), Err(StoreError::ConfigChanged { .. })));
}

#[test]
fn two_processes_cannot_work_on_one_run() {
    let (_guard, store, path, expected) = stopped();
    let first = store.open("r").unwrap();
    let error = store.open("r").unwrap_err();
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert_eq!(Run::status(&path).unwrap(), Status::Running);
    drop(first);
    resumes_to(&store, &expected);
}

#[test]
fn runs_are_numbered_in_order_and_names_stay_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = RunStore::at(folder.path());
    for number in 1..=11 {
        assert_eq!(store.create("private", CONFIG).unwrap().id(), format!("private-{number}"));
    }
    assert_eq!(store.list().unwrap().last().unwrap(), "private-11", "numbers sort as numbers");
    for id in ["../x", "", ".hidden", "a/b", "a\\b", "é"] {
        assert!(matches!(store.create_named(id, CONFIG), Err(StoreError::BadName { .. })), "{id}");
        assert!(matches!(store.find(id), Err(StoreError::BadName { .. })), "{id}");
    }
    let error = store.open("private-99").unwrap_err().to_string();
    assert!(error.contains("private-99") && error.contains("private-11"), "{error}");
    assert!(matches!(store.create_named("private-3", CONFIG), Err(StoreError::Taken { .. })));
}

#[test]
fn an_unwritable_place_is_a_clear_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let error = RunStore::at(file.join("runs")).create("private", CONFIG).unwrap_err();
    assert!(matches!(&error, StoreError::Io { .. }) && error.to_string().contains("runs"), "{error}");
    read_only_folder_is_refused(folder.path());
}

#[cfg(unix)]
#[allow(clippy::print_stdout, reason = "a skip is told")]
fn read_only_folder_is_refused(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let root = folder.join("read-only");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(root.join("probe"), "").is_ok() {
        println!("skipped: this user may write to read-only folders");
        return;
    }
    let error = RunStore::at(&root).create("private", CONFIG).unwrap_err().to_string();
    assert!(error.contains("THALWEG_RUNS"), "{error}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[cfg(not(unix))]
fn read_only_folder_is_refused(_: &Path) {}

/// `/dev/full` takes no byte: a file that leads there is a file on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    use std::os::unix::fs::symlink;
    let (_guard, store, path, expected) = stopped();
    // The next checkpoint, after 12 steps, does not fit.
    symlink("/dev/full", path.join("checkpoints/000000000012.safetensors.part")).unwrap();
    let error = store_error(drive(&store.open("r").unwrap(), STEPS));
    assert!(!error.is_input() && error.to_string().contains("free some space"), "{error}");
    assert!(!path.join("checkpoints/000000000012.safetensors").exists());
    resumes_to(&store, &expected);
    // And neither does the log.
    let full = path.with_file_name("full.jsonl");
    symlink("/dev/full", &full).unwrap();
    let mut log = EventLog::open_at(&full, 0).unwrap();
    let record = descent().record().clone();
    let error = log.append(&record).and_then(|()| log.sync()).unwrap_err();
    assert!(error.to_string().contains("full.jsonl"), "{error}");
    assert!(write_atomically(&path.join("no/such/folder"), b"x").is_err());
}

#[test]
fn events_keep_order_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut log = EventLog::open_at(&path, 0).unwrap();
    let mut record = Record::default();
    record.put("step", 3);
    record.put_number("loss", 0.1 + 0.2);
    record.put_number("a", f64::NAN);
    log.append(&record).unwrap();
    assert_eq!(log.sync().unwrap(), fs::metadata(&path).unwrap().len());
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":3,\"loss\":0.30000000000000004,\"a\":\"NaN\"}\n");
    assert_eq!(read_events(&path).unwrap(), [record]);
    fs::write(&path, "{\"step\":1}\nnonsense\n").unwrap();
    assert!(read_events(&path).unwrap_err().to_string().contains("line 2"));
}
