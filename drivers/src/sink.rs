use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Clock, Missed, Now, Reading};
use tokio::sync::{mpsc, watch};

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
    stop: Option<watch::Receiver<bool>>,
}

/// The gateway is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkClosed;

impl Sink {
    pub fn new(events: mpsc::Sender<DeviceEvent>, clock: Arc<dyn Clock>) -> Sink {
        Sink { events, clock, stop: None }
    }

    /// Told to stop by this: a session then ends between two polls, so that no answer on its way is thrown away.
    pub fn stopped_by(self, stop: watch::Receiver<bool>) -> Sink {
        Sink { stop: Some(stop), ..self }
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// The pause of a session: an error if the gateway stops before the time is over.
    pub async fn pause(&self, time: Duration) -> Result<(), SinkClosed> {
        let Some(mut stop) = self.stop.clone() else {
            tokio::time::sleep(time).await;
            return Ok(());
        };
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|told| *told) => Err(SinkClosed),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }

    pub async fn send(&self, event: DeviceEvent) -> Result<(), SinkClosed> {
        self.events.send(event).await.map_err(|_| SinkClosed)
    }
}
