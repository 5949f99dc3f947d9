//! A matrix in tiles of 8 x 8, and its products with one column for each filter.
//!
//! A step costs two products, `A W` and `A^T B`. Both read a tile while it is in the cache and keep 8 rows of results in registers,
//! so one layout serves both. Of a triangular matrix the empty half is neither stored nor multiplied.

use pulp::{Arch, Simd, WithSimd};

use super::filters::FilterMatrix;

/// Rows and columns of a tile.
pub(crate) const SIDE: usize = 8;

/// Entry (r, c) of a tile lies at `8 c + r`.
type Tile = [f64; SIDE * SIDE];

/// Which tiles are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All.
    Full,
    /// Those on and below the diagonal of a square.
    Lower,
}

/// A matrix in tiles, padded with zeros to whole ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tiles {
    rows: usize,
    columns: usize,
    shape: Shape,
    tiles: Vec<Tile>,
}

impl Tiles {
    /// A full matrix of zeros.
    pub(crate) fn full(rows: usize, columns: usize) -> Self {
        Self::zeros(rows, columns, Shape::Full)
    }

    /// A square lower triangular matrix of zeros.
    pub(crate) fn lower(side: usize) -> Self {
        Self::zeros(side, side, Shape::Lower)
    }

    fn zeros(rows: usize, columns: usize, shape: Shape) -> Self {
        let (down, across) = (rows.div_ceil(SIDE), columns.div_ceil(SIDE));
        let count = match shape {
            Shape::Full => down * across,
            Shape::Lower => down * (down + 1) / 2,
        };
        Self { rows, columns, shape, tiles: vec![[0.0; SIDE * SIDE]; count] }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The entry in that row and column.
    pub(crate) fn get(&self, row: usize, column: usize) -> f64 {
        if self.shape == Shape::Lower && column > row {
            return 0.0;
        }
        self.tiles[self.tile(row / SIDE, column / SIDE)][SIDE * (column % SIDE) + row % SIDE]
    }

    /// Sets an entry, which must be one that the shape has.
    pub(crate) fn set(&mut self, row: usize, column: usize, value: f64) {
        debug_assert!(row < self.rows && column < self.columns && (self.shape == Shape::Full || column <= row));
        let tile = self.tile(row / SIDE, column / SIDE);
        self.tiles[tile][SIDE * (column % SIDE) + row % SIDE] = value;
    }

    /// The entries of a row, zeros included.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        (0..self.columns).map(move |column| self.get(row, column))
    }

    /// `out = A x`: `x` has a row for each column of A, `out` for each row of A.
    pub(crate) fn times(&self, x: &FilterMatrix, out: &mut FilterMatrix) {
        assert_eq!((x.rows(), out.rows()), (self.columns, self.rows));
        Arch::new().dispatch(Product { matrix: self, x, out, by: Plain });
    }

    /// `out = A^T x`: `x` has a row for each row of A, `out` for each column of A.
    pub(crate) fn transposed_times(&self, x: &FilterMatrix, out: &mut FilterMatrix) {
        assert_eq!((x.rows(), out.rows()), (self.rows, self.columns));
        Arch::new().dispatch(Product { matrix: self, x, out, by: Transposed });
    }

    fn tile(&self, down: usize, across: usize) -> usize {
        match self.shape {
            Shape::Full => down * self.columns.div_ceil(SIDE) + across,
            Shape::Lower => down * (down + 1) / 2 + across,
        }
    }
}

/// How a product goes through the tiles.
trait Way: Copy {
    /// Rows of results, in tiles.
    fn outer(self, matrix: &Tiles) -> usize;
    /// The tiles that one tile row of results needs.
    fn inner(self, matrix: &Tiles, outer: usize) -> std::ops::Range<usize>;
    /// Which tile meets `outer` and `inner`.
    fn tile(self, matrix: &Tiles, outer: usize, inner: usize) -> usize;
    /// Where in a tile the factor lies that takes row `inner` of x to row `outer` of the result.
    fn place(self, outer: usize, inner: usize) -> usize;
}

#[derive(Clone, Copy)]
struct Plain;

impl Way for Plain {
    fn outer(self, matrix: &Tiles) -> usize {
        matrix.rows.div_ceil(SIDE)
    }

    fn inner(self, matrix: &Tiles, outer: usize) -> std::ops::Range<usize> {
        match matrix.shape {
            Shape::Full => 0..matrix.columns.div_ceil(SIDE),
            Shape::Lower => 0..outer + 1,
        }
    }

    fn tile(self, matrix: &Tiles, outer: usize, inner: usize) -> usize {
        matrix.tile(outer, inner)
    }

    #[inline(always)]
    fn place(self, outer: usize, inner: usize) -> usize {
        SIDE * inner + outer
    }
}

#[derive(Clone, Copy)]
struct Transposed;

impl Way for Transposed {
    fn outer(self, matrix: &Tiles) -> usize {
        matrix.columns.div_ceil(SIDE)
    }

    fn inner(self, matrix: &Tiles, outer: usize) -> std::ops::Range<usize> {
        let down = matrix.rows.div_ceil(SIDE);
        match matrix.shape {
            Shape::Full => 0..down,
            Shape::Lower => outer..down,
        }
    }

