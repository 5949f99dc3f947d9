//! Snapshots of a descent as safetensors files.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::StoreError;
use crate::store::atomic::write_atomically_alone;
use crate::{Layout, Real, Record};

/// The format of the files written here.
const FORMAT: u64 = 2;
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
    /// Of this header with the digest left empty, the parameters and the states.
    blake3: String,
}

impl Header {
    fn to_json(&self, path: &Path) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::damaged(path, error))
    }
}

/// Writes a snapshot; parameters lie in the file by their blocks' names, so that any safetensors reader sees the weights.
///
/// # Errors
/// [`StoreError::Io`]; then nothing lies under `path`.
pub fn save_checkpoint<F: Real>(path: &Path, snapshot: &Snapshot<F>, event_bytes: u64) -> Result<(), StoreError> {
    write_atomically_alone(path, &checkpoint_to_bytes(path, snapshot, event_bytes)?)
}

/// The bytes of a checkpoint; `path` names it in errors.
pub(crate) fn checkpoint_to_bytes<F: Real>(path: &Path, snapshot: &Snapshot<F>, event_bytes: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    F::extend_bytes(&snapshot.parameters, &mut bytes);
    let mut header = Header {
        format: FORMAT,
        step: snapshot.step,
        event_bytes,
        layout: snapshot.layout.clone(),
        record: snapshot.record.as_json().clone(),
        pieces: snapshot.pieces.iter().map(|(name, _)| name.clone()).collect(),
        blake3: String::new(),
    };
    header.blake3 = digest(&header.to_json(path)?, &bytes, &snapshot.pieces);
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
    let metadata = HashMap::from([(HEADER.to_owned(), header.to_json(path)?)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(misfit)
}

/// Reads a snapshot and the length of the event log that belongs to it.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Version`], or [`StoreError::Damaged`] when it does not hold what was written.
pub fn load_checkpoint<F: Real>(path: &Path) -> Result<(Snapshot<F>, u64), StoreError> {
    checkpoint_from_bytes(&fs::read(path).map_err(StoreError::io("read", path))?, path)
}

/// As [`load_checkpoint`], from memory; `path` names the checkpoint in errors.
pub(crate) fn checkpoint_from_bytes<F: Real>(file: &[u8], path: &Path) -> Result<(Snapshot<F>, u64), StoreError> {
    let damaged = |reason: String| StoreError::damaged(path, reason);
    let (tensors, json) = read_tensors(file).map_err(damaged)?;
    let header = read_header(&json, path)?;
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
    let mut names = HashSet::new();
    let mut pieces = Vec::new();
    for name in &header.pieces {
        // A state named a thousand times would be copied a thousand times.
        if !names.insert(name) {
            return Err(damaged(format!("it names the piece {name:?} twice")));
        }
        pieces.push((name.clone(), tensor(&format!("{STATE}{name}"))?.data().to_vec()));
    }
    if digest(&json.replacen(&header.blake3, "", 1), &bytes, &pieces) != header.blake3 {
        return Err(damaged("its content does not have the hash that it records".to_owned()));
    }
    let parameters = F::from_bytes(&bytes);
    let Header { step, layout, record, event_bytes, .. } = header;
    Ok((Snapshot { step, layout, parameters, record: record.into(), pieces }, event_bytes))
}

/// The tensors of a safetensors file, and our header among its metadata.
fn read_tensors(file: &[u8]) -> Result<(SafeTensors<'_>, String), String> {
    let (length, rest) = file.split_first_chunk().ok_or("it is shorter than 8 bytes")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let metadata = rest.get(..length).ok_or_else(|| format!("its header of {length} bytes is cut off"))?;
    let metadata: Metadata = serde_json::from_slice(metadata).map_err(|error| error.to_string())?;
    // `safetensors` adds this to the header's length before it compares, and the sum must not overflow.
    if metadata.tensors().values().any(|tensor| tensor.data_offsets.1 > file.len()) {
        return Err("a tensor ends behind the file's end".to_owned());
    }
    let json = metadata.metadata().as_ref().and_then(|map| map.get(HEADER)).cloned();
    let json = json.ok_or("it is a safetensors file, but not a checkpoint of Thalweg")?;
    Ok((SafeTensors::deserialize(file).map_err(|error| error.to_string())?, json))
}

fn read_header(json: &str, path: &Path) -> Result<Header, StoreError> {
    let damaged = |reason: String| StoreError::damaged(path, reason);
    // The format is read alone first: the rest may look different in another version.
    let value: Value = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    match value["format"].as_u64() {
        Some(FORMAT) => serde_json::from_value(value).map_err(|error| damaged(error.to_string())),
        Some(found) => Err(StoreError::Version { path: path.to_owned(), found, expected: FORMAT }),
        None => Err(damaged("its header names no format".to_owned())),
    }
}

fn digest(header: &str, parameters: &[u8], pieces: &[(String, Vec<u8>)]) -> String {
    let mut hasher = blake3::Hasher::new();
    let states = pieces.iter().map(|(_, state)| state.as_slice());
    for part in [header.as_bytes(), parameters].into_iter().chain(states) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

fn dtype<F: Real>() -> Dtype {
    if F::BYTES == 4 { Dtype::F32 } else { Dtype::F64 }
}
