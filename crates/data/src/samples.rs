//! Real data that is part of the crate, so that nothing must be fetched to begin. Each sample has its notice beside it in `samples/`.

use crate::dataset::{About, DataSet, SplitPart};
use crate::error::Result;
use crate::formats::digits_csv;
use crate::formats::text::corpus;
use crate::split::{HeldOut, Split};

const DIGITS: &[u8] = include_bytes!("../samples/digits.csv.gz");
const HAMLET: &str = include_str!("../samples/hamlet.md");

/// Licences and origins of the embedded samples, as they must be shipped with any program that contains them.
pub const NOTICES: [&str; 2] = [include_str!("../samples/digits.NOTICE"), include_str!("../samples/hamlet.NOTICE")];

const TEST_DIGITS: usize = 360;

/// The 1,797 handwritten 8x8 digits of scikit-learn and UCI, values 0..16 (scale 1/16), 10 classes.
///
/// The parts `train` (1,437) and `test` (360) are made by [`Split::stratified`] with seed 0. Records are in the order of the original
/// file.
///
/// ```
/// let digits = thalweg_data::digits();
/// assert_eq!((digits.len(), digits.indices("train")?.len()), (1797, 1437));
/// # Ok::<(), thalweg_data::DataError>(())
/// ```
#[must_use]
pub fn digits() -> DataSet {
    crate::cache::embedded("digits")
}

/// Shakespeare's Hamlet, 189,481 bytes of Markdown, as a corpus of three records: `train`, `valid` and `test` (90/5/5 by characters).
#[must_use]
pub fn hamlet() -> DataSet {
    crate::cache::embedded("hamlet")
}

pub(crate) fn read_digits(about: About) -> Result<DataSet> {
    let set = digits_csv::parse(about, DIGITS, "digits.csv.gz")?;
    let split = Split::stratified(set.required_labels()?, HeldOut::Count(TEST_DIGITS), 0)?;
    set.with_splits(vec![SplitPart::list("train", split.kept), SplitPart::list("test", split.held_out)])
}

pub(crate) fn read_hamlet(about: About) -> Result<DataSet> {
    Ok(corpus(about, HAMLET))
}
