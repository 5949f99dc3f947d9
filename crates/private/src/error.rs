//! What can go wrong when training privately.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: what was wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
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

    /// A mechanism that cannot be built, or must not be used, in this setting.
    #[error("{mechanism} does not fit here: {reason}")]
    Unsuitable {
        /// The mechanism's name.
        mechanism: String,
        /// Why, and what would fit.
        reason: String,
    },

    /// More noise was asked of a stream than the strategy covers.
    #[error("the strategy was built for {steps} steps and all are spent; plan again with more steps")]
    Exhausted {
        /// The steps of the strategy.
        steps: u64,
    },

    /// A step was asked for out of turn: noise that was released is never drawn again.
    #[error("step {asked} was asked for, but the next step of this noise is {next}")]
    OutOfTurn {
        /// The step asked for, from 0.
        asked: u64,
        /// The step whose turn it is, from 0.
        next: u64,
    },

    /// Saved state that belongs to something else.
    #[error("the saved state is not of this mechanism: {reason}")]
    State {
        /// What does not fit.
        reason: String,
    },

    /// A gradient norm that is not a finite number.
    #[error(
        "the gradient norm of unit {unit} in the batch is {norm}, so its contribution has no bound; \
         find the cause: often the rate, or a value in the data"
    )]
    NonFiniteNorm {
        /// The unit's place in its shard.
        unit: usize,
        /// `NaN` or infinite.
        norm: f64,
    },

    /// A sum of clipped gradients that is not finite.
    #[error(
        "entry {index} of the sum of clipped gradients in step {step} is {value}; nothing was released: find the cause, \
         often a learning rate that is too large"
    )]
    NonFiniteSum {
        /// The step, from 0.
        step: u64,
        /// The entry, from 0.
        index: usize,
        /// `NaN` or infinite.
        value: f32,
    },

    /// A sum that discrete noise cannot be added to exactly.
    #[error(
        "the sum of step {step} is none of whole grid units that f32 holds exactly; nothing was released: discrete noise needs an \
         objective on the plan's grid"
    )]
    OffGrid {
        /// The step, from 0.
        step: u64,
    },

    /// The key file could not be read or written.
    #[error("{doing} the noise key {}: {source}", path.display())]
    KeyFile {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },

    /// A strategy file could not be read or written.
    #[error("{doing} the strategy file {}: {reason}", path.display())]
    StrategyFile {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed, with the line where it is one of the file.
        reason: String,
    },

    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for the noise key: {0}")]
    NoEntropy(String),

    /// A privacy-loss grid that would need too many points.
    #[error("the privacy-loss grid needs {points} points, more than the cap of {cap}; use a coarser step than {step}")]
    GridTooLarge {
        /// The points needed.
        points: usize,
        /// The cap.
        cap: usize,
        /// The step of the grid.
        step: f64,
    },

    /// No noise reaches the guarantee.
    #[error("no noise multiplier up to {limit:e} gives epsilon {epsilon} at delta {delta:e}; {hint}")]
    Unreachable {
        /// The epsilon asked for.
        epsilon: f64,
        /// The delta asked for.
        delta: f64,
        /// The largest multiplier tried.
        limit: f64,
        /// What to change.
        hint: String,
    },

    /// A piece of a descent failed.
    #[error(transparent)]
    Descent(#[from] thalweg_descent::Error),

    /// A guarantee from fewer draws than any outcome could prove.
    #[error(
        "{draws} draws cannot prove a delta of {delta:e}: a guarantee needs at least {least}, and {good} lose little; \
         draw more, or ask for an estimate"
    )]
    TooFewDraws {
        /// The draws asked for.
        draws: u64,
        /// The delta asked for.
        delta: f64,
        /// The least number with which a guarantee is possible.
        least: u64,
        /// The number with which an estimate of half of delta suffices.
        good: u64,
    },

    /// A numerical method did not converge.
    #[error("{what} did not converge: {reason}")]
    NoConvergence {
        /// The computation.
        what: &'static str,
        /// What happened.
        reason: String,
    },
}

impl Error {
    pub(crate) fn value(what: &str, found: impl ToString, expected: &str) -> Self {
        Self::Value { what: what.to_owned(), found: found.to_string(), expected: expected.to_owned() }
    }

    pub(crate) fn unsuitable(mechanism: impl ToString, reason: impl Into<String>) -> Self {
        Self::Unsuitable { mechanism: mechanism.to_string(), reason: reason.into() }
    }

    pub(crate) fn state(reason: impl Into<String>) -> Self {
        Self::State { reason: reason.into() }
    }
}

impl From<Error> for thalweg_descent::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::State { reason } => Self::State { piece: "the private guard".into(), reason },
            Error::Descent(error) => error,
            Error::OutOfTurn { .. } => Self::OutOfTurn(error.to_string()),
            Error::Value { .. }
            | Error::Unsuitable { .. }
            | Error::Unreachable { .. }
            | Error::TooFewDraws { .. }
            | Error::StrategyFile { .. } => Self::input(error),
            other => Self::piece("private training", other),
        }
    }
}

/// Checks that a number is finite and greater than 0.
pub(crate) fn positive(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(Error::value(what, value, "a finite number above 0")) }
}

/// Checks that a delta lies in (0, 1).
pub(crate) fn probability(what: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(Error::value(what, value, "between 0 and 1, both excluded")) }
}
