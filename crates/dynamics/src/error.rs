//! What can go wrong when following a descent exactly.

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: what was wrong, where, and what would be right.
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

    /// A number of the descent that is no longer finite.
    #[error("{what} is {value} in step {step}; the last finite norm was {last_norm:e}: {hint}")]
    Diverged {
        /// The number that left the finite ones.
        what: String,
        /// `NaN` or infinite.
        value: f64,
        /// The step, from 0.
        step: u64,
        /// The norm of the weights before that step.
        last_norm: f64,
        /// What to change.
        hint: String,
    },
}

impl Error {
    /// A value outside its range.
    #[allow(dead_code, reason = "the first method uses it")]
    pub(crate) fn value(what: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { what: what.into(), found: found.to_string(), expected: expected.into() }
    }
}

/// Checks that a number is finite and greater than 0.
#[allow(dead_code, reason = "the first method uses it")]
pub(crate) fn positive(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(Error::value(what, value, "a finite number above 0")) }
}
