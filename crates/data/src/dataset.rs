//! The one type that every format ends in: records, labels, splits and where they come from.

use std::ops::Range;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::content_hash::{Hasher, Sha256Hash};
use crate::error::{DataError, Result};
use crate::label_noise::{LabelNoise, NoisyLabels};
use crate::storage::Storage;

/// What the records of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures of one size, one byte a sample.
    Image,
    /// Documents or pieces of a corpus, in UTF-8.
    Text,
}

/// Size of each picture of a set, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 grey, 3 red-green-blue, 4 with alpha.
    pub channels: usize,
}

impl ImageShape {
    /// Bytes of one picture: `height * width * channels`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether a picture has no samples at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Mean and standard deviation of each channel, on the scale of `pixel * scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// One mean a channel.
    pub mean: Vec<f32>,
    /// One standard deviation a channel, positive.
    pub std: Vec<f32>,
}

/// A named part of a set, such as `train`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPart {
    /// `train`, `valid`, `test`, ...
    pub name: String,
    /// Which records belong to it.
    #[serde(flatten)]
    pub records: PartRecords,
}

/// The records of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PartRecords {
    /// A contiguous run.
    Run {
        /// First record.
        start: usize,
        /// Number of records.
        count: usize,
    },
    /// A list of records, ascending.
    List {
        /// Record numbers.
        indices: Vec<usize>,
    },
}

impl SplitPart {
    /// A part made of the records `range`.
    #[must_use]
    pub fn run(name: &str, range: Range<usize>) -> Self {
        Self { name: name.to_owned(), records: PartRecords::Run { start: range.start, count: range.len() } }
    }

    /// A part made of the listed records.
    #[must_use]
    pub fn list(name: &str, indices: Vec<usize>) -> Self {
        Self { name: name.to_owned(), records: PartRecords::List { indices } }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.records {
            PartRecords::Run { count, .. } => *count,
            PartRecords::List { indices } => indices.len(),
        }
    }

    /// Whether the part holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record numbers, in the part's order.
    #[must_use]
    pub fn indices(&self) -> Vec<usize> {
        match &self.records {
            PartRecords::Run { start, count } => (*start..start.saturating_add(*count)).collect(),
            PartRecords::List { indices } => indices.clone(),
        }
    }

    fn end(&self) -> usize {
        match &self.records {
            PartRecords::Run { start, count } => start.saturating_add(*count),
            PartRecords::List { indices } => indices.iter().max().map_or(0, |last| last.saturating_add(1)),
        }
    }
}

/// Where a set comes from and how it wants to be read; everything but the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Catalogue name, or the file or folder it was read from.
    pub name: String,
    /// Catalogue version; empty for a set of the user's own.
    pub version: String,
    /// Licence in a few words.
    pub licence: String,
    /// Package, file or folder.
    pub source: String,
    /// `cp1252` where text was not UTF-8 and had to be decoded as Windows-1252.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What a pixel value is multiplied by to come into 0..1; 1/255 for ordinary pictures.
    pub scale: f32,
    /// Usual normalisation after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moments: Option<Moments>,
}

impl About {
    /// A set that has a name and nothing else known about it.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: String::new(),
            licence: String::new(),
            source: String::new(),
            encoding: None,
            scale: 1.0 / 255.0,
            moments: None,
        }
    }
}

/// Records, labels, classes and splits of one data set, in memory or mapped from the cache.
///
/// A record is a slice into the set: nothing is copied to look at it. Cloning is cheap, the records are shared.
///
/// ```
/// let digits = thalweg_data::digits();
/// let train = digits.indices("train")?;
/// let shape = digits.image_shape()?;
/// let mut batch = vec![0.0; 32 * shape.len()];
/// digits.images_into(&train[..32], &digits.normalisation()?, &mut batch)?;
/// let labels = digits.labels_of(&train[..32])?;
/// assert_eq!(labels.len(), 32);
/// # Ok::<(), thalweg_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct DataSet {
    about: About,
    records: Records,
    labels: Option<Vec<u32>>,
    classes: Vec<String>,
    splits: Vec<SplitPart>,
    content_hash: OnceLock<Sha256Hash>,
}

#[derive(Clone)]
pub(crate) enum Records {
    Images { shape: ImageShape, pixels: Storage },
    Text { offsets: Storage, bytes: Storage },
}

impl DataSet {
    /// A set of pictures from their `u8` samples, picture after picture, each in HWC order.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where the pixels are not a whole number of pictures, or a picture has no samples.
    pub fn from_images(about: About, shape: ImageShape, pixels: Vec<u8>) -> Result<Self> {
        Self::from_records(about, Records::Images { shape, pixels: pixels.into() })
    }

