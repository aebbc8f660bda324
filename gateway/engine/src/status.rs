//! What the health endpoint shows of the engine: counts, times, names and reasons. Never a process value.

use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_buffer::Usage;
use lingate_model::{ClockState, DeviceReport, DeviceState, StatusCode, UtcMicros};
use lingate_seal::{Ending, Veto};

use crate::ExportLedger;

#[derive(Clone, Debug)]
pub struct Status {
    pub devices: Vec<DeviceStatus>,
    pub datasets: Vec<DatasetStatus>,
    pub buffer: Usage,
    pub link: LinkStatus,
    pub clock: ClockState,
    pub bundle: Option<BundleStatus>,
    /// Readings of points that no dataset names.
    pub unassigned: u64,
    /// Values of context points that were too long to be told as context.
    pub contexts_too_long: u64,
    /// Readings that were lost, by cause. Each is also declared by a gap record once that is possible.
    pub lost: BTreeMap<&'static str, u64>,
    /// The disk refuses: reason of the last failed commit, until one succeeds.
    pub disk_fault: Option<String>,
    pub rights: RightsStatus,
}

/// What limits sealing, and what was sealed within it.
#[derive(Clone, Debug, Default)]
pub struct RightsStatus {
    pub veto: Veto,
    /// A PUBACK is not enough to free a record.
    pub asks_for_receipts: bool,
    pub endings: Vec<Ending>,
    pub ledger: ExportLedger,
}

#[derive(Clone, Debug)]
pub struct DeviceStatus {
    pub name: String,
    pub state: DeviceState,
    pub readings: u64,
    pub bad_readings: u64,
    /// Points of which the newest reading is bad, and why; at most [`DeviceStatus::BAD_POINTS_MAX`] of `bad_point_count`.
    pub bad_points: Vec<(String, StatusCode)>,
    pub bad_point_count: usize,
    pub missed_slots: u64,
    pub newest: Option<UtcMicros>,
    pub report: Arc<DeviceReport>,
}

impl DeviceStatus {
    pub const BAD_POINTS_MAX: usize = 16;
}

#[derive(Clone, Debug)]
pub struct DatasetStatus {
    pub id: String,
    pub purpose: String,
    /// `None`: sealing; otherwise why nothing may be sealed.
    pub denied: Option<String>,
    pub recipients: usize,
    /// Each once, ascending.
    pub recipient_roles: Vec<String>,
    pub read: u64,
    pub kept: u64,
    /// (step number, readings).
    pub suppressed: Vec<(u8, u64)>,
    pub accepted_readings: u64,
    pub accepted_records: u64,
    pub acknowledged_readings: u64,
    pub acknowledged_records: u64,
    /// Newest reading time among the acknowledged batches.
    pub newest_acknowledged: Option<UtcMicros>,
    pub gaps: u64,
    /// Readings and slots that are lost and whose gap record is not sealed yet.
    pub undeclared: u64,
}

#[derive(Clone, Debug, Default)]
pub struct LinkStatus {
    pub up: bool,
    /// Why it is down.
    pub reason: Option<String>,
    pub in_flight: usize,
    pub refused: u64,
    /// Records that were set aside since the start because the broker refused them for ever.
    pub quarantined: u64,
    pub last_refusal: Option<String>,
    /// A topic to which nobody subscribes, so that what is published there counts as undelivered.
    pub unread: Option<String>,
    /// Other datasets have been delivered, and somebody subscribes to theirs.
    pub others_read: bool,
    /// Records of the quarantine that are to be tried once more, and how often that was asked since the start.
    pub retrying: usize,
    pub retries_asked: u64,
    pub connects: u64,
    pub published_bytes: u64,
    /// The broker has them, the sandbox has not confirmed them.
    pub awaiting_receipt: usize,
    pub receipts: u64,
    pub receipts_refused: u64,
    pub last_receipt_refusal: Option<String>,
}

#[derive(Clone, Debug)]
pub struct BundleStatus {
    pub version: u64,
    /// Of the root that judges the next bundle.
    pub root_version: u64,
    pub sandbox: String,
    pub expires: UtcMicros,
}

/// Lost readings by cause.
#[derive(Default)]
pub(crate) struct LossCounter(BTreeMap<&'static str, u64>);

impl LossCounter {
    pub(crate) fn add(&mut self, cause: &'static str, readings: u64) {
        *self.0.entry(cause).or_default() += readings;
    }

    pub(crate) fn by_cause(&self) -> BTreeMap<&'static str, u64> {
        self.0.clone()
    }
}
