//! The two stream ciphers that expand seeds.

use aes::Aes256;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr32BE;
use serde::{Deserialize, Serialize};

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
    ChaCha20(Box<ChaCha20>),
    Aes256Ctr(Box<Ctr32BE<Aes256>>),
}

impl Keystream {
    pub(super) fn new(suite: Suite, key: &[u8; 32], nonce: [u8; 12]) -> Self {
        match suite {
            Suite::ChaCha20 => Self::ChaCha20(Box::new(ChaCha20::new(key.into(), &nonce.into()))),
            Suite::Aes256Ctr => {
                let mut block = [0; 16];
                block[..12].copy_from_slice(&nonce);
                Self::Aes256Ctr(Box::new(Ctr32BE::new(key.into(), &block.into())))
            }
        }
    }

    /// The next bytes of the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        match self {
            Self::ChaCha20(cipher) => cipher.apply_keystream(bytes),
            Self::Aes256Ctr(cipher) => cipher.apply_keystream(bytes),
        }
    }
}
