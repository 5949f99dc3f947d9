//! `thalweg dynamics` through the real binary: agreed names, reference values to their printed digits, exit codes, bad input.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(folder: &Path, call: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).arg("dynamics").args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn json(call: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    json_in(folder.path(), call)
}

#[track_caller]
fn json_in(folder: &Path, call: &str) -> Value {
    let output = run(folder, &format!("{call} --json"));
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// An error that names all parts, nothing left behind, and that exit code.
#[track_caller]
fn fails(code: i32, call: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), call);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{call}: {message}");
    for part in parts {
        assert!(message.contains(part), "{call}: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{call} left something");
}

#[track_caller]
fn near(found: &Value, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = match found {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap()],
    };
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn icl_has_reference_plateaus_and_half_times() {
    let found = json("icl --spectrum 2,1,0.5,0.25 --context 32 --start 1e-3");
    near(&found["plateau"]["published"], &[0.45878, 0.87075, 1.58025, 2.66667], 5e-6);
    near(&found["plateau"]["exact"], &[0.45129356, 0.87478931, 1.67095454, 3.11952661], 5e-9);
    near(&found["half_time"]["published"], &[0.76580, 3.38410, 14.72941, 63.10568], 5e-6);
    // The references lie on a grid of 0.01.
    near(&found["half_time"]["exact"], &[0.76, 3.50, 16.43, 79.71], 0.01);
    assert!(found["rms"]["published"].is_null() && found["page"].is_null());
    assert_eq!(found["caveats"][0], "finite_n");
    assert_eq!(found["flow"]["tolerance"], 1e-11);
    assert!(found["flow"]["change_at_half_tolerance"].as_f64().unwrap() < 1e-8, "{}", found["flow"]);
    let cut = json("icl --spectrum 4,2,1,.5,.1,.01 --context 6");
    near(&cut["plateau"]["exact"], &[0.16440272, 0.28748103, 0.45807893, 0.58556249, 0.0, 0.0], 5e-9);
    assert!(cut["half_time"]["exact"][5].is_null());
}

#[test]
fn icl_descent_follows_the_exact_curve() {
    let found = json("icl --seeds 4 --steps 4000 --seed 0");
    let rms = &found["rms"];
    assert!(rms["exact"].as_f64().unwrap() <= 0.02 && rms["published"].as_f64().unwrap() >= 0.1, "{rms}");
}

