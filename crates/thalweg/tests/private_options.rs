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

#[test]
fn schedules_that_do_not_fit_are_refused_and_rising_ones_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, rates) in [("zero", "1 0.5 0"), ("four", "1 0.7 0.4 0.2"), ("rising", "0.1 0.5 1 0.8")] {
        fs::write(folder.join(name), rates).unwrap();
    }
    refused(folder, "private plan --steps 3 --schedule file:zero", &["rate 3", "above 0"]);
    for call in [
        "private plan --steps 10 --schedule file:four",
        "private audit --mechanism lr-root --steps 10 --schedule file:four",
        "private account --sampling none --steps 10 --delta 1e-5 --noise 1 --strategy lr-root --schedule file:four",
        "private train --schedule file:four",
    ] {
        refused(folder, call, &["4 rates", "one rate a step"]);
    }
    let plan = json(folder, "private plan --steps 4 --schedule file:rising");
    let of = |name: &str| plan["mechanisms"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
    // The ratios are 1, 5, 10 and 8, and the root of their Toeplitz matrix begins with 1, 2.5, 1.875 and -0.6875.
    let lr_root = of("lr-root")["sensitivity"].as_f64().unwrap();
    assert!((lr_root - 11.23828125f64.sqrt()).abs() < 1e-9, "{lr_root}");
    // The largest column of A_chi is the third: 10 twice.
    let output = of("output")["sensitivity"].as_f64().unwrap();
    assert!((output - 10.0 * 2f64.sqrt()).abs() < 1e-9, "{output}");
}

#[test]
fn what_no_noise_reaches_and_what_was_planned_for_other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let account = "private account --sampling poisson --rate 0.5 --steps 1000 --delta 1e-20 --epsilon 1e-12";
    refused(folder, account, &["no noise multiplier", "larger epsilon or delta", "fewer steps"]);
    json(folder, "private plan --examples 1437 --batch 100 --epochs 2 --bands 3 --only bisr --save s.json");
    let train = "private train --epochs 2 --batch 100 --schedule constant --widths 8 --strategy s.json";
    refused(folder, &format!("{train} --limit 900"), &["28 steps", "18"]);
    json(folder, train);
}

#[test]
fn a_delta_above_one_in_the_examples_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let warned = |delta: &str| {
        let output = run(folder.path(), &format!("private train --epochs 1 --widths 8 --delta {delta} --json"));
        assert!(output.status.success());
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
        String::from_utf8_lossy(&output.stderr).contains("1/1437")
    };
    assert!(warned("0.001") && !warned("0.0005"));
}

#[test]
fn a_call_that_is_not_understood_is_json_too_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    for (call, part) in [
        ("private plan --steps ten --json", "ten"),
        ("private plan --json --steps 10 --only magic", "lr-root"),
        ("private account --json --sampling none --steps 10 --delta 1e-5", "--noise"),
        ("no-such-command --json", "no-such-command"),
    ] {
        let output = run(folder.path(), call);
        assert_eq!(output.status.code(), Some(2), "{call}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["exit_code"], 2);
        let reason = document["error"].as_str().unwrap();
        assert!(reason.contains(part) && !reason.starts_with("error"), "{call}: {reason}");
    }
    let help = run(folder.path(), "private plan --json --help");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Examples"));
}