    /// A set of texts, one record each.
    #[must_use]
    pub fn from_texts<S: AsRef<str>>(about: About, texts: impl IntoIterator<Item = S>) -> Self {
        let mut offsets = 0u64.to_le_bytes().to_vec();
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text.as_ref().as_bytes());
            offsets.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        }
        Self::unlabelled(about, Records::Text { offsets: offsets.into(), bytes: bytes.into() })
    }

    pub(crate) fn from_records(about: About, records: Records) -> Result<Self> {
        records.check()?;
        Ok(Self::unlabelled(about, records))
    }

    fn unlabelled(about: About, records: Records) -> Self {
        Self { about, records, labels: None, classes: Vec::new(), splits: Vec::new(), content_hash: OnceLock::new() }
    }

    /// Adds one label a record, and the names of the classes in label order.
    ///
    /// # Errors
    /// [`DataError::CountMismatch`] where the counts differ, [`DataError::BadRequest`] for a label without a class.
    pub fn with_labels(mut self, labels: Vec<u32>, classes: Vec<String>) -> Result<Self> {
        let name = &self.about.name;
        if labels.len() != self.len() {
            return Err(DataError::CountMismatch {
                images_file: name.clone(),
                images: self.len(),
                labels_file: format!("{name} (labels)"),
                labels: labels.len(),
            });
        }
        if let Some((i, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= classes.len()) {
            let field = format!("label {i} of {name}");
            return Err(DataError::bad_request(&field, label, format!("below {} (the number of classes)", classes.len())));
        }
        self.labels = Some(labels);
        self.classes = classes;
        self.content_hash = OnceLock::new();
        Ok(self)
    }

    /// Adds the table of named parts.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a part that reaches past the last record, or two parts of one name.
    pub fn with_splits(mut self, splits: Vec<SplitPart>) -> Result<Self> {
        for (i, part) in splits.iter().enumerate() {
            if part.end() > self.len() {
                let field = format!("the end of split `{}` of {}", part.name, self.about.name);
                return Err(DataError::bad_request(&field, part.end(), format!("at most the {} records", self.len())));
            }
            if splits[..i].iter().any(|earlier| earlier.name == part.name) {
                return Err(DataError::bad_request("a split name", &part.name, "given once"));
            }
        }
        self.splits = splits;
        Ok(self)
    }

    /// The set under another description, its records untouched.
    #[must_use]
    pub fn described(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Where the set comes from.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Pictures or text.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.records {
            Records::Images { .. } => Kind::Image,
            Records::Text { .. } => Kind::Text,
        }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.records {
            Records::Images { shape, pixels } => pixels.len() / shape.len(),
            Records::Text { offsets, .. } => offsets.len() / 8 - 1,
        }
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the pictures.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a set of text.
    pub fn image_shape(&self) -> Result<ImageShape> {
        match &self.records {
            Records::Images { shape, .. } => Ok(*shape),
            Records::Text { .. } => Err(DataError::bad_request(&self.about.name, "a set of text", "a set of images")),
        }
    }

    /// Bytes of record `i`: `u8` samples in HWC order, or UTF-8.
    ///
    /// # Panics
    /// As a slice does, where `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn record(&self, i: usize) -> &[u8] {
        match &self.records {
            Records::Images { shape, pixels } => &pixels[i * shape.len()..(i + 1) * shape.len()],
            Records::Text { offsets, bytes } => &bytes[offset(offsets, i)..offset(offsets, i + 1)],
        }
    }

    /// Text of record `i`.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a set of images or an index past the end.
    pub fn text(&self, i: usize) -> Result<&str> {
        if self.kind() == Kind::Image {
            return Err(DataError::bad_request(&self.about.name, "a set of images", "a set of text"));
        }
        self.check_index(i)?;
        // Checked when the set was made; a failure here means that the mapped file was changed since.
        std::str::from_utf8(self.record(i)).map_err(|error| DataError::NotDecodable {
            file: format!("{} record {i}", self.about.name),
            offset: error.valid_up_to(),
            byte: self.record(i)[error.valid_up_to()],
            encoding: "UTF-8",
        })
    }

    /// The label of each record, if the set has labels.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// The labels of the records `indices`.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where the set has no labels or an index is past the end.
    pub fn labels_of(&self, indices: &[usize]) -> Result<Vec<u32>> {
        let labels = self.required_labels()?;
        indices.iter().map(|&i| self.check_index(i).map(|()| labels[i])).collect()
    }

    /// Names of the classes, in label order.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The named parts.
    #[must_use]
    pub fn splits(&self) -> &[SplitPart] {
        &self.splits
    }

    /// Record numbers of the part `split`, such as `train`.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where there is no such part.
    pub fn indices(&self, split: &str) -> Result<Vec<usize>> {
        self.splits.iter().find(|part| part.name == split).map(SplitPart::indices).ok_or_else(|| {
            let names: Vec<_> = self.splits.iter().map(|part| part.name.as_str()).collect();
            let field = format!("the split of {}", self.about.name);
            DataError::bad_request(&field, split, format!("one of: {}", names.join(", ")))
        })
    }

    /// The digest over all records and labels; computed on first use. See [`Sha256Hash`] for the rule.
    #[must_use]
    pub fn content_hash(&self) -> Sha256Hash {
        *self.content_hash.get_or_init(|| self.compute_content_hash())
    }

    /// The content digest computed from the records now, whatever was recorded about them.
    pub(crate) fn compute_content_hash(&self) -> Sha256Hash {
        let mut hasher = Hasher::new();
        for i in 0..self.len() {
            hasher.update(self.record(i));
            if self.kind() == Kind::Text {
                hasher.update(&[0]);
            }
            if let Some(labels) = &self.labels {
                hasher.update(&labels[i].to_le_bytes());
            }
        }
        hasher.finish()
    }

    pub(crate) fn with_known_hash(self, hash: Sha256Hash) -> Self {
        Self { content_hash: OnceLock::from(hash), ..self }
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// The labels with some of them replaced, clean ones beside. Where there are splits, only the part `train` is open to noise:
    /// a test set is never corrupted.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] as [`LabelNoise::apply`], and where there are no labels or there are splits but no `train`.
    pub fn corrupt(&self, noise: &LabelNoise) -> Result<NoisyLabels> {
        let labels = self.required_labels()?;
        let open = if self.splits.is_empty() { (0..self.len()).collect() } else { self.indices("train")? };
        noise.apply(labels, &open, self.classes.len() as u32)
    }

    pub(crate) fn required_labels(&self) -> Result<&[u32]> {
        self.labels().ok_or_else(|| DataError::bad_request(&self.about.name, "a set without labels", "a labelled set"))
    }

    pub(crate) fn check_index(&self, i: usize) -> Result<()> {
        if i < self.len() {
            return Ok(());
        }
        Err(DataError::bad_request("a record index", i, format!("below {} (the records of {})", self.len(), self.about.name)))
    }
}

impl std::fmt::Debug for DataSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("DataSet");
        text.field("name", &self.about.name).field("kind", &self.kind()).field("len", &self.len());
        text.field("splits", &self.splits.iter().map(|part| (&part.name, part.len())).collect::<Vec<_>>());
        text.finish_non_exhaustive()
    }
}

