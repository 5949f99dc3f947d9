//! From the members of each set to its records: one function an entry.

use super::MemberFiles;
use crate::dataset::{About, DataSet};
use crate::error::Result;
use crate::formats::cifar::{self, CifarRecords, Variant};
use crate::formats::idx::{Pair, join_pairs};
use crate::formats::text::{EncodingChoice, corpus, decode};
use crate::formats::{cifar_jpeg, imdb, mnist_json};

const FASHION_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

pub(super) fn fashion_mnist(about: About, files: &MemberFiles) -> Result<DataSet> {
    let pair = |images, labels| Ok(Pair { images: files.get(images)?, labels: files.get(labels)? });
    let train = pair("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")?;
    let test = pair("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")?;
    join_pairs(about, &[("train", train), ("test", test)], Some(&FASHION_CLASSES))
}

pub(super) fn imdb(about: About, files: &MemberFiles) -> Result<DataSet> {
    imdb::from_reviews_json(about, files.get("reviews.json")?.1)
}

pub(super) fn mnist_10k(about: About, files: &MemberFiles) -> Result<DataSet> {
    let names: Vec<String> = (0..10).map(|digit| format!("{digit}.json")).collect();
    let classes = names.iter().map(|name| Ok((name.clone(), files.get(name)?.1))).collect::<Result<Vec<_>>>()?;
    mnist_json::from_class_files(about, &classes)
}

pub(super) fn cifar10_jpeg(about: About, files: &MemberFiles) -> Result<DataSet> {
    cifar_jpeg::from_members(about, files.all())
}

pub(super) fn cifar10(about: About, files: &MemberFiles) -> Result<DataSet> {
    let parse = |name| {
        let (name, bytes) = files.get(name)?;
        CifarRecords::parse(Variant::Cifar10, bytes, name)
    };
    let train = cifar::CIFAR10_TRAIN.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
    cifar::join_cifar10(about, &train, &parse(cifar::CIFAR10_TEST)?)
}

/// All files in path order, joined by a line feed, as one corpus.
pub(super) fn joined_corpus(about: About, files: &MemberFiles) -> Result<DataSet> {
    let decoded = files.all().iter().map(|(name, bytes)| decode(bytes.clone(), EncodingChoice::StrictUtf8, name));
    let texts = decoded.map(|text| Ok(text?.text)).collect::<Result<Vec<_>>>()?;
    Ok(corpus(about, &texts.join("\n")))
}
