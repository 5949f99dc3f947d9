//! A folder of the person's own, recognised by what lies in it.

use std::path::Path;

use crate::dataset::{DataSet, SplitPart};
use crate::error::{DataError, Result};
use crate::formats::cifar::{self, Cifar100Labels};
use crate::formats::image_folder::{self, ImageFolderOptions};
use crate::formats::picture::DecodeOptions;
use crate::formats::{idx, imdb};
use crate::split::{HeldOut, Split};

/// The part that is held out where a folder has no `test` of its own.
const HELD_OUT: HeldOut = HeldOut::Fraction(0.2);

/// The layouts of a folder.
enum Form {
    /// `train-images-idx3-ubyte` and its like.
    Idx,
    /// `data_batch_1.bin` and its like.
    Cifar10,
    /// `train.bin`, `test.bin`.
    Cifar100,
    /// `{train,test}/{pos,neg}/<id>_<rating>.txt`.
    Reviews,
    /// `[<split>/]<class>/<picture>`.
    Pictures,
}

impl Form {
    fn of(dir: &Path) -> Self {
        if idx::is_folder(dir) {
            Self::Idx
        } else if dir.join("data_batch_1.bin").is_file() {
            Self::Cifar10
        } else if dir.join("train.bin").is_file() {
            Self::Cifar100
        } else if imdb::is_folder(dir) {
            Self::Reviews
        } else {
            Self::Pictures
        }
    }
}

/// Reads a folder of labelled records: IDX files as MNIST's, CIFAR-10 or CIFAR-100 binary files, film reviews as `aclImdb`'s, or pictures
/// in folders named by their class, below `train` and `test` or not. Where there is no `test`, a fifth of every class is held out,
/// the same on every machine. Pictures of several sizes need `resize`, as columns and rows; other layouts leave it unused.
///
/// # Errors
/// [`DataError::Unreadable`] where there is no such folder; otherwise those of the layout's reader.
pub fn read_folder(dir: &Path, resize: Option<(u32, u32)>) -> Result<DataSet> {
    std::fs::read_dir(dir).map_err(DataError::unreadable(dir))?;
    let set = match Form::of(dir) {
        Form::Idx => idx::read_folder(dir),
        Form::Cifar10 => cifar::read_cifar10_folder(dir),
        Form::Cifar100 => cifar::read_cifar100_folder(dir, Cifar100Labels::Fine),
        Form::Reviews => imdb::read_folder(dir),
        Form::Pictures => {
            let decode = DecodeOptions { resize, ..DecodeOptions::default() };
            let options = ImageFolderOptions { decode, ..ImageFolderOptions::default() };
            image_folder::read(dir, &options).map(|folder| folder.set)
        }
    };
    with_test(set?)
}

fn with_test(set: DataSet) -> Result<DataSet> {
    if !set.splits().is_empty() {
        return Ok(set);
    }
    let split = Split::stratified(set.labels().unwrap_or_default(), HELD_OUT, 0)?;
    set.with_splits(vec![SplitPart::list("train", split.kept), SplitPart::list("test", split.held_out)])
}
