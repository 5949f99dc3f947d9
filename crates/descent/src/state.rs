//! State as bytes: what a piece must remember so that a resumed run continues to the bit.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A piece whose memory can be saved and restored.
///
/// The defaults are those of a piece without memory. Most pieces have none: random streams are counter-based and schedules
/// are functions of the step.
pub trait Stateful {
    /// Everything the piece must remember between two steps.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes back what [`save`](Self::save) gave.
    ///
    /// # Errors
    /// [`Error::State`] when the bytes are not this piece's.
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        if state.is_empty() {
            return Ok(());
        }
        Err(Error::State {
            piece: std::any::type_name::<Self>().to_owned(),
            reason: format!("it keeps no state, but {} bytes were saved", state.len()),
        })
    }
}

/// Encodes a value for [`Stateful::save`].
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("memory is the only sink, and every piece's state is serialisable")
}

/// Decodes a value in [`Stateful::restore`]; `piece` names it in the error.
///
/// # Errors
/// [`Error::State`] when the bytes are not of this type.
pub fn decode<T: DeserializeOwned>(piece: &str, state: &[u8]) -> Result<T> {
    let error = |reason: String| Error::State { piece: piece.to_owned(), reason };
    let (value, rest) = postcard::take_from_bytes(state).map_err(|source| error(source.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(error(format!("{} bytes are left over", rest.len()))) }
}
