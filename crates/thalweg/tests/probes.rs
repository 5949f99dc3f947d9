//! Probes on runs, and the runs on tasks that are made up, by the real binary in a fresh folder.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use thalweg::descent::store::{Run, read_events};

fn thalweg(folder: &Path, call: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command
}

fn run(folder: &Path, call: &str) -> Output {
    thalweg(folder, call).output().unwrap()
}

#[track_caller]
fn json(folder: &Path, call: &str) -> Value {
    let output = run(folder, &format!("{call} --json"));
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// Exit code 2, one message that names all parts, and nothing left behind.
#[track_caller]
fn refused(call: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), call);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{call}: {message}");
    for part in parts {
        assert!(message.contains(part), "{call}: {message}");
    }
    assert!(!message.contains("panicked") && !folder.path().join("runs").exists(), "{call}: {message}");
}

fn page(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join("runs").join(name).join("report.html")).unwrap()
}

/// The last value that a run recorded under that name.
fn last(folder: &Path, name: &str, quantity: &str) -> Option<Value> {
    let records = read_events(&folder.join("runs").join(name).join("events.jsonl")).unwrap();
    records.iter().rev().find_map(|record| record.get(quantity).cloned())
}

const TINY: &str = "dynamics grok --modulus 7 --width 16 --weight-decay 1 --evaluate-every 20";

#[test]
fn a_tiny_grokking_run_is_recorded_drawn_and_compared_with_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let found = json(folder, &format!("{TINY} --train-share 0.6 --steps 400"));
    assert_eq!((&found["run"], &found["status"], &found["steps"]), (&"grok-1".into(), &"finished".into(), &400.into()));
    assert!(found["seen_accuracy"].as_f64().unwrap() > 0.99, "{found}");
    assert!(found["memorised_at"].as_u64().unwrap() < 400 && found["test_accuracy"].is_number(), "{found}");
    let drawn = page(folder, "grok-1");
    for part in
        ["Over the training curve", "Effective rank", "Marginal effective rank", "Distance from the target", "autocorrelation"]
    {
        assert!(drawn.contains(part), "{part}");
    }
    // The same run again, with its own end as the target: it ends where it is.
    json(folder, &format!("{TINY} --train-share 0.6 --steps 400 --probe seen,subspaces --probe-target runs/grok-1"));
    let distance = last(folder, "grok-2", "subspace.layer.0.outer.distance").unwrap().as_f64().unwrap();
    let rows = last(folder, "grok-2", "subspace.layer.0.outer.rank").unwrap();
    // What is left outside of the directions with nine tenths of the energy is the last tenth.
    assert!(distance < 0.1f64.sqrt() + 1e-6, "{distance}, rank {rows}");
    let start = last(folder, "grok-1", "subspace.layer.0.outer.distance").unwrap().as_f64().unwrap();
    assert!(start > distance, "the start is farther: {start}");
    let listed = run(folder, "runs list");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("grok-2"));
    assert_eq!(json(folder, "runs show grok-1")["config"]["task"]["modulus"], 7);
}

fn parameters_and_events(run: &Path) -> (Vec<f32>, Vec<u8>) {
    (Run::newest_snapshot::<f32>(run).unwrap().parameters, std::fs::read(run.join("events.jsonl")).unwrap())
}

