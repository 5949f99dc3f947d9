//! Quantities that gradient flow conserves, and by how much a gradient step moves them.
//!
//! A symmetry of the loss makes a quadratic form Q of the parameters stand still along gradient flow: the gradient g is orthogonal to
//! the symmetry's direction, `Q(theta, g) = 0` in the bilinear sense. A plain step `theta - eta g` then moves Q by **exactly**
//! `eta^2 Q(g)`, on every mini-batch. A run whose measured drift differs has a wrong gradient, a step that is no plain gradient step,
//! or lacks the symmetry.

use std::ops::Range;

use crate::error::{Error, Result};

/// A matrix within a flat vector of parameters, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it starts.
    pub start: usize,
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub columns: usize,
    /// From the start of a row to that of the next.
    pub stride: usize,
}

impl Part {
    /// A matrix of so many rows and columns from there on; a vector has one row.
    pub fn new(start: usize, rows: usize, columns: usize) -> Self {
        Self { start, rows, columns, stride: columns }
    }

    /// Some columns of a wider matrix that starts there: the query weights of a head, say.
    pub fn columns_of(matrix: Self, columns: Range<usize>) -> Self {
        Self { start: matrix.start + columns.start, rows: matrix.rows, columns: columns.len(), stride: matrix.stride }
    }

    fn end(&self) -> usize {
        match self.rows {
            0 => self.start,
            rows => self.start + (rows - 1) * self.stride + self.columns,
        }
    }

    pub(crate) fn row<'a, F>(&self, vector: &'a [F], row: usize) -> &'a [F] {
        let start = self.start + row * self.stride;
        &vector[start..start + self.columns]
    }

    fn inner(&self, x: &[f64], y: &[f64]) -> f64 {
        (0..self.rows).map(|row| dot(self.row(x, row), self.row(y, row))).sum()
    }
}

/// Vectors within the parameters, one for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The rows of a matrix.
    Rows(Part),
    /// The columns of a matrix.
    Columns(Part),
}

impl Frame {
    fn part(&self) -> &Part {
        match self {
            Self::Rows(part) | Self::Columns(part) => part,
        }
    }

    fn units(&self) -> usize {
        match self {
            Self::Rows(part) => part.rows,
            Self::Columns(part) => part.columns,
        }
    }

    /// The inner product of a unit's vector in x and another's in y.
    fn inner(&self, x: &[f64], i: usize, y: &[f64], j: usize) -> f64 {
        match self {
            Self::Rows(part) => dot(part.row(x, i), part.row(y, j)),
            Self::Columns(part) => (0..part.rows).map(|row| part.row(x, row)[i] * part.row(y, row)[j]).sum(),
        }
    }
}

/// Which entries of a difference of Gram matrices are conserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// All: units that only meet in a product may be mixed.
    All,
    /// Those of a unit with itself: each unit may be scaled.
    Diagonal,
}

/// A conserved quantity: one number, or one for each unit or pair of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Conserved {
    /// `|p|^2 - |q|^2`, for a loss that does not change under `(c p, q / c)`.
    Balance {
        /// The blocks of p.
        plus: Vec<Part>,
        /// The blocks of q.
        minus: Vec<Part>,
    },
    /// `|w_in|^2 + b^2 - |w_out|^2` of each unit of a positively homogeneous activation (ReLU, leaky ReLU, none).
    Units {
        /// Incoming weights, one row a unit.
        incoming: Part,
        /// Biases, one a unit.
        biases: Option<Range<usize>>,
        /// Outgoing weights, one column a unit.
        outgoing: Part,
    },
    /// `A^T A - B B^T`, for a loss that sees A (m x k) and B (k x n) through their product alone: two linear layers, or the pairs of a
    /// head of attention.
    Product {
        /// A.
        left: Part,
        /// B.
        right: Part,
    },
    /// `|w - centre|^2`, for a loss that does not change when w moves away from the centre: weights before a normalisation, or a linear
    /// equilibrium model about its degenerate point.
    Sphere {
        /// The entries of w.
        entries: Range<usize>,
        /// The centre; 0 where empty.
        centre: Vec<f64>,
    },
    /// `B B^T`, B = `[A_1 - C_1, A_2 - C_2, ...]`, for a loss that does not change when B is multiplied from the left: a matrix
    /// equilibrium model, with B = `[W - I, U]`.
    Gram {
        /// The A, of as many rows each.
        parts: Vec<Part>,
        /// The C, one after the other; 0 where empty.
        centre: Vec<f64>,
    },
    /// `sum_plus <v_i, v_j> - sum_minus <w_i, w_j>` of the vectors of units i and j: pairs of layers as networks store them. With all
    /// entries, query and key or value and output of a head of attention; with the diagonal, the units of a ReLU layer.
    Frames {
        /// The v.
        plus: Vec<Frame>,
        /// The w.
        minus: Vec<Frame>,
        /// Which of them.
        entries: Entries,
    },
    /// The sum of each column of W, for a loss that does not change when all rows move alike: the weights of a softmax.
    ColumnSums {
        /// W.
        part: Part,
    },
}

