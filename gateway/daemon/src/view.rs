use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use lingate_engine::{DeviceStatus, Status};
use lingate_model::{Clock, DeviceState, GatewayId, Now, TenantId, UtcMicros};
use tokio::sync::watch;

use crate::audit::Audit;
use crate::fence::Barrier;
use crate::heart::Beat;
use crate::history::History;
use crate::inbox::Refused;
use crate::recent::Recent;
use crate::reload::ReloadReport;

/// A heart that beat longer ago than this is not alive.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);

/// What the health endpoint sees of the daemon: read-only, and no process value is in reach from here.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) gateway: GatewayId,
    pub(crate) tenant: TenantId,
    /// Which configuration is in force, and what became of the newest.
    pub(crate) reloaded: watch::Receiver<Arc<ReloadReport>>,
    pub(crate) started: Now,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) beat: Beat,
    pub(crate) stopping: Arc<AtomicBool>,
    /// End of the certificate that the link used last, in microseconds UTC; 0: none yet.
    pub(crate) certificate: Arc<AtomicI64>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) recent: Recent,
    pub(crate) history: History,
    pub(crate) audit: Audit,
    pub(crate) fence: Arc<[Barrier]>,
    pub(crate) bundle_refused: Refused,
}

impl View {
    pub(crate) fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.beat.age(self.clock.now()) < ALIVE
    }

    pub(crate) fn certificate_expires(&self) -> Option<UtcMicros> {
        Some(UtcMicros(self.certificate.load(Ordering::Relaxed))).filter(|expires| expires.0 != 0)
    }

    /// Why the daemon is not ready, one sentence each; empty: ready. A broker that is away is no reason: keeping
    /// readings until it is back is what the daemon is for.
    pub(crate) fn unready(&self) -> Vec<String> {
        let status = self.status();
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            reasons.push("the daemon is stopping".to_owned());
        }
        if !self.is_alive() {
            reasons.push("the engine does not answer; is the disk stuck?".to_owned());
        }
        if let Some(fault) = &status.disk_fault {
            reasons.push(format!("the disk refuses: {fault}"));
        }
        if status.bundle.is_none() {
            reasons.push("there is no sandbox bundle, so nothing may be sealed".to_owned());
        }
        for dataset in &status.datasets {
            if let Some(why) = &dataset.denied {
                reasons.push(format!("dataset {}: {why}", dataset.id));
            }
        }
        reasons
    }

    /// What is away, one sentence each, and is no reason to be unready: readings wait for the broker, slots of a device are
    /// declared as missed.
    pub(crate) fn away(&self) -> Vec<String> {
        let status = self.status();
        let device = |device: &DeviceStatus| match &device.state {
            DeviceState::Connected => None,
            DeviceState::Connecting => Some(format!("device {}: not connected yet", device.name)),
            DeviceState::BackingOff { reason } => Some(format!("device {}: {reason}", device.name)),
        };
        let devices = status.devices.iter().filter_map(device);
        let broker =
            (!status.link.up).then(|| status.link.reason.clone().unwrap_or_else(|| "not connected yet".to_owned()));
        devices.chain(broker.map(|reason| format!("broker: {reason}"))).collect()
    }
}
