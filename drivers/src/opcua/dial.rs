use std::io;
use std::time::Duration;

use opcua::client::ConnectionSource;
use opcua::client::transport::{Connector, RequestRecv, SecureChannelState, TransportConfiguration};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::types::{DecodingOptions, EndpointDescription, Error, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::address::Address;
use super::guard::{Guarded, Limits, Watch};
use super::transport::{Frames, Patient};

/// For each address that a host name stands for.
const CONNECT: Duration = Duration::from_secs(3);
/// For the name, and from HEL to the whole ACK.
const HELLO: Duration = Duration::from_secs(4);
const ADDRESSES_MAX: usize = 8;

/// Opens guarded connections to one address, with the deadlines that the library's own connector does not have.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) address: Address,
    pub(crate) limits: Limits,
    pub(crate) watch: Watch,
    pub(crate) failure: Failure,
}

/// Why no connection came about, which the library reduces to a status code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: io::Error) -> Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Error::new(StatusCode::BadCommunicationError, "no connection")
    }
}

impl Dial {
    async fn open(&self, options: DecodingOptions) -> Result<(Frames, OwnedWriteHalf), Error> {
        let stream = self.tcp().await.map_err(|error| self.failure.note(error))?;
        let (read, write) = stream.into_split();
        let guarded = Guarded::new(read, self.limits.clone(), self.watch.clone());
        Ok((FramedRead::new(guarded, TcpCodec::new(options)), write))
    }

    /// The first of the host's addresses that answers.
    async fn tcp(&self) -> io::Result<TcpStream> {
        let host = (self.address.host.as_str(), self.address.port);
        let addresses = timeout(HELLO, lookup_host(host)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
        for address in addresses.take(ADDRESSES_MAX) {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(failed)
    }
}

impl Connector for Dial {
    type Transport = Patient;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        requests: RequestRecv,
        configuration: TransportConfiguration,
    ) -> Result<Self::Transport, Error> {
        let options = channel.secure_channel().read().decoding_options();
        let greeting = async {
            let (read, write) = self.open(options).await?;
            Patient::greet(read, write, self.address.to_string(), channel, requests, &configuration).await
        };
        let deadline = CONNECT.saturating_mul(2) + HELLO;
        let connected = timeout(deadline, greeting).await;
        connected.unwrap_or_else(|_| Err(self.failure.note(io::Error::from(io::ErrorKind::TimedOut))))
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.address.to_string().as_str())
    }
}

/// Dials what the configuration says, whatever the endpoint's description says.
pub(crate) struct Source(pub(crate) Dial);

impl ConnectionSource for Source {
    type Builder = Dial;

    fn get_connector(&self, _: &EndpointDescription) -> Result<Dial, Error> {
        Ok(self.0.clone())
    }
}