impl Conserved {
    /// The quantity's value at parameters.
    ///
    /// # Errors
    /// [`Error::Value`] when a part does not fit the others or the parameters.
    pub fn value(&self, parameters: &[f64]) -> Result<Vec<f64>> {
        self.check(parameters.len())?;
        let displaced = self.displaced(parameters);
        Ok(self.form(&displaced, &displaced))
    }

    /// By how much a plain step moves the quantity, over the squared rate: the form of the update.
    pub(crate) fn of_update(&self, update: &[f64]) -> Vec<f64> {
        match self {
            Self::ColumnSums { part } => vec![0.0; part.columns],
            _ => self.form(update, update),
        }
    }

    /// The form of parameters and update, which is 0 for a true gradient: half of what a step moves the quantity by in first order.
    pub(crate) fn defect(&self, parameters: &[f64], update: &[f64]) -> Vec<f64> {
        match self {
            Self::ColumnSums { .. } => self.form(update, update),
            _ => self.form(&self.displaced(parameters), update),
        }
    }

    /// Whether weight decay only scales the quantity, and by which power of the kept share: 2 for forms about 0, 1 for sums.
    pub(crate) fn power(&self) -> Option<i32> {
        match self {
            Self::ColumnSums { .. } => Some(1),
            Self::Sphere { centre, .. } | Self::Gram { centre, .. } if centre.iter().any(|entry| *entry != 0.0) => None,
            _ => Some(2),
        }
    }

