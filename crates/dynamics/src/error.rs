//! What can go wrong when following a descent exactly.

use std::path::{Path, PathBuf};

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

    /// A gradient flow that could not be followed any further.
    #[error("the flow stopped at time {time}: {reason}")]
    Flow {
        /// The time of the last good state.
        time: f64,
        /// Why.
        reason: String,
    },

    /// A fixed point that was not found.
    #[error(
        "no fixed point after {iterations} iterations: the residual is {residual:.3e}, {}",
        if *growth >= 1.0 { format!("and grows {growth:.3}-fold each time: the map does not contract; try Anderson's or Broyden's method, or more damping") }
        else if growth.is_nan() { "and no bracket holds one: the map does not contract; take |v| times the activation's largest slope below 1".to_owned() }
        else { "so allow more iterations or a larger tolerance".to_owned() }
    )]
    NoFixedPoint {
        /// How many iterations were made.
        iterations: usize,
        /// The last residual.
        residual: f64,
        /// The last residual over the one before.
        growth: f64,
    },

    /// What went wrong in one step of a descent.
    #[error("in step {step}: {source}")]
    Step {
        /// The step, from 0.
        step: u64,
        /// What went wrong.
        source: Box<Error>,
        /// What was recorded until then, if anything was.
        record: Option<Box<serde_json::Value>>,
    },

    /// A vector file that cannot be checked.
    #[error("{}: {reason}", file.display())]
    Vector {
        /// The file or folder.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A measurement failed.
    #[error(transparent)]
    Measurement(#[from] thalweg_probes::Error),

    /// A number of the descent that is no longer finite.
    #[error("{what} is {value:.3e} in step {step}; the last finite norm was {last_norm:.3e}: {hint}")]
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
        /// What was recorded until then, if anything was.
        record: Option<Box<serde_json::Value>>,
    },
}

impl Error {
    /// Whether the input is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Value { .. } | Self::NoFixedPoint { .. } | Self::Vector { .. } => true,
            Self::Measurement(error) => {
                matches!(error, thalweg_probes::Error::Value { .. } | thalweg_probes::Error::NotSeparable)
            }
            // After a first step that went well, what fails is the descent.
            Self::Step { .. } | Self::Flow { .. } | Self::Diverged { .. } => false,
        }
    }

    /// A value outside its range.
    pub(crate) fn value(what: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { what: what.into(), found: found.to_string(), expected: expected.into() }
    }

    /// A fixed point that was not found.
    pub(crate) fn no_fixed_point(iterations: usize, residual: f64, growth: f64) -> Self {
        Self::NoFixedPoint { iterations, residual, growth }
    }

    /// This error, in a step of a descent after the first.
    pub(crate) fn at_step(self, step: u64) -> Self {
        if step == 0 { self } else { Self::Step { step, source: Box::new(self), record: None } }
    }

    /// A number that left the finite ones, or its bounds, in a step; the norm is that of the weights before it.
    pub(crate) fn diverged(what: impl Into<String>, value: f64, step: u64, last_norm: f64, hint: &str) -> Self {
        Self::Diverged { what: what.into(), value, step, last_norm, hint: hint.to_owned(), record: None }
    }

    /// This error of a descent, with what was recorded before it.
    pub(crate) fn keeping<R: serde::Serialize>(mut self, records: &[R]) -> Self {
        if let Self::Diverged { record, .. } | Self::Step { record, .. } = &mut self
            && !records.is_empty()
        {
            *record = serde_json::to_value(records).ok().map(Box::new);
        }
        self
    }

    /// What a descent had recorded before it stopped with this error.
    pub fn record(&self) -> Option<&serde_json::Value> {
        match self {
            Self::Diverged { record, .. } | Self::Step { record, .. } => record.as_deref(),
            _ => None,
        }
    }

    /// A vector file that cannot be checked.
    pub(crate) fn vector(file: &Path, reason: impl Into<String>) -> Self {
        Self::Vector { file: file.to_path_buf(), reason: reason.into() }
    }

    /// A flow that stopped.
    pub(crate) fn flow(time: f64, reason: impl Into<String>) -> Self {
        Self::Flow { time, reason: reason.into() }
    }
}

impl From<Error> for thalweg_descent::Error {
    fn from(error: Error) -> Self {
        if error.is_input() { Self::input(error) } else { Self::piece("following the dynamics", error) }
    }
}

/// Checks that a number is finite and greater than 0.
pub(crate) fn positive(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(Error::value(what, value, "a finite number above 0")) }
}