#[test]
fn runs_on_tasks_are_killed_and_resumed_to_the_bit_with_all_their_probes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let calls = [
        format!(
            "{TINY} --steps 3000 --micro-batch 8 --probe seen,spectra,subspaces,autocorrelation,invariants,noise-scale,margins"
        ),
        "dynamics in-context --width 8 --heads 2 --layers 2 --batch 8 --held-out 32 --steps 1500 --optimiser sgd --rate 0.02"
            .to_owned(),
    ];
    for (at, call) in calls.iter().enumerate() {
        let name = format!("run-{at}");
        json(folder, &format!("{call} --checkpoint-every 100 --out whole/{name} --threads 2"));
        let mut child = thalweg(folder, &format!("{call} --checkpoint-every 100 --out killed/{name}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let killed = folder.join("killed").join(&name);
        while std::fs::read_dir(killed.join("checkpoints")).map_or(0, Iterator::count) < 2 {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(child.try_wait().unwrap().is_none(), "it was killed at work");
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = json(folder, &format!("runs resume {name} --runs killed"));
        assert_eq!(resumed["status"], "finished");
        // Threads are written in the configuration, whose digest is the log's first line.
        let (whole, killed) = (parameters_and_events(&folder.join("whole").join(&name)), parameters_and_events(&killed));
        let after_first = |events: &[u8]| events.splitn(2, |byte| *byte == b'\n').nth(1).unwrap().to_vec();
        assert!(whole.0 == killed.0 && after_first(&whole.1) == after_first(&killed.1), "{call}");
    }
}

#[test]
fn attention_learns_in_context_beside_the_theory_of_linear_attention() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let found = json(folder, "dynamics in-context --width 16 --held-out 256 --steps 150 --rate 0.003");
    assert!((found["linear_loss"].as_f64().unwrap() - 0.228664).abs() < 1e-6, "{found}");
    assert!((found["zero_loss"].as_f64().unwrap() - 1.875).abs() < 1e-9);
    let modes: Vec<f64> = found["modes"].as_array().unwrap().iter().map(|mode| mode.as_f64().unwrap()).collect();
    assert!(modes[0] > 0.5 && modes[3] < 0.2, "the strongest mode comes first: {modes:?}");
    assert!(found["test_accuracy"].is_null() && found["test_loss"].as_f64().unwrap() < 1.5);
    assert_eq!(last(folder, "in-context-1", "invariants.finding"), Some("non_plain_optimizer".into()), "AdamW");
    assert!(page(folder, "in-context-1").contains("Each mode on its way"));
    // Plain steps drift as predicted, head by head.
    json(folder, "dynamics in-context --width 8 --heads 2 --layers 2 --held-out 8 --steps 200 --optimiser sgd --rate 0.05");
    assert_eq!(last(folder, "in-context-2", "invariants.finding"), Some("agree".into()));
    let of = |what: &str| {
        let key = format!("invariant.layer.1.head.1.value-output.{what}");
        last(folder, "in-context-2", &key).unwrap().as_f64().unwrap()
    };
    assert!(of("drift").abs() > 1e-4 && of("residual") < 0.05 * of("drift").abs(), "{} {}", of("drift"), of("residual"));
    assert!(page(folder, "in-context-2").contains("all drift as predicted"));
}

#[test]
fn what_everybody_sees_of_a_vote_is_watched_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    json(folder, "vote train --rounds 12 --widths 8 --probe spectra,subspaces --probe-every 6 --out runs/vote-1");
    let rank = last(folder, "vote-1", "spectrum.hidden.0.effective_rank").unwrap().as_f64().unwrap();
    assert!(rank > 1.0 && rank < 8.0, "{rank}");
    assert!(last(folder, "vote-1", "subspace.hidden.0.distance").unwrap().is_number());
    assert!(page(folder, "vote-1").contains("Effective rank"));
    refused("vote train --probe invariants", &["invariants", "no gradient"]);
    refused("vote train --probe noise-scale", &["noise-scale", "nobody sees"]);
    refused("vote train --probe autocorrelation", &["autocorrelation", "withholds"]);
}

#[test]
fn momentum_is_no_plain_step_and_plain_training_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plain = "private train --mechanism none --epochs 2 --widths 16,8 --probe invariants --probe-every 10";
    for (at, (optimiser, finding)) in
        [("", "agree"), ("--momentum 0.9", "non_plain_optimizer"), ("--optimiser adamw --rate 0.01", "non_plain_optimizer")]
            .into_iter()
            .enumerate()
    {
        json(folder, &format!("{plain} {optimiser}"));
        let name = format!("private-{}", at + 1);
        assert_eq!(last(folder, &name, "invariants.finding"), Some(finding.into()), "{optimiser}");
    }
}

#[test]
fn what_probes_read_of_private_examples_is_refused_or_marked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for probe in ["margins", "noise-scale", "seen"] {
        refused(&format!("private train --epochs 1 --probe {probe}"), &[probe, "--unaccounted-probes", "guarantee"]);
    }
    let marked = json(folder, "private train --epochs 1 --probe margins,noise-scale,seen --unaccounted-probes");
    assert_eq!((&marked["private"], marked["unaccounted_probes"].as_array().unwrap().len()), (&false.into(), 3));
    assert!(page(folder, "private-1").contains("NOT COVERED"));
    let prose = run(folder, "private train --epochs 1 --probe seen --unaccounted-probes");
    assert!(String::from_utf8_lossy(&prose.stdout).contains("of the parameters alone: NOT"));
    let bracket =
        ["margin.kernel.lower", "margin.kernel.upper"].map(|name| last(folder, "private-1", name).unwrap().as_f64().unwrap());
    assert!(bracket[0] > 0.0 && bracket[1] >= bracket[0]);
    assert!(last(folder, "private-1", "noise_scale.variance").unwrap().as_f64().unwrap() > 0.0);

    // What looks at released parameters alone costs nothing.
    let released = "private train --epochs 2 --probe invariants,spectra,subspaces --probe-every 10";
    let covered = json(folder, &format!("{released} --mechanism identity"));
    assert_eq!((&covered["private"], &covered["unaccounted_probes"]), (&true.into(), &Value::Null));
    // Noise of known deviation is allowed for; a right gradient agrees but for one run in a million.
    assert_eq!(last(folder, "private-3", "invariants.finding"), Some("agree".into()));
    assert!(!page(folder, "private-3").contains("NOT COVERED") && page(folder, "private-3").contains("Spectra"));
    json(folder, &format!("{released} --mechanism lr-root"));
    assert_eq!(last(folder, "private-4", "invariants.finding"), Some("correlated_noise".into()));
    // A probe changes nothing of the run.
    let loss = |probe: &str| json(folder, &format!("private train --epochs 1 --insecure-seed 1 {probe}"))["test_loss"].clone();
    assert_eq!(loss(""), loss("--probe invariants,spectra,seen,noise-scale,margins --unaccounted-probes"));
}

