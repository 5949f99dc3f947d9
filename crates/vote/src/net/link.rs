//! A connection to a server that is made again when it breaks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::Grpc;

use super::exchange::{EnvelopeCodec, PATH, outgoing};
use super::hub::{Arrival, Hub};
use super::metrics::add;
use super::server::ENVELOPE;
use super::tls::Tls;
use crate::wire::Party;

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where a party listens.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) party: Party,
    /// `host:port`.
    pub(super) address: String,
    /// How long it may be away before the process gives up.
    pub(super) patience: Duration,
}

/// Keeps a link until the other side finishes: waits twice as long after each failure.
pub(super) async fn keep(destination: Destination, tls: Tls, hub: Arc<Hub>) {
    let mut wait = FIRST_WAIT;
    let mut deadline = Instant::now() + destination.patience;
    loop {
        let failure = match connect(&destination, &tls, &hub).await {
            Ok(incoming) => {
                (wait, deadline) = (FIRST_WAIT, Instant::now() + destination.patience);
                match hub.receive(destination.party, incoming).await {
                    Ok(()) => return,
                    Err(status) => status.message().to_owned(),
                }
            }
            Err(reason) => reason,
        };
        tracing::debug!(party = %destination.party, "no connection: {failure}");
        if Instant::now() + wait > deadline {
            return hub.tell(Arrival::Lost(destination.party, failure)).await;
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

async fn connect(
    destination: &Destination,
    tls: &Tls,
    hub: &Arc<Hub>,
) -> Result<tonic::Streaming<super::exchange::Envelope>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(&destination.address).await.map_err(|error| text(&error))?;
    // Small frames wait for nothing; where that cannot be set, they wait.
    let _ = stream.set_nodelay(true);
    let io = tls.connect(stream, destination.party, &hub.metrics).await.inspect_err(|_| {
        add(&hub.metrics.connections_refused, 1);
    })?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(io)).await.map_err(|error| text(&error))?;
    tokio::spawn(async move {
        // Whatever ended it, the stream of envelopes ends with it.
        let _ = connection.await;
    });
    let limit = hub.largest_frame + ENVELOPE;
    let origin = http::Uri::from_static("https://vote");
    let mut grpc = Grpc::with_origin(Sender(sender), origin).max_decoding_message_size(limit).max_encoding_message_size(limit);
    let letters = outgoing(hub, destination.party, |envelope| envelope).ok_or("this process does not talk to that party")?;
    let answer = grpc
        .streaming(tonic::Request::new(letters), http::uri::PathAndQuery::from_static(PATH), EnvelopeCodec)
        .await
        .map_err(|status| status.to_string())?;
    add(&hub.metrics.connections, 1);
    Ok(answer.into_inner())
}

/// An HTTP/2 connection as the service that gRPC wants.
struct Sender(SendRequest<Body>);

impl tonic::client::GrpcService<Body> for Sender {
    type ResponseBody = hyper::body::Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<hyper::body::Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
