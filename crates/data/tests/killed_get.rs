//! Claim D2: a `get` that is killed at any moment leaves no partial file under a final name, and a second run ends as an undisturbed
//! one does.
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{ARCHIVE, TOY, World, online};
use thalweg_data::{Sha256Hash, splitmix64};

const RECORDS: usize = 30_000;

/// The process that is killed: not a test of its own.
#[test]
#[ignore = "started by the other test"]
fn child() {
    let Some(folder) = std::env::var_os("THALWEG_TEST_FOLDER") else { return };
    let folder = Path::new(&folder);
    let archive = std::fs::read(folder.join("source.tgz")).unwrap();
    let entries = Vec::leak(vec![support::entry(RECORDS, &archive)]);
    support::cache(&folder.join("cache"), entries, &folder.join("clients")).get(TOY, &online()).unwrap();
}

fn start_child(world: &World) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored"]).env("THALWEG_TEST_FOLDER", world.folder.path()).env_remove("THALWEG_OFFLINE");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// A client that writes the archive in pieces and sleeps between them.
fn install_slow_client(world: &World) {
    let piece = world.archive.len() / 8 + 1;
    let source = world.source();
    world.install_client(&format!(
        "i=0; while [ $i -lt 8 ]; do dd if='{}' bs={piece} skip=$i count=1 2>/dev/null >> {ARCHIVE} || exit 1; \
         i=$((i+1)); sleep 0.01; done",
        source.display()
    ));
}

/// Every file of the cache, with the one number that differs between runs taken out.
fn tree(root: &Path) -> BTreeMap<String, Sha256Hash> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() {
                found.insert(name, Sha256Hash::of(b"folder"));
                open.push(path);
            } else {
                found.insert(name, Sha256Hash::of(&without_times(&path)));
            }
        }
    }
    found
}

fn without_times(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if !path.ends_with("manifest.json") {
        return bytes;
    }
    let text = String::from_utf8(bytes).unwrap();
    let stable = text.lines().filter(|line| !line.contains("\"modified\"") && !line.contains("\"manifest_sha256\""));
    stable.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Kills fresh runs at `kills` moments spread over the length of an undisturbed one, and runs each again.
fn kill_at_moments(kills: u64, install_client: fn(&World)) {
    let undisturbed = World::new(RECORDS);
    install_client(&undisturbed);
    let start = Instant::now();
    assert!(start_child(&undisturbed).wait().unwrap().success());
    let whole_run = start.elapsed();
    let expected = tree(&undisturbed.root());
    let packed = Sha256Hash::of_file(&undisturbed.set_folder().join("packed")).unwrap();
    for kill in 0..kills {
        let jitter = splitmix64(kill) as f64 / u64::MAX as f64;
        let moment = whole_run.mul_f64((kill as f64 + jitter) / kills as f64);
        let world = undisturbed.again();
        install_client(&world);
        kill_after(&world, moment);
        check_final_names(&world, packed);
        assert!(start_child(&world).wait().unwrap().success(), "run again after a kill at {moment:?}");
        assert_eq!(tree(&world.root()), expected, "killed after {moment:?}");
    }
}

#[test]
fn killed_while_the_client_works() {
    kill_at_moments(16, install_slow_client);
}

/// With a client that takes no time, most moments are in unpacking, packing and renaming.
#[test]
fn killed_while_packing() {
    kill_at_moments(40, World::install_quick_client);
}

fn kill_after(world: &World, moment: Duration) {
    let mut child = start_child(world);
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What has a final name is whole.
fn check_final_names(world: &World, packed: Sha256Hash) {
    let folder = world.set_folder();
    if let Ok(bytes) = std::fs::read(folder.join("archive")) {
        assert!(bytes == world.archive, "a partial archive");
    }
    if folder.join("packed").exists() {
        assert_eq!(Sha256Hash::of_file(&folder.join("packed")).unwrap(), packed, "a partial packed file");
    }
    if let Ok(text) = std::fs::read(folder.join("manifest.json")) {
        assert!(folder.join("packed").exists(), "a manifest without its file");
        serde_json::from_slice::<serde_json::Value>(&text).expect("a partial manifest");
    }
}
