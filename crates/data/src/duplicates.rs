//! Records that occur more than once, inside a set or on both sides of a split.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;

use crate::dataset::{DataSet, Kind};
use crate::error::Result;

/// What `dedup_across` keeps of the training records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deduplicated {
    /// Training records that do not occur in the test set, in their order.
    pub kept: Vec<usize>,
    /// Training records that do.
    pub dropped: Vec<usize>,
}

impl DataSet {
    /// Sorts out the records of `train` that also occur in `test`. Pictures are compared byte by byte, texts after lower-casing and
    /// without white space (Unicode's, which includes U+0085).
    ///
    /// # Errors
    /// [`BadRequest`](crate::DataError::BadRequest) for an index past the end.
    pub fn dedup_across(&self, train: &[usize], test: &[usize]) -> Result<Deduplicated> {
        train.iter().chain(test).try_for_each(|&i| self.check_index(i))?;
        let held: HashSet<Cow<'_, [u8]>> = test.iter().map(|&i| self.comparable(i)).collect();
        let (dropped, kept) = train.iter().partition(|&&i| held.contains(&self.comparable(i)));
        Ok(Deduplicated { kept, dropped })
    }

    /// Number of records whose bytes also occur earlier in the set: length minus number of distinct records.
    #[must_use]
    pub fn repeated(&self) -> usize {
        let distinct: HashSet<&[u8]> = (0..self.len()).map(|i| self.record(i)).collect();
        self.len() - distinct.len()
    }

    fn comparable(&self, i: usize) -> Cow<'_, [u8]> {
        let record = self.record(i);
        match self.kind() {
            Kind::Image => Cow::Borrowed(record),
            Kind::Text => Cow::Owned(without_case_and_space(&String::from_utf8_lossy(record)).into_bytes()),
        }
    }
}

fn without_case_and_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use crate::dataset::{About, DataSet, ImageShape};

    #[test]
    fn texts_are_compared_without_case_and_space() {
        let set = DataSet::from_texts(About::named("t"), ["A b", "c", "a\nB", "C\u{85}", "d"]);
        let result = set.dedup_across(&[0, 1, 4], &[2, 3]).unwrap();
        assert_eq!((result.kept, result.dropped), (vec![4], vec![0, 1]));
        assert_eq!(set.repeated(), 0);
        assert!(set.dedup_across(&[5], &[]).is_err());
    }

    #[test]
    fn pictures_are_compared_by_bytes() {
        let shape = ImageShape { height: 1, width: 2, channels: 1 };
        let set = DataSet::from_images(About::named("p"), shape, vec![1, 2, 2, 1, 1, 2]).unwrap();
        let result = set.dedup_across(&[0, 1], &[2]).unwrap();
        assert_eq!(result.dropped, [0]);
        assert_eq!(set.repeated(), 1);
    }
}