#[test]
fn deq_has_reference_ends() {
    let linear = json("deq --run linear");
    near(&linear["theta"], &[0.8402616937669253, 0.5798691531162682], 1e-12);
    let radius = &linear["radius_squared"];
    near(&radius["start"], &[0.8695600748417699], 1e-12);
    near(&radius["end"], &[0.8825496425153039], 1e-12);
    near(&radius["predicted_end"], &[0.8825496425153039], 1e-12);
    assert!(linear["risk"].as_f64().unwrap() < 1e-24);
    for (name, theta) in [
        ("exact", [2.131238152482062, -1.131238152482049]),
        ("jfb", [2.133142754531994, -1.133142754531988]),
        ("two-term", [2.253050471008268, -0.9999999999999671]),
        ("damped", [2.129027379076157, -1.129027379076145]),
    ] {
        near(&json(&format!("deq --run {name}"))["theta"], &theta, 1e-11);
    }
    let stuck = json("deq --run two-term");
    near(&stuck["risk"], &[0.01600863521938117], 1e-12);
    assert_eq!(stuck["warnings"][0], "stuck_not_minimum");
    near(&json("deq --run near-singular")["radius_squared"]["end"], &[0.08470440], 5e-9);
    // Sigmoid and tanh have the inputs of their references.
    let sigmoid = json("deq --run sigmoid");
    near(&sigmoid["theta"], &[1.6327588560756, 0.2359775365710], 5e-13);
    near(&sigmoid["risk"], &[2.36648e-4], 5e-10);
    near(&json("deq --run sigmoid --steps 100")["theta"], &[0.50701143, 0.47717046], 5e-9);
    let later = json("deq --run sigmoid --steps 1000");
    near(&later["theta"], &[1.11492991, 0.57663409], 5e-9);
    near(&later["risk"], &[1.65980136e-3], 5e-12);
    let target = [0.3115033559280664, -0.009061989056205035, 0.8515531725994404, 0.4215930903557665, 0.0];
    for (backward, expected) in [("exact", 0.1041756829), ("jfb", 0.1083818920), ("damped2", 0.1284203671)] {
        let found = json(&format!("deq --run tanh --backward {backward}"));
        let theta = found["theta"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        let distance = theta.zip(target).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!((distance - expected).abs() < 5e-11, "{backward}: {distance}");
    }
    // A matrix model conserves a matrix; every way back moves it as predicted.
    for backward in ["exact", "jfb", "damped2"] {
        let found = json(&format!("deq --run matrix --backward {backward}"));
        let numbers = |value: &Value| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
        near(&found["conserved"]["end"], &numbers(&found["conserved"]["predicted_end"]), 1e-12);
        let radius = &found["radius_squared"];
        near(&radius["end"], &[radius["predicted_end"].as_f64().unwrap()], 1e-12);
        assert!(found["risk"].as_f64().unwrap() < 1e-20 && found["theta"].as_array().unwrap().len() == 10, "{found}");
        assert!(found["forward"].as_array().unwrap().iter().all(|way| way["iterations"].is_number()), "{found}");
    }
    // Other inputs are drawn when asked for.
    assert_ne!(json("deq --run tanh --samples 300 --steps 10"), json("deq --run tanh --samples 300 --steps 10 --seed 1"));
    // No sphere is conserved by a sigmoid: the prediction must miss.
    let sigmoid = &json("deq --run sigmoid --steps 1000")["radius_squared"];
    assert!((sigmoid["end"].as_f64().unwrap() - sigmoid["predicted_end"].as_f64().unwrap()).abs() > 0.1, "{sigmoid}");
}

#[test]
fn relu_has_reference_margins() {
    for (call, expected) in [
        ("--xor 3", 0.2886751346),
        ("--xor 6 --depth 1", 0.1047693201),
        ("--xor 6 --depth 4", 0.0726196623),
        ("--xor 6 --depth 4 --init independent", 0.1858324625),
        ("--xor 20", 0.0216413895),
    ] {
        let found = json(&format!("relu margin {call}"));
        near(&found["margin"], &[expected], 1e-10);
        let (lower, upper) = (found["lower"].as_f64().unwrap(), found["upper"].as_f64().unwrap());
        assert!(lower <= upper && upper - lower < 1e-9, "{found}");
    }
    let found = json("relu train --width 64 --steps 200 --points 16");
    let number = |name: &str| found[name].as_f64().unwrap();
    assert!(number("measured_risk") < number("certificate") && number("test_error") <= 1.0, "{found}");
}

#[test]
fn features_have_their_noise_from_epsilon() {
    let found = json("features --n 500 --dim 2000 --snr 0.3 --epsilon 8 --seeds 2");
    near(&found["noise_multiplier"], &[6.0022907], 5e-8);
    near(&found["test_accuracy"], &[1.0], 0.03);
    near(&found["signal"], &[4.790], 0.2 * 4.790);
    near(&found["noise"], &[5.122], 0.2 * 5.122);
    let weak = json("features --snr 0.05 --epsilon 8 --seeds 2");
    near(&weak["train_accuracy"], &[0.911], 0.03);
    assert_eq!((&weak["memorising_runs"], &weak["delta"]), (&Value::from(2), &Value::from(1e-5)));
    let without = json("features --snr 0.05 --epsilon inf --seeds 1");
    assert_eq!((&without["noise_multiplier"], &without["epsilon"]), (&Value::from(0.0), &Value::Null));
    assert_eq!(without["regime"], "memorised");
    let enhanced = json("features --snr 0.1 --epsilon inf --seeds 1 --scale-signal 3");
    assert_eq!(enhanced["regime"], "learned");
}

#[test]
fn features_are_learned_from_real_pictures() {
    let found = json("features --data digits --classes 3,8 --snr 0.8 --epsilon inf --seeds 2");
    assert_eq!((&found["classes"][1], &found["dimension"], &found["noise_multiplier"]), (&"8".into(), &64.into(), &0.0.into()));
    assert!(found["test_accuracy"].as_f64().unwrap() > 0.8 && found["train_accuracy"].as_f64().unwrap() > 0.9, "{found}");
    assert!(found["signal"].is_number() && found["noise"].is_number(), "{found}");
    let private = json("features --data digits --snr 0.8 --epsilon 8 --seeds 1");
    near(&private["noise_multiplier"], &[6.0022907], 5e-8);
    fails(2, "features --data digits --classes 3,x", &["\"x\"", "0, 1"]);
    fails(2, "features --data digits --classes 3", &["two classes"]);
    fails(2, "features --data digits --n 5000", &["5000"]);
    fails(2, "features --data digits --dim 10", &["--dim"]);
    fails(2, "features --data digits --out x.html", &["--out"]);
    fails(2, "features --classes 0,1", &["--data"]);
    fails(2, "features --data nothing", &["nothing"]);
}

#[test]
fn the_audit_of_features_agrees_and_finds_what_is_planted() {
    let small = "audit --epsilon 8 --steps 10 --trials 2000";
    let sound = json(small);
    assert_eq!(sound["verdict"], "consistent");
    let found = sound["epsilon_lower_bound"].as_f64().unwrap();
    assert!(found > 6.0 && found <= 8.0, "{sound}");
    for fault in ["noise", "no-clip"] {
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), &format!("{small} --fault {fault} --json"));
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&found["verdict"], &found["fault"]), (&"violated".into(), &fault.into()));
    }
    fails(2, "audit --epsilon inf", &["nothing to audit"]);
    fails(2, "audit --trials 1", &["trials is 1"]);
    fails(2, "audit --fault magic", &["magic", "no-clip"]);
}

