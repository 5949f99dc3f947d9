//! Claim D5: what is written in IDX and CIFAR's format is read back as it was, and input that is cut, lengthened or changed is an error or
//! another sound value, never a panic.

use proptest::prelude::*;
use thalweg_data::formats::cifar::{self, Cifar100Labels, CifarRecords, Variant};
use thalweg_data::formats::idx::{self, Elements, IdxArray};
use thalweg_data::{About, DataSet, SplitPart};

fn idx_array() -> impl Strategy<Value = IdxArray> {
    prop::collection::vec(0usize..6, 1..=4).prop_flat_map(|shape| {
        let n = shape.iter().product::<usize>();
        let elements = prop_oneof![
            prop::collection::vec(any::<u8>(), n).prop_map(Elements::U8),
            prop::collection::vec(any::<i8>(), n).prop_map(Elements::I8),
            prop::collection::vec(any::<i16>(), n).prop_map(Elements::I16),
            prop::collection::vec(any::<i32>(), n).prop_map(Elements::I32),
            prop::collection::vec(any::<f32>(), n).prop_map(Elements::F32),
            prop::collection::vec(any::<f64>(), n).prop_map(Elements::F64),
        ];
        elements.prop_map(move |elements| IdxArray::new(shape.clone(), elements).unwrap())
    })
}

