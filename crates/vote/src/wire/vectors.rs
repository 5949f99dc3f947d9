//! Payloads of elements: vectors one after the other, each packed on its own.

use super::{Fault, Frame};
use crate::{Encoding, Field};

/// Appends vectors.
pub fn pack_vectors<V: AsRef<[u8]>>(encoding: Encoding, field: Field, vectors: &[V], bytes: &mut Vec<u8>) {
    bytes.reserve(vectors.iter().map(|vector| encoding.length(field, vector.as_ref().len())).sum());
    for vector in vectors {
        encoding.pack(field, vector.as_ref(), bytes);
    }
}

/// Decodes `count` vectors of the frame's coordinates, over `field` in `encoding`.
///
/// # Errors
/// [`Fault`] if the frame is of another field or encoding, or its payload is no such vectors.
pub fn unpack_vectors(frame: &Frame<'_>, encoding: Encoding, field: Field, count: usize) -> Result<Vec<Vec<u8>>, Fault> {
    if frame.header.field != Some(field) {
        return Err(Fault::BadField(frame.header.field.map_or(0, Field::order)));
    }
    if frame.header.encoding != Some(encoding) {
        return Err(Fault::WrongFormat("encoding"));
    }
    let length = frame.header.length as usize;
    let packed = encoding.length(field, length);
    frame.check_length(packed.saturating_mul(count))?;
    let vector = |bytes: &[u8]| {
        let mut elements = vec![0; length];
        encoding.unpack(field, bytes, &mut elements)?;
        Ok(elements)
    };
    match packed {
        0 => Ok(vec![Vec::new(); count]),
        _ => frame.payload.chunks_exact(packed).map(vector).collect(),
    }
}
