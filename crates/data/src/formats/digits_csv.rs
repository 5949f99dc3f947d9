//! The table of handwritten 8x8 digits that scikit-learn ships: 64 values from 0 to 16 and the label, a row a picture.

use super::gzip;
use crate::dataset::{About, DataSet, ImageShape};
use crate::error::{DataError, Result};

const SHAPE: ImageShape = ImageShape { height: 8, width: 8, channels: 1 };
const LARGEST_VALUE: u8 = 16;
const LONGEST_TABLE: usize = 1 << 20;

/// Reads the table, packed with gzip or not. No splits.
pub(crate) fn parse(about: About, csv: &[u8], file: &str) -> Result<DataSet> {
    let csv = gzip::unpacked(csv, LONGEST_TABLE, file)?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (number, line) in csv.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let wrong = |reason| DataError::MalformedRow { file: file.to_owned(), line: number + 1, reason };
        let values = row(line).ok_or_else(|| wrong("expected 65 whole numbers separated by commas".to_owned()))?;
        let (&label, samples) = values.split_last().ok_or_else(|| wrong("empty".to_owned()))?;
        if label > 9 || samples.iter().any(|&sample| sample > LARGEST_VALUE) {
            return Err(wrong(format!("expected values up to {LARGEST_VALUE} and a label up to 9")));
        }
        pixels.extend_from_slice(samples);
        labels.push(u32::from(label));
    }
    DataSet::from_images(about, SHAPE, pixels)?.with_labels(labels, (0..10).map(|digit| digit.to_string()).collect())
}

fn row(line: &[u8]) -> Option<[u8; 65]> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let values = line.split(',').map(|value| value.parse().ok()).collect::<Option<Vec<u8>>>()?;
    values.try_into().ok()
}
