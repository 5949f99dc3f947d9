//! Who may import whom, held against `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// The crates that any method crate may import.
const FOUNDATION: [&str; 5] = ["thalweg-descent", "thalweg-nn", "thalweg-data", "thalweg-probes", "thalweg-report"];
/// The crates that belong to no method and may import only `descent`.
const SHARED: [&str; 4] = ["thalweg-nn", "thalweg-data", "thalweg-probes", "thalweg-report"];
/// Those that may import everything.
const TOP: [&str; 2] = ["thalweg", "thalweg-bench"];

/// For each of our packages, which of ours it imports outside its tests.
fn imports() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .filter(|name| name == "thalweg" || name.starts_with("thalweg-"));
            (package["name"].as_str().unwrap().to_owned(), ours.collect())
        })
        .collect()
}

/// Whether `importer` may import `imported`.
fn allowed(importer: &str, imported: &str) -> bool {
    match importer {
        "thalweg-descent" => false,
        _ if TOP.contains(&importer) => true,
        _ if SHARED.contains(&importer) => imported == "thalweg-descent",
        _ => FOUNDATION.contains(&imported),
    }
}

#[test]
fn imports_follow_the_map() {
    let imports = imports();
    assert!(imports.contains_key("thalweg-private") && imports["thalweg"].len() >= 6, "{imports:?}");
    for (importer, imported) in &imports {
        for imported in imported {
            assert!(allowed(importer, imported), "{importer} must not import {imported}");
        }
    }
    assert!(!allowed("thalweg-private", "thalweg-vote"), "the rule can fail");
}

#[test]
fn burn_is_named_where_networks_are_alone() {
    let manifest =
        |folder: &str| std::fs::read_to_string(format!("{}/../{folder}/Cargo.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for folder in ["descent", "data", "probes", "report", "thalweg"] {
        assert!(!manifest(folder).contains("\nburn"), "{folder}");
    }
    assert!(manifest("private").contains("\nburn = { workspace = true, optional = true }"), "behind the feature `train`");
}

#[test]
fn architecture_names_every_crate() {
    let text = std::fs::read_to_string(format!("{}/../../ARCHITECTURE.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for package in imports().keys() {
        let folder = package.strip_prefix("thalweg-").unwrap_or(package);
        assert!(text.contains(&format!("`crates/{folder}`")) || folder == "bench", "{package}");
    }
}
