//! How much of a filter is signal, memorised noise, or neither.

use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, MatMut, Par, Side};

use super::filters::FilterMatrix;
use super::patches::Patches;
use super::tiles::{Shape, Tiles};
use crate::error::{Error, Result};

/// Splits a change of the weights along the signal mu and the noise vectors `xi_i`:
///
/// `w_{j,r} - w_{j,r}(0) = j gamma_{j,r} mu/|mu|^2 + sum_i rho_{j,r,i} xi_i/|xi_i|^2 + e_{j,r}`, e orthogonal to mu and all `xi_i`.
///
/// Where mu is orthogonal to all `xi_i`, `gamma = <w - w(0), j mu>`. The residual e is 0 without injected noise, because gradients lie in
/// the span of the patches.
///
/// The vectors must be linearly independent: no pseudo-inverse is taken in silence.
#[derive(Clone, Debug)]
pub struct Decomposition {
    /// mu, then the `xi_i`.
    directions: Tiles,
    norms: Vec<f64>,
    /// The Cholesky factor of the Gram matrix of the directions, each scaled to norm 1.
    factor: Mat<f64>,
}

/// The parts of a change of the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficients {
    /// gamma of each filter; positive when the filter has moved along mu towards its class.
    pub signal: Vec<f64>,
    /// rho: a row for each noise vector.
    pub noise: FilterMatrix,
    /// The part e outside the span: a row for each coordinate.
    pub residual: FilterMatrix,
}

impl Decomposition {
    /// Along the atoms of data made by [`Patches::signal_and_noise`] or sampled: the first is the signal, the others are noise.
    ///
    /// # Errors
    /// [`Error::Value`] when the vectors are more than the coordinates, or linearly dependent to within rounding.
    pub fn of(data: &Patches) -> Result<Self> {
        Self::along(data.matrix().clone())
    }

    /// Along a signal and noise vectors of its length, one after the other.
    ///
    /// # Errors
    /// As [`of`](Self::of), and for lengths that do not fit.
    pub fn along_vectors(signal: &[f64], noise: &[f64]) -> Result<Self> {
        let labels = vec![1; noise.len() / signal.len().max(1)];
        Self::of(&Patches::signal_and_noise(signal, noise, &labels)?)
    }

    fn along(directions: Tiles) -> Result<Self> {
        if directions.rows() > directions.columns() {
            return Err(dependent(format!("{} vectors in {} coordinates", directions.rows(), directions.columns())));
        }
        let norms: Vec<f64> = (0..directions.rows()).map(|row| directions.row(row).map(|x| x * x).sum::<f64>().sqrt()).collect();
        if let Some(zero) = norms.iter().position(|&norm| norm == 0.0) {
            return Err(dependent(format!("vector {zero}, which is 0, among them (0 is the signal)")));
        }
        let scaled = Mat::from_fn(directions.rows(), directions.columns(), |i, k| directions.get(i, k) / norms[i]);
        let factor = match directions.shape() {
            Shape::Lower => scaled,
            Shape::Full => {
                let gram = &scaled * scaled.transpose();
                let found = gram.llt(Side::Lower).map_err(|_| dependent("linearly dependent vectors"))?;
                found.L().to_owned()
            }
        };
        let smallest = (0..factor.nrows()).map(|i| factor[(i, i)].abs()).fold(f64::INFINITY, f64::min);
        let rounding = (8.0 * f64::EPSILON * factor.nrows() as f64).sqrt();
        if smallest > rounding {
            return Ok(Self { directions, norms, factor });
        }
        Err(dependent(format!("vectors of which one lies within {smallest:.1e} of the span of the others")))
    }

