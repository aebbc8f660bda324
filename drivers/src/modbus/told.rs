use std::collections::BTreeMap;
use std::time::Duration;

use lingate_model::{DeviceIdentity, DeviceReport, Lateness};

use super::Plan;
use super::frame::Ask;
use super::identify::Identification;
use super::line::{Client, Counters};
use super::talk::{Answer, Refusal};
use crate::{DeviceEvent, Sink, SinkClosed};

/// What a session tells beyond its readings, at most once a second.
pub(crate) struct Told {
    at: Option<Duration>,
    lateness: Option<Lateness>,
    security: Option<String>,
    identification: Identification,
}

/// Who a device says it is, as long as the gateway runs.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    told: Option<DeviceIdentity>,
    /// It did not even refuse: it is never asked again.
    is_mute: bool,
}

const EVERY: Duration = Duration::from_secs(1);

impl Told {
    pub(crate) fn new(plan: &Plan) -> Told {
        let security = plan.settings.line.transport.security();
        Told { at: None, lateness: None, security, identification: Identification::default() }
    }

    /// So long after the slot was due its readings were complete.
    pub(crate) fn served(&mut self, newest: Duration) {
        let worst = self.lateness.map_or(newest, |lateness| lateness.worst.max(newest));
        self.lateness = Some(Lateness { newest, worst });
    }

    /// One request of the identification at most; most devices need two, once in a session.
    pub(crate) async fn identify(&mut self, plan: &Plan, client: &Client, sink: &Sink) {
        if !plan.settings.identifies || plan.identity().is_mute {
            return;
        }
        let Some((level, object)) = self.identification.next() else { return };
        match client.ask_once(sink.now().monotonic, Ask::Identify { level, object }).await {
            // A malformed answer ends the identification by itself.
            Ok(Answer::Identity(pdu)) => drop(self.identification.take(&pdu)),
            Ok(_) | Err(Refusal::Exception(_)) => self.identification.refused(),
            Err(Refusal::Link(_)) => {
                self.identification.refused();
                plan.identity().is_mute = true;
            }
        }
        if let Some(identity) = self.identification.identity() {
            plan.identity().told = Some(identity);
        }
    }

    pub(crate) async fn report(&mut self, plan: &Plan, counters: Counters, sink: &Sink) -> Result<(), SinkClosed> {
        let now = sink.now();
        if self.at.is_some_and(|at| now.monotonic.saturating_sub(at) < EVERY) {
            return Ok(());
        }
        self.at = Some(now.monotonic);
        let (mut set_aside, unlearned) = {
            let holes = plan.holes();
            (holes.report(now), holes.unlearned())
        };
        let set_aside_count = set_aside.len();
        set_aside.truncate(DeviceReport::SET_ASIDE_MAX);
        let (heartbeat, stale) = {
            let pulse = plan.pulse();
            (pulse.report(), pulse.stale())
        };
        let mut counters = named(counters);
        counters.extend([("unlearned_holes", unlearned), ("stale_readings", stale)]);
        let report = DeviceReport {
            identity: plan.identity().told.clone(),
            security: self.security.clone(),
            lateness: self.lateness,
            set_aside,
            set_aside_count,
            heartbeat,
            counters,
            ..DeviceReport::default()
        };
        sink.send(DeviceEvent::Report(plan.name.clone(), Box::new(report))).await
    }
}

fn named(counters: Counters) -> BTreeMap<&'static str, u64> {
    let Counters { requests, timeouts, crc_errors, late_answers, foreign_answers, reconnects } = counters;
    BTreeMap::from([
        ("requests", requests),
        ("timeouts", timeouts),
        ("crc_errors", crc_errors),
        ("late_answers", late_answers),
        ("foreign_answers", foreign_answers),
        ("reconnects", reconnects),
    ])
}