#[test]
fn threads_and_time_do_not_change_a_bit() {
    for call in ["features --n 60 --dim 200 --epsilon 4 --seeds 3", "icl --seeds 3 --steps 300"] {
        let one = json(&format!("{call} --threads 1"));
        assert_eq!(one, json(&format!("{call} --threads 3")));
        assert_ne!(one, json(&format!("{call} --seed 7")));
    }
}

#[test]
fn a_failing_check_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    // The reference table of the random numbers, and the same with a wrong digit.
    let rng = |first: &str| {
        format!(
            r#"{{"kind":"rng","tol":{{"uniform":0,"normal":2e-15}},"cases":[{{"seed":0,"u64":["{first}"],"uniform":[],"normal":[]}}]}}"#
        )
    };
    for (first, code) in [("16294208416658607535", 0), ("16294208416658607534", 1)] {
        std::fs::write(folder.path().join("a.json"), rng(first)).unwrap();
        let output = run(folder.path(), "check . --json");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message} {}", String::from_utf8_lossy(&output.stdout));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["passed"], code == 0);
    }
    fails(2, "check .", &["no vector file"]);
    fails(2, "check nowhere", &["nowhere", "cannot be read"]);
}

#[test]
fn bad_input_is_refused_with_field_and_value() {
    fails(2, "icl --spectrum 1,0", &["variance of mode 1", "0", "above 0"]);
    fails(2, "icl --spectrum 1,-2", &["variance of mode 1", "-2"]);
    fails(2, "icl --spectrum 1,NaN", &["NaN"]);
    fails(2, "icl --context 0", &["context length"]);
    fails(2, "icl --start 0", &["a0"]);
    fails(2, "icl --tolerance 1e-17", &["tolerance", "rounding"]);
    fails(2, "icl --seed 1", &["--seed", "--seeds"]);
    fails(2, "deq --start 0.1,1", &["v is 1"]);
    fails(2, "deq --start 0.1", &["number of parameters is 1"]);
    fails(2, "deq --eta NaN", &["learning rate is NaN"]);
    fails(2, "deq --activation relu --start 0.5,1.5", &["does not contract"]);
    fails(2, "deq --backward neumann0", &["terms"]);
    fails(2, "deq --seed 1", &["--seed"]);
    fails(2, "deq --run matrix --seed 1", &["--seed", "matrix"]);
    fails(2, "deq --run matrix --start 1,0,0,1,1,0,0,0,1,0", &["I - W", "singular"]);
    fails(2, "deq --run matrix --start 1,0", &["number of parameters is 2"]);
    fails(2, "overlay deq --run matrix", &["matrix"]);
    fails(2, "relu margin --width 63", &["63", "even"]);
    fails(2, "relu train --width 63", &["63", "even"]);
    fails(2, "relu train --width 2 --points 64", &["not separable"]);
    fails(2, "relu margin --xor 2", &["2-XOR is 2"]);
    fails(2, "relu margin --seed 1", &["--seed", "--width"]);
    fails(2, "relu margin --out x.html", &["--out"]);
    fails(2, "features --epsilon 0", &["epsilon is 0"]);
    fails(2, "features --epsilon NaN", &["epsilon is NaN"]);
    fails(2, "features --delta 2", &["delta is 2"]);
    fails(2, "features --clip 0", &["clip norm is 0"]);
    fails(2, "features --snr 0", &["signal-to-noise ratio is 0"]);
    fails(2, "features --n 3000", &["3000", "1999"]);
    fails(2, "features --steps 0", &["number of steps is 0"]);
    fails(2, "features --project-out 1", &["share", "[0, 1)"]);
    fails(2, "overlay icl --seeds 0", &["--seeds is 0"]);
    fails(2, "features --n 5 --dim 20 --seeds 1 --out nowhere.html/x.html --device cpu", &["--device"]);
}

