use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use opcua::core::{Message, RequestMessage, ResponseMessage};
use opcua::types::{
    BinaryDecodable, BinaryEncodable, ByteString, ChannelSecurityToken, ContextOwned, DateTime, NodeId,
    OpenSecureChannelResponse, ResponseHeader, ServiceFault, StatusCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Interval, interval, sleep};

use super::answers::Session;
use super::script::{Frame, Say, When};
use super::{Evil, Shared};

/// One client's connection.
pub(super) struct Channel {
    stream: TcpStream,
    shared: Arc<Shared>,
    incoming: Vec<u8>,
    /// Of a request whose last chunk has not come.
    body: Vec<u8>,
    sequence: u32,
    opened: u32,
    session: Session,
    /// Publish requests that wait for something to tell.
    waiting: VecDeque<(u32, RequestMessage)>,
    context: ContextOwned,
}

const CHANNEL: u32 = 77;
const HEADER: usize = 8;

impl Channel {
    pub(super) async fn run(stream: TcpStream, shared: Arc<Shared>) {
        let _ = stream.set_nodelay(true);
        let session = Session::new(Arc::clone(&shared));
        let mut channel = Channel {
            stream,
            shared,
            incoming: Vec::new(),
            body: Vec::new(),
            sequence: 1,
            opened: 0,
            session,
            waiting: VecDeque::new(),
            context: ContextOwned::default(),
        };
        // The other side went away, or was sent away.
        let _ = channel.serve().await;
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut beat: Interval = interval(Duration::from_millis(20));
        let mut buffer = vec![0; 32 << 10];
        loop {
            tokio::select! {
                read = self.stream.read(&mut buffer) => match read? {
                    0 => return Ok(()),
                    count => {
                        self.shared.heard(&buffer[..count]);
                        self.incoming.extend_from_slice(&buffer[..count]);
                        self.chunks().await?;
                    }
                },
                _ = beat.tick() => self.publish().await?,
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<()> {
        while let Some(size) = self.incoming.get(4..HEADER).and_then(|size| size.first_chunk()) {
            let size = (u32::from_le_bytes(*size) as usize).max(HEADER);
            if self.incoming.len() < size {
                return Ok(());
            }
            let chunk: Vec<u8> = self.incoming.drain(..size).collect();
            self.chunk(&chunk).await?;
        }
        Ok(())
    }

    async fn chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        match &chunk[..3] {
            b"HEL" => self.hello().await,
            b"OPN" => self.open(chunk).await,
            b"MSG" => {
                let request = chunk[20..24].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                self.body.extend_from_slice(&chunk[24..]);
                if chunk[3] == b'F' {
                    let body = std::mem::take(&mut self.body);
                    return self.request(request, &body).await;
                }
                Ok(())
            }
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// OPC 10000-6, 7.1.2.4.
    async fn hello(&mut self) -> io::Result<()> {
        let numbers = [0_u32, 65_535, 65_535, 0, 0];
        let mut frame = b"ACKF\x1c\0\0\0".to_vec();
        frame.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        match self.shared.trick(When::Hello) {
            Some(say) => self.trick(say, frame, 0).await,
            None => self.stream.write_all(&frame).await,
        }
    }

    async fn open(&mut self, chunk: &[u8]) -> io::Result<()> {
        let when = if self.opened == 0 { When::Open } else { When::Renew };
        let trick = self.shared.trick(when);
        let is_plain = chunk.windows(5).any(|window| window == b"#None");
        // Policy and two null byte strings come before sequence number, request id and body.
        let from = HEADER + 4 + 4 + b"http://opcfoundation.org/UA/SecurityPolicy#None".len() + 8;
        let numbers = chunk.get(from..from + 8).filter(|_| is_plain);
        let Some(numbers) = numbers else {
            return match trick {
                Some(say) => self.trick(say, Vec::new(), 0).await,
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            };
        };
        let request_id = numbers[4..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let Some(RequestMessage::OpenSecureChannel(request)) = self.decode(&chunk[from + 8..]) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.opened += 1;
        let token = ChannelSecurityToken {
            channel_id: CHANNEL,
            token_id: self.opened,
            created_at: DateTime::now(),
            revised_lifetime: request.requested_lifetime,
        };
        let answer = OpenSecureChannelResponse {
            response_header: ResponseHeader::new_good(&request.request_header),
            server_protocol_version: 0,
            security_token: token,
            server_nonce: ByteString::null(),
        };
        self.answer(request_id, &(*request).clone().into(), answer.into(), trick).await
    }

    async fn request(&mut self, id: u32, body: &[u8]) -> io::Result<()> {
        let Some(request) = self.decode(body) else { return Err(io::ErrorKind::InvalidData.into()) };
        if matches!(request, RequestMessage::Publish(_)) {
            self.waiting.push_back((id, request));
            return Ok(());
        }
        let trick = self.shared.trick(When::Service(number_of(&request)));
        let Some(answer) = self.session.answer(&request) else { return Err(io::ErrorKind::Unsupported.into()) };
        self.answer(id, &request, answer, trick).await
    }

    async fn publish(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let Some((id, request)) = self.waiting.front().cloned() else { return Ok(()) };
            let Some(answer) = self.session.notification(&request) else { return Ok(()) };
            self.waiting.pop_front();
            let trick = self.shared.trick(When::Service(number_of(&request)));
            self.answer(id, &request, answer, trick).await?;
        }
        Ok(())
    }

    fn decode(&self, body: &[u8]) -> Option<RequestMessage> {
        let mut body = body;
        let context = self.context.context();
        let id = NodeId::decode(&mut body, &context).ok()?;
        let number = id.as_u32()?;
        crate::sent::OPCUA.count(!crate::opcua::tap::is_planned(number));
        *self.shared.state().seen.requests.entry(number).or_default() += 1;
        RequestMessage::decode_by_object_id(&mut body, id.as_object_id().ok()?, &context).ok()
    }

    async fn answer(
        &mut self,
        id: u32,
        request: &RequestMessage,
        answer: ResponseMessage,
        trick: Option<Say>,
    ) -> io::Result<()> {
        let answer = match &trick {
            Some(Say::Twist(twist)) => twist(request, answer),
            Some(Say::Fault(status)) => fault(request, *status),
            _ => answer,
        };
        let mut body = answer.type_id().encode_to_vec(&self.context.context());
        match &trick {
            Some(Say::Body(bytes)) => {
                body.extend(answer.response_header().encode_to_vec(&self.context.context()));
                body.extend(bytes);
            }
            _ => body.extend(answer.encode_to_vec(&self.context.context())),
        }
        let message = if matches!(answer, ResponseMessage::OpenSecureChannel(_)) { *b"OPN" } else { *b"MSG" };
        let different = if let Some(Say::Frame(frame)) = &trick { *frame } else { Frame::default() };
        let frame = self.frame(message, id, &body, different);
        match trick {
            Some(say) => self.trick(say, frame, id).await,
            None => self.stream.write_all(&frame).await,
        }
    }

    fn frame(&mut self, message: [u8; 3], id: u32, body: &[u8], different: Frame) -> Vec<u8> {
        let mut rest = different.channel.unwrap_or(CHANNEL).to_le_bytes().to_vec();
        if message == *b"OPN" {
            let policy = b"http://opcfoundation.org/UA/SecurityPolicy#None";
            rest.extend((policy.len() as u32).to_le_bytes());
            rest.extend(policy);
            rest.extend([0xFF; 8]);
        } else {
            rest.extend(different.token.unwrap_or(self.opened).to_le_bytes());
        }
        rest.extend(different.sequence.unwrap_or(self.sequence).to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        rest.extend(different.request.unwrap_or(id).to_le_bytes());
        rest.extend(body);
        let size = different.size.unwrap_or((HEADER + rest.len()) as u32);
        let mut frame = different.message.unwrap_or(message).to_vec();
        frame.push(different.kind.unwrap_or(b'F'));
        frame.extend(size.to_le_bytes());
        frame.extend(rest);
        frame
    }

    async fn trick(&mut self, say: Say, honest: Vec<u8>, id: u32) -> io::Result<()> {
        match say {
            Say::Silence => Ok(()),
            Say::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            Say::Bytes(bytes, times) => {
                for _ in 0..times {
                    self.stream.write_all(&bytes).await?;
                }
                Ok(())
            }
            Say::Drip(pause) => {
                for byte in honest {
                    self.stream.write_all(&[byte]).await?;
                    sleep(pause).await;
                }
                Ok(())
            }
            Say::Flood { chunks, size, is_spread } => {
                let body = vec![0; size];
                for number in 0..chunks {
                    let id = if is_spread { id.wrapping_add(number as u32) } else { id };
                    let frame = self.frame(*b"MSG", id, &body, Frame { kind: Some(b'C'), ..Frame::default() });
                    self.stream.write_all(&frame).await?;
                }
                Ok(())
            }
            Say::Again(times) => {
                for _ in 0..times {
                    self.stream.write_all(&honest).await?;
                }
                Ok(())
            }
            Say::Fault(_) | Say::Body(_) | Say::Twist(_) | Say::Frame(_) => self.stream.write_all(&honest).await,
        }
    }
}

fn fault(request: &RequestMessage, status: StatusCode) -> ResponseMessage {
    ServiceFault { response_header: ResponseHeader::new_service_result(request.request_header(), status) }.into()
}

fn number_of(request: &RequestMessage) -> u32 {
    request.type_id().as_u32().unwrap_or(0)
}

impl Evil {
    /// The honest policy, for endpoints that are offered.
    pub const POLICY_NONE: &'static str = "http://opcfoundation.org/UA/SecurityPolicy#None";
}
