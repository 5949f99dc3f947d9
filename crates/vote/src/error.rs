//! What can go wrong before a vote runs: values, inputs, plans. What a message can have wrong is a fault of the wire.

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
}

impl Error {
    pub(crate) fn value(what: &str, found: impl ToString, expected: &str) -> Self {
        Self::Value { what: what.to_owned(), found: found.to_string(), expected: expected.to_owned() }
    }
}
