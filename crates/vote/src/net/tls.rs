//! TLS 1.3 with certificates on both sides, and who a certificate says is there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::metrics::{Metrics, add};
use crate::prg::SessionId;
use crate::wire::Party;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The URI name of a party's certificate.
pub(super) fn uri_of(session: SessionId, party: Party) -> String {
    format!("thalweg-vote://{session}/{}", role(party))
}

/// A party's name in certificates and folders.
pub(super) fn role(party: Party) -> String {
    match party {
        Party::User(user) => format!("user-{user}"),
        Party::Aggregator => "aggregator".into(),
        Party::Dealer => "dealer".into(),
    }
}

/// The party of such a name.
pub(super) fn party_of_role(name: &str) -> Option<Party> {
    match name {
        "aggregator" => Some(Party::Aggregator),
        "dealer" => Some(Party::Dealer),
        user => user.strip_prefix("user-").and_then(|number| number.parse().ok()).map(Party::User),
    }
}

/// Whose certificate this is, if it is one of the session.
fn party_of(certificate: &CertificateDer<'_>, session: SessionId) -> Result<Party, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
    let prefix = format!("thalweg-vote://{session}/");
    let roles: Vec<&str> = parsed.valid_uri_names().filter_map(|name| name.strip_prefix(&prefix)).collect();
    match roles.as_slice() {
        [name] => party_of_role(name).ok_or_else(|| "its certificate names no role of a vote".to_owned()),
        _ => Err(format!("its certificate does not name one role of session {session}")),
    }
}

/// The organisations that a certificate's subject names; none where it cannot be read, since this is for a warning alone.
fn organisations(certificate: &CertificateDer<'_>) -> Vec<Vec<u8>> {
    // id-at-organizationName.
    const ORGANISATION: [u8; 3] = [0x55, 4, 10];
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let mut names = Vec::new();
    let mut rest = parsed.subject();
    // A subject is a sequence of sets of sequences of an identifier and a text.
    while let Some((_, set, others)) = der(rest) {
        rest = others;
        let pair = der(set).map(|(_, pair, _)| pair);
        if let Some((_, identifier, text)) = pair.and_then(der)
            && identifier == ORGANISATION
            && let Some((_, name, _)) = der(text)
        {
            names.push(name.to_vec());
        }
    }
    names
}

/// The first element of DER: its tag, its contents, and what follows.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short {
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        0..=0x7f => (usize::from(short), rest),
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// Both sides of a party's TLS.
#[derive(Clone)]
pub(super) struct Tls {
    session: SessionId,
    party: Party,
    organisations: Vec<Vec<u8>>,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// A connection whose bytes are counted.
pub(super) type Connection = TlsStream<Counted>;

impl Tls {
    /// From PEM files. Also says whose certificate it is.
    pub(super) fn new(session: SessionId, authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<(Self, Party), String> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority) {
            roots.add(root.map_err(|error| format!("ca.pem: {error}"))?).map_err(|error| format!("ca.pem: {error}"))?;
        }
        let roots = Arc::new(roots);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("cert.pem: {error}"))?;
        let first = chain.first().ok_or("cert.pem holds no certificate")?;
        let party = party_of(first, session).map_err(|reason| format!("cert.pem: {reason}"))?;
        let organisations = organisations(first);
        let key = || PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("key.pem: {error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&version::TLS13];
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let verifier = verifier.map_err(|error| format!("ca.pem: {error}"))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)
            .map_err(|error| error.to_string())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)
            .map_err(|error| error.to_string())?;
        let tls = Self { session, party, organisations, acceptor: Arc::new(server).into(), connector: Arc::new(client).into() };
        Ok((tls, party))
    }

    /// The server's side of a handshake, and who came.
    pub(super) async fn accept(&self, stream: TcpStream, metrics: &Arc<Metrics>) -> Result<(Connection, Party), String> {
        let stream = Counted { stream, metrics: metrics.clone() };
        let accepted = tokio::time::timeout(PATIENCE, self.acceptor.accept(stream)).await;
        let stream = accepted.map_err(|_| "the handshake took too long")?.map_err(|error| error.to_string())?;
        let party = self.peer(stream.get_ref().1.peer_certificates())?;
        Ok((stream.into(), party))
    }

    /// The client's side of a handshake with a given party.
    pub(super) async fn connect(&self, stream: TcpStream, party: Party, metrics: &Arc<Metrics>) -> Result<Connection, String> {
        let stream = Counted { stream, metrics: metrics.clone() };
        let name = ServerName::try_from(role(party)).map_err(|error| error.to_string())?;
        let connected = tokio::time::timeout(PATIENCE, self.connector.connect(name, stream)).await;
        let stream = connected.map_err(|_| "the handshake took too long")?.map_err(|error| error.to_string())?;
        let found = self.peer(stream.get_ref().1.peer_certificates())?;
        if found != party {
            return Err(format!("there is {found}, not {party}"));
        }
        Ok(stream.into())
    }

    fn peer(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Party, String> {
        let certificate = certificates.and_then(<[_]>::first).ok_or("there is no certificate")?;
        let party = party_of(certificate, self.session)?;
        if self.is_one_administration(party, certificate) {
            tracing::warn!(
                "the certificates of aggregator and dealer name the same organisation; together they read every vote, so let them be \
                 run by different ones"
            );
        }
        Ok(party)
    }

    /// Whether aggregator and dealer, of which this is one and the other is at the other end, are of one organisation.
    fn is_one_administration(&self, other: Party, certificate: &CertificateDer<'_>) -> bool {
        let servers = [(Party::Aggregator, Party::Dealer), (Party::Dealer, Party::Aggregator)];
        servers.contains(&(self.party, other)) && organisations(certificate).iter().any(|name| self.organisations.contains(name))
    }
}

/// A TCP connection that counts.
pub(super) struct Counted {
    stream: TcpStream,
    metrics: Arc<Metrics>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        add(&self.metrics.transport_bytes_received, buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            add(&self.metrics.transport_bytes_sent, written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// What this side notices of a server's certificate.
    pub(in crate::net) fn is_one_administration(tls: &Tls, folder: &Path) -> bool {
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
        let party = party_of(&certificate, tls.session).unwrap();
        tls.is_one_administration(party, &certificate)
    }

    #[test]
    fn der_is_read_to_its_end_and_never_beyond() {
        assert_eq!(der(&[4, 2, 7, 8, 9]), Some((4, &[7, 8][..], &[9][..])));
        assert_eq!(der(&[4, 0x81, 1, 7]), Some((4, &[7][..], &[][..])));
        for bad in [&[][..], &[4], &[4, 2, 7], &[4, 0x82, 1], &[4, 0x80, 0], &[4, 0x85, 0, 0, 0, 0, 1, 7]] {
            assert_eq!(der(bad), None, "{bad:?}");
        }
        assert!(organisations(&CertificateDer::from_slice(&[0x30, 3, 1, 1, 1])).is_empty());
    }
}
