//! What a party keeps on disk: the session that all agree on, its certificate, its secrets, and the last randomness it used.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::tls::Tls;
use crate::machine::UseMark;
use crate::prg::{Context, Purpose, Seed, SessionId};
use crate::roster::{Identity, Roster};
use crate::wire::Party;
use crate::{Error, Result, Settings};

pub(super) const SESSION: &str = "session.json";
pub(super) const AUTHORITY: &str = "ca.pem";
pub(super) const CERTIFICATE: &str = "cert.pem";
pub(super) const KEY: &str = "key.pem";
pub(super) const SECRET: &str = "secret.key";
const USED: &str = "used.json";

/// What all parties of a session agree on. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    session: Hex<16>,
    /// How the vote is evaluated.
    pub settings: Settings,
    /// The aggregator's public key.
    aggregator: Hex<32>,
    /// The users' public keys, by index.
    users: Vec<Hex<32>>,
}

impl SessionFile {
    /// A session of these keys.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Unsuitable`] if the settings do not fit the number of users.
    pub fn new(session: SessionId, settings: Settings, aggregator: [u8; 32], users: Vec<[u8; 32]>) -> Result<Self> {
        settings.check(users.len())?;
        Roster::new(users.clone())?;
        let users = users.into_iter().map(Hex).collect();
        Ok(Self { session: Hex(session.0), settings, aggregator: Hex(aggregator), users })
    }

    /// The session's name.
    pub const fn session(&self) -> SessionId {
        SessionId(self.session.0)
    }

    /// The aggregator's public key.
    pub const fn aggregator_key(&self) -> [u8; 32] {
        self.aggregator.0
    }

    /// The users.
    ///
    /// # Errors
    /// [`Error::Value`] for fewer than 2 users, or more than 250.
    pub fn roster(&self) -> Result<Roster> {
        Roster::new(self.users.iter().map(|key| key.0).collect())
    }
}

/// The folder of one party, read and checked.
pub struct PartyFolder {
    path: PathBuf,
    /// Whose folder it is, by its certificate.
    pub party: Party,
    /// What is agreed.
    pub session: SessionFile,
    pub(super) tls: Tls,
    secret: Seed,
}

impl PartyFolder {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`Error::Folder`] for a file that is missing or wrong; an error of the settings if they do not fit the number of users.
    pub fn read(path: &Path) -> Result<Self> {
        let session: SessionFile = read_json(&path.join(SESSION))?;
        session.settings.check(session.users.len())?;
        let file = |name: &str| read_file(&path.join(name));
        let key = Zeroizing::new(file(KEY)?);
        let (tls, party) = Tls::new(session.session(), &file(AUTHORITY)?, &file(CERTIFICATE)?, &key)
            .map_err(|reason| Error::folder(path, reason))?;
        let text = Zeroizing::new(file(SECRET)?);
        let secret = std::str::from_utf8(&text).ok().and_then(|text| Hex::<32>::parse(text.trim()));
        let secret = secret.ok_or_else(|| Error::folder(&path.join(SECRET), "64 hexadecimal digits are needed"))?;
        Ok(Self { path: path.to_owned(), party, session, tls, secret: Seed::from_bytes(secret.0) })
    }

    /// A secret of the party, by its purpose: nothing else depends on the folder's key.
    pub(super) fn derived(&self, purpose: Derived) -> Seed {
        derive(&self.secret, self.session.session(), purpose)
    }

    pub(super) fn identity(&self) -> Identity {
        identity(&self.secret, self.session.session())
    }

    /// The last randomness that was used.
    ///
    /// # Errors
    /// [`Error::Folder`] for a file that is no such mark: it is never taken as absent.
    pub(super) fn last_used(&self) -> Result<Option<UseMark>> {
        let path = self.path.join(USED);
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Stores a mark so that it outlives a crash.
    pub(super) fn store_used(&self, mark: UseMark) -> Result<()> {
        let text = serde_json::to_string(&mark).map_err(|error| Error::folder(&self.path, error))?;
        write_private(&self.path.join(USED), text.as_bytes())
    }
}

/// What a party's secret is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Derived {
    Identity,
    Own,
    /// The dealer's seed of a user.
    SeedOf(u16),
}

fn derive(secret: &Seed, session: SessionId, purpose: Derived) -> Seed {
    let (group, user) = match purpose {
        Derived::Identity => (0, 0),
        Derived::Own => (1, 0),
        Derived::SeedOf(user) => (2, user),
    };
    let context = Context { round: 0, attempt: 0, group, user };
    Seed::from_bytes(*secret.derive(session, Purpose::Own, context).nonce(0))
}

/// The signing key that belongs to a secret.
pub(super) fn identity(secret: &Seed, session: SessionId) -> Identity {
    Identity::from_bytes(derive(secret, session, Derived::Identity).bytes())
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::folder(path, error))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read_file(path)?).map_err(|error| Error::folder(path, error))
}

/// Writes a file that only its owner may read: beside its name, synced, renamed.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, 0o600)
}

/// Writes a file that everybody may read.
pub(super) fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = create(&part, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    });
    written.map_err(|error| Error::folder(path, error))
}

/// A file to append to, which only its owner may read.
pub(super) fn append_private(path: &Path) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // A file that was left over keeps its old mode.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

#[cfg(not(unix))]
fn create(path: &Path, _mode: u32) -> std::io::Result<File> {
    File::create(path)
}

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        if text.len() != 2 * N || !text.is_ascii() {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{} hexadecimal digits are needed", 2 * N)))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
