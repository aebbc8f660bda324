//! Where the bytes go: opening a transport, and what is peculiar to each.

mod serial;
mod stream;
mod tcp;
mod tls;
mod udp;

use std::io;
#[cfg(test)]
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::frame::Framing;
use crate::{LinkError, Opens, Site, SiteProblem};

pub(crate) use serial::{Parity, Rs485, Serial};
pub(crate) use stream::{Stray, Stream};
pub(crate) use tls::{Role, Tls};

/// A configured transport.
#[derive(Clone)]
pub(crate) enum Transport {
    Tcp { peer: Peer, framing: Framing },
    Udp { peer: Peer },
    Tls { peer: Peer, tls: Box<Tls> },
    Serial { serial: Serial, framing: Framing },
    #[cfg(test)]
    Pipe { pipe: Arc<dyn Fn() -> Option<Box<dyn Stream>> + Send + Sync>, framing: Framing },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// An open transport.
pub(crate) enum Link {
    Stream(Box<dyn Stream>),
    Datagrams(UdpSocket),
}

impl Transport {
    pub(crate) fn framing(&self) -> Framing {
        match self {
            Transport::Udp { .. } => Framing::Datagram,
            Transport::Tls { .. } => Framing::Mbap,
            Transport::Tcp { framing, .. } | Transport::Serial { framing, .. } => *framing,
            #[cfg(test)]
            Transport::Pipe { framing, .. } => *framing,
        }
    }

    /// For logs and status.
    pub(crate) fn address(&self) -> String {
        match self {
            Transport::Tcp { peer, .. } | Transport::Udp { peer } | Transport::Tls { peer, .. } => peer.to_string(),
            Transport::Serial { serial, .. } => serial.path.display().to_string(),
            #[cfg(test)]
            Transport::Pipe { .. } => "pipe".to_owned(),
        }
    }

    /// How the connection is protected, for the report.
    pub(crate) fn security(&self) -> Option<String> {
        matches!(self, Transport::Tls { .. }).then(|| "TLS 1.2 or 1.3, certificates on both sides".to_owned())
    }

    /// Stays open when an exchange failed, and is brought back in step by silence.
    pub(crate) fn is_serial(&self) -> bool {
        matches!(self, Transport::Serial { .. })
    }

    /// Between a frame and the next (Modbus over Serial Line V1.02, 2.5.1.1).
    pub(crate) fn silence(&self) -> Duration {
        match self {
            Transport::Serial { serial, .. } => serial.silence(),
            _ => Duration::ZERO,
        }
    }

    /// After so long without a byte a frame that began is whole or will never be. Adapters and networks hold bytes back,
    /// so this is more than the standard's silence.
    pub(crate) fn quiet(&self) -> Duration {
        self.silence().max(Duration::from_millis(50))
    }

    /// How long so many characters are on their way.
    pub(crate) fn duration_of(&self, bytes: usize) -> Duration {
        match self {
            Transport::Serial { serial, .. } => serial.duration_of(bytes),
            _ => Duration::ZERO,
        }
    }

    /// A serial port that is not there has no line.
    pub(crate) fn is_there(&self) -> Result<(), LinkError> {
        match self {
            Transport::Serial { serial, .. } => std::fs::metadata(&serial.path).map(drop).map_err(at(self)),
            _ => Ok(()),
        }
    }

    pub(crate) fn problems(&self, site: &Site) -> Vec<SiteProblem> {
        match self {
            Transport::Tls { tls, .. } => tls.problems(site),
            _ => Vec::new(),
        }
    }

    pub(crate) fn opens(&self) -> Vec<Opens> {
        match self {
            Transport::Tls { tls, .. } => {
                vec![Opens::File(tls.ca.clone()), Opens::File(tls.certificate.clone()), Opens::Secret(tls.key.clone())]
            }
            Transport::Serial { serial, .. } => vec![Opens::Port(serial.path.clone())],
            _ => Vec::new(),
        }
    }

    /// Reads the files that the settings name.
    pub(crate) async fn open(&self, site: &Site, after: Duration) -> Result<Link, LinkError> {
        let opening = async {
            match self {
                Transport::Tcp { peer, .. } => Ok(Link::Stream(Box::new(tcp::open(peer).await.map_err(at(self))?))),
                Transport::Udp { peer } => Ok(Link::Datagrams(udp::open(peer).await.map_err(at(self))?)),
                Transport::Tls { peer, tls } => {
                    let client = tls.client(site)?;
                    Ok(Link::Stream(Box::new(tls::open(peer, tls, &client).await?)))
                }
                Transport::Serial { serial, .. } => {
                    Ok(Link::Stream(Box::new(serial.open().map_err(at(self))?)))
                }
                #[cfg(test)]
                Transport::Pipe { pipe, .. } => {
                    pipe().map(Link::Stream).ok_or_else(|| at(self)(io::ErrorKind::ConnectionRefused.into()))
                }
            }
        };
        timeout(after, opening).await.map_err(|_| LinkError::Timeout { doing: "connecting", after })?
    }
}

fn at(transport: &Transport) -> impl Fn(io::Error) -> LinkError {
    let address = transport.address();
    move |source| LinkError::Connect { address: address.clone(), source }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Peer { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
