//! Who may take part in a session, and with which public key.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::prg::fill_from_system;
use crate::{Error, Result};

/// The public keys of all users, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    keys: Vec<[u8; 32]>,
}

impl Roster {
    /// The roster of these keys.
    ///
    /// # Errors
    /// [`Error::Value`] for fewer than 2 users, or more than 250.
    pub fn new(keys: Vec<[u8; 32]>) -> Result<Self> {
        if (2..=250).contains(&keys.len()) {
            return Ok(Self { keys });
        }
        Err(Error::value("the number of users", keys.len(), "from 2 to 250"))
    }

    /// The number of users.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none; there never is.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a user.
    pub fn key(&self, user: u16) -> Option<&[u8; 32]> {
        self.keys.get(usize::from(user))
    }

    /// SHA-256 of index and key of every user.
    pub fn digest(&self) -> [u8; 32] {
        let digest = (0u16..)
            .zip(&self.keys)
            .fold(Sha256::new(), |digest, (user, key)| digest.chain_update(user.to_le_bytes()).chain_update(key));
        digest.finalize().into()
    }

    /// Whether a user signed a message.
    pub(crate) fn verifies(&self, user: u16, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key(user).is_some_and(|key| verifies(key, message, signature))
    }
}

/// Whether the holder of a key signed a message; small keys and non-canonical signatures are refused.
pub(crate) fn verifies(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// A party's signing key. Wiped when dropped, never printed.
pub struct Identity(SigningKey);

impl Identity {
    /// A fresh key from the operating system.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] when it gives none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_from_system(bytes.as_mut())?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The key of these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify_for_their_message_and_key_alone() {
        let identities = [Identity::from_bytes(&[1; 32]), Identity::from_bytes(&[2; 32])];
        let roster = Roster::new(identities.iter().map(Identity::public_key).collect()).unwrap();
        let signature = identities[0].sign(b"message");
        assert!(roster.verifies(0, b"message", &signature));
        assert!(!roster.verifies(1, b"message", &signature) && !roster.verifies(0, b"massage", &signature));
        assert!(!roster.verifies(2, b"message", &signature));
        assert_eq!(format!("{:?}", identities[0]), "Identity { .. }");
    }

    #[test]
    fn the_digest_names_every_key_and_its_place() {
        let [a, b] = [[1; 32], [2; 32]];
        assert_ne!(Roster::new(vec![a, b]).unwrap().digest(), Roster::new(vec![b, a]).unwrap().digest());
        assert!(Roster::new(vec![a]).is_err() && Roster::new(vec![a; 251]).is_err());
    }
}
