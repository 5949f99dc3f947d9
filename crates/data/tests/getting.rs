//! Getting, adding, verifying and collecting with a fake package client: what is right works and is not done twice, and what is wrong is
//! found (claim D4) and named.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::time::Duration;

use support::{ARCHIVE, TOY, World, online, tgz};
use thalweg_data::catalogue::State;
use thalweg_data::{Cache, DataError, Existing, GetOptions, KeepArchive, Outcome, splitmix64};

fn failing(world: &World) -> DataError {
    world.cache().get(TOY, &online()).unwrap_err()
}

#[test]
fn a_set_is_got_once_and_mapped_from_then_on() {
    let world = World::new(100);
    world.install_quick_client();
    let cache = world.cache();
    assert_eq!(cache.list()[0].state, State::Absent);
    assert!(cache.info(TOY).unwrap().remedy.unwrap().contains("npm pack toy@1.0.0"));
    assert_eq!(cache.get(TOY, &online()).unwrap().outcome, Outcome::Downloaded);
    assert_eq!(cache.get(TOY, &online()).unwrap().outcome, Outcome::Cached);
    assert_eq!(world.calls(), ["pack toy@1.0.0"]);
    assert_eq!(cache.load(TOY).unwrap().record(99), &support::pictures(100)[99 * 256..]);
    assert_eq!(cache.path(TOY).unwrap(), world.set_folder().join("packed"));
    let info = cache.info(TOY).unwrap();
    assert_eq!((info.listing.state, info.remedy), (State::Cached, None));
    assert_eq!(info.loaded.unwrap().parts[0].records, 100);
    assert!(cache.verify(None).unwrap()[0].is_sound());
    let names: Vec<_> = std::fs::read_dir(world.set_folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let anew = GetOptions { existing: Existing::Replace, ..online() };
    assert_eq!(cache.get(TOY, &anew).unwrap().outcome, Outcome::Downloaded);
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn two_processes_at_once_get_it_once() {
    let world = World::new(100);
    world.install_quick_client();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| world.cache().get(TOY, &online()).unwrap());
        }
    });
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn one_flipped_byte_is_found_and_repaired() {
    let world = World::new(40);
    world.install_quick_client();
    let cache = world.cache();
    let keep = GetOptions { archive: KeepArchive::Yes, ..online() };
    let got = cache.get(TOY, &keep).unwrap();
    for round in 0..60u64 {
        let name = ["packed", "manifest.json", "archive"][round as usize % 3];
        let path = world.set_folder().join(name);
        let whole = std::fs::read(&path).unwrap();
        let at = (splitmix64(round) % whole.len() as u64) as usize;
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (round % 8);
        // The clock of a file system may tick only every few milliseconds.
        std::thread::sleep(Duration::from_millis(12));
        std::fs::write(&path, &flipped).unwrap();
        let found = cache.verify(Some(TOY)).unwrap();
        assert!(!found[0].is_sound(), "byte {at} of {name}");
        if name == "archive" {
            std::fs::write(&path, &whole).unwrap();
            continue;
        }
        // Offline: the archive was kept, so the set is packed again from it.
        let again = cache.get(TOY, &GetOptions { archive: KeepArchive::Yes, ..GetOptions::default() }).unwrap();
        assert_eq!((again.outcome, again.content_sha256), (Outcome::Unpacked, got.content_sha256), "byte {at} of {name}");
        assert!(cache.verify(Some(TOY)).unwrap()[0].is_sound());
    }
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn what_a_killed_process_had_still_to_remove_is_removed() {
    let world = World::new(40);
    world.install_quick_client();
    let cache = world.cache();
    cache.get(TOY, &GetOptions { archive: KeepArchive::Yes, ..online() }).unwrap();
    let archive = world.set_folder().join("archive");
    cache.get(TOY, &online()).unwrap();
    assert!(archive.exists(), "an archive that was asked to stay stays");
    // The note without a lock is that of a process that was killed.
    let note = world.root().join(format!("locks/{TOY}.holder.json"));
    std::fs::write(&note, r#"{"pid":4294967295,"host":"x","since":0}"#).unwrap();
    cache.get(TOY, &online()).unwrap();
    assert!(!archive.exists() && !note.exists());
}

#[test]
fn damage_that_cannot_be_repaired_offline_says_how() {
    let world = World::new(40);
    world.install_quick_client();
    world.cache().get(TOY, &online()).unwrap();
    let packed = world.set_folder().join("packed");
    let mut bytes = std::fs::read(&packed).unwrap();
    bytes[5000] ^= 1;
    std::thread::sleep(Duration::from_millis(12));
    std::fs::write(&packed, bytes).unwrap();
    let error = world.cache().load(TOY).unwrap_err();
    assert_eq!(error.code(), "E04");
    let message = error.to_string();
    assert!(message.contains("packed.bad") && message.contains("thalweg data get toy"), "{message}");
    assert!(world.set_folder().join("packed.bad").is_file());
    assert_eq!(world.cache().get(TOY, &online()).unwrap().outcome, Outcome::Downloaded);
}

#[test]
fn touching_a_file_costs_a_digest_and_nothing_else() {
    let world = World::new(40);
    world.install_quick_client();
    world.cache().get(TOY, &online()).unwrap();
    let file = std::fs::File::options().write(true).open(world.set_folder().join("packed")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    assert_eq!(world.cache().get(TOY, &GetOptions::default()).unwrap().outcome, Outcome::Cached);
    assert!(world.cache().verify(None).unwrap()[0].is_sound());
}

#[test]
fn a_missing_client_is_named_with_other_ways() {
    let message = failing(&World::new(8)).to_string();
    assert!(message.starts_with("E02: `npm`"), "{message}");
    assert!(message.contains("npm pack toy@1.0.0") && message.contains("thalweg data add toy FILE"), "{message}");
}

#[test]
fn a_failing_client_is_quoted() {
    let world = World::new(8);
    world.install_client("i=1; while [ $i -le 30 ]; do echo \"line $i\" >&2; i=$((i+1)); done; exit 7");
    let message = failing(&world).to_string();
    assert!(message.starts_with("E03: `npm pack toy@1.0.0` ended with exit code 7"), "{message}");
    assert!(message.contains("line 30") && message.contains("line 11\n") && !message.contains("line 10\n"), "{message}");
    world.install_client("exit 0");
    assert!(failing(&world).to_string().contains("did not leave one archive"));
    world.install_client("exec sleep 20");
    let error = world.cache().with_client_timeout(Duration::from_millis(100)).get(TOY, &online()).unwrap_err();
    assert!(error.to_string().contains("was stopped after"), "{error}");
    assert!(!error.is_input());
    assert_eq!(std::fs::read_dir(world.set_folder()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn another_archive_will_do_if_its_files_are_the_same() {
    let world = World::new(8);
    world.install_quick_client();
    let same_files = tgz(&[("package/pictures.bin", &support::pictures(8)), ("package/new.txt", b"new release")]);
    std::fs::write(world.source(), same_files).unwrap();
    assert_eq!(world.cache().get(TOY, &online()).unwrap().records, 8);
}

#[test]
fn a_wrong_archive_is_named_and_kept() {
    let world = World::new(8);
    world.install_quick_client();
    let mut wrong = support::pictures(8);
    wrong[7] ^= 1;
    let archives = [
        ("E04", tgz(&[("package/pictures.bin", &wrong)])),
        ("E04", tgz(&[("package/pictures.bin", &[wrong.clone(), vec![0; 1000]].concat())])),
        ("E04", b"<html>proxy error</html>".to_vec()),
        ("E05", tgz(&[("package/picture.bin", b"")])),
        ("E08", link("package/pictures.bin")),
    ];
    for (code, archive) in archives {
        std::fs::write(world.source(), &archive).unwrap();
        let error = failing(&world);
        assert_eq!(error.code(), code, "{error}");
        assert!(std::fs::read(world.set_folder().join("archive.bad")).unwrap() == archive);
        assert!(!world.set_folder().join("archive").exists() && !world.set_folder().join("packed").exists());
        match code {
            "E04" => {
                assert!(error.to_string().contains("may have been re-released") && error.to_string().contains("archive.bad"));
            }
            "E05" => assert!(error.to_string().contains("Nearest names: package/picture.bin"), "{error}"),
            _ => {}
        }
    }
    std::fs::write(world.source(), &world.archive).unwrap();
    assert_eq!(world.cache().get(TOY, &online()).unwrap().outcome, Outcome::Downloaded);
}

fn link(name: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, name, "/etc/passwd").unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn archives_and_folders_can_be_added_without_a_client() {
    let world = World::new(8);
    let cache = world.cache();
    assert_eq!(cache.add(TOY, &world.source(), &GetOptions::default()).unwrap().outcome, Outcome::Unpacked);
    assert!(world.source().is_file(), "the user's file stays");
    let folder = world.folder.path().join("unpacked/package");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("pictures.bin"), support::pictures(8)).unwrap();
    for place in [folder.as_path(), folder.parent().unwrap()] {
        let anew = GetOptions { existing: Existing::Replace, ..GetOptions::default() };
        assert_eq!(cache.add(TOY, place, &anew).unwrap().records, 8);
    }
    let absent = World::new(8);
    assert_eq!(absent.cache().add(TOY, Path::new("/nowhere/x.tgz"), &GetOptions::default()).unwrap_err().code(), "E18");
    assert_eq!(absent.cache().add(TOY, &world.clients(), &GetOptions::default()).unwrap_err().code(), "E05");
    assert_eq!(Cache::at(world.root()).add("digits", &folder, &GetOptions::default()).unwrap_err().code(), "E19");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let world = World::new(8);
    world.install_quick_client();
    std::fs::write(world.root(), b"a file where the folder should be").unwrap();
    let error = failing(&world);
    assert_eq!(error.code(), "E06");
    assert!(error.to_string().contains("THALWEG_DATA_DIR"), "{error}");
    assert!(!error.is_input());
}

#[test]
fn collecting_keeps_the_sets_and_gives_back_the_rest() {
    let world = World::new(8);
    world.install_quick_client();
    let cache = world.cache();
    assert_eq!(cache.gc(None).unwrap().removed, []);
    cache.get(TOY, &GetOptions { archive: KeepArchive::Yes, ..online() }).unwrap();
    std::fs::create_dir_all(world.root().join("toy/0.9.0")).unwrap();
    std::fs::write(world.root().join("toy/0.9.0/packed"), [0; 500]).unwrap();
    std::fs::write(world.set_folder().join("archive.bad"), [0; 70]).unwrap();
    let collected = cache.gc(None).unwrap();
    assert_eq!(collected.freed_bytes, 570 + world.archive.len() as u64);
    assert!(cache.verify(None).unwrap()[0].is_sound() && cache.load(TOY).is_ok());
    assert_eq!(cache.gc(Some(collected.kept_bytes)).unwrap().removed.len(), 0);
    let all = cache.gc(Some(0)).unwrap();
    assert_eq!((all.freed_bytes, all.kept_bytes), (collected.kept_bytes, 0));
    assert_eq!(cache.list()[0].state, State::Absent);
}

#[test]
fn what_is_returned_can_be_printed_as_json() {
    let world = World::new(8);
    world.install_quick_client();
    let got = serde_json::to_value(world.cache().get(TOY, &online()).unwrap()).unwrap();
    assert_eq!(got["outcome"], "downloaded");
    let info = serde_json::to_value(world.cache().info(TOY).unwrap()).unwrap();
    assert_eq!((&info["state"], &info["name"], &info["kind"]), (&"cached".into(), &"toy".into(), &"image".into()));
    assert_eq!(ARCHIVE, "toy-1.0.0.tgz");
}
