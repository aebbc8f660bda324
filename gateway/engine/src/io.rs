//! Everything that can happen to the engine, and everything that it can ask for: these two enums are the architecture.

use std::fmt;

use lingate_audit::Event;
use lingate_buffer::RecordId;
use lingate_model::{DatasetId, DeviceName, DeviceReport, DeviceState, Missed, Reading};
use lingate_seal::{Kid, Sealed, VerifiedBundle, Veto};

use crate::{NewPlan, Reserved};

pub enum Input {
    /// One answer of one device.
    Readings(Vec<Reading>),
    /// Slots that gave nothing: declared as a gap.
    Missed(Missed),
    /// For status only.
    Device(DeviceName, DeviceState),
    /// What is known of a device beyond its readings; its identity goes into the catalogue.
    Report(DeviceName, Box<DeviceReport>),
    LinkUp(LinkLimits),
    LinkDown(LinkLoss),
    /// PUBACK with a reason below 0x80 that is a delivery, on the connection on which the record was published.
    Acked(PublishId),
    /// PUBACK with a reason of 0x80 or above, or 0x10: nobody subscribed, which is no delivery.
    Refused(PublishId, ReasonCode),
    /// From the receipt topic, unverified: it frees what it names if a key of the bundle signed it.
    Receipt(Vec<u8>),
    /// A bundle that passed every rule. Effective at once: new epochs, new recipients.
    Bundle(Box<VerifiedBundle>),
    /// All of the plant's vetoes. What a new one forbids is destroyed where it waits.
    Veto(Box<Veto>),
    /// Destroys what was read for a dataset so far and is not delivered; reading goes on.
    Purge(DatasetId),
    /// The ledger with these reservations is durable.
    Reserved(Reserved),
    /// Tries these records of the quarantine once more; all of them if none is named.
    Retry(Vec<RecordId>),
    /// Another configuration. The pollers of devices that are gone or changed have stopped, and what they told is in.
    Reload(Box<NewPlan>),
    /// Time passed: `wake_at` is reached.
    Wake,
    /// Put everything on disk, close the epochs, then say `Drained`.
    Drain,
}

pub enum Output {
    Publish {
        id: PublishId,
        topic: Topic,
        sealed: Sealed,
    },
    /// Became durable: from here on it is delivered until acknowledged, or declared lost.
    Accepted(Accepted),
    /// Something that an operator should read once.
    Notice(Notice),
    /// The disk has destroyed what these purges and this veto asked for.
    Purged {
        datasets: Vec<DatasetId>,
        veto: Option<Veto>,
    },
    /// For the audit log: names, hashes and counts.
    Audit(Box<Event>),
    Drained,
}

/// Names one attempt to publish one record; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub u64);

/// MQTT 5 reason code (section 2.4); 0x80 and above are refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCode(pub u8);

/// What the broker allows on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Receive Maximum, 1 to 65,535.
    pub in_flight: u16,
    /// Maximum Packet Size in bytes, topic and header included.
    pub packet_bytes: u32,
}

/// Why the link went away, in words; for status and notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkLoss(pub String);

/// Records that one group commit made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// (epoch, sequence number) of the DATA messages, in order.
    pub records: Vec<(Kid, u64)>,
    pub readings: u64,
}

/// `lingate/1/{tenant}/{gateway}/{k|d}/{alias}`; KEY topics are retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub retained: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    /// One sentence: what, where, why, what to do. Never a value or a key.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl ReasonCode {
    /// The broker took it and has nobody to give it to (MQTT 5, section 3.4.2.1).
    pub const NO_SUBSCRIBER: ReasonCode = ReasonCode(0x10);
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x10 => "no matching subscribers",
            0x80 => "unspecified error",
            0x83 => "implementation specific error",
            0x87 => "not authorized",
            0x90 => "topic name invalid",
            0x91 => "packet identifier in use",
            0x95 => "packet too large",
            0x97 => "quota exceeded",
            0x99 => "payload format invalid",
            _ => "refused",
        };
        write!(f, "0x{:02X} ({name})", self.0)
    }
}