#[test]
fn bad_input_names_field_and_value() {
    refused("dynamics grok --modulus 2", &["modulus", "2"]);
    refused("dynamics grok --modulus 99999", &["modulus", "99999"]);
    refused("dynamics grok --train-share 1", &["train_share", "1"]);
    refused("dynamics grok --train-share NaN", &["train_share", "NaN"]);
    refused("dynamics grok --batch 99999", &["training.batch", "99999", "1404"]);
    refused("dynamics grok --steps 0", &["training.steps", "0"]);
    refused("dynamics grok --steps 999999999", &["training.steps", "999999999", "100000"]);
    refused("dynamics grok --heads 7", &["heads", "7", "64"]);
    refused("dynamics grok --beta2 1", &["beta2", "1"]);
    refused("dynamics grok --rate 0", &["training.rate", "0"]);
    refused("dynamics grok --weight-decay -1", &["decay", "-1"]);
    refused("dynamics grok --width 99999999", &["99999999"]);
    refused("dynamics grok --layers 0", &["layers", "0"]);
    refused("dynamics in-context --spectrum 1,0", &["task", "0"]);
    refused("dynamics in-context --spectrum 1,-2", &["task", "-2"]);
    refused("dynamics in-context --context 0", &["task", "0"]);
    refused("dynamics in-context --context 99999999", &["context", "99999999"]);
    refused("dynamics in-context --held-out 0", &["held_out", "0"]);
    refused("dynamics in-context --layers 0", &["layers", "0"]);
    refused("dynamics in-context --probe seen", &["seen", "new contexts"]);
    refused("dynamics in-context --probe margins", &["margins", "no margin"]);
    refused("private train --model attention", &["attention", "vectors"]);
    refused("private train --probe magic", &["magic", "invariants"]);
    refused("private train --probe spectra,spectra", &["spectra", "twice"]);
    refused("private train --probe autocorrelation", &["autocorrelation", "withholds"]);
    refused("private train --probe spectra --probe-every 0", &["probe.every", "0"]);
    refused("private train --probe spectra --probe-rank relative:-1", &["relative"]);
    refused("private train --probe spectra --probe-rank top", &["top", "fixed:K"]);
    refused("private train --probe spectra --probe-rank fixed:11", &["fixed rank is 11", "10"]);
    refused("private train --probe subspaces --probe-target nowhere", &["probe.target", "nowhere"]);
    refused("private train --probe spectra --probe-target nowhere", &["probe.target", "subspaces"]);
    refused("private train --mechanism none --probe noise-scale --probe-examples 1", &["probe.examples", "1"]);
    refused("private train --mechanism none --probe autocorrelation --probe-lag 99", &["lag", "99", "100"]);
    refused("private train --mechanism none --model cnn --probe invariants", &["invariants", "cnn"]);
}

#[test]
fn a_private_transformer_or_bag_is_watched_like_any_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The encoder with norms, on the sums modulo 7, under a guarantee.
    std::fs::write(
        folder.join("config.toml"),
        "[task]\nkind = \"modular-addition\"\nmodulus = 7\n[network]\nkind = \"transformer\"\nwidth = 8\nheads = 2\n\
         [training]\nepochs = 3\nbatch = 8\n[privacy]\nmechanism = \"identity\"\n[probe]\nnames = [\"invariants\", \"spectra\"]\nevery = 2\n",
    )
    .unwrap();
    let found = json(folder, "private train --config config.toml");
    assert_eq!(found["private"], true);
    assert_eq!(last(folder, "private-1", "invariants.finding"), Some("agree".into()));
    assert!(last(folder, "private-1", "spectrum.layer.0.attention.query.effective_rank").unwrap().as_f64().unwrap() > 1.0);
}
