//! One transport and everybody who uses it: all units behind a serial port or an address take turns.
//!
//! ```text
//!  session of unit 1 ─┐                      ┌─ closed ──open──▶ open ──ask──▶ answered ─┐
//!  session of unit 2 ─┼─ turn: the slot that │                    ▲                      │
//!  session of unit 3 ─┘  was due first       │                    └──────────────────────┘
//!                                            └◀── unanswered, wrong, strays: a fresh connection,
//!                                                 on a serial line silence ──────────────────┘
//! ```
//!
//! Promises: one request at a time; the slot that was due first goes first, of two the one that waited longer; the pace
//! (`pause`, `max_requests_per_second`) is the line's and survives reconnects; what came before a request is never its
//! answer; a unit that does not answer is set aside for growing pauses, so that the others keep their slots.

mod desk;
mod port;
mod units;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::desk::Desk;
use self::port::Port;
use self::units::Units;
pub(crate) use self::units::Counters;
use super::frame::Ask;
use super::plan::Request;
use super::talk::{Answer, Refusal, answer};
use super::transport::Transport;
use crate::{LinkError, Site};

/// What all users of a line agree on.
#[derive(Clone)]
pub(crate) struct LineSettings {
    pub(crate) transport: Transport,
    /// Between an answer and the next request.
    pub(crate) pause: Duration,
    pub(crate) pause_after_connect: Duration,
    /// Least time from request to request.
    pub(crate) spacing: Duration,
}

pub(crate) struct Line {
    settings: LineSettings,
    desk: Desk,
    units: Mutex<Units>,
}

/// One device on a line. Every request waits for its turn.
pub(crate) struct Client {
    line: Arc<Line>,
    unit: u8,
    manners: Manners,
    /// For the files that the transport's settings name: they are read at each opening, so that a renewal needs no restart.
    site: Site,
}

/// What a device wants for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// For one request and its whole answer; on a serial line the time that the bytes need comes on top.
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// How often a request is asked again that got no answer that can be believed.
    pub(crate) retries: u8,
}

/// A device that is set aside for longer is told so at once, and does not hold up its poller.
const PATIENCE: Duration = Duration::from_secs(10);

impl Line {
    pub(crate) fn new(settings: LineSettings) -> Line {
        Line { settings, desk: Desk::new(Port::default()), units: Mutex::default() }
    }

    /// A device on this line.
    pub(crate) fn client(self: &Arc<Line>, unit: u8, manners: Manners, site: &Site) -> Client {
        self.units().join(unit);
        Client { line: Arc::clone(self), unit, manners, site: site.clone() }
    }

    fn units(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Opens the line if nobody has; a unit that was set aside is asked `probe` first, and only then.
    pub(crate) async fn connect(&self, probe: Option<Ask>) -> Result<(), LinkError> {
        self.wait_until_admitted().await?;
        // Whoever tried last may have closed the gate for all.
        let gate = self.line.desk.turn(Duration::ZERO).await.port().refusal_gate();
        gate.opened().await;
        let mut turn = self.line.desk.turn(Duration::ZERO).await;
        turn.port().freshen(self).await?;
        let Some(probe) = probe.filter(|_| self.line.units().has_failed(self.unit)) else { return Ok(()) };
        match turn.port().ask(self, probe).await {
            Ok(_) => {
                self.line.units().answered(self.unit);
                Ok(())
            }
            Err(loss) => {
                self.line.units().set_aside(self.unit, self.manners.timeout);
                Err(loss)
            }
        }
    }

    async fn wait_until_admitted(&self) -> Result<(), LinkError> {
        let (gate, pause, failures) = self.line.units().admission(self.unit);
        if gate.opens_within(PATIENCE).await {
            return Ok(());
        }
        Err(LinkError::Refused {
            what: format!("unit {} did not answer {failures} times in a row", self.unit),
            hint: format!(
                "it is asked again every {} s, so that the other units of its line keep their slots; look at its power, \
                 its cable and its unit number",
                pause.as_secs()
            ),
        })
    }

    /// `due`: on the gateway's monotonic clock; earlier goes first.
    pub(crate) async fn read(&self, due: Duration, request: &Request) -> Result<Answer, Refusal> {
        self.ask(due, Ask::of(request)).await
    }

    pub(crate) async fn ask(&self, due: Duration, ask: Ask) -> Result<Answer, Refusal> {
        for _ in 0..self.manners.retries {
            match self.ask_once(due, ask).await {
                Err(Refusal::Link(LinkError::Timeout { doing: "reading", .. } | LinkError::Protocol { .. } | LinkError::Closed)) => {}
                decided => return decided,
            }
        }
        self.ask_once(due, ask).await
    }

    pub(crate) async fn ask_once(&self, due: Duration, ask: Ask) -> Result<Answer, Refusal> {
        let mut turn = self.line.desk.turn(due).await;
        let pdu = turn.port().ask(self, ask).await.map_err(Refusal::Link)?;
        drop(turn);
        self.line.units().answered(self.unit);
        answer(pdu, ask)
    }

    /// Not asked before a pause is over, which grows from time to time.
    pub(crate) fn set_aside(&self) {
        self.line.units().set_aside(self.unit, self.manners.timeout);
    }

    /// Leaves the device to others until the next poll, if nobody waits.
    pub(crate) async fn close(&self) {
        let mut turn = self.line.desk.turn(Duration::MAX).await;
        if turn.is_last() {
            turn.port().close();
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.line.units().counters(self.unit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]
mod tests;
