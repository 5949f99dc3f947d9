//! One number for each filter, row by row: weights, activations, coefficients.

use super::tiles::SIDE;
use crate::error::{Error, Result};

/// A matrix with a column for each of the `2 m` filters: first the m that vote for +1, then the m that vote for -1.
///
/// Its rows are coordinates (weights), atoms (inner products, coefficients) or anything else that every filter has one of.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterMatrix {
    rows: usize,
    filters: usize,
    /// Padded with zeros to whole tiles both ways, so that the products have no special cases.
    stride: usize,
    values: Vec<f64>,
}

impl FilterMatrix {
    /// Zeros: `rows` for each of `2 * width` filters.
    pub fn zeros(rows: usize, width: usize) -> Self {
        let (filters, stride) = (2 * width, (2 * width).next_multiple_of(SIDE));
        Self { rows, filters, stride, values: vec![0.0; rows.next_multiple_of(SIDE) * stride] }
    }

    /// From each filter's column: `columns[j m + r]` of length `rows`, j = 0 for the +1 class.
    ///
    /// # Errors
    /// [`Error::Value`] for no column, an odd number of columns, columns of different lengths, or a value that is not finite.
    pub fn from_columns(columns: &[Vec<f64>]) -> Result<Self> {
        if columns.is_empty() || columns.len() % 2 == 1 {
            return Err(Error::value("the number of filters", columns.len(), "even and above 0: m filters for each class"));
        }
        let rows = columns[0].len();
        let mut matrix = Self::zeros(rows, columns.len() / 2);
        for (filter, column) in columns.iter().enumerate() {
            if column.len() != rows {
                return Err(Error::value(
                    format!("the length of filter {filter}"),
                    column.len(),
                    format!("{rows}, as filter 0's"),
                ));
            }
            for (row, &value) in column.iter().enumerate() {
                if !value.is_finite() {
                    return Err(Error::value(format!("entry {row} of filter {filter}"), value, "a finite number"));
                }
                matrix.row_mut(row)[filter] = value;
            }
        }
        Ok(matrix)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of filters, `2 m`.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// The number m of filters for each class.
    pub fn width(&self) -> usize {
        self.filters / 2
    }

    /// One row: a number for each filter.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.stride..][..self.filters]
    }

    /// One row, to change.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.stride..][..self.filters]
    }

    /// All rows in order.
    pub fn iter_rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.stride).take(self.rows).map(|row| &row[..self.filters])
    }

    /// The column of one filter.
    pub fn column(&self, filter: usize) -> impl Iterator<Item = f64> {
        assert!(filter < self.filters, "filter {filter} of {}", self.filters);
        self.values.iter().skip(filter).step_by(self.stride).take(self.rows).copied()
    }

    /// The largest entry; NaN if there is one, negative infinity for no rows.
    pub fn largest(&self) -> f64 {
        self.iter_rows().flatten().fold(f64::NEG_INFINITY, |largest, &x| if x.is_nan() || x > largest { x } else { largest })
    }

    /// The sum of squares of all entries.
    pub fn squared_norm(&self) -> f64 {
        self.values.iter().map(|x| x * x).sum()
    }

    /// The sum of squares of each filter's column.
    pub fn squared_norms(&self) -> Vec<f64> {
        let mut norms = vec![0.0; self.filters];
        for row in self.iter_rows() {
            norms.iter_mut().zip(row).for_each(|(norm, x)| *norm += x * x);
        }
        norms
    }

    /// `self += factor * other`.
    pub(crate) fn add_scaled(&mut self, factor: f64, other: &Self) {
        debug_assert_eq!((self.rows, self.filters), (other.rows, other.filters));
        self.values.iter_mut().zip(&other.values).for_each(|(x, y)| *x += factor * y);
    }

    /// `self - other`.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        difference.add_scaled(-1.0, other);
        difference
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, each padded to [`stride`](Self::stride), and rows of zeros to a whole tile.
    pub(crate) fn padded(&self) -> &[f64] {
        &self.values
    }

    /// As [`padded`](Self::padded), to change; what is padding must stay zero.
    pub(crate) fn padded_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Sets every entry to zero.
    pub(crate) fn clear(&mut self) {
        self.values.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_rows_agree() {
        let columns: Vec<Vec<f64>> = (0..6).map(|f| (0..3).map(|k| (10 * f + k) as f64).collect()).collect();
        let matrix = FilterMatrix::from_columns(&columns).unwrap();
        assert_eq!((matrix.rows(), matrix.filters(), matrix.width()), (3, 6, 3));
        for (filter, column) in columns.iter().enumerate() {
            assert_eq!(&matrix.column(filter).collect::<Vec<_>>(), column);
        }
        assert_eq!(matrix.row(2), [2.0, 12.0, 22.0, 32.0, 42.0, 52.0]);
        assert_eq!(matrix.iter_rows().count(), 3);
        assert_eq!(matrix.largest(), 52.0);
        assert_eq!(matrix.squared_norm(), matrix.squared_norms().iter().sum::<f64>());
    }

    #[test]
    fn ill_shaped_columns_are_named() {
        let message = |columns: &[Vec<f64>]| FilterMatrix::from_columns(columns).unwrap_err().to_string();
        assert!(message(&[]).contains("number of filters"));
        assert!(message(&[vec![1.0]]).contains("even"));
        assert!(message(&[vec![1.0], vec![]]).contains("filter 1"));
        assert!(message(&[vec![1.0, 2.0], vec![0.0, f64::NAN]]).contains("entry 1 of filter 1"));
    }
}
