//! The binary format of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): fixed records of labels and three 32x32 planes.

use std::path::Path;

use rayon::prelude::*;

use super::folder;
use crate::dataset::{About, DataSet, ImageShape, SplitPart};
use crate::error::{DataError, Result};

/// Shape of every CIFAR picture.
pub const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

/// Class names of CIFAR-10, in label order.
pub const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const AREA: usize = 32 * 32;
const PIXELS: usize = 3 * AREA;

/// Which of the two layouts a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Records of 3,073 bytes: label 0..9, then pixels.
    Cifar10,
    /// Records of 3,074 bytes: coarse label 0..19, fine label 0..99, then pixels.
    Cifar100,
}

impl Variant {
    /// The bytes before the pixels: how many classes each label byte has.
    fn label_limits(self) -> &'static [u8] {
        match self {
            Self::Cifar10 => &[10],
            Self::Cifar100 => &[20, 100],
        }
    }

    /// Bytes of one record.
    #[must_use]
    pub fn record_len(self) -> usize {
        self.label_limits().len() + PIXELS
    }
}

/// Which of the two labels of CIFAR-100 becomes the label of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar100Labels {
    /// 100 classes.
    Fine,
    /// 20 super-classes.
    Coarse,
}

/// The records of one CIFAR file, pixels in HWC order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CifarRecords {
    variant: Variant,
    labels: Vec<u8>,
    pixels: Vec<u8>,
}

impl CifarRecords {
    /// Records from label bytes (one a record, or coarse and fine by turns for CIFAR-100) and pixels in HWC order.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for lengths that do not belong together or a label out of range.
    pub fn new(variant: Variant, labels: Vec<u8>, pixels: Vec<u8>) -> Result<Self> {
        let limits = variant.label_limits();
        if !labels.len().is_multiple_of(limits.len()) || labels.len() / limits.len() * PIXELS != pixels.len() {
            let value = format!("{} label bytes and {} pixel bytes", labels.len(), pixels.len());
            let expected = format!("{} label bytes and {PIXELS} pixel bytes a record", limits.len());
            return Err(DataError::bad_request("the content of a CIFAR file", value, expected));
        }
        match labels.iter().zip(limits.iter().cycle()).find(|(label, limit)| label >= limit) {
            Some((label, limit)) => Err(DataError::bad_request("a CIFAR label", label, format!("below {limit}"))),
            None => Ok(Self { variant, labels, pixels }),
        }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / PIXELS
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Reads the bytes of a file. `file` names them in errors.
    ///
    /// # Errors
    /// [`DataError::Malformed`] where the length is not a whole number of records, or a label is out of range.
    pub fn parse(variant: Variant, bytes: &[u8], file: &str) -> Result<Self> {
        let len = variant.record_len();
        if !bytes.len().is_multiple_of(len) {
            let expected = format!("a whole number of {len}-byte records");
            let whole = bytes.len() / len * len;
            return Err(DataError::malformed(file, whole as u64, expected, format!("{} bytes left", bytes.len() - whole)));
        }
        let limits = variant.label_limits();
        let mut labels = Vec::with_capacity(bytes.len() / len * limits.len());
        for (i, record) in bytes.chunks_exact(len).enumerate() {
            for (at, (&label, &limit)) in record.iter().zip(limits).enumerate() {
                if label >= limit {
                    let expected = format!("a label below {limit}");
                    return Err(DataError::malformed(file, (i * len + at) as u64, expected, label.to_string()));
                }
                labels.push(label);
            }
        }
        let mut pixels = vec![0; bytes.len() / len * PIXELS];
        let records = bytes.par_chunks_exact(len).map(|record| &record[limits.len()..]);
        pixels.par_chunks_exact_mut(PIXELS).zip(records).for_each(|(hwc, planes)| interleave(planes, hwc));
        Ok(Self { variant, labels, pixels })
    }

    /// The bytes of a CIFAR file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let per_record = self.variant.label_limits().len();
        let mut out = Vec::with_capacity(self.len() * self.variant.record_len());
        for (labels, hwc) in self.labels.chunks_exact(per_record).zip(self.pixels.chunks_exact(PIXELS)) {
            out.extend_from_slice(labels);
            for channel in 0..3 {
                out.extend(hwc[channel..].iter().step_by(3));
            }
        }
        out
    }

    fn read(variant: Variant, path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(DataError::unreadable(path))?;
        Self::parse(variant, &bytes, &path.display().to_string())
    }
}

fn interleave(planes: &[u8], hwc: &mut [u8]) {
    let (red, rest) = planes.split_at(AREA);
    let (green, blue) = rest.split_at(AREA);
    let colours = red.iter().zip(green).zip(blue);
    for (pixel, ((&r, &g), &b)) in hwc.as_chunks_mut().0.iter_mut().zip(colours) {
        *pixel = [r, g, b];
    }
}

/// The train and test files of CIFAR-10, in order.
pub(crate) const CIFAR10_TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
pub(crate) const CIFAR10_TEST: &str = "test_batch.bin";

