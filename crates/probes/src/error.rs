//! What can go wrong when measuring a run.

/// The result of a measurement.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a measurement: what was wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value outside its range.
    #[error("{what} is {found}, but must be {expected}")]
    Value {
        /// The name of the value.
        what: String,
        /// What was given.
        found: String,
        /// What would be right.
        expected: String,
    },

    /// Points that no separator tells apart.
    #[error("the margin is 0 to rounding: the points are not separable by this kernel (one point with two labels?)")]
    NotSeparable,

    /// A matrix entry that is no finite number.
    #[error("the matrix has {value} in row {row}, column {column}; all its entries must be finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// `NaN` or infinite.
        value: f64,
    },

    /// No method decomposed a matrix to rounding.
    #[error("{decomposition} of a {rows} x {columns} matrix: no method came within rounding of the matrix")]
    Decomposition {
        /// Which decomposition.
        decomposition: &'static str,
        /// The matrix's rows.
        rows: usize,
        /// The matrix's columns.
        columns: usize,
    },
}

impl Error {
    /// A value outside its range.
    pub(crate) fn value(what: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { what: what.into(), found: found.to_string(), expected: expected.into() }
    }
}
