//! Seeds and the keys of streams.

use std::fmt;

use hkdf::Hkdf;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// The name of a session: random, public, in every frame and every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// A fresh name.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 16];
        fill_from_system(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Correlated randomness: triples, powers, masks, zero sharings.
    Correlation,
    /// The signs that mask a user's own votes.
    Signs,
    /// Shares of message authentication codes.
    Macs,
    /// Nonces and random coefficients of a party's own, from a seed that it shares with nobody.
    Own,
}

impl Purpose {
    const fn tag(self) -> &'static [u8; 4] {
        match self {
            Self::Correlation => b"corr",
            Self::Signs => b"sgns",
            Self::Macs => b"macs",
            Self::Own => b"ownr",
        }
    }
}

/// Where in a session a key is used; no two uses share a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context {
    /// The round.
    pub round: u32,
    /// The attempt at it.
    pub attempt: u16,
    /// The group.
    pub group: u16,
    /// The user.
    pub user: u16,
}

/// The secret that a user shares with the dealer for one session. Wiped when dropped, never printed.
///
/// ```
/// use thalweg_vote::prg::Seed;
///
/// let seed = Seed::generate()?;
/// assert_eq!(format!("{seed:?}"), "Seed { .. }");
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A fresh seed from the operating system.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] when it gives none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_from_system(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// The seed of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for a purpose and a context: HKDF-SHA256 with the session as salt.
    pub fn derive(&self, session: SessionId, purpose: Purpose, context: Context) -> StreamKey {
        let mut info = [0; 29];
        info[..15].copy_from_slice(b"thalweg-vote/1 ");
        info[15..19].copy_from_slice(purpose.tag());
        info[19..23].copy_from_slice(&context.round.to_le_bytes());
        info[23..25].copy_from_slice(&context.attempt.to_le_bytes());
        info[25..27].copy_from_slice(&context.group.to_le_bytes());
        info[27..29].copy_from_slice(&context.user.to_le_bytes());
        let mut key = Zeroizing::new([0; 32]);
        // 32 bytes are far below the 8,160 that HKDF can give.
        let expanded = Hkdf::<Sha256>::new(Some(&session.0), &*self.0).expand(&info, key.as_mut());
        debug_assert!(expanded.is_ok());
        StreamKey(key)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

/// The key of a user's streams for one purpose and context. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct StreamKey(Zeroizing<[u8; 32]>);

impl StreamKey {
    /// The key of these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamKey").finish_non_exhaustive()
    }
}

/// Fills bytes from the operating system's generator.
pub(crate) fn fill_from_system(bytes: &mut [u8]) -> Result<()> {
    SysRng.try_fill_bytes(bytes).map_err(|error| Error::NoEntropy(error.to_string()))
}
