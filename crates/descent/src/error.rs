//! What can go wrong in a descent.

use std::fmt::Display;

use crate::store::StoreError;

/// The result of everything a descent does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a piece at one of the seams, of the loop itself, or of the run store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something impossible: a bad value in a configuration, or pieces that do not fit together.
    #[error("{0}")]
    Input(String),

    /// Two pieces are each fine but must not be combined.
    #[error("{guard} refuses this run: {reason}")]
    Refused {
        /// The guard that refused.
        guard: String,
        /// Why its guarantee does not cover the run, and what would.
        reason: String,
    },

    /// A loss, gradient or parameter stopped being a finite number.
    #[error("the descent diverged at step {step}: {what} is {value}; try a smaller learning rate")]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// Which quantity.
        what: String,
        /// Its value, `NaN` or infinite.
        value: f64,
    },

    /// `contribute` and `apply` were not called in turn, or for another step.
    #[error("out of turn: {0}")]
    OutOfTurn(String),

    /// Saved state does not belong to this piece.
    #[error("cannot restore the state of {piece}: {reason}")]
    State {
        /// The piece at whose seam the state was rejected.
        piece: String,
        /// What does not fit.
        reason: String,
    },

    /// A piece failed at its work.
    #[error("{doing}: {source}")]
    Piece {
        /// What the piece was doing.
        doing: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The run store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// An error of input: what was wrong, where, and what would be right.
    pub fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// Wraps the error of a piece with what it was doing.
    pub fn piece(doing: impl Display, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Piece { doing: doing.to_string(), source: source.into() }
    }

    /// Whether the input or the call is at fault (exit code 2), rather than the work (exit code 1).
    pub fn is_input(&self) -> bool {
        match self {
            Self::Input(_) | Self::Refused { .. } | Self::State { .. } => true,
            Self::Store(error) => error.is_input(),
            _ => false,
        }
    }
}
