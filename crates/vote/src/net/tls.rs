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

/// Whose certificate this is, if it is one of the session.
fn party_of(certificate: &CertificateDer<'_>, session: SessionId) -> Result<Party, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
    let prefix = format!("thalweg-vote://{session}/");
    let roles: Vec<&str> = parsed.valid_uri_names().filter_map(|name| name.strip_prefix(&prefix)).collect();
    match roles.as_slice() {
        ["aggregator"] => Ok(Party::Aggregator),
        ["dealer"] => Ok(Party::Dealer),
        [user] => {
            let user = user.strip_prefix("user-").and_then(|number| number.parse().ok()).map(Party::User);
            user.ok_or_else(|| "its certificate names no role of a vote".to_owned())
        }
        _ => Err(format!("its certificate does not name one role of session {session}")),
    }
}

/// Both sides of a party's TLS.
#[derive(Clone)]
pub(super) struct Tls {
    session: SessionId,
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
        let tls = Self { session, acceptor: Arc::new(server).into(), connector: Arc::new(client).into() };
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
        party_of(certificate, self.session)
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
