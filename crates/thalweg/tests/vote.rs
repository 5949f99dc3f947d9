//! `thalweg vote` as people and scripts call it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(folder: &Path, call: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn json(call: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &format!("vote {call} --json"));
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// Exit code 2 and a message that names all parts.
#[track_caller]
fn refused(call: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    refused_in(folder.path(), call, parts);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{call} left something");
}

#[track_caller]
fn refused_in(folder: &Path, call: &str, parts: &[&str]) {
    let output = run(folder, &format!("vote {call}"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{call}: {message}");
    assert!(parts.iter().all(|part| message.contains(part)) && !message.contains("panicked"), "{call}: {message}");
}

fn vectors() -> String {
    format!("{}/../vote/tests/vectors", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn polynomials_are_those_of_the_vectors() {
    let text = std::fs::read_to_string(format!("{}/polynomials.json", vectors())).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let mut seen = 0;
    for case in cases.as_array().unwrap().iter().filter(|case| case["n"].as_u64().unwrap() <= 24).take(24) {
        let (users, tie) = (&case["n"], case["tie"].as_str().unwrap());
        let found = json(&format!("polynomial --users {users} --tie {tie}"));
        assert_eq!(found["prime"], case["p"]);
        assert_eq!(found["coefficients"], case["coeffs"], "{users} {tie}");
        assert_eq!([&found["degree"], &found["products"], &found["depth"]], [&case["degree"], &case["R"], &case["depth"]]);
        seen += 1;
    }
    assert!(seen > 10);
    let coin = json("polynomial --users 6 --tie coin");
    assert_eq!(coin["plus"], json("polynomial --users 6 --tie plus"));
    assert_eq!(coin["minus"], json("polynomial --users 6 --tie minus"));
}

#[test]
fn a_plan_has_the_published_savings_and_a_page() {
    let plan = json("plan --users 24 --dim 8000");
    assert_eq!((plan["saving_user"].as_f64(), plan["saving_total_paper"].as_f64()), (Some(0.94), Some(0.52)));
    assert_eq!((plan["saving_total_all"].as_f64(), plan["recommended"].as_str()), (Some(0.94), Some("oneround")));
    let names = ["mode", "group", "bits_up_per_coordinate", "bytes_up", "depth", "leak_bits", "complete_at_5_percent"];
    for mode in plan["modes"].as_array().unwrap() {
        assert!(names.iter().all(|name| mode.get(name).is_some()), "{mode}");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "vote plan --users 24 --dim 8000 --out plan.html");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("recommended: oneround") && text.contains("plan.html"), "{text}");
    let page = std::fs::read_to_string(folder.path().join("plan.html")).unwrap();
    assert!(page.matches("<svg").count() == 2 && page.contains("colludes with nobody"));
}

#[test]
fn a_simulation_needs_no_flags_and_matches_the_plain_vote() {
    let report = json("simulate");
    assert_eq!(report["matches_plain"], true);
    assert!(report["seconds"].is_number());
    let names =
        ["open_up", "final_up", "open_down", "vote_down", "correction_down", "confirm", "control", "header_bytes", "frames"];
    assert!(names.iter().all(|name| report["ledger"].get(name).is_some()), "{}", report["ledger"]);
    assert_eq!(report["ledger"]["users"].as_array().unwrap().len(), 24);
    // Spec 6.5: d = 8,000, flat 24, one-round, base-p.
    assert_eq!(report["ledger"]["wire_up"], 9_944);
}

#[test]
fn the_published_percentages_from_real_bytes() {
    let cost = |call: &str| {
        let report = json(&format!("simulate --users 24 --dim 8000 {call}"));
        assert_eq!(report["matches_plain"], true, "{call}");
        (report["ledger"]["open_up"].as_f64().unwrap(), report["ledger"]["saving_user"].clone())
    };
    let (groups, saving) = cost("--preset paper");
    let (flat, none) = cost("--mode beaver --encoding bits --zero-share off");
    assert_eq!((groups, flat), (12_000.0, 200_000.0));
    assert!((1.0 - groups / flat - 0.94).abs() < 1e-12 && (1.0 - 8.0 * groups / flat - 0.52).abs() < 1e-12);
    assert!((saving.as_f64().unwrap() - 0.94).abs() < 1e-12 && none.is_null());
}

#[test]
fn every_mode_and_option_gives_the_plain_vote() {
    for call in [
        "--mode beaver --group 3",
        "--mode lean --group 4 --tie coin",
        "--mode oneround --group 3 --outer mean",
        "--mode survivors --users 9",
        "--mode sealed --group 3 --users 10",
        "--users 7 --group 3 --domain ternary",
        "--users 5 --sign-mask --mac --confirm",
        "--users 6 --degree least --schedule square-steps --mode beaver --suite aes256 --chunk 7",
        "--users 250",
        "--rounds 5 --tie plus",
    ] {
        assert_eq!(json(&format!("simulate --dim 100 {call}"))["matches_plain"], true, "{call}");
    }
    let again = "simulate --users 9 --dim 50 --rounds 2 --seed 5";
    let without_time = |mut report: Value| {
        report["seconds"] = Value::Null;
        report
    };
    assert_eq!(without_time(json(again)), without_time(json(again)));
    assert_ne!(json(again)["ledger"], json("simulate --users 9 --dim 51 --rounds 2 --seed 5")["ledger"]);
}

#[test]
fn the_plain_mode_is_the_same_vote_without_secrecy() {
    let names = |report: &Value| report["ledger"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let secure = json("simulate --users 12 --dim 800 --mode lean --group 3 --tie coin --rounds 2");
    let plain = json("simulate --users 12 --dim 800 --mode plain --group 3 --tie coin --rounds 2");
    assert_eq!(names(&secure), names(&plain));
    assert!(plain["matches_plain"] == true && plain["leak_bits"] == 1.0, "{plain}");
    // A bit for each sign, in two rounds of one message each.
    assert_eq!([&plain["ledger"]["open_up"], &plain["ledger"]["wire_up"]], [200, 296]);
    let output = run(Path::new("."), "vote simulate --users 3 --dim 5 --mode plain");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no secrecy") && said.contains("leakage: everything"), "{said}");
    assert!(json("simulate --users 6 --dim 30 --mode plain --group 3 --outer mean --domain ternary")["matches_plain"] == true);
    refused("simulate --mode plain --drop 3@1", &["--mode plain", "--drop"]);
    refused("simulate --mode plain --frames x", &["--mode plain", "--frames"]);
    refused("keys --mode plain --users 3 --dim 4 --out k", &["plain", "no keys"]);
}

#[test]
fn groups_are_drawn_anew_when_that_was_agreed() {
    for regroup in ["every", "fixed", "2"] {
        let report = json(&format!("simulate --users 9 --dim 40 --mode lean --group 3 --rounds 5 --regroup {regroup}"));
        assert!(report["matches_plain"] == true && report["results"] == 5 && report["regroup"] == regroup, "{report}");
    }
    refused("simulate --group 3 --regroup 0", &["--regroup", "every, fixed"]);
    refused("simulate --regroup fixed", &["--regroup fixed", "--group"]);
    refused("train --regroup 3", &["vote.regroup", "vote.group"]);
}

#[test]
fn losses_end_as_their_policy_says() {
    let report = json("simulate --users 9 --dim 20 --mode survivors --drop 3@0");
    assert_eq!(report["survivors"].as_array().unwrap().len(), 8);
    let restarted = json("simulate --users 9 --dim 20 --drop 3@0");
    assert_eq!(restarted["survivors"].as_array().unwrap().len(), 8);
    let groups = json("simulate --users 9 --dim 20 --group 3 --drop 3@0");
    assert_eq!(groups["survivors"].as_array().unwrap().len(), 6, "the group of the lost user is lost");
    let many = json("simulate --users 12 --dim 20 --group 3 --drop-rate 0.1 --rounds 30 --seed 3");
    assert!(many["matches_plain"] == true && many["results"].as_u64().unwrap() > 20, "{many}");
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "vote simulate --users 5 --dim 20 --drop 3@0 --no-restart --json");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["matches_plain"], &report["results"]), (Some(1), &false.into(), &0.into()));
    assert!(json("simulate --users 9 --dim 20 --mishaps 2 --rounds 10 --sign-mask --mac")["matches_plain"] == true);
}

#[test]
fn warnings_and_leakage_come_before_the_run_and_never_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "vote simulate --users 9 --group 3 --dim 10 --tie plus --json");
    let notes = String::from_utf8(output.stderr).unwrap();
    for part in ["not reviewed", "bias", "learns the vote of each of 3 groups", "0.189 bit"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
}

