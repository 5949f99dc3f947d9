//! The Large Movie Review Dataset (Maas et al., 2011): 50,000 reviews, half of them for training, label 0 negative, 1 positive.
//!
//! Order of the records, whatever the source: train then test, in each the negative reviews and then the positive ones.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder;
use crate::dataset::{About, DataSet, SplitPart};
use crate::error::{DataError, Result};

/// Class names, in label order.
pub const CLASSES: [&str; 2] = ["neg", "pos"];

#[derive(Deserialize)]
struct Row<'a> {
    /// The review.
    #[serde(borrow)]
    t: Cow<'a, str>,
    /// 0 negative, 1 positive.
    s: u8,
}

/// Reads the rows of the package's `reviews.json`, `[{"t": text, "s": 0 or 1}, ...]`, and restores the official split.
///
/// The rows are four quarters: negative test, negative train, positive test, positive train.
///
/// # Errors
/// [`DataError::MalformedRow`] where the JSON is not of that form or the labels are not two zero and two one quarters.
pub fn from_reviews_json(about: About, json: &[u8]) -> Result<DataSet> {
    let wrong = |line, reason| DataError::MalformedRow { file: "reviews.json".to_owned(), line, reason };
    let rows: Vec<Row<'_>> = serde_json::from_slice(json).map_err(|error| wrong(error.line(), error.to_string()))?;
    let quarter = rows.len() / 4;
    if quarter * 4 != rows.len() {
        return Err(wrong(1, format!("{} rows; expected four quarters of equal length", rows.len())));
    }
    if let Some((i, row)) = rows.iter().enumerate().find(|(i, row)| usize::from(row.s) != i / (2 * quarter)) {
        return Err(wrong(1, format!("row {i} has label {}; expected {}", row.s, i / (2 * quarter))));
    }
    let of = |number: usize| &rows[number * quarter..(number + 1) * quarter];
    let (neg_test, neg_train, pos_test, pos_train) = (of(0), of(1), of(2), of(3));
    let in_order = [neg_train, pos_train, neg_test, pos_test].into_iter().flatten().map(|row| &row.t);
    labelled(about, in_order, [quarter; 4])
}

/// Whether `dir` holds reviews in the layout of `aclImdb`.
pub(crate) fn is_folder(dir: &Path) -> bool {
    let holds_texts = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|ending| ending == "txt"))
    };
    CLASSES.iter().any(|class| holds_texts(&dir.join("train").join(class)))
}

/// Reads the folder `aclImdb`: `{train,test}/{neg,pos}/<id>_<rating>.txt`, each class by ascending id.
///
/// # Errors
/// [`DataError::Unreadable`]; [`DataError::NotDecodable`] for a file that is not UTF-8; [`DataError::Malformed`] for a name or a
/// rating of another form.
pub fn read_folder(root: &Path) -> Result<DataSet> {
    let (mut texts, mut counts) = (Vec::new(), [0; 4]);
    let groups = [("train", 0), ("train", 1), ("test", 0), ("test", 1)];
    for ((split, label), count) in groups.into_iter().zip(&mut counts) {
        let reviews = reviews_in(&root.join(split).join(CLASSES[label]))?;
        for review in &reviews {
            review.check_rating(label)?;
            texts.push(review.text()?);
        }
        *count = reviews.len();
    }
    labelled(folder::about(root), texts, counts)
}

/// Reads the unlabelled reviews of `aclImdb/train/unsup`, by ascending id.
///
/// # Errors
/// As [`read_folder`].
pub fn read_unlabelled_folder(root: &Path) -> Result<DataSet> {
    let reviews = reviews_in(&root.join("train").join("unsup"))?;
    let texts = reviews.iter().map(Review::text).collect::<Result<Vec<_>>>()?;
    Ok(DataSet::from_texts(folder::about(root), texts))
}

/// `counts`: negative and positive reviews of train, then of test.
fn labelled<S: AsRef<str>>(about: About, texts: impl IntoIterator<Item = S>, counts: [usize; 4]) -> Result<DataSet> {
    let labels = counts.iter().zip([0, 1, 0, 1]).flat_map(|(&count, label)| std::iter::repeat_n(label, count)).collect();
    let train = counts[0] + counts[1];
    DataSet::from_texts(about, texts)
        .with_labels(labels, CLASSES.map(str::to_owned).to_vec())?
        .with_splits(vec![SplitPart::run("train", 0..train), SplitPart::run("test", train..counts.iter().sum())])
}

struct Review {
    id: u64,
    rating: u8,
    path: PathBuf,
}

impl Review {
    fn new(path: PathBuf) -> Result<Self> {
        let name = folder::name(&path);
        let numbers = name.strip_suffix(".txt").and_then(|stem| stem.split_once('_'));
        let parsed = numbers.and_then(|(id, rating)| Some((id.parse().ok()?, rating.parse().ok()?)));
        match parsed {
            Some((id, rating)) => Ok(Self { id, rating, path }),
            None => Err(DataError::malformed(&path.display().to_string(), 0, "a name <id>_<rating>.txt", name)),
        }
    }

    fn check_rating(&self, label: usize) -> Result<()> {
        let range = [1..=4, 7..=10][label].clone();
        if range.contains(&self.rating) {
            return Ok(());
        }
        let expected = format!("a rating from {} to {} in `{}`", range.start(), range.end(), CLASSES[label]);
        Err(DataError::malformed(&self.path.display().to_string(), 0, expected, self.rating.to_string()))
    }

    fn text(&self) -> Result<String> {
        let bytes = std::fs::read(&self.path).map_err(DataError::unreadable(&self.path))?;
        super::text::utf8(bytes, &self.path.display().to_string())
    }
}

fn reviews_in(dir: &Path) -> Result<Vec<Review>> {
    let mut reviews = folder::entries(dir)?.into_iter().map(Review::new).collect::<Result<Vec<_>>>()?;
    reviews.sort_by_key(|review| (review.id, review.rating));
    Ok(reviews)
}
