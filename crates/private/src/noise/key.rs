//! The key of all noise of one run.
//!
//! Whoever has the key can subtract the noise, so it appears in no log, event, report or `Debug` output, is kept in a file
//! readable by its owner alone while the run may have to be resumed, and is wiped from memory when dropped.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// The 32-byte key of a run's noise.
///
/// ```
/// use thalweg_private::NoiseKey;
///
/// let key = NoiseKey::generate()?;
/// assert!(!key.is_insecure());
/// assert_eq!(format!("{key:?}"), "NoiseKey { .. }");
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone)]
pub struct NoiseKey {
    bytes: Zeroizing<[u8; 32]>,
    insecure: bool,
}

/// The stream reserved for the seed of secret sampling; noise streams have smaller numbers.
const SAMPLING_STREAM: u64 = u64::MAX;

/// The stream reserved for recognising the key.
const FINGERPRINT_STREAM: u64 = u64::MAX - 1;

const SECURE_HEADER: &str = "thalweg-noise-key-1";
const INSECURE_HEADER: &str = "thalweg-insecure-noise-key-1";

impl NoiseKey {
    /// A fresh key from the operating system.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] when it gives none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(bytes.as_mut()).map_err(|error| Error::NoEntropy(error.to_string()))?;
        Ok(Self { bytes, insecure: false })
    }

    /// A key that anybody can repeat: for tests and comparisons bit by bit. A run with it protects nobody.
    pub fn insecure(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(b"insecure");
        Self { bytes: Zeroizing::new(bytes), insecure: true }
    }

    /// Whether the noise can be repeated by anybody who knows the seed.
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// A seed for drawing secret samples (Poisson batches): amplification by sampling holds only while the sample is secret.
    pub fn sampling_seed(&self) -> u64 {
        let mut rng = ChaCha20Rng::from_seed(*self.bytes);
        rng.set_stream(SAMPLING_STREAM);
        rng.next_u64()
    }

    /// 16 bytes that tell keys apart and from which no key and no noise can be computed.
    pub(crate) fn fingerprint(&self) -> [u8; 16] {
        let mut rng = ChaCha20Rng::from_seed(*self.bytes);
        rng.set_stream(FINGERPRINT_STREAM);
        let mut print = [0; 16];
        rng.fill_bytes(&mut print);
        print
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Writes the key to a new file, readable by its owner alone (mode 0600 on unix), and syncs it.
    ///
    /// # Errors
    /// [`Error::KeyFile`], also when the file exists: a key in use is never overwritten.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |source| Error::KeyFile { doing: "cannot write", path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let header = if self.insecure { INSECURE_HEADER } else { SECURE_HEADER };
        let mut text = format!("{header}\n");
        for byte in self.bytes.iter() {
            text.push_str(&format!("{byte:02x}"));
        }
        text.push('\n');
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        text.zeroize();
        written.map_err(failed)
    }

    /// Reads a key that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when the file is missing or is no key.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |source| Error::KeyFile { doing: "cannot read", path: path.to_owned(), source };
        let mut text = std::fs::read_to_string(path).map_err(failed)?;
        let key = Self::parse(&text);
        text.zeroize();
        key.ok_or_else(|| {
            failed(std::io::Error::new(ErrorKind::InvalidData, "it is not a noise key (a header line and 64 hexadecimal digits)"))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (header, digits) = text.split_once('\n')?;
        let insecure = match header {
            SECURE_HEADER => false,
            INSECURE_HEADER => true,
            _ => return None,
        };
        let digits = digits.strip_suffix('\n')?;
        if digits.len() != 64 || !digits.is_ascii() {
            return None;
        }
        let mut key = Self { bytes: Zeroizing::new([0; 32]), insecure };
        for (i, byte) in key.bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(key)
    }
}

impl std::fmt::Debug for NoiseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoiseKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        for key in [NoiseKey::generate().unwrap(), NoiseKey::insecure(7)] {
            key.write(&path).unwrap();
            let read = NoiseKey::read(&path).unwrap();
            assert_eq!((*read.bytes, read.insecure), (*key.bytes, key.insecure));
            assert!(key.write(&path).unwrap_err().to_string().contains("secret.key"), "a key is never overwritten");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
            std::fs::remove_file(&path).unwrap();
        }
        assert!(NoiseKey::read(&path).is_err());
    }

    #[test]
    fn damaged_key_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        NoiseKey::insecure(1).write(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        for damaged in [
            "",
            "thalweg-noise-key-1\n",
            &good[..good.len() - 5],
            &good.replace("noise", "nois"),
            &good.replace("69", "zz"),
            &good.replace("69", "é"),
        ] {
            std::fs::write(&path, damaged).unwrap();
            assert!(NoiseKey::read(&path).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn keys_differ_and_stay_silent() {
        let (a, b) = (NoiseKey::generate().unwrap(), NoiseKey::generate().unwrap());
        assert_ne!(*a.bytes, *b.bytes);
        assert_ne!(a.sampling_seed(), b.sampling_seed());
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.fingerprint(), a.clone().fingerprint());
        assert_ne!(a.fingerprint()[..8], a.sampling_seed().to_le_bytes());
        assert_eq!(NoiseKey::insecure(3).sampling_seed(), NoiseKey::insecure(3).sampling_seed());
        assert_eq!(format!("{a:?}"), "NoiseKey { .. }");
    }
}
