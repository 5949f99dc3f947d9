//! Figures of the real sets, computed once from the packages by other programs. A set that is not on this machine is skipped with a line
//! that says how to get it; nothing is ever fetched.
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::HashMap;
use std::path::PathBuf;

use thalweg_data::formats::alphabet::text27;
use thalweg_data::{Cache, DataSet, GetOptions, Sha256Hash, digits, hamlet, load};

fn available(name: &str) -> Option<DataSet> {
    match load(name) {
        Ok(set) => Some(set),
        Err(error) if error.code() == "E01" => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// CIFAR-10 (JPEG) from the cache, from the file named by `THALWEG_CIFAR10_JPEG`, or from a file beside the workspace.
fn cifar10_jpeg(folder: &tempfile::TempDir) -> Option<DataSet> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/cifar10-jpg.tar.zst");
    let named = std::env::var_os("THALWEG_CIFAR10_JPEG").map(PathBuf::from);
    let archive = named.unwrap_or_else(|| beside.into());
    if !archive.is_file() {
        return available("cifar10-jpeg");
    }
    let cache = Cache::at(folder.path());
    cache.add("cifar10-jpeg", &archive, &GetOptions::default()).unwrap();
    Some(cache.load("cifar10-jpeg").unwrap())
}

fn sum(record: &[u8]) -> u64 {
    record.iter().map(|&byte| u64::from(byte)).sum()
}

fn total(set: &DataSet, split: &str) -> u64 {
    set.indices(split).unwrap().iter().map(|&i| sum(set.record(i))).sum()
}

fn counts(set: &DataSet, indices: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; set.classes().len()];
    set.labels_of(indices).unwrap().iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

fn all(set: &DataSet) -> Vec<usize> {
    (0..set.len()).collect()
}

fn sha256_16(text: &str) -> String {
    Sha256Hash::of(text.as_bytes()).short()
}

#[test]
fn the_digits() {
    let set = digits();
    assert_eq!(set.len(), 1797);
    assert_eq!(counts(&set, &all(&set)), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(all(&set).iter().map(|&i| sum(set.record(i))).sum::<u64>(), 561_718);
    assert_eq!(set.record(0)[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
    assert_eq!(set.labels().unwrap()[0], 0);
    let (train, test) = (set.indices("train").unwrap(), set.indices("test").unwrap());
    assert_eq!((train.len(), test.len()), (1437, 360));
    assert!(counts(&set, &test).iter().all(|count| (35..=37).contains(count)), "{:?}", counts(&set, &test));
    assert_eq!(set.content_hash().short(), "533bcbe2f88b9d56");
    assert_eq!(set.repeated(), 0);
}

#[test]
fn hamlet_is_whole() {
    let set = hamlet();
    let text: String = (0..3).map(|i| set.text(i).unwrap()).collect();
    assert_eq!((text.len(), sha256_16(&text)), (189_481, "662f98ffb9fa50de".to_owned()));
}

#[test]
fn fashion_mnist() {
    let Some(set) = available("fashion-mnist") else { return };
    let (train, test) = (set.indices("train").unwrap(), set.indices("test").unwrap());
    assert_eq!(counts(&set, &train), [6000; 10]);
    assert_eq!(counts(&set, &test), [1000; 10]);
    assert_eq!(total(&set, "train"), 3_431_114_169);
    assert_eq!([0, 1, 59_999, 60_000].map(|i| sum(set.record(i))), [76_247, 84_598, 16_684, 33_456]);
    assert_eq!(set.record(0)[14 * 28..14 * 28 + 14], [0, 0, 1, 4, 6, 7, 2, 0, 0, 0, 0, 0, 237, 226]);
    let labels = set.labels().unwrap();
    assert_eq!(labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    assert_eq!(labels[59_995..60_000], [5, 1, 3, 0, 5]);
    assert_eq!(labels[60_000..60_010], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
    assert_eq!(set.classes()[9], "Ankle boot");
    // The stated moments are those of the training part.
    let mut batch = vec![0.0; 60_000 * 784];
    set.images_into(&train, &set.normalisation().unwrap(), &mut batch).unwrap();
    let mean = batch.iter().map(|&x| f64::from(x)).sum::<f64>() / batch.len() as f64;
    let square = batch.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / batch.len() as f64;
    assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "mean {mean}, mean square {square}");
}

#[test]
fn mnist_10k() {
    let Some(set) = available("mnist-10k") else { return };
    assert_eq!(counts(&set, &all(&set)), [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
    assert_eq!(set.repeated(), 0);
    assert_eq!(total(&set, "train") + total(&set, "test"), 262_146_600);
    let first_of = |class: u32| set.labels().unwrap().iter().position(|&label| label == class).unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(|class| sum(set.record(first_of(class)))), [31_095, 17_135, 29_601, 35_867, 19_443]);
    assert_eq!((set.indices("train").unwrap().len(), set.indices("test").unwrap().len()), (9000, 1000));
}

#[test]
fn imdb() {
    let Some(set) = available("imdb") else { return };
    let (train, test) = (set.indices("train").unwrap(), set.indices("test").unwrap());
    assert_eq!((counts(&set, &train), counts(&set, &test)), (vec![12_500; 2], vec![12_500; 2]));
    assert_eq!(set.repeated(), 50_000 - 49_582);
    assert_eq!(all(&set).iter().map(|&i| set.record(i).len()).sum::<usize>(), 65_483_508);
    assert_eq!(all(&set).iter().map(|&i| set.text(i).unwrap().chars().count()).sum::<usize>(), 65_471_551);
    // Rows 0, 12,500, 25,000 and 37,500 of the package.
    let firsts =
        [(25_000, 900, "55e390cdf9c4"), (0, 655, "6e3e81d6e047"), (37_500, 794, "2bde2e7ffc81"), (12_500, 806, "d3f1dacff103")];
    for (i, characters, digest) in firsts {
        let text = set.text(i).unwrap();
        assert_eq!((text.chars().count(), &sha256_16(text)[..12]), (characters, digest), "record {i}");
    }
    assert!(set.text(12_500).unwrap().starts_with("Bromwell High is a cartoon comedy"));
    let joined: String = train.iter().flat_map(|&i| [set.text(i).unwrap(), "\0"]).collect();
    assert_eq!(sha256_16(&joined), "b1b52208ee4e30d8");
    let tokens = train_tokens(&set, &train);
    assert_eq!((tokens.values().sum::<usize>(), tokens.len()), (5_809_822, 85_680));
    assert_eq!((tokens["the"], tokens["and"], tokens["this"]), (336_195, 164_138, 75_978));
}

fn train_tokens(set: &DataSet, train: &[usize]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for &i in train {
        let text = set.text(i).unwrap().replace("<br />", " ").to_lowercase();
        for token in text.split(|c: char| !(c.is_ascii_lowercase() || c == '\'')).filter(|token| !token.is_empty()) {
            match counts.get_mut(token) {
                Some(count) => *count += 1,
                None => drop(counts.insert(token.to_owned(), 1)),
            }
        }
    }
    counts
}

#[test]
fn shakespeare() {
    let Some(set) = available("shakespeare") else { return };
    let text: String = (0..3).map(|i| set.text(i).unwrap()).collect();
    let text27 = text27(&text);
    assert_eq!((text27.len(), sha256_16(&text27)), (4_728_684, "acecc84d017fdac8".to_owned()));
}

#[test]
fn cifar10_as_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    let Some(set) = cifar10_jpeg(&folder) else { return };
    let (train, test) = (set.indices("train").unwrap(), set.indices("test").unwrap());
    assert_eq!((counts(&set, &train), counts(&set, &test)), (vec![5000; 10], vec![1000; 10]));
    assert_eq!((set.classes()[0].as_str(), set.classes()[9].as_str()), ("airplane", "truck"));
    let close = |found: [f64; 3], expected: [f64; 3], most: f64| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= most), "{found:?}, expected {expected:?}");
    };
    close(moments(&set, &[0]).0, [148.18, 148.70, 148.85], 0.5);
    close(moments(&set, &[49_999]).0, [82.58, 109.54, 122.43], 0.5);
    let (mean, std) = moments(&set, &train);
    close(mean.map(|x| x / 255.0), [0.49125, 0.48209, 0.44652], 0.002);
    close(std.map(|x| x / 255.0), [0.2452, 0.2428, 0.2606], 0.003);
    assert_eq!(set.repeated(), 0);
    assert_eq!(set.dedup_across(&train, &test).unwrap().dropped, [0; 0]);
}

/// Mean and standard deviation of each channel.
fn moments(set: &DataSet, indices: &[usize]) -> ([f64; 3], [f64; 3]) {
    let (mut sums, mut squares) = ([0u64; 3], [0u64; 3]);
    for &i in indices {
        for (channel, &sample) in (0..3).cycle().zip(set.record(i)) {
            sums[channel] += u64::from(sample);
            squares[channel] += u64::from(sample).pow(2);
        }
    }
    let n = (indices.len() * 1024) as f64;
    let mean = sums.map(|sum| sum as f64 / n);
    (mean, [0, 1, 2].map(|c| (squares[c] as f64 / n - mean[c] * mean[c]).sqrt()))
}
