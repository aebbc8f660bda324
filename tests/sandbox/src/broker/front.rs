//! The broker's public side: TLS 1.3 with client certificates, packet by packet past the tap.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::frames::{self, Cut};
use super::tap::Tap;
use crate::tls::common_name;

const CONNECTIONS_MAX: usize = 256;
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Packets towards one client that may wait for their time.
const WAITING_MAX: usize = 4096;

/// Who stands behind a connection to the inner broker: common names by the address of our side.
pub(crate) type Peers = Arc<Mutex<BTreeMap<SocketAddr, String>>>;

#[derive(Clone)]
pub(crate) struct FrontSettings {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) inner: SocketAddr,
    pub(crate) peers: Peers,
    pub(crate) tap: Arc<Tap>,
}

pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(address: SocketAddr, settings: FrontSettings) -> std::io::Result<Front> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Front { address, accepting: tokio::spawn(accept(listener, settings)) })
    }

    /// Every connection breaks without a word, as when a cable is pulled, and the port is free.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, settings: FrontSettings) {
    // Dropped with this task: all connections end with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                if let Ok((tcp, _)) = accepted {
                    connections.spawn(serve(tcp, settings.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(tcp: TcpStream, settings: FrontSettings) -> Option<()> {
    tcp.set_nodelay(true).ok()?;
    let accepting = TlsAcceptor::from(settings.tls).accept(tcp);
    let client = tokio::time::timeout(HANDSHAKE_MAX, accepting).await.ok()?.ok()?;
    let name = common_name(client.get_ref().1.peer_certificates()?.first()?)?;
    // The name is known before the inner broker can ask for it: it does so after the first byte.
    let inner = TcpStream::connect(settings.inner).await.ok()?;
    inner.set_nodelay(true).ok()?;
    let _peer = Peer::enter(&settings.peers, inner.local_addr().ok()?, name);
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_inner, to_inner) = inner.into_split();
    let (packets, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING_MAX);
    let write = async {
        while let Some((due, packet)) = waiting.recv().await {
            tokio::time::sleep_until(due).await;
            to_client.write_all(&packet).await.ok()?;
            if waiting.is_empty() {
                to_client.flush().await.ok()?;
            }
        }
        Some(())
    };
    tokio::select! {
        ended = upwards(from_client, to_inner, &settings.tap, packets.clone()) => ended,
        ended = downwards(from_inner, &settings.tap, packets) => ended,
        ended = write => ended,
    }
}

/// From the client: counted, kept, refused or passed on.
async fn upwards(
    client: impl AsyncRead + Unpin,
    mut inner: impl tokio::io::AsyncWrite + Unpin,
    tap: &Tap,
    answers: mpsc::Sender<(Instant, Vec<u8>)>,
) -> Option<()> {
    let mut packets = Packets::new(client);
    while let Some(packet) = packets.next().await {
        let Some(publish) = frames::publish(&packet) else {
            inner.write_all(&packet).await.ok()?;
            continue;
        };
        match tap.decide(&publish, packet.len()) {
            Some(reason) if publish.packet_id != 0 => {
                let answer = frames::puback(publish.packet_id, reason);
                answers.send((due(tap), answer)).await.ok()?;
            }
            Some(_) => {}
            None => inner.write_all(&packet).await.ok()?,
        }
    }
    None
}

/// To the client: acknowledgements may be late.
async fn downwards(inner: impl AsyncRead + Unpin, tap: &Tap, out: mpsc::Sender<(Instant, Vec<u8>)>) -> Option<()> {
    let mut packets = Packets::new(inner);
    while let Some(packet) = packets.next().await {
        let due = if frames::is_puback(&packet) { due(tap) } else { now() };
        out.send((due, packet)).await.ok()?;
    }
    None
}

fn due(tap: &Tap) -> Instant {
    now() + tap.ack_delay()
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the gateway; a late acknowledgement needs a clock")]
fn now() -> Instant {
    Instant::now()
}

/// Cuts a stream into whole packets.
struct Packets<R> {
    stream: R,
    bytes: Vec<u8>,
    done: usize,
}

impl<R: AsyncRead + Unpin> Packets<R> {
    fn new(stream: R) -> Packets<R> {
        Packets { stream, bytes: Vec::new(), done: 0 }
    }

    /// `None` at the end of the stream, or when it is not MQTT.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match frames::cut(&self.bytes[self.done..]) {
                Cut::Packet(length) => {
                    let packet = self.bytes[self.done..self.done + length].to_vec();
                    self.done += length;
                    return Some(packet);
                }
                Cut::Broken => return None,
                Cut::Incomplete => {
                    self.bytes.drain(..std::mem::take(&mut self.done));
                    if self.stream.read_buf(&mut self.bytes).await.ok()? == 0 {
                        return None;
                    }
                }
            }
        }
    }
}

struct Peer {
    peers: Peers,
    address: SocketAddr,
}

impl Peer {
    fn enter(peers: &Peers, address: SocketAddr, name: String) -> Peer {
        peers.lock().expect("no holder of the lock panics").insert(address, name);
        Peer { peers: peers.clone(), address }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.peers.lock().expect("no holder of the lock panics").remove(&self.address);
    }
}
