use std::sync::Arc;

use futures_util::StreamExt;
use opcua::client::transport::{
    RequestRecv, SecureChannelState, Transport, TransportConfiguration, TransportPollResult, TransportState,
};
use opcua::core::RequestMessage;
use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::tcp_codec::{Message, TcpCodec};
use opcua::core::comms::tcp_types::{AcknowledgeMessage, HelloMessage, MIN_CHUNK_SIZE};
use opcua::types::{Error, SimpleBinaryEncodable, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::FramedRead;

use super::guard::Guarded;

/// The library's transport, but for one thing: an answer that cannot be read fails its request and not the connection,
/// so that one text that is not UTF-8 does not end the session of all the others.
pub(crate) struct Patient {
    state: TransportState,
    read: Frames,
    write: OwnedWriteHalf,
    outgoing: SendBuffer,
    is_saying_goodbye: bool,
    life: Life,
    url: String,
    unreadable: u32,
}

pub(crate) type Frames = FramedRead<Guarded<OwnedReadHalf>, TcpCodec>;

#[derive(Clone, Copy)]
enum Life {
    Open,
    /// Requests that wait are told.
    Closing(StatusCode),
    Closed(StatusCode),
}

/// A server that only sends what cannot be read is no server.
const UNREADABLE_MAX: u32 = 1_000;

impl Patient {
    /// From HEL to ACK (OPC 10000-6, 7.1.2).
    pub(crate) async fn greet(
        mut read: Frames,
        mut write: OwnedWriteHalf,
        url: String,
        channel: Arc<SecureChannelState>,
        requests: RequestRecv,
        offer: &TransportConfiguration,
    ) -> Result<Patient, Error> {
        let acknowledged = hello(&mut read, &mut write, &url, offer).await?;
        let is_legacy = channel.secure_channel().read().security_policy().legacy_sequence_numbers();
        let mut outgoing =
            SendBuffer::new(offer.send_buffer_size, offer.max_message_size, offer.max_chunk_count, is_legacy);
        let AcknowledgeMessage { receive_buffer_size, max_message_size, max_chunk_count, .. } = acknowledged;
        outgoing.revise(receive_buffer_size as usize, max_message_size as usize, max_chunk_count as usize);
        let state = TransportState::new(channel, requests, offer.max_chunk_count, offer.recv_buffer_size);
        let (is_saying_goodbye, life, unreadable) = (false, Life::Open, 0);
        Ok(Patient { state, read, write, outgoing, is_saying_goodbye, life, url, unreadable })
    }

    async fn step(&mut self) -> TransportPollResult {
        if self.outgoing.should_encode_chunks() {
            let channel = self.state.channel_state.secure_channel().read();
            if let Err(status) = self.outgoing.encode_next_chunk(&channel) {
                return TransportPollResult::Closed(status);
            }
        }
        if self.outgoing.can_read() {
            return tokio::select! {
                written = self.outgoing.read_into_async(&mut self.write) => match written {
                    Ok(()) => TransportPollResult::OutgoingMessageSent,
                    Err(_) => TransportPollResult::Closed(StatusCode::BadCommunicationError),
                },
                incoming = self.read.next() => self.arrived(incoming),
            };
        }
        if self.is_saying_goodbye {
            return TransportPollResult::Closed(StatusCode::Good);
        }
        tokio::select! {
            request = self.state.wait_for_outgoing_message(&mut self.outgoing) => self.send(request),
            incoming = self.read.next() => self.arrived(incoming),
        }
    }

    fn send(&mut self, request: Option<(RequestMessage, u32)>) -> TransportPollResult {
        let Some((request, id)) = request else { return TransportPollResult::Closed(StatusCode::Good) };
        self.is_saying_goodbye |= matches!(request, RequestMessage::CloseSecureChannel(_));
        let written = {
            let channel = self.state.channel_state.secure_channel().read();
            self.outgoing.write(id, request, &channel)
        };
        match written {
            Ok(_) => TransportPollResult::OutgoingMessage,
            Err(error) => {
                let status = error.status();
                match error.full_context() {
                    Some((id, _)) => {
                        self.state.message_send_failed(id, error);
                        TransportPollResult::RecoverableError(status)
                    }
                    None => TransportPollResult::Closed(status),
                }
            }
        }
    }

    fn arrived(&mut self, incoming: Option<Result<Message, std::io::Error>>) -> TransportPollResult {
        let Some(incoming) = incoming else { return TransportPollResult::Closed(StatusCode::BadCommunicationError) };
        let Ok(message) = incoming else { return TransportPollResult::Closed(StatusCode::BadConnectionClosed) };
        match self.state.handle_incoming_message(message) {
            Ok(()) => TransportPollResult::IncomingMessage,
            Err(error) if is_unreadable(error.status()) && self.unreadable < UNREADABLE_MAX => {
                self.unreadable += 1;
                TransportPollResult::RecoverableError(error.status())
            }
            Err(error) => TransportPollResult::Closed(error.status()),
        }
    }
}

impl Transport for Patient {
    /// Can be dropped at any time: it waits for one thing only, and closing goes on where it was.
    async fn poll(&mut self) -> TransportPollResult {
        let status = match self.life {
            Life::Open => match self.step().await {
                TransportPollResult::Closed(status) => status,
                other => return other,
            },
            Life::Closing(status) => status,
            Life::Closed(status) => return TransportPollResult::Closed(status),
        };
        self.life = Life::Closing(status);
        let status = self.state.close(status).await;
        self.life = Life::Closed(status);
        TransportPollResult::Closed(status)
    }

    fn connected_url(&self) -> &str {
        &self.url
    }
}

fn is_unreadable(status: StatusCode) -> bool {
    matches!(status, StatusCode::BadDecodingError | StatusCode::BadEncodingLimitsExceeded)
}

async fn hello(
    read: &mut Frames,
    write: &mut OwnedWriteHalf,
    url: &str,
    offer: &TransportConfiguration,
) -> Result<AcknowledgeMessage, Error> {
    let gone = |what: &str| Error::new(StatusCode::BadConnectionClosed, what.to_owned());
    let hello = HelloMessage::new(
        url,
        offer.send_buffer_size,
        offer.recv_buffer_size,
        offer.max_message_size,
        offer.max_chunk_count,
    );
    let bytes = SimpleBinaryEncodable::encode_to_vec(&hello);
    write.write_all(&bytes).await.map_err(|_| gone("closed before HEL"))?;
    match read.next().await {
        Some(Ok(Message::Acknowledge(ack))) => accept(&hello, ack),
        Some(Ok(Message::Error(error))) => Err(Error::new(error.error, "refused instead of acknowledged")),
        _ => Err(gone("no ACK")),
    }
}

fn accept(hello: &HelloMessage, ack: AcknowledgeMessage) -> Result<AcknowledgeMessage, Error> {
    if ack.protocol_version > hello.protocol_version {
        return Err(Error::new(StatusCode::BadProtocolVersionUnsupported, "ACK of a newer protocol"));
    }
    if (ack.send_buffer_size as usize) < MIN_CHUNK_SIZE || (ack.receive_buffer_size as usize) < MIN_CHUNK_SIZE {
        return Err(Error::new(StatusCode::BadTcpInternalError, "ACK with buffers that are too small"));
    }
    Ok(ack)
}
