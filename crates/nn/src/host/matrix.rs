//! Products of strided matrices: a safe face for the `gemm` crate.
//!
//! The only `unsafe` code of the crate. `gemm` takes raw pointers and strides; the views here check, when they are made,
//! that every entry they describe lies in their slice, and [`multiply`] checks that the three shapes fit together. The
//! target is borrowed mutably and its rows cannot overlap, so the call touches only memory that it may touch.
#![allow(unsafe_code)]

use gemm::Parallelism;
use thalweg_descent::Real;

/// A matrix in a slice: entry `(i, j)` lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, F> {
    data: &'a [F],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, F> Matrix<'a, F> {
    /// Row after row without gaps.
    pub(crate) fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Row after row, `row_stride` apart.
    pub(crate) fn strided(data: &'a [F], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, row_stride, 1);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same entries with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// One row of a matrix whose rows are contiguous.
    pub(crate) fn entry(&self, row: usize, column: usize) -> F
    where
        F: Copy,
    {
        self.data[row * self.row_stride + column * self.column_stride]
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

/// A matrix to write, row after row.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a, F> {
    data: &'a mut [F],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, F> MatrixMut<'a, F> {
    /// Row after row without gaps.
    pub(crate) fn new(data: &'a mut [F], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Row after row, `row_stride` apart; rows do not overlap.
    pub(crate) fn strided(data: &'a mut [F], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, row_stride, 1);
        assert!(rows <= 1 || row_stride >= columns, "rows of {columns} overlap at a stride of {row_stride}");
        Self { data, rows, columns, row_stride }
    }
}

/// What happens to what the target held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The product is added to it.
    Add,
    /// It is overwritten.
    Overwrite,
}

/// `c += scale a b`, or `c = scale a b`; on the calling thread.
#[expect(clippy::needless_pass_by_value, reason = "the target is used up: a mutable view")]
pub(crate) fn multiply<F: Real>(scale: F, a: Matrix<'_, F>, b: Matrix<'_, F>, c: MatrixMut<'_, F>, target: Target) {
    assert_eq!((a.rows, a.columns, b.columns), (c.rows, b.rows, c.columns), "shapes of a matrix product do not fit");
    let one = F::from_f64(1.0);
    // SAFETY: the constructors of the views checked that all entries lie in their slices; the shapes agree by the line above;
    // `c` is borrowed mutably, so it overlaps neither `a` nor `b`, and its rows do not overlap each other. `Real` is sealed
    // to `f32` and `f64`, which are the types that `gemm` accepts.
    unsafe {
        gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data.as_mut_ptr(),
            1,
            c.row_stride as isize,
            target == Target::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            one,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

fn assert_fits(length: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) {
    if rows == 0 || columns == 0 {
        return;
    }
    let last = (rows - 1).checked_mul(row_stride).zip((columns - 1).checked_mul(column_stride));
    let last = last.and_then(|(row, column)| row.checked_add(column));
    assert!(
        last.is_some_and(|last| last < length && last < isize::MAX as usize),
        "{rows} x {columns} with strides {row_stride}, {column_stride} leaves {length} numbers"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 19) as f64 - 9.0).collect()
    }

    #[test]
    fn products_agree_with_the_definition_for_all_orientations() {
        for (m, k, n) in [(1, 1, 1), (3, 4, 5), (17, 1, 9), (8, 33, 2), (2, 0, 3), (0, 2, 2)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let views = [
                (Matrix::new(&a, m, k), Matrix::new(&b, k, n)),
                (Matrix::new(&a, k, m).transposed(), Matrix::new(&b, n, k).transposed()),
            ];
            for (a, b) in views {
                let mut c = numbers(m * n, 3);
                let expected: Vec<f64> = (0..m * n)
                    .map(|at| c[at] + 2.0 * (0..k).map(|l| a.entry(at / n, l) * b.entry(l, at % n)).sum::<f64>())
                    .collect();
                multiply(2.0, a, b, MatrixMut::new(&mut c, m, n), Target::Add);
                assert_eq!(c, expected, "{m} {k} {n}");
            }
        }
    }

    #[test]
    fn a_strided_target_keeps_what_lies_between_its_rows() {
        let (a, b) = ([1.0f32, 2.0], [3.0, 4.0]);
        let mut c = [9.0; 7];
        multiply(1.0, Matrix::new(&a, 2, 1), Matrix::new(&b, 1, 2), MatrixMut::strided(&mut c, 2, 2, 5), Target::Overwrite);
        assert_eq!(c, [3.0, 4.0, 9.0, 9.0, 9.0, 6.0, 8.0]);
    }

    #[test]
    #[should_panic(expected = "leaves 5 numbers")]
    fn a_view_outside_its_slice_is_a_defect() {
        Matrix::new(&[0.0f32; 5], 2, 3);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn overlapping_rows_cannot_be_written() {
        MatrixMut::strided(&mut [0.0f32; 9], 3, 3, 2);
    }
}
