//! An OPC UA server at the level of bytes: honest and small, until a script says otherwise.

mod answers;
mod channel;
mod script;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opcua::types::{DateTime, EndpointDescription};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub use script::{Frame, Say, Script, When};

/// The server. Policy None only; what it is asked under another policy is answered as the script says, or not at all.
pub struct Evil {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What a server was told, since it was made.
#[derive(Clone, Debug, Default)]
pub struct EvilSeen {
    pub connections: u64,
    /// By the number of the request's encoding.
    pub requests: BTreeMap<u32, u64>,
    /// The first 256 KiB that came.
    pub bytes: Vec<u8>,
    /// How often the script took effect.
    pub tricks: u64,
}

pub(super) struct Shared {
    /// Of its own `UInt32` variables `v0`, `v1` ...
    pub(super) variables: u32,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) script: Option<Script>,
    pub(super) seen: EvilSeen,
    pub(super) start_time: DateTime,
    /// Told by GetEndpoints in place of its only true one.
    pub(super) endpoints: Option<Vec<EndpointDescription>>,
}

const BYTES_KEPT: usize = 256 << 10;

impl Evil {
    pub const NAMESPACE: &'static str = "urn:lingate:evil";

    /// On a free port of 127.0.0.1.
    pub async fn start(variables: u32) -> io::Result<Evil> {
        let state = State { script: None, seen: EvilSeen::default(), start_time: DateTime::now(), endpoints: None };
        let shared = Arc::new(Shared { variables, state: Mutex::new(state) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Evil { address, shared, task: Mutex::new(Some(task)) })
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    /// Whether `value` can be of the variable with this number.
    pub fn accepts(variable: u32, value: u32) -> bool {
        value / 1_000_000 == variable
    }

    /// From the next occasion on.
    pub fn play(&self, script: Script) {
        self.shared.state().script = Some(script);
    }

    /// Honest again.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.script = None;
        state.endpoints = None;
    }

    pub fn offer(&self, endpoints: Vec<EndpointDescription>) {
        self.shared.state().endpoints = Some(endpoints);
    }

    /// As if it had been started again, while its connections stay.
    pub fn change_start_time(&self) {
        self.shared.state().start_time = DateTime::now();
    }

    pub fn seen(&self) -> EvilSeen {
        self.shared.state().seen.clone()
    }

    /// Counts only, for loops that look often.
    pub fn tricks(&self) -> u64 {
        self.shared.state().seen.tricks
    }

    pub async fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // It ends by being cancelled, which is what was asked.
            let _ = task.await;
        }
    }

    /// On the same port.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        let task = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }
}

impl Drop for Evil {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn heard(&self, bytes: &[u8]) {
        let kept = &mut self.state().seen.bytes;
        kept.extend_from_slice(&bytes[..bytes.len().min(BYTES_KEPT - kept.len().min(BYTES_KEPT))]);
    }

    /// What to do on this occasion, counted.
    pub(super) fn trick(&self, when: When) -> Option<Say> {
        let mut state = self.state();
        let say = state.script.as_mut()?.take(when)?;
        state.seen.tricks += 1;
        Some(say)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                shared.state().seen.connections += 1;
                connections.spawn(channel::Channel::run(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
