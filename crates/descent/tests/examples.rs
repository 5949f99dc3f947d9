//! The examples as their readers run them: whole, and killed again and again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use thalweg_descent::store::{Run, load_checkpoint};

/// Cargo builds the examples before the tests, beside their folder.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    Command::new(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

#[track_caller]
fn run_to_the_end(name: &str, root: &Path) {
    let output = example(name).arg(root).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

fn outcome(folder: &Path) -> (Vec<u8>, Vec<f64>) {
    let events = std::fs::read(folder.join("events.jsonl")).unwrap();
    (events, Run::newest_snapshot::<f64>(folder).unwrap().parameters)
}

/// Kills the example `kills` times, each after a little longer, then lets it finish.
#[track_caller]
fn killed_and_resumed_ends_with_the_same_bits(name: &str, kills: u32, every: Duration) {
    let root = tempfile::tempdir().unwrap();
    let undisturbed = root.path().join("undisturbed");
    let killed = root.path().join("killed");
    run_to_the_end(name, &undisturbed);
    let mut interrupted = 0;
    for _ in 0..kills {
        let mut child = example(name).arg(&killed).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(every);
        interrupted += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(interrupted > 0, "{name} was never killed at work: the test tests nothing");
    run_to_the_end(name, &killed);
    assert_eq!(outcome(&undisturbed.join(name)), outcome(&killed.join(name)), "{name}");
}

#[test]
fn a_matrix_survives_kills() {
    killed_and_resumed_ends_with_the_same_bits("matrix", 6, Duration::from_millis(47));
}

#[test]
fn a_plan_of_actions_survives_kills() {
    killed_and_resumed_ends_with_the_same_bits("actions", 6, Duration::from_millis(31));
}

#[test]
fn a_server_drives_the_machine_from_outside() {
    run_to_the_end("federated", Path::new("unused"));
}

#[test]
fn workers_give_the_bits_of_one_thread() {
    run_to_the_end("workers", Path::new("unused"));
}

#[test]
fn every_checkpoint_is_readable_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let mut child = example("matrix").arg(root.path()).stdout(Stdio::null()).spawn().unwrap();
    let folder = root.path().join("matrix/checkpoints");
    let mut read = 0;
    while child.try_wait().unwrap().is_none() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "safetensors")) {
            match load_checkpoint::<f64>(path) {
                Ok(_) => read += 1,
                Err(error) => assert!(!path.exists(), "{error}"),
            }
        }
    }
    assert!(read > 0);
}
