//! Matrices within the parameters, by name.

use faer::Mat;
use thalweg_descent::Real;

use crate::conserved::Part;

/// A matrix that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMatrix {
    /// Its name in the record.
    pub name: String,
    /// Where it lies.
    pub part: Part,
}

impl NamedMatrix {
    /// Its entries in these parameters.
    ///
    /// # Panics
    /// When it does not lie within them.
    pub fn of<F: Real>(&self, parameters: &[F]) -> Mat<f64> {
        Mat::from_fn(self.part.rows, self.part.columns, |i, j| self.part.row(parameters, i)[j].to_f64())
    }

    /// The most singular values it can have.
    pub fn least_side(&self) -> usize {
        self.part.rows.min(self.part.columns)
    }
}
