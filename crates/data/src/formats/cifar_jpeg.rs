//! CIFAR-10 as JPEG files: `{train,test}/<class>/NNNN.jpg`, all 32x32.
//!
//! The pictures went through JPEG at quality 75, so results on them are reported as "CIFAR-10 (JPEG)".

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::cifar::{CIFAR10_CLASSES, SHAPE};
use super::picture::{self, DecodeOptions, Orientation};
use crate::dataset::{About, DataSet, SplitPart};
use crate::error::{DataError, Result};

/// Decodes the files, given by their paths inside the archive. Order: train then test, by class, by file name.
///
/// # Errors
/// [`DataError::ImageFolder`] for a path of another form or a picture that cannot be decoded; [`DataError::MixedSizes`] for a picture
/// that is not 32x32.
pub fn from_members(about: About, members: &BTreeMap<String, Vec<u8>>) -> Result<DataSet> {
    let mut files = members.iter().map(|(path, bytes)| Member::new(path, bytes)).collect::<Result<Vec<_>>>()?;
    files.sort_by_key(|file| (file.part, file.label, file.path));
    let mut pixels = vec![0; files.len() * SHAPE.len()];
    let outcomes: Vec<Result<()>> =
        pixels.par_chunks_exact_mut(SHAPE.len()).zip(&files).map(|(out, file)| file.decode_into(out)).collect();
    // Collected first, so that the error reported is the first in order and not the first in time.
    outcomes.into_iter().collect::<Result<()>>()?;
    let labels = files.iter().map(|file| file.label).collect();
    let train = files.iter().filter(|file| file.part == Part::Train).count();
    DataSet::from_images(about, SHAPE, pixels)?
        .with_labels(labels, CIFAR10_CLASSES.map(str::to_owned).to_vec())?
        .with_splits(vec![SplitPart::run("train", 0..train), SplitPart::run("test", train..files.len())])
}

/// Whether a path inside the archive names one of the pictures.
pub(crate) fn is_picture(path: &str) -> bool {
    (path.starts_with("train/") || path.starts_with("test/")) && path.ends_with(".jpg")
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Train,
    Test,
}

struct Member<'a> {
    part: Part,
    label: u32,
    path: &'a str,
    bytes: &'a [u8],
}

impl<'a> Member<'a> {
    fn new(path: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let wrong = || DataError::ImageFolder {
            path: path.into(),
            reason: "expected {train,test}/<class>/<file>.jpg with a class of CIFAR-10".to_owned(),
        };
        let mut steps = path.split('/');
        let part = match steps.next() {
            Some("train") => Part::Train,
            Some("test") => Part::Test,
            _ => return Err(wrong()),
        };
        let class = steps.next().ok_or_else(wrong)?;
        let label = CIFAR10_CLASSES.iter().position(|name| *name == class).ok_or_else(wrong)?;
        Ok(Self { part, label: label as u32, path, bytes })
    }

    fn decode_into(&self, out: &mut [u8]) -> Result<()> {
        let as_stored = DecodeOptions { orientation: Orientation::AsStored, ..DecodeOptions::default() };
        let picture = picture::decode(self.bytes, &as_stored)
            .map_err(|reason| DataError::ImageFolder { path: self.path.into(), reason })?;
        if (picture.width, picture.height) != (SHAPE.width, SHAPE.height) {
            return Err(DataError::MixedSizes {
                first_path: "CIFAR-10".into(),
                first: "32x32".to_owned(),
                second_path: self.path.into(),
                second: format!("{}x{}", picture.width, picture.height),
            });
        }
        out.copy_from_slice(&picture.samples);
        Ok(())
    }
}
