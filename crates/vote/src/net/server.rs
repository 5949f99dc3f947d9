//! Accepts connections of the parties that a process talks to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic::server::Grpc;

use super::exchange::{EnvelopeCodec, Exchange, PATH};
use super::hub::Hub;
use super::metrics::add;
use super::tls::Tls;

/// Handshakes that may be under way at the same time.
const HANDSHAKES: usize = 64;

/// An idle connection is probed so often, and given up when nothing comes back.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Accepts until the task is dropped.
pub(super) async fn accept(listener: TcpListener, tls: Tls, hub: Arc<Hub>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (tls, hub) = (tls.clone(), hub.clone());
                tokio::spawn(async move {
                    let greeted = greet(stream, &tls, &hub).await;
                    drop(permit);
                    if let Some((io, party)) = greeted {
                        serve(io, party, hub).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn greet(stream: TcpStream, tls: &Tls, hub: &Arc<Hub>) -> Option<(super::tls::Connection, crate::wire::Party)> {
    // Small frames wait for nothing; where that cannot be set, they wait.
    let _ = stream.set_nodelay(true);
    match tls.accept(stream, &hub.metrics).await {
        Ok((io, party)) if hub.mailbox(party).is_some() => {
            add(&hub.metrics.connections, 1);
            tracing::debug!(%party, "connected");
            Some((io, party))
        }
        Ok((_, party)) => {
            add(&hub.metrics.connections_refused, 1);
            tracing::warn!(%party, "a connection was refused: this party has no part here");
            None
        }
        Err(reason) => {
            add(&hub.metrics.connections_refused, 1);
            tracing::warn!("a connection was refused: {reason}");
            None
        }
    }
}

async fn serve(io: super::tls::Connection, party: crate::wire::Party, hub: Arc<Hub>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let hub = hub.clone();
        async move { Ok::<_, Infallible>(answer(request, party, hub).await) }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(1)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(io), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%party, "the connection ended: {error}");
    }
}

async fn answer(request: http::Request<Incoming>, party: crate::wire::Party, hub: Arc<Hub>) -> http::Response<tonic::body::Body> {
    if request.uri().path() != PATH {
        return tonic::Status::unimplemented("there is but the call Exchange").into_http();
    }
    let limit = hub.largest_frame + ENVELOPE;
    let mut grpc = Grpc::new(EnvelopeCodec).max_decoding_message_size(limit).max_encoding_message_size(limit);
    grpc.streaming(Exchange { hub, party }, request).await
}

/// What an envelope adds to a frame, at most.
pub(super) const ENVELOPE: usize = 32;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc::Receiver;

    use super::*;
    use crate::Settings;
    use crate::net::folder::PartyFolder;
    use crate::net::hub::Arrival;
    use crate::net::link::{Destination, keep};
    use crate::net::mailbox::Letter;
    use crate::net::{authority, tls};
    use crate::wire::Party;

    const USERS: u16 = 3;

    fn folder(keys: &Path, role: &str) -> PartyFolder {
        PartyFolder::read(&keys.join(role)).unwrap()
    }

    /// An aggregator's hub that listens, without its machine.
    async fn listening(keys: &Path, settings: &Settings) -> (String, Arc<Hub>, Receiver<Arrival>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (hub, arrivals) = Hub::new((0..USERS).map(Party::User), settings, USERS.into());
        tokio::spawn(accept(listener, folder(keys, "aggregator").tls, hub.clone()));
        (address, hub, arrivals)
    }

    fn link(folder: &PartyFolder, party: Party, address: &str, settings: &Settings) -> (Arc<Hub>, Receiver<Arrival>) {
        let (hub, arrivals) = Hub::new([party], settings, USERS.into());
        let destination = Destination { party, address: address.into(), patience: Duration::from_millis(300) };
        tokio::spawn(keep(destination, folder.tls.clone(), hub.clone()));
        (hub, arrivals)
    }

    async fn arrival(arrivals: &mut Receiver<Arrival>) -> Arrival {
        tokio::time::timeout(Duration::from_secs(10), arrivals.recv()).await.unwrap().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn frames_arrive_once_in_order_and_from_whom_the_certificate_names() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, settings) = (directory.path().join("keys"), Settings::new(1_000));
        authority::issue(&keys, &settings, USERS).unwrap();
        let (address, _, mut arrivals) = listening(&keys, &settings).await;
        let (user, _) = link(&folder(&keys, "user-1"), Party::Aggregator, &address, &settings);
        let frame = |number: u8| Letter::Frame([&[number; 24][..], &[0; 40]].concat().into());
        (1..=3).for_each(|number| user.mailbox(Party::Aggregator).unwrap().post(0, frame(number)));
        assert!(matches!(arrival(&mut arrivals).await, Arrival::Connected(Party::User(1))));
        // A second connection of the same user sends all of it again.
        let (again, _) = link(&folder(&keys, "user-1"), Party::Aggregator, &address, &settings);
        (1..=4).for_each(|number| again.mailbox(Party::Aggregator).unwrap().post(0, frame(number)));
        let mut seen = Vec::new();
        while seen.len() < 4 {
            if let Arrival::Frame { from, bytes } = arrival(&mut arrivals).await {
                assert_eq!(from, Party::User(1));
                seen.push(bytes[0]);
            }
        }
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_above_the_limit_is_refused_before_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, settings) = (directory.path().join("keys"), Settings::new(100));
        authority::issue(&keys, &settings, USERS).unwrap();
        let (address, server, mut arrivals) = listening(&keys, &settings).await;
        assert!(server.largest_frame < 2_000, "{}", server.largest_frame);
        // The sender's own limit is that of a larger session.
        let (user, _) = link(&folder(&keys, "user-1"), Party::Aggregator, &address, &Settings::new(60_000));
        user.mailbox(Party::Aggregator).unwrap().post(0, Letter::Frame(vec![7; 5_000].into()));
        assert!(matches!(arrival(&mut arrivals).await, Arrival::Connected(Party::User(1))));
        assert!(matches!(arrival(&mut arrivals).await, Arrival::Gone(Party::User(1))));
        assert!(server.metrics.snapshot().refused["FrameTooLarge"] >= 1);
        assert_eq!(server.metrics.snapshot().frames_received, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn certificates_of_others_are_refused_on_both_sides() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, foreign, settings) = (directory.path().join("keys"), directory.path().join("foreign"), Settings::new(100));
        authority::issue(&keys, &settings, USERS).unwrap();
        authority::issue(&foreign, &settings, USERS).unwrap();
        let (address, server, _arrivals) = listening(&keys, &settings).await;
        // A client that trusts nobody here.
        let (_, mut lost) = link(&folder(&foreign, "user-1"), Party::Aggregator, &address, &settings);
        assert!(matches!(arrival(&mut lost).await, Arrival::Lost(Party::Aggregator, _)));
        // A client that would trust the server, but comes with a foreign certificate.
        std::fs::copy(keys.join("user-0/ca.pem"), foreign.join("user-0/ca.pem")).unwrap();
        let (_, mut lost) = link(&folder(&foreign, "user-0"), Party::Aggregator, &address, &settings);
        assert!(matches!(arrival(&mut lost).await, Arrival::Lost(Party::Aggregator, _)));
        // A user that poses as the dealer.
        let (_, mut lost) = link(&folder(&keys, "user-2"), Party::Dealer, &address, &settings);
        assert!(matches!(arrival(&mut lost).await, Arrival::Lost(Party::Dealer, _)));
        // The dealer has no part at the aggregator's door.
        let (_, mut lost) = link(&folder(&keys, "dealer"), Party::Aggregator, &address, &settings);
        assert!(matches!(arrival(&mut lost).await, Arrival::Lost(Party::Aggregator, _)));
        let traffic = server.metrics.snapshot();
        assert!(traffic.connections == 0 && traffic.connections_refused >= 3, "{traffic:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_certificate_is_renewed_and_one_that_has_ended_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, settings) = (directory.path().join("keys"), Settings::new(100));
        let terms = authority::Terms::default();
        authority::issue_under(&keys, &settings, USERS, &terms, authority::AuthorityKey::Kept).unwrap();
        let (kept, user) = (keys.join("authority"), keys.join("user-1"));
        let (address, server, mut arrivals) = listening(&keys, &settings).await;
        let before = std::fs::read(user.join("cert.pem")).unwrap();
        let ended = authority::Terms { until: Some(std::time::UNIX_EPOCH + Duration::from_secs(1 << 30)), ..terms.clone() };
        assert_eq!(authority::renew(&kept, &user, "user-1", &ended).unwrap(), Party::User(1));
        let (_, mut lost) = link(&folder(&keys, "user-1"), Party::Aggregator, &address, &settings);
        assert!(matches!(arrival(&mut lost).await, Arrival::Lost(Party::Aggregator, _)));
        assert!(server.metrics.snapshot().connections_refused >= 1);
        authority::renew(&kept, &user, "user-1", &terms).unwrap();
        assert_ne!(std::fs::read(user.join("cert.pem")).unwrap(), before);
        let (_hub, _events) = link(&folder(&keys, "user-1"), Party::Aggregator, &address, &settings);
        assert!(matches!(arrival(&mut arrivals).await, Arrival::Connected(Party::User(1))));

        let refused = |role: &str, into: &Path| authority::renew(&kept, into, role, &terms).unwrap_err().to_string();
        assert!(refused("user-3", &user).contains("user-0 to user-2") && refused("boss", &user).contains("boss"));
        assert!(refused("user-1", directory.path()).contains("secret.key"));
        let other = directory.path().join("other");
        authority::issue(&other, &settings, USERS).unwrap();
        assert!(refused("user-1", &other.join("user-1")).contains("another session"));
        assert!(!other.join("authority").exists());
    }

    #[test]
    fn one_organisation_for_both_servers_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::new(100);
        let shared = |name: &str, organisation: Option<&str>| {
            let keys = directory.path().join(name);
            let terms = authority::Terms { organisation: organisation.map(str::to_owned), until: None };
            authority::issue_under(&keys, &settings, USERS, &terms, authority::AuthorityKey::Kept).unwrap();
            tls::tests::is_one_administration(&folder(&keys, "aggregator").tls, &keys.join("dealer"))
        };
        assert!(shared("a", Some("Example Ltd")));
        assert!(!shared("b", None));
        // The dealer moves to another one.
        let keys = directory.path().join("a");
        let terms = authority::Terms { organisation: Some("Other Ltd".into()), until: None };
        authority::renew(&keys.join("authority"), &keys.join("dealer"), "dealer", &terms).unwrap();
        assert!(!tls::tests::is_one_administration(&folder(&keys, "aggregator").tls, &keys.join("dealer")));
        assert!(!tls::tests::is_one_administration(&folder(&keys, "user-0").tls, &keys.join("dealer")));
    }

    /// Bytes that are no TLS 1.3: an old greeting, and no greeting at all.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn older_versions_of_tls_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, settings) = (directory.path().join("keys"), Settings::new(100));
        authority::issue(&keys, &settings, USERS).unwrap();
        let (address, server, _arrivals) = listening(&keys, &settings).await;
        let answer = async |bytes: &[u8]| {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
            // A reset connection is an answer too.
            let _ = read.await.unwrap();
            answer
        };
        // ClientHello of TLS 1.2 with one suite, the curve x25519, and a signature scheme.
        let extensions = [&[0, 10, 0, 4, 0, 2, 0, 29][..], &[0, 13, 0, 4, 0, 2, 4, 3], &[0, 11, 0, 2, 1, 0]].concat();
        let body =
            [&[3, 3][..], &[9; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0], &[0, extensions.len() as u8], &extensions].concat();
        let hello = [&[22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8][..], &body].concat();
        // A fatal alert: protocol_version.
        assert_eq!(answer(&hello).await, [21, 3, 3, 0, 2, 2, 70]);
        let text = answer(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(text.first().is_none_or(|&kind| kind == 21), "{text:?}");
        assert_eq!(server.metrics.snapshot().connections, 0);
    }

    #[test]
    fn roles_have_names_and_nothing_else_has() {
        let session = crate::prg::SessionId([5; 16]);
        assert_eq!(tls::uri_of(session, Party::User(7)), "thalweg-vote://05050505050505050505050505050505/user-7");
        assert_eq!(tls::role(Party::Dealer), "dealer");
    }
}
