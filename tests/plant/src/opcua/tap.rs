use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opcua::types::{BinaryDecodable, ContextOwned, HistoryReadRequest, NodeId, ReadRawModifiedDetails};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What a gateway may ask of a server: it looks, and it manages its own session. Nothing of these changes a machine.
pub const PLANNED_SERVICES: [(u32, &str); 23] = [
    (428, "GetEndpoints"),
    (446, "OpenSecureChannel"),
    (452, "CloseSecureChannel"),
    (461, "CreateSession"),
    (467, "ActivateSession"),
    (473, "CloseSession"),
    (527, "Browse"),
    (533, "BrowseNext"),
    (554, "TranslateBrowsePathsToNodeIds"),
    (560, "RegisterNodes"),
    (566, "UnregisterNodes"),
    (631, "Read"),
    (664, "HistoryRead"),
    (751, "CreateMonitoredItems"),
    (763, "ModifyMonitoredItems"),
    (769, "SetMonitoringMode"),
    (781, "DeleteMonitoredItems"),
    (787, "CreateSubscription"),
    (793, "ModifySubscription"),
    (799, "SetPublishingMode"),
    (826, "Publish"),
    (832, "Republish"),
    (847, "DeleteSubscriptions"),
];

/// A wire in front of a server that shows which services were asked, and that can be cut.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    counts: Mutex<TapCounts>,
    flow: watch::Sender<Flow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// Bytes wait in the middle, in both directions; no connection is closed.
    Held,
    /// Connections are closed at once.
    Cut,
}

/// Since the tap was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    pub connections: u64,
    /// Service requests in clear, by the number of their encoding (OPC 10000-6, annex A).
    pub services: BTreeMap<u32, u64>,
    /// HistoryRead of anything but raw values.
    pub other_history: u64,
    /// Messages of encrypted channels, which cannot be told.
    pub encrypted: u64,
    /// Bytes that are no message.
    pub broken: u64,
}

pub(crate) fn is_planned(service: u32) -> bool {
    PLANNED_SERVICES.iter().any(|(planned, _)| *planned == service)
}

impl TapCounts {
    pub fn requests(&self) -> u64 {
        self.services.values().sum()
    }

    /// Whatever is not planned, with its number; empty is right.
    pub fn forbidden(&self) -> Vec<(u32, u64)> {
        let mut forbidden: Vec<_> =
            self.services.iter().filter(|(id, _)| !is_planned(**id)).map(|(id, count)| (*id, *count)).collect();
        if self.other_history > 0 {
            forbidden.push((664, self.other_history));
        }
        forbidden
    }

    pub fn of(&self, service: &str) -> u64 {
        let id = PLANNED_SERVICES.iter().find(|(_, name)| *name == service).map_or(0, |(id, _)| *id);
        self.services.get(&id).copied().unwrap_or(0)
    }
}

