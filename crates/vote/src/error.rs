//! What can go wrong before a vote runs: values, inputs, plans. What a message can have wrong is a fault of the wire.

use std::path::PathBuf;

use crate::Domain;

/// The result of everything in this crate that is not a state machine.
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

    /// A protocol or an option that does not fit the others.
    #[error("{what} does not fit here: {reason}")]
    Unsuitable {
        /// The protocol or option.
        what: String,
        /// Why, and what would fit.
        reason: String,
    },

    /// A gradient that has no sign somewhere.
    #[error(
        "the gradient at coordinate {index} is {value}, which has no sign; find the cause: often the rate, or a value in the data"
    )]
    NotFinite {
        /// The coordinate.
        index: usize,
        /// NaN or infinite.
        value: f32,
    },

    /// A vote outside the domain.
    #[error("the vote at coordinate {index} is {vote}, but the {domain:?} domain has {}", match domain {
        Domain::Binary => "-1 and +1 alone; take the ternary domain to abstain",
        Domain::Ternary => "-1, 0 and +1 alone",
    })]
    Vote {
        /// The coordinate.
        index: usize,
        /// The vote.
        vote: i8,
        /// The domain.
        domain: Domain,
    },

    /// A file of test vectors that cannot be read.
    #[error("the vectors in {} cannot be read: {reason}", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// A file or folder of a party that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// A process that could not do its part in a vote over a network.
    #[error("{doing}: {reason}")]
    Network {
        /// What it was doing.
        doing: String,
        /// Why it failed.
        reason: String,
    },

    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    NoEntropy(String),
}

impl Error {
    pub(crate) fn value(what: &str, found: impl ToString, expected: &str) -> Self {
        Self::Value { what: what.to_owned(), found: found.to_string(), expected: expected.to_owned() }
    }

    #[cfg(feature = "net")]
    pub(crate) fn folder(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Folder { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn unsuitable(what: impl ToString, reason: impl Into<String>) -> Self {
        Self::Unsuitable { what: what.to_string(), reason: reason.into() }
    }
}
