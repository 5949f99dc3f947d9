//! What can go wrong in a network.

use std::path::PathBuf;

/// The result of everything a network does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a description, of data, or of a pass. Burn panics on such things; this crate checks before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer or network is described with an impossible value.
    #[error("{what}: {field} = {value}; {expected}")]
    Config {
        /// The layer or network.
        what: String,
        /// Which of its fields.
        field: &'static str,
        /// The value it has.
        value: String,
        /// What would be right.
        expected: String,
    },

    /// A description asks for a layer that mixes examples, such as batch normalisation.
    #[error(
        "{what}: batch normalisation is not available: it mixes the examples of a batch, so that no example has a gradient of its own to clip or to weigh; use \"group\" normalisation"
    )]
    BatchNorm {
        /// The layer or network.
        what: String,
    },

    /// A tensor does not have the shape that a layer takes.
    #[error("{layer} takes {expected}, but got a tensor of shape {found:?}")]
    Shape {
        /// The layer, by the name of its first parameter block.
        layer: String,
        /// The shape it takes.
        expected: String,
        /// The shape it was given.
        found: Vec<usize>,
    },

    /// A parameter block took no part in the loss, so that it has no gradient.
    #[error("{block} has no gradient: {reason}")]
    NoGradient {
        /// The name of the block.
        block: String,
        /// How that came about.
        reason: &'static str,
    },

    /// A pass was asked for something that its kind does not give.
    #[error("{0}")]
    Pass(String),

    /// The parameter vector does not belong to the network.
    #[error("the network has {expected} parameters, but the vector has {found}")]
    Parameters {
        /// The network's.
        expected: usize,
        /// The vector's.
        found: usize,
    },

    /// The data are wrong in one place.
    #[error("example {example}: {reason}")]
    Example {
        /// Its index.
        example: usize,
        /// What is wrong and what would be right.
        reason: String,
    },

    /// The data are wrong as a whole, or do not fit the network.
    #[error("{0}")]
    Samples(String),

    /// A device that this build or this machine does not have.
    #[error("device {device:?}: {reason}")]
    Device {
        /// As asked for.
        device: String,
        /// What is missing and how to get it.
        reason: String,
    },

    /// A weight file does not fit the network.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Which tensors are missing, left over or of another shape.
        reason: String,
    },

    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn config(what: &str, field: &'static str, value: impl std::fmt::Display, expected: impl Into<String>) -> Self {
        Self::Config { what: what.to_owned(), field, value: value.to_string(), expected: expected.into() }
    }

    /// Whether the input or the call is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::NoGradient { .. } | Self::File { .. })
    }
}

impl From<Error> for thalweg_descent::Error {
    fn from(error: Error) -> Self {
        if error.is_input() { Self::input(error) } else { Self::piece("running the network", error) }
    }
}

/// Checks that a field of a description is at least 1.
pub(crate) fn at_least_one(what: &str, field: &'static str, value: usize) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::config(what, field, value, "it must be at least 1")) }
}