#[test]
fn leakage_is_that_of_the_table() {
    let found = json("leak --users 3,24 --colluders 0,1 --rounds 1,51");
    let votes = found["votes"].as_array().unwrap();
    assert_eq!(votes.len(), 4);
    let close = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 5e-5, "{value} {expected}");
    close(&votes[0]["bits"], 0.1887);
    close(&votes[1]["certain"], 0.25);
    close(&votes[2]["bits"], 0.0225);
    close(&found["rounds"][0]["error"], 0.25);
    close(&found["rounds"][3]["error"], 0.1026);
    assert!(json("leak")["votes"].as_array().unwrap().len() > 12);
}

#[test]
fn vectors_hold_and_a_changed_one_does_not() {
    let report = json(&format!("check-vectors {}", vectors()));
    assert!(report["holds"] == true && report["cases"].as_u64().unwrap() > 300, "{report}");
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(vectors()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let leakage = folder.path().join("leakage.json");
    let text = std::fs::read_to_string(&leakage).unwrap();
    std::fs::write(&leakage, text.replacen("\"tie\":\"zero\"", "\"tie\":\"plus\"", 40)).unwrap();
    assert_ne!(std::fs::read_to_string(&leakage).unwrap(), text, "the vectors have another form");
    let output = run(folder.path(), "vote check-vectors .");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("NOT all hold") && text.contains("leakage.json: "), "{text}");
    std::fs::write(&leakage, "[{").unwrap();
    refused_in(folder.path(), "check-vectors .", &["leakage.json"]);
    std::fs::remove_file(&leakage).unwrap();
    refused_in(folder.path(), "check-vectors .", &["leakage.json"]);
}

