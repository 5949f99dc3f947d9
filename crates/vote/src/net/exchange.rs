//! The one remote call, `Exchange`: a stream of envelopes each way. The message is small enough to be written by hand.

use std::future::{Ready, ready};
use std::sync::Arc;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

use super::hub::Hub;
use crate::wire::Party;

/// The path of the call.
pub(super) const PATH: &str = "/thalweg.vote.v1.Vote/Exchange";

/// A frame of the wire format, or the word of the aggregator that a round is open.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) frame: Vec<u8>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) opens_round: Option<u32>,
}

/// Envelopes as protocol buffers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EnvelopeCodec;

impl Codec for EnvelopeCodec {
    type Encode = Envelope;
    type Decode = Envelope;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for EnvelopeCodec {
    type Item = Envelope;
    type Error = Status;

    fn encode(&mut self, item: Envelope, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for EnvelopeCodec {
    type Item = Envelope;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Envelope>, Status> {
        Envelope::decode(buffer).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// The envelopes that go to a party.
pub(super) type Outgoing<T> = ReceiverStream<T>;

/// Envelopes that wait between mailbox and connection.
const QUEUE: usize = 4;

/// The envelopes of a party's mailbox as a stream: a slow reader stops it.
pub(super) fn outgoing<T: Send + 'static>(hub: &Arc<Hub>, party: Party, wrap: fn(Envelope) -> T) -> Option<Outgoing<T>> {
    let mailbox = hub.mailbox(party)?.clone();
    let metrics = hub.metrics.clone();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut cursor = mailbox.open();
    tokio::spawn(async move {
        while let Some(letter) = mailbox.next(&mut cursor).await {
            let envelope = letter.envelope();
            if !envelope.frame.is_empty() {
                super::metrics::add(&metrics.frames_sent, 1);
                super::metrics::add(&metrics.frame_bytes_sent, envelope.frame.len());
            }
            if sender.send(wrap(envelope)).await.is_err() {
                return;
            }
        }
    });
    Some(ReceiverStream::new(receiver))
}

/// The server's side of the call, for the party whose certificate the connection has shown.
pub(super) struct Exchange {
    pub(super) hub: Arc<Hub>,
    pub(super) party: Party,
}

impl StreamingService<Envelope> for Exchange {
    type Response = Envelope;
    type ResponseStream = Outgoing<Result<Envelope, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Envelope>>) -> Self::Future {
        let Some(outgoing) = outgoing(&self.hub, self.party, Ok) else {
            return ready(Err(Status::permission_denied("this party has no part here")));
        };
        let (hub, party, incoming) = (self.hub.clone(), self.party, request.into_inner());
        tokio::spawn(async move {
            // How it ended is already in the log, and the other side connects again if it wants.
            let _ = hub.receive(party, incoming).await;
        });
        ready(Ok(Response::new(outgoing)))
    }
}