fn cifar_records(variant: Variant) -> impl Strategy<Value = CifarRecords> {
    (0usize..4, any::<u64>()).prop_map(move |(n, seed)| {
        let byte = |i: usize| thalweg_data::splitmix64(seed.wrapping_add(i as u64)) as u8;
        let labels = match variant {
            Variant::Cifar10 => (0..n).map(|i| byte(i) % 10).collect(),
            Variant::Cifar100 => (0..n).flat_map(|i| [byte(i) % 20, byte(i + 7) % 100]).collect(),
        };
        CifarRecords::new(variant, labels, (0..n * 3072).map(byte).collect()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn idx_round_trip(array in idx_array()) {
        let bytes = array.to_bytes();
        // Compared as bytes, so that NaN equals itself.
        prop_assert_eq!(IdxArray::parse(&bytes, "x").unwrap().to_bytes(), bytes);
    }

    #[test]
    fn idx_of_another_length_is_an_error(array in idx_array(), change in -20isize..20) {
        let mut bytes = array.to_bytes();
        let length = bytes.len().saturating_add_signed(change);
        bytes.resize(length, 0);
        prop_assume!(change != 0);
        prop_assert_eq!(IdxArray::parse(&bytes, "x").unwrap_err().code(), "E09");
    }

    #[test]
    fn any_bytes_as_idx(bytes in prop::collection::vec(any::<u8>(), 0..64), magic in any::<bool>()) {
        let bytes = if magic { [vec![0, 0, 8, 1 + bytes.len() as u8 % 4], bytes].concat() } else { bytes };
        if let Ok(array) = IdxArray::parse(&bytes, "x") {
            prop_assert_eq!(array.to_bytes(), bytes);
        }
    }

    #[test]
    fn cifar_round_trip(ten in cifar_records(Variant::Cifar10), hundred in cifar_records(Variant::Cifar100)) {
        prop_assert_eq!(CifarRecords::parse(Variant::Cifar10, &ten.to_bytes(), "x").unwrap(), ten);
        prop_assert_eq!(CifarRecords::parse(Variant::Cifar100, &hundred.to_bytes(), "x").unwrap(), hundred);
    }

    #[test]
    fn cifar_of_another_length_is_an_error(records in cifar_records(Variant::Cifar10), more in 1usize..3073) {
        let bytes = [records.to_bytes(), vec![0; more]].concat();
        prop_assert_eq!(CifarRecords::parse(Variant::Cifar10, &bytes, "x").unwrap_err().code(), "E09");
    }
}

#[test]
fn the_vectors_of_the_definition() {
    let array = IdxArray::parse(&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6], "x").unwrap();
    assert_eq!((array.shape(), array.elements()), (&[2, 3][..], &Elements::U8(vec![1, 2, 3, 4, 5, 6])));
    let data = [0, 1, 0xFF, 0xFF, 0x7F, 0xFF, 0x80, 0, 0, 0, 0, 0xFF];
    let bytes = [&[0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &data].concat();
    let array = IdxArray::parse(&bytes, "x").unwrap();
    assert_eq!(array.elements(), &Elements::I16(vec![1, -1, 32_767, -32_768, 0, 255]));
}

#[test]
fn each_wrong_idx_field_is_named() {
    let message = |bytes: &[u8]| IdxArray::parse(bytes, "f").unwrap_err().to_string();
    assert_eq!(message(&[1, 0, 8, 1, 0, 0, 0, 0]), "E09: f, byte 0: expected two zero bytes, found 01 00");
    assert_eq!(
        message(&[0, 0, 7, 1, 0, 0, 0, 0]),
        "E09: f, byte 2: expected an element type of 08, 09, 0b, 0c, 0d or 0e, found 07"
    );
    assert_eq!(message(&[0, 0, 8, 0]), "E09: f, byte 3: expected 1 to 4 dimensions, found 0");
    assert_eq!(message(&[0, 0, 8, 5]), "E09: f, byte 3: expected 1 to 4 dimensions, found 5");
    assert!(message(&[0, 0]).contains("2 bytes"));
    assert!(message(&[0, 0, 8, 1, 0, 0]).contains("the end of the file"));
    // A product that overflows, and sizes that ask for 16 EiB from a file of 20 bytes.
    let huge = [&[0, 0, 0x0E, 4][..], &[0xFF; 16]].concat();
    assert!(message(&huge).contains("4294967295"), "{}", message(&huge));
}

fn idx_folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn idx(shape: &[usize], bytes: Vec<u8>) -> Vec<u8> {
    IdxArray::new(shape.to_vec(), Elements::U8(bytes)).unwrap().to_bytes()
}

#[test]
fn a_folder_like_mnist_is_read_packed_or_not() {
    let folder = idx_folder(&[
        ("train-images.idx3-ubyte", idx(&[3, 1, 2], vec![1, 2, 3, 4, 5, 6])),
        ("train-labels.idx1-ubyte", idx(&[3], vec![2, 0, 1])),
        ("t10k-labels-idx1-ubyte", idx(&[1], vec![1])),
    ]);
    let images = IdxArray::new(vec![1, 1, 2], Elements::U8(vec![7, 8])).unwrap();
    images.write(&folder.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    let set = idx::read_folder(folder.path()).unwrap();
    assert_eq!((set.len(), set.labels().unwrap()), (4, &[2, 0, 1, 1][..]));
    assert_eq!(set.record(3), [7, 8]);
    assert_eq!((set.indices("train").unwrap(), set.indices("test").unwrap()), (vec![0, 1, 2], vec![3]));
    assert_eq!(set.classes(), ["0", "1", "2"]);
}

#[test]
fn images_and_labels_must_belong_together() {
    let with = |images: Vec<u8>, labels: Vec<u8>| {
        let folder = idx_folder(&[("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)]);
        idx::read_folder(folder.path()).unwrap_err()
    };
    let error = with(idx(&[2, 1, 1], vec![0, 0]), idx(&[3], vec![0, 0, 0]));
    assert_eq!(error.code(), "E10");
    let message = error.to_string();
    assert!(message.contains("2 images") && message.contains("3 labels"), "{message}");
    assert!(message.contains("train-images-idx3-ubyte") && message.contains("train-labels-idx1-ubyte"), "{message}");
    assert_eq!(with(idx(&[2], vec![0, 0]), idx(&[2], vec![0, 0])).code(), "E09");
    assert_eq!(with(idx(&[0, 0, 4], vec![]), idx(&[0], vec![])).code(), "E09");
    assert_eq!(idx::read_folder(tempfile::tempdir().unwrap().path()).unwrap_err().code(), "E05");
    assert_eq!(idx::read_folder("/nowhere".as_ref()).unwrap_err().code(), "E18");
}

#[test]
fn cifar_labels_out_of_range_and_odd_lengths_are_named() {
    let mut bytes = vec![0; 2 * 3073];
    bytes[3073] = 10;
    let error = CifarRecords::parse(Variant::Cifar10, &bytes, "data_batch_1.bin").unwrap_err();
    assert_eq!(error.to_string(), "E09: data_batch_1.bin, byte 3073: expected a label below 10, found 10");
    bytes.pop();
    assert_eq!(CifarRecords::parse(Variant::Cifar10, &bytes, "x").unwrap_err().code(), "E09");
    let mut bytes = vec![0; 3074];
    bytes[1] = 100;
    assert!(
        CifarRecords::parse(Variant::Cifar100, &bytes, "x")
            .unwrap_err()
            .to_string()
            .contains("byte 1: expected a label below 100")
    );
    assert_eq!(CifarRecords::new(Variant::Cifar10, vec![10], vec![0; 3072]).unwrap_err().code(), "E19");
    assert_eq!(CifarRecords::new(Variant::Cifar10, vec![0], vec![0; 3071]).unwrap_err().code(), "E19");
}

#[test]
fn a_set_written_as_cifar10_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..13 * 3072).map(|i| thalweg_data::splitmix64(i) as u8).collect();
    let labels: Vec<u32> = (0..13).map(|i| i % 10).collect();
    let classes: Vec<String> = cifar::CIFAR10_CLASSES.map(str::to_owned).to_vec();
    let set = DataSet::from_images(About::named("c"), cifar::SHAPE, pixels).unwrap().with_labels(labels, classes).unwrap();
    let set = set.with_splits(vec![SplitPart::run("train", 0..11), SplitPart::run("test", 11..13)]).unwrap();
    cifar::write_cifar10_folder(&set, folder.path()).unwrap();
    let back = cifar::read_cifar10_folder(folder.path()).unwrap();
    assert_eq!((back.content_hash(), back.splits(), back.classes()), (set.content_hash(), set.splits(), set.classes()));
    assert_eq!(std::fs::metadata(folder.path().join("data_batch_5.bin")).unwrap().len(), 3 * 3073);
    std::fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
    let error = cifar::read_cifar10_folder(folder.path()).unwrap_err();
    assert!(error.to_string().contains("data_batch_3.bin"), "{error}");
}

#[test]
fn planes_become_pixels() {
    let mut bytes = vec![3];
    bytes.extend(std::iter::repeat_n(10, 1024).chain(std::iter::repeat_n(20, 1024)).chain(std::iter::repeat_n(30, 1024)));
    bytes[1] = 11;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.bin"), [&[1, 42], &bytes[1..]].concat()).unwrap();
    std::fs::write(folder.path().join("test.bin"), []).unwrap();
    let fine = cifar::read_cifar100_folder(folder.path(), Cifar100Labels::Fine).unwrap();
    assert_eq!((fine.labels().unwrap(), fine.record(0)[..6].to_vec()), (&[42][..], vec![11, 20, 30, 10, 20, 30]));
    assert_eq!(cifar::read_cifar100_folder(folder.path(), Cifar100Labels::Coarse).unwrap().labels().unwrap(), [1]);
}
