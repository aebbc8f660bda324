//! A broker that is honest until a row says otherwise: TLS as the broker, behind it the honest one, packet by packet.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use lingate_sandbox::Authority;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{certificates, packets, words};

/// What it does, until it is healed.
#[derive(Clone, Default)]
pub(crate) enum Manner {
    #[default]
    Honest,
    /// As soon as a connection comes: `close`, `reset`, `silence`, or these bytes.
    Accept(Opening),
    /// Another certificate.
    Shows(Arc<ServerConfig>),
    /// In place of the CONNACK; nothing for silence.
    Connack(Option<Vec<u8>>),
    /// In place of every PUBACK: what comes of its packet id.
    Puback(Answer),
    /// Behind every PUBACK, or behind the CONNACK where no PUBLISH comes.
    Adds(Vec<u8>),
    /// Only so many bytes of the stream come through, then it is cut.
    Cuts(usize),
    /// From the gateway, byte by byte with this time between them.
    Drips(Duration),
    /// Nothing comes through any more, and nothing is closed.
    Stalls,
}

#[derive(Clone)]
pub(crate) enum Opening {
    Close,
    Reset,
    Silence,
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Drop,
    Twice,
    Reason(u8),
    Id(u16),
    /// Behind the next one.
    Swap,
    Late(Duration),
}

