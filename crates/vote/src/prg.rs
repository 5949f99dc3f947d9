//! Shares from short seeds: key derivation, key streams, and uniform elements by rejection.
//!
//! A user and the dealer share a 32-byte [`Seed`] for a session. Each round derives keys from it, each vector of a round its own
//! stream, so that vectors can be expanded in any order and by several threads.

mod keystream;
mod sample;
mod seed;

pub use keystream::Suite;
pub use seed::{Context, Purpose, Seed, SessionId, StreamKey};

pub(crate) use seed::fill_from_system;
use zeroize::Zeroizing;

use crate::Field;
use crate::field::block;
use keystream::Keystream;

/// Coordinates that share a stream: vectors are cut into chunks of this length.
pub const CHUNK: usize = 65_536;

impl StreamKey {
    /// Fills a block with the uniform elements of a vector's chunk.
    ///
    /// Bytes of the stream from `p floor(256/p)` on are dropped, the others reduced modulo p: 1.10 bytes for each element of F_29.
    pub fn expand(&self, suite: Suite, slot: u32, chunk: u64, field: Field, elements: &mut [u8]) {
        self.visit(suite, slot, chunk, (field, elements.len()), &mut |at, bytes| {
            block::reduce_into(field, bytes, &mut elements[at..at + bytes.len()]);
        });
    }

    /// Shows the uniform elements of a vector's chunk part by part, with their places, as bytes that are congruent to them modulo
    /// p: what adds them up can leave the reduction to the end.
    pub fn visit(&self, suite: Suite, slot: u32, chunk: u64, (field, length): (Field, usize), see: &mut dyn FnMut(usize, &[u8])) {
        sample::visit(&mut self.stream(suite, slot, chunk), field, length, see);
    }

    /// Uniform signs of a vector's chunk, as votes.
    pub fn expand_signs(&self, suite: Suite, slot: u32, chunk: u64, signs: &mut [i8]) {
        let mut bytes = Zeroizing::new(vec![0; signs.len()]);
        self.stream(suite, slot, chunk).fill(&mut bytes);
        for (sign, byte) in signs.iter_mut().zip(bytes.iter()) {
            *sign = 2 * (byte & 1) as i8 - 1;
        }
    }

    /// 32 bytes of a vector's first chunk.
    pub(crate) fn nonce(&self, slot: u32) -> Zeroizing<[u8; 32]> {
        let mut nonce = Zeroizing::new([0; 32]);
        self.stream(Suite::ChaCha20, slot, 0).fill(nonce.as_mut());
        nonce
    }

    fn stream(&self, suite: Suite, slot: u32, chunk: u64) -> Keystream {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&slot.to_le_bytes());
        nonce[4..].copy_from_slice(&chunk.to_le_bytes());
        Keystream::new(suite, self.bytes(), nonce)
    }
}
