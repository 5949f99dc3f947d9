//! Every vector file that lies beside this test, recomputed.

use std::path::{Path, PathBuf};

use thalweg_dynamics::check::{self, check, check_file};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn passes(name: &str) {
    let rows = check_file(&file(name)).unwrap();
    assert!(!rows.is_empty());
    let failures: Vec<_> = rows.iter().filter(|row| !row.pass).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

macro_rules! vectors {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            passes(concat!(stringify!($name), ".json"));
        })*
    };
}

vectors! {
    deq_flow
    deq_gd
    deq_hessian
    deq_sigmoid
    deq_stress
    deq_tanh
    icl_aligned
    icl_cutoff
    icl_matrix_flow
    icl_sgd
    icl_unbalanced
    icl_wishart
    invariants
    measures
    relu_kernel
    relu_margin_qp
    relu_margin_xor
    relu_train
    rng
    xor_experiment
    xor_two_layer
}

/// A copy of a file with one text replaced.
fn tampered(name: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(file(name)).unwrap();
    assert!(text.contains(from));
    std::fs::write(folder.path().join(name), text.replace(from, to)).unwrap();
    folder
}

#[test]
fn a_wrong_value_fails() {
    let folder = tampered("deq_gd.json", "0.01600863521938117", "0.01600863522938117");
    let found = check(folder.path()).unwrap();
    assert!(!found.passed());
    let failures: Vec<&check::Row> = found.failures().collect();
    assert_eq!(failures.len(), 1);
    let table = found.table().to_text();
    assert_eq!(table.lines().filter(|line| line.ends_with("NO")).count(), 1);
    assert!(table.lines().next().unwrap().starts_with("name"));
    assert_eq!((failures[0].name.as_str(), failures[0].quantity.as_str()), ("deq_gd.json 3 neumann2", "final risk"));
}

#[test]
fn files_that_cannot_be_checked_are_named() {
    let message = |folder: &Path| check(folder).unwrap_err().to_string();
    assert!(message(tampered("rng.json", "\"kind\"", "\"sort\"").path()).contains("\"kind\""));
    assert!(message(tampered("rng.json", "\"rng\"", "\"dice\"").path()).contains("unknown kind \"dice\""));
    assert!(message(tampered("deq_gd.json", "\"theta0\"", "\"theta\"").path()).contains("theta0"));
    assert!(message(tampered("deq_gd.json", "{", "[").path()).contains("no JSON"));
    assert!(message(tampered("deq_gd.json", "\"m2\":1.0", "\"m2\":-1.0").path()).contains("second moment"));
    assert!(message(tempfile::tempdir().unwrap().path()).contains("no vector file"));
    assert!(message(Path::new("/nowhere/at/all")).contains("/nowhere/at/all"));
}