    fn tile(self, matrix: &Tiles, outer: usize, inner: usize) -> usize {
        matrix.tile(inner, outer)
    }

    #[inline(always)]
    fn place(self, outer: usize, inner: usize) -> usize {
        SIDE * outer + inner
    }
}

struct Product<'a, W> {
    matrix: &'a Tiles,
    x: &'a FilterMatrix,
    out: &'a mut FilterMatrix,
    by: W,
}

impl<W: Way> WithSimd for Product<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = self.x.stride() / S::F64_LANES;
        let (x, _) = S::as_simd_f64s(self.x.padded());
        let (out, _) = S::as_mut_simd_f64s(self.out.padded_mut());
        let Self { matrix, by, .. } = self;
        for (outer, out) in out.chunks_exact_mut(SIDE * vectors).enumerate().take(by.outer(matrix)) {
            let rows = Rows { simd, matrix, x, vectors, by, outer };
            // Sums that fill the registers: 8 x 3 of 32, or 4 x 3 of 16.
            if S::REGISTER_COUNT >= 32 {
                rows.fill::<8>(out);
            } else {
                rows.fill::<4>(out);
            }
        }
    }
}

/// The 8 rows of results of one tile row.
#[derive(Clone, Copy)]
struct Rows<'a, S: Simd, W> {
    simd: S,
    matrix: &'a Tiles,
    x: &'a [S::f64s],
    /// SIMD vectors to a row.
    vectors: usize,
    by: W,
    outer: usize,
}

impl<S: Simd, W: Way> Rows<'_, S, W> {
    #[inline(always)]
    fn fill<const R: usize>(self, out: &mut [S::f64s]) {
        for (part, out) in out.chunks_exact_mut(R * self.vectors).enumerate() {
            let mut first = 0;
            while first < self.vectors {
                first += match self.vectors - first {
                    1 => self.fill_vectors::<R, 1>(part * R, first, out),
                    2 => self.fill_vectors::<R, 2>(part * R, first, out),
                    _ => self.fill_vectors::<R, 3>(part * R, first, out),
                };
            }
        }
    }

    /// R rows of results from row `start` of the tile row, N vectors of each; returns N.
    #[inline(always)]
    fn fill_vectors<const R: usize, const N: usize>(self, start: usize, first: usize, out: &mut [S::f64s]) -> usize {
        let Self { simd, matrix, x, vectors, by, outer } = self;
        let mut sums = [[simd.splat_f64s(0.0); N]; R];
        for inner in by.inner(matrix, outer) {
            let tile = &matrix.tiles[by.tile(matrix, outer, inner)];
            let x = &x[inner * SIDE * vectors..][..SIDE * vectors];
            for (k, x) in x.chunks_exact(vectors).enumerate() {
                let x: [S::f64s; N] = std::array::from_fn(|n| x[first + n]);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.splat_f64s(tile[by.place(start + r, k)]);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f64s(factor, x, *sum);
                    }
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(vectors).zip(sums) {
            out[first..first + N].copy_from_slice(&sums);
        }
        N
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize, shape: Shape) -> Tiles {
        let mut tiles = Tiles::zeros(rows, columns, shape);
        for row in 0..rows {
            for column in 0..(if shape == Shape::Lower { row + 1 } else { columns }) {
                tiles.set(row, column, ((7 * row + 3 * column) as f64).sin());
            }
        }
        tiles
    }

    fn filters(rows: usize, width: usize) -> FilterMatrix {
        let columns: Vec<Vec<f64>> =
            (0..2 * width).map(|f| (0..rows).map(|k| ((5 * f + 2 * k) as f64).cos()).collect()).collect();
        FilterMatrix::from_columns(&columns).unwrap()
    }

    /// `sum_k factor(i, k) x[k]`, entry by entry.
    fn directly(rows: usize, x: &FilterMatrix, factor: impl Fn(usize, usize) -> f64) -> FilterMatrix {
        let mut out = FilterMatrix::zeros(rows, x.width());
        for i in 0..rows {
            for f in 0..x.filters() {
                out.row_mut(i)[f] = (0..x.rows()).map(|k| factor(i, k) * x.row(k)[f]).sum();
            }
        }
        out
    }

    proptest! {
        #[test]
        fn products_are_the_sums_they_stand_for(rows in 1usize..40, columns in 1usize..40, width in 1usize..20, triangle: bool) {
            let (shape, columns) = if triangle { (Shape::Lower, rows) } else { (Shape::Full, columns) };
            let a = matrix(rows, columns, shape);
            let (x, b) = (filters(columns, width), filters(rows, width));
            let (mut ax, mut atb) = (filters(rows, width), filters(columns, width));
            a.times(&x, &mut ax);
            a.transposed_times(&b, &mut atb);
            let far = |found: &FilterMatrix, expected: &FilterMatrix| found.minus(expected).squared_norm();
            prop_assert!(far(&ax, &directly(rows, &x, |i, k| a.get(i, k))) < 1e-24);
            prop_assert!(far(&atb, &directly(columns, &b, |i, k| a.get(k, i))) < 1e-24);
        }
    }
}
