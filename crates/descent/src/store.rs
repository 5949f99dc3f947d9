//! The run store: nothing is lost.
//!
//! A run is a folder:
//!
//! | file | what it holds |
//! |---|---|
//! | `config.toml` | the complete configuration, after defaults |
//! | `events.jsonl` | one JSON object a line, appended; facts that a repetition gives again |
//! | `timings.jsonl` | clock times and memory |
//! | `checkpoints/` | the newest snapshots, as safetensors files |
//! | `lock` | held by the process that works on the run |
//!
//! A checkpoint is written beside its final name, synced and renamed, and records the length of the event log, to which a resume
//! cuts it back. So a kill at any moment, then a resume, ends with the same bits as an undisturbed run.

mod atomic;
pub(crate) mod checkpoint;
mod drive;
mod error;
pub(crate) mod events;
mod memory;
mod run;
mod runs;
mod timings;

pub use atomic::write_atomically;
pub use checkpoint::{Snapshot, load_checkpoint, save_checkpoint};
pub use drive::{CheckpointEvery, Controls, Outcome};
pub use error::StoreError;
pub use events::{EventLog, read_events};
pub use memory::peak_memory_bytes;
pub use run::{Run, Status};
pub use runs::RunStore;
pub use timings::{Timing, read_timings};