/// Reads the folder of the binary CIFAR-10: `data_batch_1.bin` .. `data_batch_5.bin`, `test_batch.bin`. 60,000 records, train first.
///
/// # Errors
/// [`DataError::Unreadable`] for a missing file, [`DataError::Malformed`] for a damaged one.
pub fn read_cifar10_folder(dir: &Path) -> Result<DataSet> {
    let read = |name: &str| CifarRecords::read(Variant::Cifar10, &dir.join(name));
    let train = CIFAR10_TRAIN.iter().map(|name| read(name)).collect::<Result<Vec<_>>>()?;
    join_cifar10(folder::about(dir), &train, &read(CIFAR10_TEST)?)
}

/// Joins the training files and the test file of CIFAR-10 into one set.
pub(crate) fn join_cifar10(about: About, train: &[CifarRecords], test: &CifarRecords) -> Result<DataSet> {
    let labels = |records: &CifarRecords| records.labels.clone();
    join(about, train, test, labels, CIFAR10_CLASSES.map(str::to_owned).to_vec())
}

/// Reads the folder of the binary CIFAR-100: `train.bin`, `test.bin`, and class names from `fine_label_names.txt` or
/// `coarse_label_names.txt` (numbers where the file is missing).
///
/// # Errors
/// As [`read_cifar10_folder`].
pub fn read_cifar100_folder(dir: &Path, which: Cifar100Labels) -> Result<DataSet> {
    let read = |name: &str| CifarRecords::read(Variant::Cifar100, &dir.join(name));
    let (position, count, names) = match which {
        Cifar100Labels::Coarse => (0, 20, "coarse_label_names.txt"),
        Cifar100Labels::Fine => (1, 100, "fine_label_names.txt"),
    };
    let labels = |records: &CifarRecords| records.labels.iter().skip(position).step_by(2).copied().collect();
    let classes = class_names(&dir.join(names), count)?;
    join(folder::about(dir), &[read("train.bin")?], &read("test.bin")?, labels, classes)
}

fn join(
    about: About,
    train: &[CifarRecords],
    test: &CifarRecords,
    labels_of: impl Fn(&CifarRecords) -> Vec<u8>,
    classes: Vec<String>,
) -> Result<DataSet> {
    let files = || train.iter().chain([test]);
    let mut pixels = Vec::with_capacity(files().map(|file| file.pixels.len()).sum());
    files().for_each(|file| pixels.extend_from_slice(&file.pixels));
    let labels: Vec<u32> = files().flat_map(&labels_of).map(u32::from).collect();
    let train_len = train.iter().map(CifarRecords::len).sum();
    let splits = vec![SplitPart::run("train", 0..train_len), SplitPart::run("test", train_len..labels.len())];
    DataSet::from_images(about, SHAPE, pixels)?.with_labels(labels, classes)?.with_splits(splits)
}

fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    if !path.is_file() {
        return Ok((0..count).map(|class| class.to_string()).collect());
    }
    let text = std::fs::read_to_string(path).map_err(DataError::unreadable(path))?;
    let names: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != count {
        let file = path.display().to_string();
        return Err(DataError::malformed(&file, 0, format!("{count} class names, one a line"), names.len().to_string()));
    }
    Ok(names)
}

/// Writes a set of 32x32 colour pictures with at most 10 classes as the files of CIFAR-10: every record of `train` in five files of
/// equal size (the last one takes the remainder), and `test`; with `batches.meta.txt`.
///
/// # Errors
/// [`DataError::BadRequest`] for a set of another shape or without labels or those splits; [`DataError::CacheNotWritable`].
pub fn write_cifar10_folder(set: &DataSet, dir: &Path) -> Result<()> {
    if set.image_shape()? != SHAPE || set.classes().len() > 10 {
        let value = format!("{:?} with {} classes", set.image_shape()?, set.classes().len());
        return Err(DataError::bad_request("the set to write as CIFAR-10", value, "32x32x3 with at most 10 classes"));
    }
    let train = set.indices("train")?;
    let share = train.len() / CIFAR10_TRAIN.len();
    for (i, name) in CIFAR10_TRAIN.iter().enumerate() {
        let end = if i + 1 == CIFAR10_TRAIN.len() { train.len() } else { (i + 1) * share };
        write_records(set, &train[i * share..end], &dir.join(name))?;
    }
    write_records(set, &set.indices("test")?, &dir.join(CIFAR10_TEST))?;
    write_file(&dir.join("batches.meta.txt"), (set.classes().join("\n") + "\n").as_bytes())
}

fn write_records(set: &DataSet, indices: &[usize], path: &Path) -> Result<()> {
    // At most 10 classes, so every label fits a byte.
    let labels = set.labels_of(indices)?.into_iter().map(|label| label as u8).collect();
    let pixels = indices.iter().flat_map(|&i| set.record(i)).copied().collect();
    write_file(path, &CifarRecords::new(Variant::Cifar10, labels, pixels)?.to_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(DataError::not_writable(path, bytes.len() as u64))
}
