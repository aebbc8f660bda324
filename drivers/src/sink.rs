use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lingate_model::{Clock, DeviceName, DeviceReport, Missed, Now, Reading};
use tokio::sync::{mpsc, watch};

/// What a session tells the gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceEvent {
    /// One answer of the device; the readings of one poll share their gateway time.
    Readings(Vec<Reading>),
    /// Slots that were due and gave nothing, not even a bad reading.
    Missed(Missed),
    /// What is known of the device beyond its readings; replaces the report before. Not more than once a second.
    Report(DeviceName, Box<DeviceReport>),
}

/// Where a session's readings go. Bounded: when the gateway is behind, `send` waits, and the driver then reports the
/// slots that it could not serve as [`Missed`].
#[derive(Clone)]
pub struct Sink {
    events: mpsc::Sender<DeviceEvent>,
    clock: Arc<dyn Clock>,
    stop: Option<watch::Receiver<bool>>,
    downtime: Arc<Mutex<Option<Missed>>>,
}

/// The gateway is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkClosed;

impl Sink {
    pub fn new(events: mpsc::Sender<DeviceEvent>, clock: Arc<dyn Clock>) -> Sink {
        Sink { events, clock, stop: None, downtime: Arc::default() }
    }

    /// Told to stop by this: a session then ends between two polls, so that no answer on its way is thrown away.
    pub fn stopped_by(self, stop: watch::Receiver<bool>) -> Sink {
        Sink { stop: Some(stop), ..self }
    }

    /// The slots that were missed before the session, for a device that backfills.
    pub fn after(self, downtime: Option<Missed>) -> Sink {
        Sink { downtime: Arc::new(Mutex::new(downtime)), ..self }
    }

    /// As [`Sink::after`]; what nobody took can still be told by whoever keeps the other end.
    pub fn after_shared(self, downtime: Arc<Mutex<Option<Missed>>>) -> Sink {
        Sink { downtime, ..self }
    }

    /// What was missed while the device was down and is not told yet. Whoever takes it tells of it: by readings, and by
    /// [`DeviceEvent::Missed`] for the slots that stay empty.
    pub fn take_downtime(&self) -> Option<Missed> {
        self.downtime.lock().unwrap_or_else(PoisonError::into_inner).take()
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
