//! A test authority: the folders of all parties of a session, with certificates and secrets.
//!
//! Whoever runs it has seen all secrets. For real use let every party make its own, and a certificate authority of yours sign them;
//! a certificate must have the URI name `thalweg-vote://SESSION/ROLE` and the DNS name `ROLE`, with the role `aggregator`, `dealer` or
//! `user-N`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use super::folder::{AUTHORITY, CERTIFICATE, KEY, SECRET, SESSION, SessionFile, hex, identity, write_private, write_public};
use super::tls::{party_of_role, role, uri_of};
use crate::prg::{Seed, SessionId};
use crate::wire::Party;
use crate::{Error, Result, Settings};

/// The folder of an authority that was kept, and the file with its key.
const KEPT: &str = "authority";
const AUTHORITY_KEY: &str = "ca.key";

/// What certificates say beside the role, and what becomes of the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The organisation named in certificates.
    pub organisation: Option<String>,
    /// When they end; never, where absent.
    pub until: Option<SystemTime>,
}

/// Whether the authority's own key is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorityKey {
    /// It is thrown away: nobody can pose as a party later.
    #[default]
    Forgotten,
    /// It stays in the folder `authority`, for [`renew`].
    Kept,
}

/// Makes a folder for each party: `aggregator`, `dealer`, `user-0`, `user-1`, ...
///
/// # Errors
/// [`Error::Folder`] if the folder exists already or cannot be written; an error of the settings if they do not fit the users.
pub fn issue(folder: &Path, settings: &Settings, users: u16) -> Result<Vec<PathBuf>> {
    issue_under(folder, settings, users, &Terms::default(), AuthorityKey::Forgotten)
}

/// The same under terms of one's own.
///
/// # Errors
/// As [`issue`].
pub fn issue_under(
    folder: &Path,
    settings: &Settings,
    users: u16,
    terms: &Terms,
    authority_key: AuthorityKey,
) -> Result<Vec<PathBuf>> {
    settings.check(users.into())?;
    if folder.exists() {
        return Err(Error::folder(folder, "it exists already; keys are never overwritten, so give a new folder"));
    }
    let session = SessionId::generate()?;
    let secrets: Vec<(Party, Seed)> = (0..users)
        .map(Party::User)
        .chain([Party::Aggregator, Party::Dealer])
        .map(|party| Ok((party, Seed::generate()?)))
        .collect::<Result<_>>()?;
    let public = |party: Party| secrets.iter().find(|(other, _)| *other == party).map(|(_, secret)| identity(secret, session));
    let key = |party: Party| public(party).map(|identity| identity.public_key()).unwrap_or_default();
    let keys = (0..users).map(|user| key(Party::User(user))).collect();
    let file = SessionFile::new(session, settings.clone(), key(Party::Aggregator), keys)?;
    let agreed = serde_json::to_string_pretty(&file).map_err(|error| Error::folder(folder, error))?;
    let failed = |error: rcgen::Error| Error::folder(folder, error);
    let key = KeyPair::generate().map_err(failed)?;
    let kept = Zeroizing::new(key.serialize_pem());
    let (authority, issuer) = authority(session, key).map_err(failed)?;
    if authority_key == AuthorityKey::Kept {
        let path = folder.join(KEPT);
        fs::create_dir_all(&path).map_err(|error| Error::folder(&path, error))?;
        write_public(&path.join(SESSION), agreed.as_bytes())?;
        write_public(&path.join(AUTHORITY), authority.as_bytes())?;
        write_private(&path.join(AUTHORITY_KEY), kept.as_bytes())?;
    }
    secrets
        .iter()
        .map(|(party, secret)| {
            let path = folder.join(role(*party));
            fs::create_dir_all(&path).map_err(|error| Error::folder(&path, error))?;
            let (certificate, private) = certificate(session, *party, &issuer, terms).map_err(failed)?;
            write_public(&path.join(SESSION), agreed.as_bytes())?;
            write_public(&path.join(AUTHORITY), authority.as_bytes())?;
            write_public(&path.join(CERTIFICATE), certificate.as_bytes())?;
            write_private(&path.join(KEY), private.as_bytes())?;
            let secret = Zeroizing::new(hex(secret.bytes()));
            write_private(&path.join(SECRET), secret.as_bytes())?;
            Ok(path)
        })
        .collect()
}

/// One more certificate for a party, with a new key, from an authority that was kept: in place of one that has ended, or whose key is
/// lost. The party's secrets and the mark of what it has used stay as they are.
///
/// # Errors
/// [`Error::Value`] for a role that the session does not have; [`Error::Folder`] if the authority's folder is none, or the party's is
/// of another session.
pub fn renew(authority_folder: &Path, party_folder: &Path, name: &str, terms: &Terms) -> Result<Party> {
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|error| Error::folder(&path, error));
    let agreed = read(authority_folder.join(SESSION))?;
    let session: SessionFile =
        serde_json::from_str(&agreed).map_err(|error| Error::folder(&authority_folder.join(SESSION), error))?;
    let users = session.roster()?.len();
    let party = party_of_role(name).filter(|party| !matches!(party, Party::User(user) if usize::from(*user) >= users));
    let party = party.ok_or_else(|| {
        Error::value(
            "the role",
            name,
            &format!("aggregator, dealer, or user-0 to user-{}, as agreed for this session", users - 1),
        )
    })?;
    // Without its secret no certificate makes a party of this session.
    read(party_folder.join(SECRET)).map(Zeroizing::new)?;
    if read(party_folder.join(SESSION))? != agreed {
        return Err(Error::folder(&party_folder.join(SESSION), "it is of another session than the authority"));
    }
    let failed = |error: rcgen::Error| Error::folder(authority_folder, error);
    let key = Zeroizing::new(read(authority_folder.join(AUTHORITY_KEY))?);
    let (_, issuer) = authority(session.session(), KeyPair::from_pem(&key).map_err(failed)?).map_err(failed)?;
    let (certificate, private) = certificate(session.session(), party, &issuer, terms).map_err(failed)?;
    write_private(&party_folder.join(KEY), private.as_bytes())?;
    write_public(&party_folder.join(CERTIFICATE), certificate.as_bytes())?;
    Ok(party)
}

fn authority(session: SessionId, key: KeyPair) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("test authority of session {session}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn certificate(
    session: SessionId,
    party: Party,
    issuer: &Issuer<'_, KeyPair>,
    terms: &Terms,
) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, role(party));
    if let Some(organisation) = &terms.organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation.as_str());
    }
    if let Some(until) = terms.until {
        params.not_after = until.into();
    }
    params.subject_alt_names = vec![SanType::DnsName(role(party).try_into()?), SanType::URI(uri_of(session, party).try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}
