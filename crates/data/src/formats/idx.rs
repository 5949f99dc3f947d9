//! IDX, the format of MNIST (LeCun et al., 1998): a big-endian header of sizes, then row-major data.
//!
//! ```text
//! 0  2  zero
//! 2  1  element type: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64
//! 3  1  number of dimensions D, 1..4
//! 4  4D sizes (u32), then the data
//! ```

use std::path::{Path, PathBuf};

use super::{folder, gzip};
use crate::dataset::{About, DataSet, ImageShape, SplitPart};
use crate::error::{DataError, Result};

/// Where the labels of a label file begin: after the magic number and one size.
const LABELS_START: u64 = 8;

/// An array read from an IDX file.
#[derive(Debug, Clone, PartialEq)]
pub struct IdxArray {
    shape: Vec<usize>,
    elements: Elements,
}

/// Row-major elements of an [`IdxArray`].
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Type 0x08.
    U8(Vec<u8>),
    /// Type 0x09.
    I8(Vec<i8>),
    /// Type 0x0B.
    I16(Vec<i16>),
    /// Type 0x0C.
    I32(Vec<i32>),
    /// Type 0x0D.
    F32(Vec<f32>),
    /// Type 0x0E.
    F64(Vec<f64>),
}

impl Elements {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn code(&self) -> u8 {
        match self {
            Self::U8(_) => 0x08,
            Self::I8(_) => 0x09,
            Self::I16(_) => 0x0B,
            Self::I32(_) => 0x0C,
            Self::F32(_) => 0x0D,
            Self::F64(_) => 0x0E,
        }
    }

    fn from_big_endian(code: u8, bytes: &[u8]) -> Self {
        match code {
            0x08 => Self::U8(bytes.to_vec()),
            0x09 => Self::I8(decode(bytes, i8::from_be_bytes)),
            0x0B => Self::I16(decode(bytes, i16::from_be_bytes)),
            0x0C => Self::I32(decode(bytes, i32::from_be_bytes)),
            0x0D => Self::F32(decode(bytes, f32::from_be_bytes)),
            _ => Self::F64(decode(bytes, f64::from_be_bytes)),
        }
    }

    fn extend_big_endian(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(v) => out.extend_from_slice(v),
            Self::I8(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Self::I16(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Self::I32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Self::F32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Self::F64(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        }
    }
}

fn decode<const W: usize, T>(bytes: &[u8], from: fn([u8; W]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| from(*chunk)).collect()
}

/// Bytes of one element, for a type code that exists.
fn width_of(code: u8) -> Option<usize> {
    match code {
        0x08 | 0x09 => Some(1),
        0x0B => Some(2),
        0x0C | 0x0D => Some(4),
        0x0E => Some(8),
        _ => None,
    }
}

impl IdxArray {
    /// An array of the given shape.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a shape of no or more than 4 dimensions, a dimension past `u32`, or one that does not hold
    /// exactly the given elements.
    pub fn new(shape: Vec<usize>, elements: Elements) -> Result<Self> {
        if !(1..=4).contains(&shape.len()) {
            return Err(DataError::bad_request("the number of IDX dimensions", shape.len(), "1 to 4"));
        }
        let product = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if product != Some(elements.len()) || shape.iter().any(|&size| u32::try_from(size).is_err()) {
            let expected = format!("the shape of {} elements", elements.len());
            return Err(DataError::bad_request("the IDX shape", format!("{shape:?}"), expected));
        }
        Ok(Self { shape, elements })
    }

    /// Sizes, slowest first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements in row-major order.
    #[must_use]
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Reads an IDX file, packed with gzip or not.
    ///
    /// # Errors
    /// [`DataError::Unreadable`] and [`DataError::Malformed`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(DataError::unreadable(path))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads IDX from memory, packed with gzip or not. `file` names the bytes in errors.
    ///
    /// # Errors
    /// [`DataError::Malformed`] with the offset of the field that is wrong. The data must end exactly where the sizes say.
    ///
    /// ```
    /// use thalweg_data::formats::idx::{Elements, IdxArray};
    /// let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];
    /// let array = IdxArray::parse(&bytes, "example")?;
    /// assert_eq!(array.shape(), [2, 3]);
    /// assert_eq!(array.elements(), &Elements::U8(vec![1, 2, 3, 4, 5, 6]));
    /// # Ok::<(), thalweg_data::DataError>(())
    /// ```
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let Header { code, width, shape, data_start, end } = Header::parse(&gzip::unpacked(bytes, LONGEST_HEADER, file)?, file)?;
        // One byte more than the sizes say shows that there are more.
        let bytes = gzip::unpacked(bytes, end.saturating_add(1), file)?;
        if bytes.len() == end {
            return Ok(Self { shape, elements: Elements::from_big_endian(code, &bytes[data_start..]) });
        }
        let data = match bytes.len() > end {
            true => format!("more than {}", end - data_start),
            false => bytes.len().saturating_sub(data_start).to_string(),
        };
        let found = format!("sizes {shape:?} of {width}-byte elements for {data} data bytes");
        Err(DataError::malformed(file, 4, "sizes that fill the data of the file", found))
    }

    /// The bytes of an IDX file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0, 0, self.elements.code(), self.shape.len() as u8];
        out.extend(self.shape.iter().flat_map(|&size| (size as u32).to_be_bytes()));
        self.elements.extend_big_endian(&mut out);
        out
    }

