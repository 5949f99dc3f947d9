//! Claim D3: offline and with an empty cache every set answers with what to do, and no process is started.
#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use std::process::Command;

use support::{TOY, World, online};
use thalweg_data::catalogue::{CATALOGUE, Origin, State};
use thalweg_data::{Cache, GetOptions};

/// Fake clients under every name that is ever called.
fn install_recording_clients(world: &World) {
    world.install_quick_client();
    for name in ["pip", "pip3", "python3", "apt-get"] {
        std::fs::copy(world.clients().join("npm"), world.clients().join(name)).unwrap();
    }
}

#[test]
fn every_absent_set_says_how_to_get_it_and_starts_nothing() {
    let world = World::new(8);
    install_recording_clients(&world);
    let cache = Cache::at(world.root()).with_search_path(world.clients());
    for (entry, listing) in CATALOGUE.iter().zip(cache.list()) {
        let Origin::Files(files) = entry.origin else { continue };
        if listing.state == State::System {
            println!("passing over {}: a package manager has installed it on this machine", entry.name);
            continue;
        }
        for error in [
            cache.load(entry.name).unwrap_err(),
            cache.get(entry.name, &GetOptions::default()).unwrap_err(),
            cache.path(entry.name).unwrap_err(),
        ] {
            assert_eq!(error.code(), "E01");
            let message = error.to_string();
            assert!(message.contains(entry.name), "{message}");
            assert!(message.contains(&format!("thalweg data add {} FILE", entry.name)), "{message}");
            assert!(message.contains(&world.root().display().to_string()), "{message}");
            let command = files.client.map(|client| client.to_string()).unwrap_or_default();
            assert!(message.contains(&command), "{message}");
        }
    }
    assert_eq!(world.calls(), [""; 0]);
    assert!(!world.root().exists(), "looking must not create the cache");
}

/// Run in a process of its own, because it is the environment that decides.
#[test]
#[ignore = "started by the other test"]
fn child() {
    let world = World::new(8);
    install_recording_clients(&world);
    let error = world.cache().get(TOY, &online()).unwrap_err();
    assert_eq!(error.code(), "E01");
    assert!(error.to_string().contains("npm pack toy@1.0.0"));
    assert_eq!(world.calls(), [""; 0]);
}

#[test]
fn the_environment_can_forbid_every_client() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .env("THALWEG_OFFLINE", "1")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn unknown_names_get_the_nearest_ones() {
    let error = Cache::at("/nowhere").load("fashion_mnist").unwrap_err();
    assert_eq!(error.code(), "E15");
    assert!(error.to_string().contains("fashion-mnist, "), "{error}");
}
