//! Image folders, review folders and text files as users have them, tidy and not.
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use thalweg_data::formats::image_folder::{self, BadPictures, ImageFolderOptions};
use thalweg_data::formats::picture::DecodeOptions;
use thalweg_data::formats::text::{EncodingChoice, read_corpus};
use thalweg_data::formats::{cifar_jpeg, imdb};
use thalweg_data::{About, DataError};

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn picture(width: u32, height: u32, value: u8, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([value; 3])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(value: u8) -> Vec<u8> {
    picture(4, 4, value, ImageFormat::Png)
}

fn read(root: &Path) -> Result<thalweg_data::DataSet, DataError> {
    image_folder::read(root, &ImageFolderOptions::default()).map(|folder| folder.set)
}

#[test]
fn order_is_the_byte_order_of_paths() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("a/x.png", 1),
        ("a/b/y.PNG", 2),
        ("a/a.png", 3),
        ("Z/1.png", 4),
        ("é/1.png", 5),
        ("a/.hidden.png", 9),
        (".git/x.png", 9),
    ];
    files.iter().for_each(|(name, value)| write(root.path(), name, &png(*value)));
    write(root.path(), "a/notes.txt", b"not a picture");
    let set = read(root.path()).unwrap();
    assert_eq!(set.classes(), ["Z", "a", "é"]);
    let values: Vec<u8> = (0..set.len()).map(|i| set.record(i)[0]).collect();
    assert_eq!(values, [4, 3, 2, 1, 5]);
    assert_eq!(set.labels().unwrap(), [0, 1, 1, 1, 2]);
    assert!(set.splits().is_empty());
}

#[test]
fn folders_of_splits_become_splits() {
    let root = tempfile::tempdir().unwrap();
    for (name, value) in [("train/cat/1.png", 1), ("train/dog/1.bmp", 2), ("test/dog/1.gif", 3)] {
        let format = ImageFormat::from_path(name).unwrap();
        write(root.path(), name, &picture(4, 4, value, format));
    }
    let set = read(root.path()).unwrap();
    assert_eq!((set.classes(), set.labels().unwrap()), (&["cat".to_owned(), "dog".to_owned()][..], &[1, 0, 1][..]));
    assert_eq!((set.indices("test").unwrap(), set.indices("train").unwrap()), (vec![0], vec![1, 2]));
}

#[test]
fn a_damaged_picture_stops_or_is_listed() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/1.png", &png(1));
    write(root.path(), "a/2.png", &png(2)[..40]);
    write(root.path(), "b/1.jpg", b"");
    write(root.path(), "b/2.png", &png(3));
    let error = read(root.path()).unwrap_err();
    assert_eq!(error.code(), "E11");
    assert!(error.to_string().contains("2.png"), "the first in order is named: {error}");
    let skipping = ImageFolderOptions { bad: BadPictures::Skip, ..ImageFolderOptions::default() };
    let folder = image_folder::read(root.path(), &skipping).unwrap();
    assert_eq!((folder.set.len(), folder.set.labels().unwrap()), (2, &[0, 1][..]));
    let names: Vec<_> = folder.skipped.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["2.png", "1.jpg"]);
}

#[test]
fn mixed_sizes_are_named_and_can_be_resized() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/1.png", &png(1));
    write(root.path(), "a/2.png", &picture(6, 5, 9, ImageFormat::Png));
    let message = read(root.path()).unwrap_err().to_string();
    assert!(message.starts_with("E12") && message.contains("is 4x4") && message.contains("is 6x5"), "{message}");
    assert!(message.contains("--resize 4x4"), "{message}");
    let decode = DecodeOptions { resize: Some((3, 2)), ..DecodeOptions::default() };
    let set = image_folder::read(root.path(), &ImageFolderOptions { decode, ..ImageFolderOptions::default() }).unwrap().set;
    assert_eq!((set.record(1), set.image_shape().unwrap().width), (&[9; 18][..], 3));
}

#[test]
fn empty_and_foreign_folders_are_refused() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(read(root.path()).unwrap_err().code(), "E11");
    std::fs::create_dir(root.path().join("a")).unwrap();
    write(root.path(), "b/1.png", &png(1));
    let error = read(root.path()).unwrap_err();
    assert!(error.code() == "E11" && error.to_string().contains("a class without pictures"), "{error}");
    write(root.path(), "a/1.heic", b"x");
    let error = read(root.path()).unwrap_err();
    assert!(error.code() == "E17" && error.to_string().contains("heic"), "{error}");
    assert_eq!(read(Path::new("/nowhere")).unwrap_err().code(), "E18");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/1.png", &png(1));
    write(root.path(), "b/1.png", &png(1));
    let closed = root.path().join("b");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read_dir(&closed).is_ok() {
        println!("skipped: this user may read every folder");
    } else {
        assert_eq!(read(root.path()).unwrap_err().code(), "E18");
    }
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret/1.png", &png(9));
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/1.png", &png(1));
    std::os::unix::fs::symlink(outside.path().join("secret"), root.path().join("b")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret/1.png"), root.path().join("a/2.png")).unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("a/loop")).unwrap();
    let set = read(root.path()).unwrap();
    assert_eq!((set.len(), set.classes().len()), (1, 1));
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let root = tempfile::tempdir().unwrap();
    for i in 0..50u8 {
        write(root.path(), &format!("{}/{i:02}.jpg", i % 3), &picture(8, 8, i, ImageFormat::Jpeg));
    }
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| read(root.path()).unwrap().content_hash())
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(8));
}