    /// The coefficients of this change, `W - W(0)`.
    ///
    /// # Errors
    /// [`Error::Value`] when the change has another dimension than the vectors.
    pub fn split(&self, change: &FilterMatrix) -> Result<Coefficients> {
        let (mut along, residual) = self.project(change)?;
        // `along` has the coefficients of the vectors themselves; gamma and rho are those of v / |v|^2.
        for (row, norm) in self.norms.iter().enumerate() {
            along.row_mut(row).iter_mut().for_each(|value| *value *= norm * norm);
        }
        let width = change.width();
        let signed = |(filter, value): (usize, &f64)| if filter < width { *value } else { -value };
        let signal = along.row(0).iter().enumerate().map(signed).collect();
        let mut noise = FilterMatrix::zeros(self.norms.len() - 1, width);
        for row in 0..noise.rows() {
            noise.row_mut(row).copy_from_slice(along.row(row + 1));
        }
        Ok(Coefficients { signal, noise, residual })
    }

    /// The coefficients of the directions, and what is left.
    fn project(&self, change: &FilterMatrix) -> Result<(FilterMatrix, FilterMatrix)> {
        if change.rows() != self.directions.columns() {
            let expected = format!("{}, as the vectors'", self.directions.columns());
            return Err(Error::value("the dimension of the change", change.rows(), expected));
        }
        let mut along = FilterMatrix::zeros(self.directions.rows(), change.width());
        self.directions.times(change, &mut along);
        self.scale(&mut along);
        let (rows, stride) = (along.rows(), along.stride());
        let mut view = MatMut::from_row_major_slice_mut(&mut along.padded_mut()[..rows * stride], rows, stride);
        solve_lower_triangular_in_place(self.factor.as_ref(), view.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(self.factor.transpose(), view.as_mut(), Par::Seq);
        self.scale(&mut along);
        let mut residual = FilterMatrix::zeros(change.rows(), change.width());
        self.directions.transposed_times(&along, &mut residual);
        Ok((along, change.minus(&residual)))
    }

    fn scale(&self, along: &mut FilterMatrix) {
        for (row, norm) in self.norms.iter().enumerate() {
            along.row_mut(row).iter_mut().for_each(|value| *value /= norm);
        }
    }

    /// The change that these coefficients describe: the inverse of [`split`](Self::split).
    ///
    /// # Errors
    /// [`Error::Value`] when the coefficients are not of these vectors.
    pub fn join(&self, parts: &Coefficients) -> Result<FilterMatrix> {
        let found = (parts.noise.rows() + 1, parts.signal.len(), parts.residual.rows());
        let expected = (self.norms.len(), parts.noise.filters(), self.directions.columns());
        if found != expected {
            return Err(Error::value("the shape of the coefficients", format!("{found:?}"), format!("{expected:?}")));
        }
        let width = parts.noise.width();
        let mut along = FilterMatrix::zeros(self.norms.len(), width);
        for (filter, value) in along.row_mut(0).iter_mut().enumerate() {
            *value = if filter < width { parts.signal[filter] } else { -parts.signal[filter] };
        }
        for row in 0..parts.noise.rows() {
            along.row_mut(row + 1).copy_from_slice(parts.noise.row(row));
        }
        self.scale(&mut along);
        self.scale(&mut along);
        let mut change = FilterMatrix::zeros(self.directions.columns(), width);
        self.directions.transposed_times(&along, &mut change);
        change.add_scaled(1.0, &parts.residual);
        Ok(change)
    }
}

impl Coefficients {
    /// The largest gamma.
    pub fn largest_signal(&self) -> f64 {
        self.signal.iter().fold(f64::NEG_INFINITY, |largest, &value| largest.max(value))
    }

    /// The largest rho. Under injected noise this is almost only that noise: compare it with the control's.
    pub fn largest_noise(&self) -> f64 {
        self.noise.largest()
    }
}

fn dependent(found: impl ToString) -> Error {
    Error::value(
        "the set of signal and noise vectors",
        found.to_string(),
        "linearly independent, with at most as many vectors as coordinates: the coefficients have no meaning otherwise; \
         take fewer examples or a larger dimension",
    )
}
