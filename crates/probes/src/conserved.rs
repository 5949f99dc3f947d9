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
}

impl Part {
    /// A matrix of so many rows and columns from there on; a vector has one row.
    pub fn new(start: usize, rows: usize, columns: usize) -> Self {
        Self { start, rows, columns }
    }

    fn end(&self) -> usize {
        self.start + self.rows * self.columns
    }

    fn of<'a>(&self, vector: &'a [f64]) -> &'a [f64] {
        &vector[self.start..self.end()]
    }

    fn row<'a>(&self, vector: &'a [f64], row: usize) -> &'a [f64] {
        &self.of(vector)[row * self.columns..(row + 1) * self.columns]
    }
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
            Self::ColumnSums { part } => fits("the weights", part.end()),
        }
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
                    let (own, others) = rest.split_at(part.rows * part.columns);
                    subtract(part.start..part.end(), own);
                    rest = others;
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
                let sum = |parts: &[Part]| parts.iter().map(|part| dot(part.of(x), part.of(y))).sum::<f64>();
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
        ] {
            assert!(matches!(wrong.value(&[0.0; 7]), Err(Error::Value { .. })), "{wrong:?}");
        }
    }
}
