//! A test authority: the folders of all parties of a session, with certificates and secrets.
//!
//! Whoever runs it has seen all secrets. For real use let every party make its own, and a certificate authority of yours sign them;
//! a certificate must have the URI name `thalweg-vote://SESSION/ROLE` and the DNS name `ROLE`, with the role `aggregator`, `dealer` or
//! `user-N`.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use super::folder::{AUTHORITY, CERTIFICATE, KEY, SECRET, SESSION, SessionFile, hex, identity, write_private, write_public};
use super::tls::{role, uri_of};
use crate::prg::{Seed, SessionId};
use crate::wire::Party;
use crate::{Error, Result, Settings};

/// Makes a folder for each party: `aggregator`, `dealer`, `user-0`, `user-1`, ...
///
/// The authority's own key is thrown away: nobody can add a party later.
///
/// # Errors
/// [`Error::Folder`] if the folder exists already or cannot be written; an error of the settings if they do not fit the users.
pub fn issue(folder: &Path, settings: &Settings, users: u16) -> Result<Vec<PathBuf>> {
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
    let (authority, issuer) = authority(session).map_err(failed)?;
    secrets
        .iter()
        .map(|(party, secret)| {
            let path = folder.join(role(*party));
            fs::create_dir_all(&path).map_err(|error| Error::folder(&path, error))?;
            let (certificate, private) = certificate(session, *party, &issuer).map_err(failed)?;
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

fn authority(session: SessionId) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("test authority of session {session}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn certificate(
    session: SessionId,
    party: Party,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, role(party));
    params.subject_alt_names = vec![SanType::DnsName(role(party).try_into()?), SanType::URI(uri_of(session, party).try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}
