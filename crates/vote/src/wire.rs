//! The wire format, version 1: a header of 48 bytes, then a payload. `WIRE.md` beside the crate describes it for other languages.
//!
//! Decoders are strict: what they accept has exactly one encoding, and nothing is allocated before the sizes are checked.

mod bodies;
mod fault;
mod header;
mod kind;
mod plan;
mod vectors;

pub use bodies::{Abort, ConfirmAll, Hello, HelloList, SurvivorSet, VoteCode};
pub use fault::Fault;
pub use header::{Frame, HEADER_LENGTH, Header, LARGEST_FRAME, WHOLE_ROUND};
pub use kind::{FrameKind, Party};
pub use plan::{RoundPlan, Unsent};
pub use vectors::{pack_vectors, unpack_vectors};

pub(crate) use bodies::{MacOpening, pack_flags, read_mean, split_flags, write_mean};

use bodies::Reader;