#[test]
fn a_descent_that_diverges_says_where_and_its_record_is_kept() {
    for (lab, call, parts, least) in [
        ("icl", "icl --seeds 1 --eta 100", ["in step", "loss"], 1),
        ("icl", "icl --seeds 1 --eta 1.2 --every 1", ["in step", "too large"], 4),
        ("deq", "deq --target 1e300", ["in step 0", "norm of the parameters"], 1),
        ("relu", "relu train --eta 1e300", ["in step 1", "norm of the weights"], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), call);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{call}: {message}");
        let file = format!("runs/{lab}-stopped.json");
        assert!(parts.iter().all(|part| message.contains(part)) && message.contains(&file), "{call}: {message}");
        let kept: Value = serde_json::from_slice(&std::fs::read(folder.path().join(file)).unwrap()).unwrap();
        let records = kept["records"].as_array().unwrap();
        assert!(records.len() >= least && records[0]["step"] == 0 && kept["error"].is_string(), "{call}: {kept}");
    }
    // A map that stops contracting on the way: the start was fine, the work failed, and its record is kept too.
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "deq --activation relu --eta 5 --start 0.5,0.1");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && message.contains("in step 1") && message.contains("does not contract"),
        "{message}"
    );
    assert!(message.contains("runs/deq-stopped.json") && folder.path().join("runs/deq-stopped.json").exists(), "{message}");
    // Nothing was recorded in the first step.
    fails(1, "features --eta 1e200", &["in step 0", "learning rate"]);
}

const STUDY: &str = "relu study --dimensions 4,5 --examples 6,12 --seeds 3 --steps 40,120 --width 16 --out s";

fn study_page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("s/study.html")).unwrap()
}

#[test]
fn error_against_data_is_studied_in_both_protocols_and_goes_on() {
    for protocol in ["faithful --depth 1,2", "notebook"] {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let call = format!("{STUDY} --protocol {protocol}");
        let expected = json_in(whole.path(), &call);
        let depths = expected["depths"].as_array().unwrap();
        assert_eq!((expected["cells"].as_u64().unwrap() as usize, &expected["failed"]), (12 * depths.len(), &Value::from(0)));
        for depth in depths {
            assert_eq!(depth["rows"].as_array().unwrap().len(), 2);
            let line = &depth["rows"][1]["line"];
            assert!(
                line["slope"].as_f64().unwrap() > 0.0 && line["standard_error"].as_f64().unwrap() > 0.0,
                "{protocol}: {line}"
            );
            assert_eq!(depth["rows"][0]["cells"][1]["d_squared_over_n"], 16.0 / 12.0);
        }
        let half = json_in(parts.path(), &format!("{call} --cells 5 --threads 1"));
        assert_eq!(half["finished"], 5);
        assert!(study_page(parts.path()).contains("5 of"), "{protocol}");
        assert_eq!(json_in(parts.path(), &format!("{call} --threads 2")), expected);
        assert_eq!(study_page(parts.path()), study_page(whole.path()));
        let other = run(whole.path(), &format!("{call} --seed 1"));
        assert!(other.status.code() == Some(2) && String::from_utf8_lossy(&other.stderr).contains("another sweep"));
    }
    fails(2, "relu study --examples 65", &["65", "1 to 64"]);
    fails(2, "relu study --dimensions 2", &["2-XOR is 2"]);
    fails(2, "relu study --depth 2", &["depth is 2", "notebook"]);
    fails(2, "relu study --protocol faithful --width 7", &["7", "even"]);
    fails(2, "relu study --steps 50,20", &["20", "above 50"]);
    fails(2, "relu study --examples 10,10", &["twice"]);
    fails(2, "relu study --seeds 0", &["trials"]);
    let growth = json("relu growth --depths 1,2,3 --width 64 --points 16 --steps 100");
    assert!(growth["certificate_exponent"].as_f64().unwrap() > 0.0 && growth["margin_exponent"].as_f64().unwrap() < 0.0);
    near(&growth["rows"][2]["infinite_margin"], &[0.0767572804], 1e-10);
}