    /// Writes an IDX file, packed with gzip where the name ends in `.gz`.
    ///
    /// # Errors
    /// [`DataError::CacheNotWritable`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let plain = self.to_bytes();
        let bytes = if path.extension().is_some_and(|ext| ext == "gz") { gzip::packed(&plain) } else { plain };
        std::fs::write(path, &bytes).map_err(DataError::not_writable(path, bytes.len() as u64))
    }

    fn into_u8(self, file: &str) -> Result<(Vec<usize>, Vec<u8>)> {
        match self.elements {
            Elements::U8(bytes) => Ok((self.shape, bytes)),
            other => Err(DataError::malformed(file, 2, "elements of type 08 (u8)", format!("{:02x}", other.code()))),
        }
    }
}

/// The bytes of a header with 4 dimensions.
const LONGEST_HEADER: usize = 20;

/// What a file says of itself.
struct Header {
    code: u8,
    /// Bytes of one element.
    width: usize,
    shape: Vec<usize>,
    data_start: usize,
    /// Bytes of the whole file.
    end: usize,
}

impl Header {
    fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let wrong =
            |offset: usize, expected: &str, found: String| Err(DataError::malformed(file, offset as u64, expected, found));
        let Some(&[zero, zero_too, code, dimensions]) = bytes.first_chunk() else {
            return wrong(bytes.len(), "an IDX header of at least 8 bytes", format!("{} bytes", bytes.len()));
        };
        if (zero, zero_too) != (0, 0) {
            return wrong(0, "two zero bytes", format!("{zero:02x} {zero_too:02x}"));
        }
        let Some(width) = width_of(code) else {
            return wrong(2, "an element type of 08, 09, 0b, 0c, 0d or 0e", format!("{code:02x}"));
        };
        if !(1..=4).contains(&dimensions) {
            return wrong(3, "1 to 4 dimensions", dimensions.to_string());
        }
        let data_start = 4 + 4 * usize::from(dimensions);
        let Some(sizes) = bytes.get(4..data_start) else {
            return wrong(bytes.len(), &format!("{dimensions} sizes"), "the end of the file".to_owned());
        };
        let shape: Vec<usize> = decode(sizes, |size| u32::from_be_bytes(size) as usize);
        let length = shape.iter().try_fold(width, |length, &size| length.checked_mul(size));
        match length.and_then(|length| data_start.checked_add(length)) {
            Some(end) => Ok(Self { code, width, shape, data_start, end }),
            None => wrong(4, "sizes that a file can have", format!("sizes {shape:?} of {width}-byte elements")),
        }
    }
}

/// An image file and its label file, with their names for errors.
pub(crate) struct Pair<'a> {
    pub(crate) images: (&'a str, &'a [u8]),
    pub(crate) labels: (&'a str, &'a [u8]),
}

