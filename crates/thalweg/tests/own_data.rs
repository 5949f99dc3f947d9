//! Training on folders of the person's own, through the binary.

mod binary;

use std::fs;
use std::path::Path;

use binary::{json, refused};

/// An uncompressed picture of one grey.
fn bitmap(side: u32, grey: u8) -> Vec<u8> {
    let row = (3 * side).div_ceil(4) * 4;
    let pixels = row * side;
    let mut bytes = b"BM".to_vec();
    for number in [54 + pixels, 0, 54, 40, side, side] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    for number in [0, pixels, 2835, 2835, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize((54 + pixels) as usize, grey);
    bytes
}

/// `photos/{dark,light}/<number>.bmp`.
fn write_photos(folder: &Path) {
    for (class, base) in [("dark", 20), ("light", 150)] {
        let class = folder.join("photos").join(class);
        fs::create_dir_all(&class).unwrap();
        for number in 0..50 {
            fs::write(class.join(format!("{number:02}.bmp")), bitmap(8, base + number)).unwrap();
        }
    }
}

const TRAIN: &str = "private train --epochs 20 --batch 16 --widths 8 --mechanism none --rate 0.1";

#[test]
fn a_folder_of_pictures_is_trained_on_and_a_fifth_of_it_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_photos(folder);
    let summary = json(folder, &format!("{TRAIN} --data ./photos"));
    assert!(summary["test_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
    let config = fs::read_to_string(folder.join("runs/private-1/config.toml")).unwrap();
    assert!(config.contains("sha256 = "), "{config}");

    let info = json(folder, "data info ./photos");
    let parts: Vec<_> =
        info["loaded"]["parts"].as_array().unwrap().iter().map(|part| part["records"].as_u64().unwrap()).collect();
    assert_eq!((parts, &info["loaded"]["classes"]), (vec![80, 20], &serde_json::json!(["dark", "light"])));

    // The run is bound to these pictures, wherever it is called from.
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    json(&elsewhere, "runs resume private-1 --runs ../runs");
    fs::write(folder.join("photos/dark/00.bmp"), bitmap(8, 200)).unwrap();
    refused(folder, "runs resume private-1", &["data.sha256", "photos", "begin a new run"]);
}

#[test]
fn a_folder_of_pictures_is_trained_on_privately_and_by_votes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_photos(folder);
    let summary = json(folder, "private train --data ./photos --epochs 2 --batch 16 --widths 8 --epsilon 8 --delta 1e-3");
    assert_eq!(summary["private"], true);
    let summary = json(folder, "vote train --data ./photos --users 3 --rounds 5 --batch 8 --widths 8");
    assert_eq!(summary["matches_plain"], true);
}

#[test]
fn pictures_of_several_sizes_need_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_photos(folder);
    fs::write(folder.join("photos/light/00.bmp"), bitmap(9, 150)).unwrap();
    refused(folder, &format!("{TRAIN} --data ./photos"), &["8x8", "9x9", "light", "--resize 8x8"]);
    assert!(!folder.join("runs").exists());
    json(folder, &format!("{TRAIN} --data ./photos --resize 8x8"));
    refused(folder, &format!("{TRAIN} --data ./photos --resize 0x8"), &["0x8", "32x32"]);
    refused(folder, &format!("{TRAIN} --resize 8x8"), &["data.resize", "digits"]);
    refused(folder, "data info digits --resize 8x8", &["--resize", "digits"]);
}

#[test]
fn what_is_no_set_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, &format!("{TRAIN} --data ./nowhere"), &["nowhere"]);
    fs::create_dir(folder.join("empty")).unwrap();
    refused(folder, &format!("{TRAIN} --data ./empty"), &["empty", "no class folder"]);
    refused(folder, "data info ./empty", &["no class folder"]);
    write_photos(folder);
    fs::write(folder.join("photos/dark/00.bmp"), b"BM and nothing").unwrap();
    refused(folder, &format!("{TRAIN} --data ./photos"), &["photos/dark/00.bmp"]);
}

#[test]
fn idx_files_keep_their_own_test_part() {
    use thalweg::data::formats::idx::{Elements, IdxArray};
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("mine");
    fs::create_dir(&dir).unwrap();
    for (prefix, count) in [("train", 40), ("t10k", 12)] {
        let labels: Vec<u8> = (0..count).map(|number| (number % 2) as u8).collect();
        let pixels = labels.iter().flat_map(|label| [label * 200; 16]).collect();
        let write = |name: &str, shape: Vec<usize>, bytes| {
            IdxArray::new(shape, Elements::U8(bytes)).unwrap().write(&dir.join(format!("{prefix}-{name}-ubyte"))).unwrap();
        };
        write("images-idx3", vec![count, 4, 4], pixels);
        write("labels-idx1", vec![count], labels);
    }
    let summary = json(folder.path(), &format!("{TRAIN} --data mine/"));
    assert_eq!(summary["test_accuracy"], 1.0);
    assert_eq!(json(folder.path(), "data info mine/")["loaded"]["parts"][1]["records"], 12);
}