impl Tap {
    /// On a free port of 127.0.0.1, before this server.
    pub async fn before(server: SocketAddr) -> io::Result<Tap> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { counts: Mutex::default(), flow: watch::Sender::new(Flow::Open) });
        let task = tokio::spawn(serve(listener, server, Arc::clone(&shared)));
        Ok(Tap { address, shared, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    pub fn counts(&self) -> TapCounts {
        self.shared.counts().clone()
    }

    /// Closes every connection; new ones are welcome.
    pub fn cut(&self) {
        self.shared.flow.send_replace(Flow::Cut);
        self.shared.flow.send_replace(Flow::Open);
    }

    /// A half-dead network: nothing passes and nothing breaks.
    pub fn hold(&self) {
        self.shared.flow.send_replace(Flow::Held);
    }

    pub fn let_go(&self) {
        self.shared.flow.send_replace(Flow::Open);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, TapCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut flow = shared.flow.subscribe();
    loop {
        tokio::select! {
            // `cut` passes through a state that a slow reader may miss: any change that is no hold may be a cut.
            Ok(()) = flow.changed() => {
                let now = *flow.borrow_and_update();
                if now != Flow::Held {
                    connections.abort_all();
                }
            }
            Ok((client, _)) = listener.accept() => {
                shared.counts().connections += 1;
                connections.spawn(connection(client, server, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut server_reads, mut server_writes) = server.into_split();
    let mut ear = Ear { shared: Arc::clone(&shared), bytes: Vec::new(), is_secure: false, open: BTreeMap::new() };
    let up = async {
        let mut flow = shared.flow.subscribe();
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = client_reads.read(&mut buffer).await {
            ear.hear(&buffer[..count]);
            if flow.wait_for(|flow| *flow == Flow::Open).await.is_err() {
                return;
            }
            if server_writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut flow = shared.flow.subscribe();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = server_reads.read(&mut buffer).await {
            if flow.wait_for(|flow| *flow == Flow::Open).await.is_err() {
                return;
            }
            if client_writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    // Either end closes both.
    tokio::select! { () = up => {}, () = down => {} }
}

/// Hears what one client says.
struct Ear {
    shared: Arc<Shared>,
    /// Of a chunk that is not complete yet.
    bytes: Vec<u8>,
    is_secure: bool,
    /// Requests whose last chunk has not come, and their bodies.
    open: BTreeMap<u32, Vec<u8>>,
}

const HEADER: usize = 8;
/// A client that says more in one chunk is not ours.
const CHUNK_MAX: usize = 16 << 20;

impl Ear {
    fn hear(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(size) = self.bytes.get(4..HEADER).map(|size| number(size) as usize) {
            if !(HEADER..CHUNK_MAX).contains(&size) {
                self.shared.counts().broken += 1;
                self.bytes.clear();
                return;
            }
            if self.bytes.len() < size {
                return;
            }
            let chunk: Vec<u8> = self.bytes.drain(..size).collect();
            self.chunk(&chunk);
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        match &chunk[..3] {
            b"HEL" => {}
            b"OPN" => self.opening(chunk),
            b"MSG" | b"CLO" if self.is_secure => self.shared.counts().encrypted += 1,
            // Channel id, token id, sequence number, request id.
            b"MSG" | b"CLO" if chunk.len() >= HEADER + 16 => {
                self.message(chunk[3], number(&chunk[20..24]), &chunk[24..]);
            }
            _ => self.shared.counts().broken += 1,
        }
    }

    /// Channel id, policy URI, two more byte strings, sequence number, request id, body.
    fn opening(&mut self, chunk: &[u8]) {
        let mut rest = chunk.get(HEADER + 4..).unwrap_or_default();
        let policy = byte_string(&mut rest);
        self.is_secure = !policy.ends_with(b"#None");
        if self.is_secure {
            self.shared.counts().encrypted += 1;
            return;
        }
        let (_, _) = (byte_string(&mut rest), byte_string(&mut rest));
        self.count(rest.get(8..).unwrap_or_default());
    }

    fn message(&mut self, kind: u8, request: u32, body: &[u8]) {
        self.open.entry(request).or_default().extend_from_slice(body);
        match kind {
            b'C' => {}
            b'F' => {
                let body = self.open.remove(&request).unwrap_or_default();
                self.count(&body);
            }
            _ => drop(self.open.remove(&request)),
        }
    }

    fn count(&mut self, mut body: &[u8]) {
        let context = ContextOwned::default();
        let Ok(id) = NodeId::decode(&mut body, &context.context()) else {
            self.shared.counts().broken += 1;
            return;
        };
        let id = id.as_u32().filter(|_| id.namespace == 0).unwrap_or(u32::MAX);
        let is_raw = |mut body| {
            let request = HistoryReadRequest::decode(&mut body, &context.context());
            request.is_ok_and(|request| request.history_read_details.inner_is::<ReadRawModifiedDetails>())
        };
        let is_other_history = id == 664 && !is_raw(body);
        crate::sent::OPCUA.count(!is_planned(id) || is_other_history);
        let mut counts = self.shared.counts();
        *counts.services.entry(id).or_default() += 1;
        counts.other_history += u64::from(is_other_history);
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Takes a byte string off the front; a null one is empty.
fn byte_string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(number(bytes) as i32).unwrap_or(0);
    let rest = bytes.get(4..).unwrap_or_default();
    let (found, rest) = rest.split_at(length.min(rest.len()));
    *bytes = rest;
    found
}
