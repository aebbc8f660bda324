use std::sync::Arc;

use lingate_model::{Clock, Missed, Now, Reading};
use tokio::sync::mpsc;

/// What a session tells the gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceEvent {
    /// One answer of the device; the readings of one poll share their gateway time.
    Readings(Vec<Reading>),
    /// Slots that were due and gave nothing, not even a bad reading.
    Missed(Missed),
}

/// Where a session's readings go. Bounded: when the gateway is behind, `send` waits, and the driver then reports the
/// slots that it could not serve as [`Missed`].
#[derive(Clone)]
pub struct Sink {
    events: mpsc::Sender<DeviceEvent>,
    clock: Arc<dyn Clock>,
}

/// The gateway is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkClosed;

impl Sink {
    pub fn new(events: mpsc::Sender<DeviceEvent>, clock: Arc<dyn Clock>) -> Sink {
        Sink { events, clock }
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }

    pub async fn send(&self, event: DeviceEvent) -> Result<(), SinkClosed> {
        self.events.send(event).await.map_err(|_| SinkClosed)
    }
}
