//! The two stream ciphers that expand seeds.

#[cfg(target_arch = "x86_64")]
mod wide;

use aes::Aes256;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use ctr::Ctr32BE;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The cipher that expands keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// ChaCha20 (RFC 8439), block counter from 0.
    #[default]
    ChaCha20,
    /// AES-256 in counter mode, initial block `nonce || 00000000`.
    Aes256Ctr,
}

/// The key stream of one vector's chunk. The ciphers wipe their keys when dropped.
pub(super) enum Keystream {
    ChaCha20(Box<ChaCha>),
    Aes256Ctr(Box<Ctr32BE<Aes256>>),
}

impl Keystream {
    pub(super) fn new(suite: Suite, key: &[u8; 32], nonce: [u8; 12]) -> Self {
        match suite {
            Suite::ChaCha20 => Self::ChaCha20(Box::new(ChaCha::new(key, nonce))),
            Suite::Aes256Ctr => {
                let mut block = [0; 16];
                block[..12].copy_from_slice(&nonce);
                Self::Aes256Ctr(Box::new(Ctr32BE::new(key.into(), &block.into())))
            }
        }
    }

    /// The next bytes of the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        match self {
            Self::ChaCha20(cipher) => cipher.fill(bytes),
            Self::Aes256Ctr(cipher) => cipher.write_keystream(bytes),
        }
    }
}

/// ChaCha20, by whole groups of blocks where the processor can.
pub(super) struct ChaCha {
    cipher: ChaCha20,
    /// The bytes drawn so far.
    drawn: u64,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the wide cipher's"))]
    state: Zeroizing<[u32; 16]>,
}

impl ChaCha {
    fn new(key: &[u8; 32], nonce: [u8; 12]) -> Self {
        #[cfg(target_arch = "x86_64")]
        let state = wide::initial_state(key, nonce);
        #[cfg(not(target_arch = "x86_64"))]
        let state = [0; 16];
        Self { cipher: ChaCha20::new(key.into(), &nonce.into()), drawn: 0, state: Zeroizing::new(state) }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let done = self.fill_groups(bytes);
        let rest = &mut bytes[done..];
        if !rest.is_empty() {
            self.cipher.seek(self.drawn);
            self.cipher.write_keystream(rest);
            self.drawn += rest.len() as u64;
        }
    }

    /// Fills whole groups of blocks; gives how many bytes.
    #[cfg(target_arch = "x86_64")]
    fn fill_groups(&mut self, bytes: &mut [u8]) -> usize {
        let groups = bytes.as_chunks_mut::<{ wide::GROUP }>().0;
        if !self.drawn.is_multiple_of(64) || groups.is_empty() || !wide::fill(&self.state, (self.drawn / 64) as u32, groups) {
            return 0;
        }
        let done = groups.len() * wide::GROUP;
        self.drawn += done as u64;
        done
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn fill_groups(&mut self, _: &mut [u8]) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_any_sizes_are_one_stream() {
        let (key, nonce) = ([0x5a; 32], [7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        for suite in [Suite::ChaCha20, Suite::Aes256Ctr] {
            let mut whole = vec![0xff; 20_000];
            match suite {
                Suite::ChaCha20 => ChaCha20::new(&key.into(), &nonce.into()).write_keystream(&mut whole),
                Suite::Aes256Ctr => Keystream::new(suite, &key, nonce).fill(&mut whole),
            }
            for sizes in
                [&[20_000][..], &[1_024, 1_024, 4_096], &[64, 1_024, 10, 2_000, 54, 3_072, 1], &[1, 63, 5_000, 120, 1_024]]
            {
                let (mut stream, mut at) = (Keystream::new(suite, &key, nonce), 0);
                for &size in sizes {
                    let mut part = vec![0xff; size];
                    stream.fill(&mut part);
                    assert_eq!(part, whole[at..at + size], "{suite:?} {sizes:?} at {at}");
                    at += size;
                }
            }
        }
    }
}
