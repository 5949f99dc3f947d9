//! The test vectors of an independent program, and vectors that were altered.

use std::path::Path;

use thalweg_vote::check_vectors;
use thalweg_vote::vectors::FileReport;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))
}

#[test]
fn all_vectors_hold() {
    let reports = check_vectors(folder()).unwrap();
    let cases: Vec<(&str, usize)> = reports.iter().map(|report| (report.file.as_str(), report.cases)).collect();
    let expected = [
        ("polynomials.json", 135),
        ("polynomials_general.json", 22),
        ("costs.csv", 67),
        ("prg.json", 10),
        ("packing.json", 9),
        ("negative_frames.json", 10),
        ("grouping.json", 7),
        ("hierarchical.json", 5),
        ("agreement.json", 54),
        ("leakage.json", 34),
        ("transcripts_beaver_explicit.json", 8),
        ("transcripts_oneround_explicit.json", 8),
        ("transcripts_seeded.json", 8),
        ("threshold.json", 2),
    ];
    assert_eq!(cases, expected);
    assert!(reports.iter().all(|report| report.failures.is_empty()), "{reports:#?}");
}

/// Checks the vectors with one replacement in one file.
fn altered(file: &str, from: &str, to: &str) -> FileReport {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        if path.ends_with(file) {
            assert!(text.contains(from), "{file} has no {from}");
            text = text.replacen(from, to, 1);
        }
        std::fs::write(copy.path().join(path.file_name().unwrap()), text).unwrap();
    }
    check_vectors(copy.path()).unwrap().into_iter().find(|report| report.file == file).unwrap()
}

#[test]
fn altered_vectors_fail() {
    for (file, from, to) in [
        ("polynomials.json", "\"coeffs\":[0,2,0]", "\"coeffs\":[0,1,0]"),
        ("polynomials_general.json", "\"coeffs\":[0,1,0,5,0,2]", "\"coeffs\":[0,1,0,5,0,3]"),
        ("costs.csv", "24,29,5,13,27,23,20", "24,29,5,13,27,23,19"),
        ("prg.json", "\"elements\":[2,0,3", "\"elements\":[2,1,3"),
        ("packing.json", "995201", "995200"),
        ("negative_frames.json", "\"BadMagic\"", "\"Truncated\""),
        ("grouping.json", "[3,14,23]", "[3,13,23]"),
        ("hierarchical.json", "\"flat_vote\":[1", "\"flat_vote\":[-1"),
        ("agreement.json", "0.894531", "0.894533"),
        ("leakage.json", "0.188722", "0.188724"),
        ("transcripts_beaver_explicit.json", "\"F\":[0", "\"F\":[1"),
        ("transcripts_oneround_explicit.json", "\"D\":[0", "\"D\":[1"),
        ("transcripts_seeded.json", "d1400620c904030010b30d24162414", "d1400620c904030010b30d24162415"),
        ("threshold.json", "\"D\":2", "\"D\":3"),
    ] {
        let report = altered(file, from, to);
        assert!(!report.failures.is_empty(), "{file}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let error = check_vectors(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/polynomials.json"), "{error}");
}
