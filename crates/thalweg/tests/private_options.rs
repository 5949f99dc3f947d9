//! Discrete noise, sampled batches, audits of a whole training, through the binary.

mod binary;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use binary::{command, json, refused, run};
use serde_json::Value;
use thalweg::descent::store::Run;

/// Kills the call once it has saved its work, resumes it, and compares it with an undisturbed one.
#[track_caller]
fn resumes_to_the_same_bits(call: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    json(folder, &format!("{call} --out runs/whole"));
    let mut killed = command(folder, &format!("{call} --out runs/killed")).stderr(Stdio::null()).spawn().unwrap();
    let checkpoints = folder.join("runs/killed/checkpoints");
    let patience = Instant::now() + Duration::from_secs(60);
    let is_saved = || fs::read_dir(&checkpoints).map_or(0, |entries| entries.flatten().filter(is_whole).count()) > 0;
    while !is_saved() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(killed.try_wait().unwrap().is_none(), "{call}: it ended before it could be killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
    json(folder, "runs resume killed");
    let end = |name: &str| Run::newest_snapshot::<f32>(&folder.join("runs").join(name)).unwrap().parameters;
    assert!(end("whole") == end("killed"));
    let events = |name: &str| fs::read(folder.join("runs").join(name).join("events.jsonl")).unwrap();
    assert_eq!(events("whole"), events("killed"));
}

fn is_whole(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "safetensors")
}

const SHORT: &str = "--insecure-seed 3 --checkpoint-every 2 --evaluate-every 500";

#[test]
fn a_training_on_the_grid_resumes_to_the_same_bits() {
    resumes_to_the_same_bits(&format!(
        "private train --mechanism identity --noise discrete --epochs 4 --batch 64 --widths 16 {SHORT}"
    ));
}

#[test]
fn a_sampled_training_with_correlated_noise_resumes_to_the_same_bits() {
    resumes_to_the_same_bits(&format!(
        "private train --mechanism bandmf --bands 4 --sampling cyclic --epochs 12 --batch 64 --widths 32 {SHORT}"
    ));
}

#[test]
fn discrete_noise_is_for_identity_in_a_fixed_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let call = "private train --noise discrete --epochs 1";
    refused(folder, &format!("{call} --mechanism lr-root"), &["discrete", "lr-root", "identity"]);
    refused(folder, &format!("{call} --mechanism identity --sampling poisson"), &["discrete", "fixed order", "Poisson"]);
    assert!(!folder.join("runs").exists());
}

#[test]
fn a_whole_training_is_audited() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = json(folder, "private train --mechanism identity --epochs 2 --batch 64 --widths 16 --epsilon 2");
    assert_eq!(trained["private"], true);
    let audit = json(folder, "private audit --run private-1 --training --canaries 400");
    assert_eq!(audit["verdict"], "consistent");
    assert!(audit["epsilon_lower_bound"].as_f64().unwrap() <= 2.0);
    let control = run(folder, "private audit --run private-1 --training --canaries 400 --fault no-noise --json");
    assert_eq!(control.status.code(), Some(1), "{}", String::from_utf8_lossy(&control.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&control.stdout).unwrap()["verdict"], "violated");
    for page in ["audit-training.html", "audit-training-fault-no-noise.html"] {
        assert!(folder.join("runs/private-1").join(page).exists(), "{page}");
    }
}