impl Records {
    fn check(&self) -> Result<()> {
        match self {
            Self::Images { shape, pixels } => check_pictures(*shape, pixels.len()),
            Self::Text { offsets, bytes } => check_texts(offsets, bytes),
        }
    }
}

fn check_pictures(shape: ImageShape, pixels: usize) -> Result<()> {
    let ImageShape { height, width, channels } = shape;
    let size = height.checked_mul(width).and_then(|area| area.checked_mul(channels)).filter(|&size| size > 0);
    let Some(size) = size else {
        let value = format!("{height} x {width} x {channels}");
        return Err(DataError::bad_request("the image shape", value, "positive in every dimension"));
    };
    if !pixels.is_multiple_of(size) {
        return Err(DataError::bad_request("the number of pixel bytes", pixels, format!("a multiple of {size}")));
    }
    Ok(())
}

fn check_texts(offsets: &[u8], bytes: &[u8]) -> Result<()> {
    let wrong = |value: String, expected: &str| Err(DataError::bad_request("the text offsets", value, expected));
    if offsets.len() < 8 || !offsets.len().is_multiple_of(8) {
        return wrong(format!("{} bytes", offsets.len()), "8 bytes for each record and 8 more");
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return wrong(format!("pointing at non-UTF-8 at byte {}", error.valid_up_to()), "pointing at UTF-8"),
    };
    let mut last = 0;
    for i in 0..offsets.len() / 8 {
        let here = offset(offsets, i);
        if here < last || !text.is_char_boundary(here) || (i == 0 && here != 0) {
            return wrong(format!("{here} after {last}"), "ascending from 0, each at the start of a character");
        }
        last = here;
    }
    if last != bytes.len() {
        return wrong(format!("{last} at the end"), "the length of the text");
    }
    Ok(())
}

fn offset(offsets: &[u8], i: usize) -> usize {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&offsets[8 * i..8 * i + 8]);
    // On a 32-bit machine an offset past the address space becomes one past every record, which the checks refuse.
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}
