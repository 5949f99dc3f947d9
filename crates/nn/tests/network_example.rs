//! The example that trains a network, killed and resumed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use thalweg_descent::store::Run;

/// Cargo builds the examples before the tests, beside their folder.
fn example(root: &Path) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let mut command = Command::new(folder.join(format!("network{}", std::env::consts::EXE_SUFFIX)));
    command.arg(root).stdout(Stdio::null());
    command
}

fn outcome(root: &Path) -> (Vec<u8>, Vec<f32>) {
    let folder = root.join("network");
    (std::fs::read(folder.join("events.jsonl")).unwrap(), Run::newest_snapshot::<f32>(&folder).unwrap().parameters)
}

#[test]
fn a_network_killed_and_resumed_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    assert!(example(&whole).status().unwrap().success());
    let mut at_work = 0;
    for kill in 0..6 {
        let mut child = example(&killed).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 17 * kill));
        at_work += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(at_work > 0, "the example was never killed at work");
    assert!(example(&killed).status().unwrap().success());
    assert_eq!(outcome(&whole), outcome(&killed));
}
