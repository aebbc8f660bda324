use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answer::{Step, answer};
use super::certificates::role_of;
use super::framing::{Framing, Request};
use super::pty::Pty;
use super::{Shared, lock};

type Serving = (String, JoinHandle<()>);

pub(super) async fn tcp(at: &str, framing: Framing, shared: Arc<Shared>) -> io::Result<Serving> {
    let listener = TcpListener::bind(at).await?;
    let address = listener.local_addr()?.to_string();
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            lock(&shared.asked).connections += 1;
            let _ = stream.set_nodelay(true);
            let serving = over_tcp(stream, framing, Arc::clone(&shared));
            if shared.is_for_one.load(Ordering::Relaxed) {
                serving.await;
            } else {
                connections.spawn(serving);
            }
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, server))
}

async fn over_tcp(stream: TcpStream, framing: Framing, shared: Arc<Shared>) {
    // Whether closing resets is a property of the socket, which the halves do not have.
    let socket = socket2::SockRef::from(&stream).try_clone();
    if serve(stream, framing, shared, Ends::Closes).await == Some(Step::Reset)
        && let Ok(socket) = socket
    {
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }
}

pub(super) async fn tls(at: &str, config: Arc<ServerConfig>, shared: Arc<Shared>) -> io::Result<Serving> {
    let listener = TcpListener::bind(at).await?;
    let address = listener.local_addr()?.to_string();
    let acceptor = TlsAcceptor::from(config);
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            lock(&shared.asked).connections += 1;
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            connections.spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else { return };
                if is_allowed(&stream, &shared) {
                    serve(stream, Framing::Mbap, shared, Ends::Closes).await;
                } else {
                    refuse(stream, shared).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, server))
}

fn is_allowed(stream: &TlsStream<TcpStream>, shared: &Shared) -> bool {
    let client = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let wanted = lock(&shared.role).clone();
    wanted.is_none() || wanted == client.and_then(role_of)
}

/// Exception 01 for whatever a role may not do (MODBUS/TCP Security, 8.4).
async fn refuse(mut stream: TlsStream<TcpStream>, shared: Arc<Shared>) {
    let mut received = Vec::new();
    while stream.read_buf(&mut received).await.is_ok_and(|count| count > 0) {
        while let Some(request) = Framing::Mbap.next(&mut received) {
            shared.note(request.unit, request.pdu[0]);
            let frame = Framing::Mbap.frame(request.transaction, request.unit, &[request.pdu[0] | 0x80, 1]);
            if stream.write_all(&frame).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

pub(super) fn serial(link: &Path, framing: Framing, shared: Arc<Shared>) -> io::Result<Serving> {
    let (pty, path) = Pty::open()?;
    let _ = std::fs::remove_file(link);
    std::os::unix::fs::symlink(&path, link)?;
    let server = tokio::spawn(async move {
        serve(pty, framing, shared, Ends::Stays).await;
    });
    Ok((link.display().to_string(), server))
}

/// Whether a unit can close what it speaks through: nobody can close a serial line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Closes,
    Stays,
}

/// Reads requests and hands each to its unit, which does one thing after the other.
async fn serve<S>(stream: S, framing: Framing, shared: Arc<Shared>, ends: Ends) -> Option<Step>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = split(stream);
    let (steps, mut queue) = mpsc::unbounded_channel();
    let mut units = Units::new(framing, Arc::clone(&shared), steps);
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        tokio::select! {
            read = reader.read(&mut chunk) => match read {
                Ok(count) if count > 0 => received.extend_from_slice(&chunk[..count]),
                _ => return None,
            },
            Some(step) = queue.recv() => {
                if let Step::Send(bytes) = &step {
                    let sent = async { writer.write_all(bytes).await.is_ok() && writer.flush().await.is_ok() };
                    if !sent.await {
                        return None;
                    }
                } else if ends == Ends::Closes {
                    return Some(step);
                }
            }
        }
        while let Some(request) = framing.next(&mut received) {
            units.take(request);
        }
    }
}

/// One task per unit that was asked.
struct Units {
    framing: Framing,
    shared: Arc<Shared>,
    steps: mpsc::UnboundedSender<Step>,
    queues: BTreeMap<u8, mpsc::UnboundedSender<Request>>,
    tasks: JoinSet<()>,
}

impl Units {
    fn new(framing: Framing, shared: Arc<Shared>, steps: mpsc::UnboundedSender<Step>) -> Units {
        Units { framing, shared, steps, queues: BTreeMap::new(), tasks: JoinSet::new() }
    }

    fn take(&mut self, request: Request) {
        let queue = self.queues.entry(request.unit).or_insert_with(|| {
            let (sender, mut requests) = mpsc::unbounded_channel();
            let (framing, shared, steps) = (self.framing, Arc::clone(&self.shared), self.steps.clone());
            self.tasks.spawn(async move {
                while let Some(request) = requests.recv().await {
                    for step in answer(&shared, framing, &request) {
                        match step {
                            Step::Wait(time) => sleep(time).await,
                            step => drop(steps.send(step)),
                        }
                    }
                }
            });
            sender
        });
        let _ = queue.send(request);
    }
}

/// Every datagram is one frame; what a stream would do over time is sent as several.
pub(super) async fn udp(at: &str, shared: Arc<Shared>) -> io::Result<Serving> {
    let socket = Arc::new(UdpSocket::bind(at).await?);
    let address = socket.local_addr()?.to_string();
    let server = tokio::spawn(async move {
        let mut answers = JoinSet::new();
        let mut datagram = [0; 300];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut datagram).await else { continue };
            let mut bytes = datagram[..length].to_vec();
            let Some(request) = Framing::Mbap.next(&mut bytes) else { continue };
            let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
            answers.spawn(async move {
                for step in answer(&shared, Framing::Mbap, &request) {
                    match step {
                        Step::Wait(time) => sleep(time).await,
                        Step::Send(bytes) => drop(socket.send_to(&bytes, peer).await),
                        Step::Close | Step::Reset => return,
                    }
                }
            });
            while answers.try_join_next().is_some() {}
        }
    });
    Ok((address, server))
}