#[test]
fn frames_are_decoded_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(run(folder, "vote simulate --users 3 --dim 20 --confirm --frames round.frames").status.success());
    let output = run(folder, "vote inspect round.frames --json");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let frames = document["frames"].as_array().unwrap();
    let kinds: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    for kind in ["RoundPlan", "Correction", "Open", "OpenSum", "Confirm", "ConfirmAll", "Final", "Vote"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let opening = frames.iter().find(|frame| frame["type"] == "Open").unwrap();
    assert_eq!((opening["field"].as_u64(), opening["contents"].as_str()), (Some(5), Some("1 vectors of shares, not shown")));
    // The example of the specification, as hexadecimal digits.
    let example =
        "54575631040101050001020304050607 08090a0b0c0d0e0f0500000000000200 01000100000000001400000008000000e120056098508304\n";
    std::fs::write(folder.join("example.hex"), example).unwrap();
    let text = String::from_utf8(run(folder, "vote inspect example.hex").stdout).unwrap();
    assert!(text.contains("user 1") && text.contains("F_5") && text.contains("0..20") && !text.contains("e12005"), "{text}");
    let bytes = std::fs::read(folder.join("round.frames")).unwrap();
    for (name, changed, part) in [
        ("cut", bytes[..bytes.len() - 3].to_vec(), "needed"),
        ("magic", [&b"XWV1"[..], &bytes[4..]].concat(), "TWV1"),
        ("empty", Vec::new(), "empty"),
        ("odd", b"545".to_vec(), "odd"),
    ] {
        std::fs::write(folder.join(name), changed).unwrap();
        refused_in(folder, &format!("inspect {name}"), &[name, part]);
    }
}