#[test]
fn cifar_as_jpeg_must_be_cifar() {
    let members = |files: Vec<(&str, Vec<u8>)>| files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    let jpeg = |value| picture(32, 32, value, ImageFormat::Jpeg);
    let files = vec![("test/truck/0000.jpg", jpeg(3)), ("train/truck/0000.jpg", jpeg(2)), ("train/cat/0000.jpg", jpeg(1))];
    let set = cifar_jpeg::from_members(About::named("c"), &members(files)).unwrap();
    assert_eq!((set.labels().unwrap(), set.indices("test").unwrap()), (&[3, 9, 9][..], vec![2]));
    assert!((0..3).all(|i| set.record(i)[0].abs_diff(i as u8 + 1) <= 1));
    let code = |name, bytes| cifar_jpeg::from_members(About::named("c"), &members(vec![(name, bytes)])).unwrap_err().code();
    assert_eq!(code("train/lion/0000.jpg", jpeg(1)), "E11");
    assert_eq!(code("train/cat/0000.jpg", b"no picture".to_vec()), "E11");
    assert_eq!(code("train/cat/0000.jpg", picture(31, 32, 0, ImageFormat::Jpeg)), "E12");
}

#[test]
fn reviews_come_in_order_of_their_ids() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("train/neg/10_4.txt", "n10"),
        ("train/neg/9_1.txt", "n9"),
        ("train/pos/0_7.txt", "p0"),
        ("test/neg/3_2.txt", "t"),
        ("test/pos/1_10.txt", "é"),
    ];
    files.iter().for_each(|(name, text)| write(root.path(), name, text.as_bytes()));
    let set = imdb::read_folder(root.path()).unwrap();
    assert_eq!((0..5).map(|i| set.text(i).unwrap()).collect::<Vec<_>>(), ["n9", "n10", "p0", "t", "é"]);
    assert_eq!((set.labels().unwrap(), set.indices("test").unwrap()), (&[0, 0, 1, 0, 1][..], vec![3, 4]));
    let broken = |name: &str, bytes: &[u8]| {
        write(root.path(), name, bytes);
        let error = imdb::read_folder(root.path()).unwrap_err();
        std::fs::remove_file(root.path().join(name)).unwrap();
        (error.code(), error.to_string().contains(name.rsplit('/').next().unwrap()))
    };
    assert_eq!(broken("train/neg/1_7.txt", b"a rating of the other class"), ("E09", true));
    assert_eq!(broken("train/neg/notes.txt", b""), ("E09", true));
    assert_eq!(broken("train/neg/1_1.txt", b"\xA3"), ("E13", true));
}

#[test]
fn rows_of_reviews_must_be_four_quarters() {
    let rows = |labels: &[u8]| {
        let rows: Vec<_> = labels.iter().enumerate().map(|(i, s)| format!(r#"{{"t":"r{i} \"q\"","s":{s}}}"#)).collect();
        imdb::from_reviews_json(About::named("imdb"), format!("[{}]", rows.join(",\n")).as_bytes())
    };
    let set = rows(&[0, 0, 1, 1]).unwrap();
    assert_eq!((0..4).map(|i| set.text(i).unwrap()).collect::<Vec<_>>(), ["r1 \"q\"", "r3 \"q\"", "r0 \"q\"", "r2 \"q\""]);
    assert_eq!((set.labels().unwrap(), set.indices("train").unwrap()), (&[0, 1, 0, 1][..], vec![0, 1]));
    assert!(rows(&[0, 1, 1, 1]).unwrap_err().to_string().contains("row 1"));
    assert_eq!(rows(&[0, 0, 1]).unwrap_err().code(), "E14");
    assert_eq!(rows(&[]).unwrap().len(), 0);
    assert_eq!(imdb::from_reviews_json(About::named("imdb"), b"[{\n\"t\":3}]").unwrap_err().code(), "E14");
}

#[test]
fn a_corpus_notes_an_encoding_that_had_to_be_guessed() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "old.txt", b"caf\xE9\r\n");
    let path = root.path().join("old.txt");
    let set = read_corpus(&path, EncodingChoice::Detect).unwrap();
    assert_eq!(set.about().encoding.as_deref(), Some("cp1252"));
    assert_eq!((0..3).map(|i| set.text(i).unwrap()).collect::<String>(), "café\n");
    assert_eq!(read_corpus(&path, EncodingChoice::StrictUtf8).unwrap_err().code(), "E13");
}
