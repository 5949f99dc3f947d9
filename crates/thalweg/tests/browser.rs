//! The pages that a person gets, in a real browser.

#[path = "../../report/tests/support/browser.rs"]
mod browser;

use std::process::Command;

use browser::{Browser, measured};

#[test]
fn the_pages_of_tour_and_run_render_without_errors_on_a_desk_and_on_a_phone() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let thalweg = |call: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let output =
            command.current_dir(folder.path()).args(call.split_whitespace()).env_remove("THALWEG_RUNS").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    thalweg("tour");
    thalweg("private train --epochs 4 --insecure-seed 1");
    for (page, pictures) in [("tour-1", 1), ("private-1", 4)] {
        let path = folder.path().join("runs").join(page).join("report.html");
        let html = std::fs::read_to_string(&path).unwrap();
        assert_eq!(browser.load(&path, &[]).console, Vec::<String>::new(), "{page}");
        for width in [1100, 360] {
            let seen = measured(&browser, &html, width, &[]);
            assert!(seen.contains("overflow=false"), "{page}: {seen}");
            assert!(seen.contains(&format!("svgs={pictures} drawn={pictures}")), "{page}: {seen}");
        }
    }
}
