//! What the book tells people to type works: the tutorial is followed to the letter, all other calls exist.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The calls of a page: its indented lines that start with the program's name, without what is said beside them.
fn calls(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    thalweg "));
    lines.map(|call| call.split("   ").next().unwrap_or(call).to_owned()).collect()
}

fn pages() -> Vec<PathBuf> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(book).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
}

#[track_caller]
fn run(folder: &Path, call: &str, more: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).args(more).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "thalweg {call}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tutorial_can_be_followed() {
    let tutorial = pages().into_iter().find(|page| page.ends_with("tutorial.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(&tutorial);
    assert!(calls.len() >= 5, "{calls:?}");
    for call in calls {
        run(folder.path(), &call, &[]);
    }
}

#[test]
fn every_call_in_the_book_exists() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for call in pages().iter().flat_map(|page| calls(page)) {
        // Help is printed only when all that stands before it was understood.
        run(folder.path(), &call, &["--help"]);
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} calls were found: has the book another form?");
}

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_tests_that_claims_name_exist() {
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut all);
    let page = pages().into_iter().find(|page| page.ends_with("dynamics.md")).unwrap();
    let text = std::fs::read_to_string(page).unwrap();
    let (_, claims) = text.split_once("## Every claim").unwrap();
    let mut seen = 0;
    for row in claims.lines().filter(|line| line.starts_with("| ")) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in last.split('`').skip(1).step_by(2).filter(|name| !name.contains('.')) {
            assert!(all.contains(&format!("fn {name}(")), "no test is called {name}");
            seen += 1;
        }
        assert!(last.contains('`') || row.contains("not testable here") || row.contains("tested by"), "{row}");
    }
    assert!(seen > 30, "only {seen} tests are named");
}
