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
    for (page, pictures) in [("tour-1", 3), ("private-1", 4)] {
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

#[test]
fn the_pages_of_exact_dynamics_render_without_errors_on_a_desk_and_on_a_phone() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (call, page, pictures) in [
        ("icl --seeds 2 --steps 500 --out icl.html", "icl.html", 4),
        ("deq --run near-singular --out deq.html", "deq.html", 3),
        ("features --n 60 --dim 200 --epsilon 4 --seeds 2 --out features.html", "features.html", 3),
        ("phase icl --x context=8,32,128,512,2048,8192 --y condition=2,8,32 --out phase", "phase/phase.html", 2),
        ("phase deq --x eta=0.01,1e300 --y radius=0.3,1 --seeds 2 --out failed", "failed/phase.html", 3),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let output = command.current_dir(folder.path()).arg("dynamics").args(call.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
        let path = folder.path().join(page);
        let html = std::fs::read_to_string(&path).unwrap();
        assert_eq!(browser.load(&path, &[]).console, Vec::<String>::new(), "{page}");
        for width in [1100, 360] {
            let seen = measured(&browser, &html, width, &[]);
            assert!(seen.contains("overflow=false"), "{page}: {seen}");
            assert!(seen.contains(&format!("svgs={pictures} drawn={pictures}")), "{page}: {seen}");
        }
    }
}