/// Joins named pairs (`train`, `test`) into one set, the parts one after the other.
pub(crate) fn join_pairs(about: About, parts: &[(&str, Pair<'_>)], classes: Option<&[&str]>) -> Result<DataSet> {
    let (mut pixels, mut labels, mut splits) = (Vec::new(), Vec::new(), Vec::new());
    let mut size = None;
    for (name, pair) in parts {
        let (part_size, part_pixels) = parse_images(pair.images)?;
        let part_labels = parse_labels(pair.labels)?;
        let (height, width) = *size.get_or_insert(part_size);
        if part_size != (height, width) {
            let found = format!("{} x {}", part_size.0, part_size.1);
            return Err(DataError::malformed(pair.images.0, 8, format!("images of {height} x {width}"), found));
        }
        let count = part_pixels.len() / (height * width);
        if count != part_labels.len() {
            return Err(DataError::CountMismatch {
                images_file: pair.images.0.to_owned(),
                images: count,
                labels_file: pair.labels.0.to_owned(),
                labels: part_labels.len(),
            });
        }
        if let Some(classes) = classes {
            check_labels(pair.labels.0, &part_labels, classes.len())?;
        }
        splits.push(SplitPart::run(name, labels.len()..labels.len() + count));
        append(&mut pixels, part_pixels);
        labels.extend(part_labels.iter().map(|&label| u32::from(label)));
    }
    let (height, width) = size.unwrap_or((1, 1));
    let classes = match classes {
        Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
        None => (0..=labels.iter().max().copied().unwrap_or(0)).map(|label| label.to_string()).collect(),
    };
    DataSet::from_images(about, ImageShape { height, width, channels: 1 }, pixels)?
        .with_labels(labels, classes)?
        .with_splits(splits)
}

/// Appends without a copy where there is nothing to append to.
fn append(all: &mut Vec<u8>, part: Vec<u8>) {
    if all.is_empty() {
        *all = part;
    } else {
        all.extend_from_slice(&part);
    }
}

fn check_labels(file: &str, labels: &[u8], classes: usize) -> Result<()> {
    match labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes) {
        None => Ok(()),
        Some((i, label)) => {
            let expected = format!("a label below {classes}");
            Err(DataError::malformed(file, LABELS_START + i as u64, expected, label.to_string()))
        }
    }
}

fn parse_images((file, bytes): (&str, &[u8])) -> Result<((usize, usize), Vec<u8>)> {
    let (shape, pixels) = IdxArray::parse(bytes, file)?.into_u8(file)?;
    match shape[..] {
        [_, height, width] if height.checked_mul(width).is_some_and(|area| area > 0) => Ok(((height, width), pixels)),
        _ => Err(DataError::malformed(file, 3, "3 dimensions: images, rows, columns", format!("{shape:?}"))),
    }
}

fn parse_labels((file, bytes): (&str, &[u8])) -> Result<Vec<u8>> {
    let (shape, labels) = IdxArray::parse(bytes, file)?.into_u8(file)?;
    if shape.len() != 1 {
        return Err(DataError::malformed(file, 3, "1 dimension: labels", format!("{shape:?}")));
    }
    Ok(labels)
}

/// Reads a folder in the layout of MNIST: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`, each with or
/// without `.gz`, and with a dot or a dash before `idx`. One of the two parts may be missing. Classes are named by their numbers.
///
/// # Errors
/// [`DataError::MemberMissing`] where no pair is found, and as [`IdxArray::read`].
pub fn read_folder(dir: &Path) -> Result<DataSet> {
    let mut read = Vec::new();
    for (split, prefix) in [("train", "train"), ("test", "t10k")] {
        if let (Some(images), Some(labels)) = (find(dir, prefix, "images", 3), find(dir, prefix, "labels", 1)) {
            read.push((split, Bytes::read(&images)?, Bytes::read(&labels)?));
        }
    }
    if read.is_empty() {
        let nearest = folder::names_in(dir)?;
        let member = "train-images-idx3-ubyte[.gz]".to_owned();
        return Err(DataError::MemberMissing { archive: dir.display().to_string(), member, nearest });
    }
    let parts: Vec<_> =
        read.iter().map(|(split, images, labels)| (*split, Pair { images: images.named(), labels: labels.named() })).collect();
    join_pairs(folder::about(dir), &parts, None)
}

struct Bytes {
    name: String,
    bytes: Vec<u8>,
}

impl Bytes {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(DataError::unreadable(path))?;
        Ok(Self { name: path.display().to_string(), bytes })
    }

    fn named(&self) -> (&str, &[u8]) {
        (&self.name, &self.bytes)
    }
}

/// Whether `dir` holds a file of images in this layout.
pub(crate) fn is_folder(dir: &Path) -> bool {
    ["train", "t10k"].iter().any(|prefix| find(dir, prefix, "images", 3).is_some())
}

fn find(dir: &Path, prefix: &str, what: &str, dimensions: u8) -> Option<PathBuf> {
    let spellings = ["-", "."].map(|mark| format!("{prefix}-{what}{mark}idx{dimensions}-ubyte"));
    let names = spellings.into_iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    names.map(|name| dir.join(name)).find(|path| path.is_file())
}