#[test]
fn users_train_a_network_by_votes_and_it_learns() {
    let folder = tempfile::tempdir().unwrap();
    let train = |options: &str| {
        let output = run(folder.path(), &format!("vote train --users 9 --batch 16 --json {options}"));
        assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let flat = train("--rounds 200");
    assert_eq!((flat["run"].as_str(), &flat["matches_plain"]), (Some("vote-1"), &true.into()));
    // Guessing has 10 %.
    assert!(flat["test_accuracy"].as_f64().unwrap() > 0.8, "{flat}");
    let names = ["open_up", "final_up", "open_down", "vote_down", "correction_down", "header_bytes", "frames"];
    assert!(names.iter().all(|name| flat["ledger"][name].as_u64().unwrap() > 0), "{flat}");
    for options in ["--mode beaver --group 3", "--mode sealed --group 3 --split by-class", "--tie coin --seed 2"] {
        let report = train(&format!("--rounds 20 {options}"));
        assert!(report["matches_plain"] == true && report["steps"] == 20, "{options}: {report}");
    }
    // A plain run has the same users, batches, groups and coins, so a vote that differed anywhere would part the two losses.
    let options = "--rounds 25 --group 4 --tie coin --regroup 7 --flippers 2";
    let [secure, plain] = ["lean", "plain"].map(|mode| train(&format!("{options} --mode {mode}")));
    assert!(secure["test_loss"] == plain["test_loss"] && plain["matches_plain"] == true, "{secure} {plain}");
    let honest = train("--rounds 25 --group 4 --tie coin --regroup 7 --mode plain");
    assert_ne!(honest["test_loss"], plain["test_loss"]);
    let text = String::from_utf8(run(folder.path(), "runs list").stdout).unwrap();
    assert!(text.contains("vote plain") && text.contains("vote oneround") && text.contains("vote sealed"), "{text}");
    let page = std::fs::read_to_string(folder.path().join("runs/vote-1/report.html")).unwrap();
    assert!(page.contains("Ties in the vote"));
}

#[cfg(unix)]
#[test]
fn a_killed_vote_run_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let call = "vote train --users 7 --group 3 --rounds 150 --seed 3 --json";
    let whole = run(folder, &format!("{call} --out runs/whole"));
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(format!("{call} --out runs/killed").split_whitespace()).env_remove("THALWEG_RUNS");
    let mut killed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let events = folder.join("runs/killed/events.jsonl");
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while lines(&events) < 6 && std::time::Instant::now() < patience && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(killed.try_wait().unwrap().is_none(), "it ended before it could be killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let resumed = run(folder, "runs resume killed --json");
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let read = |name: &str| std::fs::read(folder.join("runs").join(name)).unwrap();
    assert!(read("whole/events.jsonl") == read("killed/events.jsonl"));
    let document = |output: Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let (whole, resumed) = (document(whole), document(resumed));
    assert_eq!([&whole["ledger"], &whole["test_loss"]], [&resumed["ledger"], &resumed["test_loss"]]);
}

#[test]
fn the_bench_times_every_mode_that_fits() {
    let report = json("bench --users 9 --dim 200 --repeats 2");
    let modes = report["modes"].as_array().unwrap();
    assert_eq!(modes.len(), 8, "{report}");
    assert!(modes.iter().all(|mode| mode["median_seconds"].as_f64().unwrap() > 0.0 && mode["bytes_up"].as_u64().unwrap() > 0));
}

#[test]
fn bad_input_is_refused_with_what_would_be_right() {
    refused("polynomial --users 0", &["--users is 0", "2"]);
    refused("polynomial --users 1", &["--users is 1", "2"]);
    refused("polynomial --users 251", &["251", "250"]);
    refused("polynomial --users 126 --domain ternary", &["126", "125"]);
    refused("polynomial --users 5 --tie heads", &["heads", "coin"]);
    refused("polynomial", &["--users"]);
    refused("plan --users 0 --dim 10", &["0", "3 to 250"]);
    refused("plan --users 1 --dim 10", &["1", "3 to 250"]);
    refused("plan --users 300 --dim 10", &["300", "250"]);
    refused("plan --users 24 --dim 0", &["coordinates"]);
    refused("plan --users 24 --dim -1", &["-1"]);
    refused("simulate --users 0", &["0", "at least 2"]);
    refused("simulate --users 1", &["1", "at least 2"]);
    refused("simulate --users 2", &["smallest group"]);
    refused("simulate --users 251", &["251", "250"]);
    refused("simulate --users 300 --group 3", &["300", "250"]);
    refused("simulate --users 24 --group 1", &["group size", "1"]);
    refused("simulate --users 24 --group 2", &["smallest group", "2"]);
    refused("simulate --users 24 --group 25", &["--group is 25", "24"]);
    refused("simulate --mode magic", &["magic", "oneround", "sealed"]);
    refused("simulate --mode sealed", &["sealed", "group"]);
    refused("simulate --mac", &["mac", "sign_mask"]);
    refused("simulate --preset paper --group 4", &["--preset", "--group"]);
    refused("simulate --dim 0", &["coordinates"]);
    refused("simulate --users 250 --dim 4000000000", &["4000000000"]);
    refused("simulate --rounds 0", &["--rounds"]);
    refused("simulate --drop 24@0", &["user 24", "23"]);
    refused("simulate --drop somebody", &["somebody", "3@1"]);
    refused("simulate --drop-rate NaN", &["--drop-rate", "NaN"]);
    refused("simulate --drop-rate -0.1", &["--drop-rate"]);
    refused("simulate --frames no/such/folder/x --users 3 --dim 5", &["no/such/folder"]);
    refused("simulate --out x", &["--out"]);
    refused("leak --users 3 --colluders 3", &["colluders", "3"]);
    refused("leak --users 0", &["0"]);
    refused("leak --rounds 0", &["--rounds"]);
    refused("leak --seed 1", &["--seed"]);
    refused("check-vectors no-such-folder", &["no-such-folder"]);
    refused("inspect no-such-file", &["no-such-file"]);
    refused("train --users 1", &["1", "at least 2"]);
    refused("train --users 300 --group 3", &["vote.users = 300"]);
    refused("train --flippers 25", &["vote.flippers = 25", "24"]);
    refused("train --rounds 0", &["vote.rounds"]);
    refused("train --batch 0", &["training.batch"]);
    refused("train --batch 1000", &["training.batch = 1000", "a user holds"]);
    refused("train --mode sealed", &["sealed", "group"]);
    refused("train --data nothing", &["nothing"]);
    refused("train --rate -1", &["training.rate"]);
    refused("bench --repeats 0", &["--repeats"]);
}