    /// Refuses parts that do not fit a vector of that length.
    pub(crate) fn check(&self, length: usize) -> Result<()> {
        let fits = |what: &str, end: usize| match end <= length {
            true => Ok(()),
            false => Err(Error::value(format!("the end of {what}"), end, format!("at most {length}, the number of parameters"))),
        };
        let same = |what: &str, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(Error::value(what, found, expected.to_string())),
        };
        match self {
            Self::Balance { plus, minus } => plus.iter().chain(minus).try_for_each(|part| fits("a block", part.end())),
            Self::Units { incoming, biases, outgoing } => {
                fits("the incoming weights", incoming.end())?;
                fits("the outgoing weights", outgoing.end())?;
                same("the columns of the outgoing weights", outgoing.columns, incoming.rows)?;
                let Some(biases) = biases else { return Ok(()) };
                fits("the biases", biases.end)?;
                same("the number of biases", biases.len(), incoming.rows)
            }
            Self::Product { left, right } => {
                fits("the left factor", left.end())?;
                fits("the right factor", right.end())?;
                same("the columns of the left factor", left.columns, right.rows)
            }
            Self::Sphere { entries, centre } => {
                fits("the entries", entries.end)?;
                if centre.is_empty() { Ok(()) } else { same("the length of the centre", centre.len(), entries.len()) }
            }
            Self::Gram { parts, centre } => {
                let rows = parts.first().map_or(0, |part| part.rows);
                for part in parts {
                    fits("a part", part.end())?;
                    same("the rows of a part", part.rows, rows)?;
                }
                let entries = parts.iter().map(|part| part.rows * part.columns).sum();
                if centre.is_empty() { Ok(()) } else { same("the length of the centre", centre.len(), entries) }
            }
            Self::Frames { plus, minus, .. } => {
                let units = plus.first().map_or(0, Frame::units);
                plus.iter().chain(minus).try_for_each(|frame| {
                    fits("a frame", frame.part().end())?;
                    same("the units of a frame", frame.units(), units)
                })
            }
            Self::ColumnSums { part } => fits("the weights", part.end()),
        }
    }

    /// The squared size of the parameters of a balance: independent noise of standard deviation s in an update moves the quantity by
    /// `2 rate s` times its root, in first order. `None` for other quantities.
    pub(crate) fn squared_size(&self, parameters: &[f64]) -> Option<f64> {
        let Self::Balance { plus, minus } = self else { return None };
        Some(plus.iter().chain(minus).map(|part| part.inner(parameters, parameters)).sum())
    }

    /// The parameters less the centre.
    fn displaced(&self, parameters: &[f64]) -> Vec<f64> {
        let mut displaced = parameters.to_vec();
        let mut subtract = |range: Range<usize>, centre: &[f64]| {
            displaced[range].iter_mut().zip(centre).for_each(|(entry, centre)| *entry -= centre);
        };
        match self {
            Self::Sphere { entries, centre } => subtract(entries.clone(), centre),
            Self::Gram { parts, centre } if !centre.is_empty() => {
                let mut rest = &centre[..];
                for part in parts {
                    for row in 0..part.rows {
                        let (own, others) = rest.split_at(part.columns);
                        let start = part.start + row * part.stride;
                        subtract(start..start + part.columns, own);
                        rest = others;
                    }
                }
            }
            _ => {}
        }
        displaced
    }

    /// The symmetric bilinear form of two vectors; the sums of the second for a linear quantity.
    fn form(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        match self {
            Self::Balance { plus, minus } => {
                let sum = |parts: &[Part]| parts.iter().map(|part| part.inner(x, y)).sum::<f64>();
                vec![sum(plus) - sum(minus)]
            }
            Self::Units { incoming, biases, outgoing } => {
                let unit = |unit: usize| {
                    let bias = biases.as_ref().map_or(0.0, |range| x[range.start + unit] * y[range.start + unit]);
                    let out = |row: usize| outgoing.row(x, row)[unit] * outgoing.row(y, row)[unit];
                    dot(incoming.row(x, unit), incoming.row(y, unit)) + bias - (0..outgoing.rows).map(out).sum::<f64>()
                };
                (0..incoming.rows).map(unit).collect()
            }
            Self::Product { left, right } => {
                let k = right.rows;
                let both = |f: &dyn Fn(&[f64], &[f64]) -> f64| 0.5 * (f(x, y) + f(y, x));
                let entry = |i: usize, j: usize| {
                    let columns =
                        |x: &[f64], y: &[f64]| (0..left.rows).map(|r| left.row(x, r)[i] * left.row(y, r)[j]).sum::<f64>();
                    both(&columns) - both(&|x, y| dot(right.row(x, i), right.row(y, j)))
                };
                (0..k * k).map(|at| entry(at / k, at % k)).collect()
            }
            Self::Sphere { entries, .. } => vec![dot(&x[entries.clone()], &y[entries.clone()])],
            Self::Gram { parts, .. } => {
                let rows = parts.first().map_or(0, |part| part.rows);
                let rows_of = |part: &Part, i: usize, j: usize| {
                    0.5 * (dot(part.row(x, i), part.row(y, j)) + dot(part.row(y, i), part.row(x, j)))
                };
                (0..rows * rows).map(|at| parts.iter().map(|part| rows_of(part, at / rows, at % rows)).sum()).collect()
            }
            Self::Frames { plus, minus, entries } => {
                let units = plus.first().map_or(0, Frame::units);
                let entry = |i: usize, j: usize| {
                    let sum = |frames: &[Frame]| {
                        frames.iter().map(|frame| 0.5 * (frame.inner(x, i, y, j) + frame.inner(y, i, x, j))).sum::<f64>()
                    };
                    sum(plus) - sum(minus)
                };
                match entries {
                    Entries::All => (0..units * units).map(|at| entry(at / units, at % units)).collect(),
                    Entries::Diagonal => (0..units).map(|unit| entry(unit, unit)).collect(),
                }
            }
            Self::ColumnSums { part } => (0..part.columns).map(|j| (0..part.rows).map(|i| part.row(y, i)[j]).sum()).collect(),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let part = Part::new;
        let balance = Conserved::Balance { plus: vec![part(0, 1, 2)], minus: vec![part(2, 1, 1)] };
        assert_eq!(balance.value(&[1.0, 2.0, 3.0]).unwrap(), [-4.0]);
        let units = Conserved::Units { incoming: part(0, 2, 2), biases: Some(4..6), outgoing: part(6, 1, 2) };
        assert_eq!(units.value(&[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 5.0, 6.0]).unwrap(), [6.0 - 25.0, 29.0 - 36.0]);
        let product = Conserved::Product { left: part(0, 1, 2), right: part(2, 2, 1) };
        assert_eq!(product.value(&[1.0, 2.0, 3.0, 4.0]).unwrap(), [1.0 - 9.0, 2.0 - 12.0, 2.0 - 12.0, 4.0 - 16.0]);
        let sphere = Conserved::Sphere { entries: 0..2, centre: vec![0.0, 1.0] };
        assert_eq!(sphere.value(&[3.0, 5.0]).unwrap(), [25.0]);
        let gram = Conserved::Gram { parts: vec![part(0, 1, 1), part(1, 1, 2)], centre: vec![1.0, 0.0, 0.0] };
        assert_eq!(gram.value(&[3.0, 1.0, 2.0]).unwrap(), [9.0]);
        assert_eq!(Conserved::ColumnSums { part: part(0, 2, 2) }.value(&[1.0, 2.0, 3.0, 4.0]).unwrap(), [4.0, 6.0]);
    }

    #[test]
    fn frames_are_units_and_products_as_networks_store_them() {
        let vector: Vec<f64> = (0..40).map(|at| (f64::from(at) * 0.7).sin()).collect();
        // A (2 x 3) B (3 x 2), side by side in one block of 5 columns, and the same apart.
        let wide = Part::new(0, 3, 5);
        let (a, b) = (Part::columns_of(wide, 0..2), Part::columns_of(wide, 2..5));
        let apart: Vec<f64> = (0..2)
            .flat_map(|i| (0..3).map(move |k| (k, i)))
            .map(|(k, i)| vector[5 * k + i])
            .chain((0..3).flat_map(|row| vector[5 * row + 2..5 * row + 5].to_vec()))
            .collect();
        let frames = |entries| Conserved::Frames { plus: vec![Frame::Rows(a)], minus: vec![Frame::Rows(b)], entries };
        let product = Conserved::Product { left: Part::new(0, 2, 3), right: Part::new(6, 3, 3) };
        let (found, expected) = (frames(Entries::All).value(&vector).unwrap(), product.value(&apart).unwrap());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14), "{found:?} {expected:?}");
        let diagonal = frames(Entries::Diagonal).value(&vector).unwrap();
        assert_eq!(diagonal, [found[0], found[4], found[8]]);

        let units = Conserved::Units { incoming: Part::new(0, 2, 3), biases: Some(6..8), outgoing: Part::new(8, 4, 2) };
        let same = Conserved::Frames {
            plus: vec![Frame::Rows(Part::new(0, 2, 3)), Frame::Columns(Part::new(6, 1, 2))],
            minus: vec![Frame::Columns(Part::new(8, 4, 2))],
            entries: Entries::Diagonal,
        };
        let (found, expected) = (same.value(&vector).unwrap(), units.value(&vector).unwrap());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let part = Part::new;
        for wrong in [
            Conserved::Balance { plus: vec![part(0, 3, 3)], minus: vec![] },
            Conserved::Units { incoming: part(0, 2, 2), biases: None, outgoing: part(4, 1, 3) },
            Conserved::Units { incoming: part(0, 2, 2), biases: Some(4..5), outgoing: part(5, 1, 2) },
            Conserved::Product { left: part(0, 1, 2), right: part(2, 3, 1) },
            Conserved::Sphere { entries: 0..2, centre: vec![1.0] },
            Conserved::Gram { parts: vec![part(0, 1, 1), part(1, 2, 2)], centre: vec![] },
            Conserved::ColumnSums { part: part(4, 2, 2) },
            Conserved::Frames {
                plus: vec![Frame::Rows(part(0, 2, 2))],
                minus: vec![Frame::Rows(part(4, 1, 2))],
                entries: Entries::All,
            },
            Conserved::Frames { plus: vec![Frame::Columns(part(0, 2, 4))], minus: vec![], entries: Entries::Diagonal },
        ] {
            assert!(matches!(wrong.value(&[0.0; 7]), Err(Error::Value { .. })), "{wrong:?}");
        }
    }
}