impl Manner {
    pub(crate) fn parse(text: &str, authority: &Authority) -> Result<Manner> {
        let (word, rest) = words::split(text);
        let (what, detail) = words::split(rest);
        Ok(match (word, what) {
            ("accept", "close") => Manner::Accept(Opening::Close),
            ("accept", "reset") => Manner::Accept(Opening::Reset),
            ("accept", "silence") => Manner::Accept(Opening::Silence),
            ("accept", "bytes") => Manner::Accept(Opening::Bytes(words::hex(detail)?)),
            ("shows", _) => Manner::Shows(certificates::wrong(authority, rest)?),
            ("connack", "never") => Manner::Connack(None),
            ("connack", "reason") => Manner::Connack(Some(packets::connack(words::number(detail)?, &[]))),
            ("connack", "properties") => Manner::Connack(Some(packets::connack(0, &words::hex(detail)?))),
            ("connack", "bytes") => Manner::Connack(Some(words::hex(detail)?)),
            // From the second record of a connection on; so does "swap".
            ("puback", "drop") => Manner::Puback(Answer::Drop),
            ("puback", "twice") => Manner::Puback(Answer::Twice),
            ("puback", "swap") => Manner::Puback(Answer::Swap),
            ("puback", "reason") => Manner::Puback(Answer::Reason(words::number(detail)?)),
            ("puback", "id") => Manner::Puback(Answer::Id(words::number(detail)?)),
            ("puback", "late") => Manner::Puback(Answer::Late(Duration::from_millis(words::number(detail)?))),
            ("adds", _) => Manner::Adds(words::hex(rest)?),
            ("cuts", _) => Manner::Cuts(words::number(rest)?),
            ("drips", _) => Manner::Drips(Duration::from_millis(words::number(rest)?)),
            ("stalls", _) => Manner::Stalls,
            _ => bail!("{text:?} is nothing that a broker can do"),
        })
    }
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    honest: Arc<ServerConfig>,
    inner: SocketAddr,
    client: Mutex<Option<Arc<ClientConfig>>>,
    manner: watch::Sender<Manner>,
    /// How often the manner took effect.
    tricks: AtomicU64,
    /// Bytes that came from the gateway before TLS let it speak to somebody who is not the broker.
    told: AtomicU64,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Proxy {
    pub(crate) async fn start(authority: &Authority, inner: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            honest: certificates::honest(authority)?,
            inner,
            client: Mutex::default(),
            manner: watch::Sender::default(),
            tricks: AtomicU64::new(0),
            told: AtomicU64::new(0),
            kept: Mutex::default(),
        });
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy { address, shared, _task: task })
    }

    /// Who it is towards the honest broker.
    pub(crate) fn impersonate(&self, client: Arc<ClientConfig>) {
        *lock(&self.shared.client) = Some(client);
    }

    /// Every connection ends, and the next ones meet this.
    pub(crate) fn be(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    pub(crate) fn tricks(&self) -> u64 {
        self.shared.tricks.load(Ordering::Relaxed)
    }

    /// Application bytes that the gateway gave to a stranger.
    pub(crate) fn told_to_strangers(&self) -> u64 {
        self.shared.told.load(Ordering::Relaxed)
    }

    /// Payloads as they left the gateway.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.kept).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn trick(&self) {
        self.tricks.fetch_add(1, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut manners = shared.manner.subscribe();
    loop {
        tokio::select! {
            Ok((tcp, _)) = listener.accept() => {
                let (shared, manner) = (Arc::clone(&shared), manners.borrow().clone());
                connections.spawn(async move { serve(tcp, &shared, manner).await.unwrap_or_default() });
            }
            Some(_) = connections.join_next() => {}
            Ok(()) = manners.changed() => connections.abort_all(),
        }
    }
}

async fn serve(tcp: TcpStream, shared: &Shared, manner: Manner) -> Option<()> {
    if let Manner::Accept(opening) = manner {
        shared.trick();
        return open(tcp, opening).await;
    }
    let tls = match &manner {
        Manner::Shows(config) => {
            shared.trick();
            Arc::clone(config)
        }
        _ => Arc::clone(&shared.honest),
    };
    let mut gateway = TlsAcceptor::from(tls).accept(tcp).await.ok()?;
    if matches!(manner, Manner::Shows(_)) {
        // A gateway that believes it would go on to speak.
        let mut bytes = vec![0; 4096];
        let told = gateway.read(&mut bytes).await.unwrap_or(0);
        shared.told.fetch_add(told as u64, Ordering::Relaxed);
        return None;
    }
    let client = lock(&shared.client).clone()?;
    let inner = TcpStream::connect(shared.inner).await.ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let inner = TlsConnector::from(client).connect(name, inner).await.ok()?;
    let (from_gateway, to_gateway) = tokio::io::split(gateway);
    let (from_inner, to_inner) = tokio::io::split(inner);
    let first = OnceLock::new();
    tokio::select! {
        ended = upwards(from_gateway, to_inner, shared, &manner, &first) => ended,
        ended = downwards(from_inner, to_gateway, shared, &manner, &first) => ended,
    }
}

async fn open(mut tcp: TcpStream, opening: Opening) -> Option<()> {
    match opening {
        Opening::Close => {}
        Opening::Reset => tcp.set_zero_linger().ok()?,
        Opening::Silence => std::future::pending().await,
        Opening::Bytes(bytes) => {
            tcp.write_all(&bytes).await.ok()?;
            let mut rest = vec![0; 4096];
            while tcp.read(&mut rest).await.ok()? > 0 {}
        }
    }
    Some(())
}

/// From the gateway to the broker.
async fn upwards(
    mut gateway: impl AsyncRead + Unpin,
    mut inner: impl AsyncWrite + Unpin,
    shared: &Shared,
    manner: &Manner,
    first: &OnceLock<u16>,
) -> Option<()> {
    let mut through = 0;
    while let Some(packet) = packets::next(&mut gateway).await {
        if let Some(id) = packets::publish_id(&packet).filter(|_| packets::kind(&packet) == "publish") {
            if packets::is_record(&packet) {
                first.get_or_init(|| id);
            }
            lock(&shared.kept).push(packet.clone());
        }
        match manner {
            Manner::Cuts(bytes) if through + packet.len() > *bytes => {
                shared.trick();
                inner.write_all(&packet[..*bytes - through]).await.ok()?;
                inner.flush().await.ok()?;
                return None;
            }
            Manner::Drips(pause) if packets::kind(&packet) == "publish" => {
                shared.trick();
                for byte in &packet {
                    inner.write_all(&[*byte]).await.ok()?;
                    inner.flush().await.ok()?;
                    tokio::time::sleep(*pause).await;
                }
            }
            Manner::Stalls if packets::kind(&packet) == "publish" => {
                shared.trick();
                std::future::pending::<()>().await;
            }
            _ => inner.write_all(&packet).await.ok()?,
        }
        inner.flush().await.ok()?;
        through += packet.len();
    }
    None
}

/// From the broker to the gateway.
async fn downwards(
    mut inner: impl AsyncRead + Unpin,
    mut gateway: impl AsyncWrite + Unpin,
    shared: &Shared,
    manner: &Manner,
    first: &OnceLock<u16>,
) -> Option<()> {
    let mut held = Vec::new();
    while let Some(packet) = packets::next(&mut inner).await {
        let answers = match (manner, packets::kind(&packet)) {
            (Manner::Connack(answer), "connack") => {
                shared.trick();
                match answer {
                    Some(bytes) => bytes.clone(),
                    None => std::future::pending().await,
                }
            }
            // Until the broker has taken one record, the gateway sends no more of them.
            (Manner::Puback(Answer::Drop | Answer::Swap), "puback")
                if packets::puback_id(&packet) == first.get().copied() =>
            {
                packet
            }
            (Manner::Puback(answer), "puback") => {
                shared.trick();
                answered(&packet, *answer, &mut held).await
            }
            (Manner::Adds(bytes), "puback") => {
                shared.trick();
                [packet, bytes.clone()].concat()
            }
            _ => packet,
        };
        gateway.write_all(&answers).await.ok()?;
        gateway.flush().await.ok()?;
    }
    None
}

async fn answered(packet: &[u8], answer: Answer, held: &mut Vec<u8>) -> Vec<u8> {
    let id = packets::puback_id(packet).unwrap_or(0);
    match answer {
        Answer::Drop => Vec::new(),
        Answer::Twice => packet.repeat(2),
        Answer::Reason(reason) => packets::puback(id, reason),
        Answer::Id(add) => packets::puback(id.wrapping_add(add), 0),
        Answer::Swap if held.is_empty() => {
            *held = packet.to_vec();
            Vec::new()
        }
        Answer::Swap => [packet.to_vec(), std::mem::take(held)].concat(),
        Answer::Late(time) => {
            tokio::time::sleep(time).await;
            packet.to_vec()
        }
    }
}