const SWEEP: &str = "phase features --x snr=0.1,0.4,1 --y epsilon=inf,8,1 --seeds 3 --set n=40 --set dim=120 --set steps=40";

fn page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("p/phase.html")).unwrap()
}

#[test]
fn a_stopped_phase_diagram_goes_on_to_the_same_page() {
    let [whole, parts, shards] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let expected = json_in(whole.path(), &format!("{SWEEP} --out p"));
    assert_eq!((&expected["cells"], &expected["finished"]), (&Value::from(27), &Value::from(27)));
    assert_eq!(expected["places"][0]["measured"], 3);
    assert!(expected["places"][0]["values"]["test_accuracy"]["mean"].is_number() && expected["required"]["inf"].is_number());

    let half = json_in(parts.path(), &format!("{SWEEP} --out p --cells 13 --threads 1"));
    assert_eq!(half["finished"], 13);
    assert!(
        page(parts.path()).contains("13 of 27 cells")
            && page(parts.path()).contains("not all computed yet")
            && page(parts.path()) != page(whole.path())
    );
    assert_eq!(json_in(parts.path(), &format!("{SWEEP} --out p")), expected);
    assert_eq!(page(parts.path()), page(whole.path()));

    for shard in ["2/2", "1/2"] {
        json_in(shards.path(), &format!("{SWEEP} --out p --shard {shard}"));
    }
    assert_eq!(page(shards.path()), page(whole.path()));
    assert_eq!(page(whole.path()).matches("<svg").count(), 6);
    let csv = |folder: &Path| std::fs::read_to_string(folder.join("p/phase.csv")).unwrap();
    assert_eq!(csv(shards.path()), csv(whole.path()));
    let lines: Vec<Vec<String>> = csv(whole.path()).lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    assert!(lines.len() == 10 && lines.iter().all(|line| line.len() == 4 + 3 * 6), "{lines:?}");
    assert_eq!(lines[1][..4], ["0.1", "inf", "3", "0"]);
}

#[test]
fn cells_do_not_depend_on_the_number_of_threads() {
    let sweeps = [SWEEP, "phase deq --x eta=0.003,0.03 --y radius=0.1,1 --seeds 2"];
    for sweep in sweeps {
        let cells = |threads: u32| {
            let folder = tempfile::tempdir().unwrap();
            json_in(folder.path(), &format!("{sweep} --out p --threads {threads}"));
            let files = std::fs::read_dir(folder.path().join("p/cells")).unwrap();
            let mut files: Vec<_> =
                files.map(|file| file.unwrap()).map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect();
            files.sort();
            (files, page(folder.path()))
        };
        let one = cells(1);
        assert!(one.0.len() >= 8 && one == cells(2), "{sweep}");
    }
}

