//! Snapshots of a descent as safetensors files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::{StoreError, write_atomically};
use crate::{Layout, Real, Record};

/// The format of the files written here.
const FORMAT: u64 = 1;
/// The key of our header in the file's metadata.
const HEADER: &str = "thalweg";
/// Marks tensors that hold a piece's state rather than parameters.
const STATE: &str = "state/";

/// Everything a descent must remember between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<F> {
    /// Steps taken.
    pub step: u64,
    /// The parameters' parts.
    pub layout: Layout,
    /// The parameters, flat.
    pub parameters: Vec<F>,
    /// What was observed at the last step.
    pub record: Record,
    /// The state of each piece, by seam.
    pub pieces: Vec<(String, Vec<u8>)>,
}

/// What the file says of itself, as JSON in its metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u64,
    step: u64,
    /// Length of the event log when the snapshot was taken.
    event_bytes: u64,
    layout: Layout,
    record: Map<String, Value>,
    pieces: Vec<String>,
    /// Of the parameters and states, in order.
    blake3: String,
}

/// Writes a snapshot; parameters lie in the file by their blocks' names, so that any safetensors reader sees the weights.
///
/// # Errors
/// [`StoreError::Io`]; then nothing lies under `path`.
pub fn save_checkpoint<F: Real>(path: &Path, snapshot: &Snapshot<F>, event_bytes: u64) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    F::extend_bytes(&snapshot.parameters, &mut bytes);
    let header = Header {
        format: FORMAT,
        step: snapshot.step,
        event_bytes,
        layout: snapshot.layout.clone(),
        record: snapshot.record.as_json().clone(),
        pieces: snapshot.pieces.iter().map(|(name, _)| name.clone()).collect(),
        blake3: digest(&bytes, &snapshot.pieces),
    };
    let misfit = |error: safetensors::SafeTensorError| StoreError::damaged(path, error);
    let mut tensors = Vec::new();
    for block in snapshot.layout.blocks() {
        let range = block.range();
        let data = &bytes[range.start * F::BYTES..range.end * F::BYTES];
        tensors.push((block.name.clone(), TensorView::new(dtype::<F>(), block.shape.clone(), data).map_err(misfit)?));
    }
    for (name, state) in &snapshot.pieces {
        tensors.push((format!("{STATE}{name}"), TensorView::new(Dtype::U8, vec![state.len()], state).map_err(misfit)?));
    }
    let header = serde_json::to_string(&header).map_err(|error| StoreError::damaged(path, error))?;
    let file = safetensors::serialize(tensors, Some(HashMap::from([(HEADER.to_owned(), header)]))).map_err(misfit)?;
    write_atomically(path, &file)
}

/// Reads a snapshot and the length of the event log that belongs to it.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Version`], or [`StoreError::Damaged`] when a byte is not as it was written.
pub fn load_checkpoint<F: Real>(path: &Path) -> Result<(Snapshot<F>, u64), StoreError> {
    let damaged = |reason: String| StoreError::damaged(path, reason);
    let file = fs::read(path).map_err(StoreError::io("read", path))?;
    let header = read_header(path, &file)?;
    let tensors = SafeTensors::deserialize(&file).map_err(|error| damaged(error.to_string()))?;
    let tensor = |name: &str| tensors.tensor(name).map_err(|error| damaged(error.to_string()));
    let mut bytes = Vec::new();
    for block in header.layout.blocks() {
        let view = tensor(&block.name)?;
        if view.dtype() != dtype::<F>() || view.shape() != block.shape {
            return Err(damaged(format!(
                "{} is {:?} {:?}, not {} {:?}",
                block.name,
                view.dtype(),
                view.shape(),
                F::NAME,
                block.shape
            )));
        }
        bytes.extend_from_slice(view.data());
    }
    let mut pieces = Vec::new();
    for name in header.pieces {
        let state = tensor(&format!("{STATE}{name}"))?.data().to_vec();
        pieces.push((name, state));
    }
    if digest(&bytes, &pieces) != header.blake3 {
        return Err(damaged("its content does not have the hash that it records".to_owned()));
    }
    let parameters = F::from_bytes(&bytes);
    let Header { step, layout, record, event_bytes, .. } = header;
    Ok((Snapshot { step, layout, parameters, record: record.into(), pieces }, event_bytes))
}

fn read_header(path: &Path, file: &[u8]) -> Result<Header, StoreError> {
    let damaged = |reason: String| StoreError::damaged(path, reason);
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(|error| damaged(error.to_string()))?;
    let json = metadata.metadata().as_ref().and_then(|map| map.get(HEADER));
    let json = json.ok_or_else(|| damaged("it is a safetensors file, but not a checkpoint of Thalweg".to_owned()))?;
    // The format is read alone first: the rest may look different in another version.
    let value: Value = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    match value["format"].as_u64() {
        Some(FORMAT) => serde_json::from_value(value).map_err(|error| damaged(error.to_string())),
        Some(found) => Err(StoreError::Version { path: path.to_owned(), found, expected: FORMAT }),
        None => Err(damaged("its header names no format".to_owned())),
    }
}

fn digest(parameters: &[u8], pieces: &[(String, Vec<u8>)]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(parameters);
    for (name, state) in pieces {
        hasher.update(name.as_bytes());
        hasher.update(&(state.len() as u64).to_le_bytes());
        hasher.update(state);
    }
    hasher.finalize().to_hex().to_string()
}

fn dtype<F: Real>() -> Dtype {
    if F::BYTES == 4 { Dtype::F32 } else { Dtype::F64 }
}
