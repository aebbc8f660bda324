//! The endpoint as a function of what a visitor sends: through an in-memory connection, the HTTP library and our handlers.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::serve::Listener;
use lingate_engine::{LinkStatus, RightsStatus, Status};
use lingate_model::{Clock, ClockState};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{CONNECTIONS, Visit, router};
use crate::clock::SystemClock;
use crate::view::View;

thread_local! {
    static DOOR: Door = Door::open();
    /// A panic of a handler ends its task, and nobody but the hook hears of it.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// The runtime has one thread: what can be answered is answered before it looks at the time.
const PATIENCE: Duration = Duration::from_millis(1);

/// Whether the answer's first line is `HTTP/1.1 200`. Panics if the endpoint does.
pub(crate) fn answered(bytes: &[u8]) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with(|count| count.set(count.get().saturating_add(1)));
            before(panic);
        }));
    });
    let panics = PANICS.get();
    let answer = DOOR.with(|door| door.runtime.block_on(door.visit(bytes)));
    assert!(PANICS.get() == panics, "the health endpoint panicked");
    answer.starts_with(b"HTTP/1.1 200")
}

/// One endpoint for all inputs: what one leaves behind meets the next.
struct Door {
    runtime: Runtime,
    visitors: mpsc::UnboundedSender<DuplexStream>,
}

impl Door {
    fn open() -> Door {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a thread has a runtime");
        let (visitors, waiting) = mpsc::unbounded_channel();
        let hall = Hall { waiting, seats: Arc::new(Semaphore::new(CONNECTIONS)) };
        runtime.spawn(async move { axum::serve(hall, router(view(), true)).await });
        Door { runtime, visitors }
    }

    /// The first piece of the answer; the visitor leaves after it, whether it is whole or not.
    async fn visit(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut visitor, door) = duplex(64 << 10);
        let _ = self.visitors.send(door);
        // The endpoint may have heard enough before all was said.
        let _ = visitor.write_all(bytes).await;
        let mut answer = vec![0; 4096];
        // Who has not said everything gets no answer; with the end of what is said the library hangs up.
        let read = match tokio::time::timeout(PATIENCE, visitor.read(&mut answer)).await {
            Ok(read) => read.unwrap_or(0),
            Err(_) => {
                let _ = visitor.shutdown().await;
                visitor.read(&mut answer).await.unwrap_or(0)
            }
        };
        answer.truncate(read);
        answer
    }
}

struct Hall {
    waiting: mpsc::UnboundedReceiver<DuplexStream>,
    seats: Arc<Semaphore>,
}

impl Listener for Hall {
    type Io = Visit;
    type Addr = ();

    async fn accept(&mut self) -> (Visit, ()) {
        let seat = self.seats.clone().acquire_owned().await.expect("the semaphore is never closed");
        match self.waiting.recv().await {
            Some(stream) => (Visit::begins(Box::new(stream), seat), ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A gateway without devices.
fn view() -> View {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let now = clock.now();
    View {
        gateway: "gw-fuzz".parse().expect("a good name"),
        tenant: "acme".parse().expect("a good name"),
        reloaded: crate::reload::untold(),
        started: now,
        recent: crate::recent::Recent::started(now),
        history: crate::history::History::default(),
        beat: crate::heart::Beat::at(now),
        clock,
        stopping: Arc::new(AtomicBool::new(false)),
        certificate: Arc::default(),
        status: watch::channel(Arc::new(status())).1,
        audit: crate::audit::Audit::deaf(),
        fence: Arc::default(),
        bundle_refused: Arc::default(),
    }
}

fn status() -> Status {
    Status {
        devices: Vec::new(),
        datasets: Vec::new(),
        buffer: lingate_buffer::Usage::default(),
        link: LinkStatus::default(),
        clock: ClockState::Synced,
        bundle: None,
        unassigned: 0,
        contexts_too_long: 0,
        lost: std::collections::BTreeMap::default(),
        disk_fault: None,
        rights: RightsStatus::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_visitor_is_answered_in_memory_too_and_a_stranger_is_not() {
        let ask = |path: &str, host: &str| answered(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(ask("/live", "localhost") && ask("/metrics", "127.0.0.1:9273") && ask("/", "[::1]"));
        assert!(!ask("/live", "evil.example") && !ask("/secret", "localhost") && !answered(b"\x16\x03\x01\x00\x00"));
        // Open pages of visitors who left are at most busy, and take no seat of a probe.
        assert!(ask("/events", "localhost"));
        assert!((0..200).filter(|_| !ask("/events", "localhost")).count() < 200 && ask("/live", "localhost"));
    }
}