#[test]
fn theory_lies_over_phase_diagrams() {
    for (sweep, lines) in [
        ("phase features --x snr=0.05,0.2,0.8 --y epsilon=1,16,inf --set n=40 --set dim=120 --set steps=5", 2),
        ("phase icl --x context=4,8,32 --y condition=2,32,512", 1),
        ("phase deq --x eta=0.01,0.1 --y radius=0.1,0.3,1,3 --set steps=100", 1),
        ("phase relu --x eta=0.1,1 --y depth=1,2 --set steps=5", 1),
        ("phase relu --x points=8,16 --y depth=1,2 --set steps=5", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let found = json_in(folder.path(), &format!("{sweep} --out p"));
        let theory = found["theory"].as_array().unwrap();
        assert_eq!(theory.len(), lines, "{sweep}");
        let page = page(folder.path());
        assert!(theory.iter().all(|line| line["points"].as_array().unwrap().len() > 1), "{sweep}");
        let named = |line: &Value| page.contains(line["says"].as_str().unwrap().split(':').next().unwrap());
        assert!(theory.iter().all(named), "{sweep}");
    }
}

#[test]
fn a_killed_phase_diagram_goes_on_to_the_same_page() {
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let sweep = "phase relu --x points=8,16,24,32 --y depth=1,2,3 --seeds 3 --set steps=400 --set width=64 --out p --threads 1";
    json_in(whole.path(), sweep);
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(killed.path()).arg("dynamics").args(sweep.split_whitespace()).env_remove("THALWEG_RUNS");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let cells = killed.path().join("p/cells");
    // Some cells are there, some are not.
    while std::fs::read_dir(&cells).map_or(0, Iterator::count) < 5 {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended before it could be killed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::fs::read_dir(&cells).unwrap().count() < 36 && !killed.path().join("p/phase.html").exists());
    json_in(killed.path(), sweep);
    assert_eq!(page(killed.path()), page(whole.path()));
}

#[test]
fn failed_cells_are_drawn_and_bad_sweeps_refused() {
    let folder = tempfile::tempdir().unwrap();
    let found = json_in(folder.path(), "phase deq --x eta=0.01,1e300 --y radius=0.5,1 --seeds 2 --out p");
    assert_eq!((&found["places"][1]["failed"], &found["places"][0]["measured"]), (&Value::from(2), &Value::from(2)));
    assert!(page(folder.path()).contains("What failed"));
    let output = run(folder.path(), "phase deq --x eta=1e300 --y radius=0.5,1 --out q");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let other = run(folder.path(), "phase deq --x eta=0.01 --y radius=0.5 --out p");
    assert!(other.status.code() == Some(2) && String::from_utf8_lossy(&other.stderr).contains("another sweep"));
    fails(2, "phase magic --x a=1 --y b=1", &["magic", "features"]);
    fails(2, "phase icl --x context=8,8 --y condition=2", &["twice"]);
    fails(2, "phase icl --x context=8,9 --y condition=2 --seeds 2", &["draws nothing"]);
    fails(2, "phase icl --x context=8.5 --y condition=2", &["context is 8.5"]);
    fails(2, "phase features --x snr=0,1 --y epsilon=1", &["signal-to-noise ratio is 0"]);
    fails(2, "phase features --x speed=1 --y epsilon=1", &["speed", "snr"]);
    fails(2, "phase features --x snr=1 --y epsilon=1 --set snr=2", &["snr", "axis"]);
    fails(2, "phase features --x snr=1 --y snr=2", &["snr"]);
    fails(2, "phase features --x snr=1 --y epsilon=1 --shard 3/2", &["3/2"]);
    fails(2, "phase features --x snr=1 --y epsilon=1 --seeds 0", &["0 cells"]);
    fails(2, "phase features --x snr=1 --y epsilon=1 --seed 1", &["--seed"]);
}

#[test]
fn pages_are_whole_and_lie_where_they_are_said_to() {
    let folder = tempfile::tempdir().unwrap();
    for (call, figures) in [
        ("icl --out icl.html", 4),
        ("icl --seeds 2 --steps 200 --out new/folder/icl.html", 4),
        ("deq --out deq.html", 3),
        ("features --n 60 --dim 200 --epsilon 4 --seeds 2 --out features.html", 3),
        ("overlay icl --seeds 2 --steps 200", 4),
        ("overlay deq --run sigmoid --steps 100", 3),
    ] {
        let found = json_in(folder.path(), call);
        let page = std::fs::read_to_string(folder.path().join(found["page"].as_str().unwrap())).unwrap();
        assert_eq!(page.matches("<svg").count(), figures, "{call}");
        assert!(!page.contains("NaN") && !page.contains("<script") && page.ends_with("</html>"), "{call}");
    }
    let overlay = json_in(folder.path(), "overlay icl --seeds 3 --steps 4000");
    assert_eq!(overlay["page"], "runs/overlay-icl.html");
    let gaps = &overlay["gaps"][3];
    assert!(gaps["published"]["largest"].as_f64().unwrap() > 2.0 * gaps["exact"]["largest"].as_f64().unwrap(), "{gaps}");
    let residual = json_in(folder.path(), "overlay deq")["residual"].as_f64().unwrap();
    assert!(residual.abs() < 1e-14, "{residual}");
}
