use lingate_model::UtcMicros;
use prost::Message;

use crate::{Kid, wire};

/// A declared loss (wire.md section 5, `Gap`).
#[derive(Clone, Debug, PartialEq)]
pub enum GapRecord {
    /// Sealed records that will not come.
    Records { kid: Kid, first_seq: u64, last_seq: u64, readings: u64, cause: GapCause, maybe_delivered: bool },
    /// Acquisition slots that gave nothing.
    Slots { device: String, from: UtcMicros, to: UtcMicros, readings: u64, cause: GapCause },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapCause {
    Overflow = 1,
    DeviceDown = 2,
    Quarantine = 3,
    DecodeFailure = 4,
    /// The sandbox's rights had ended or become narrower.
    PolicyExpired = 5,
    Corruption = 6,
    UncleanStop = 7,
    Purge = 8,
    Overload = 9,
    /// The batch could not be sealed: no randomness, or too large.
    SealFailure = 10,
    /// The device threw changes away before they were fetched.
    DeviceOverflow = 11,
    /// The device sent changes that did not arrive, and could not send them again.
    NotificationLost = 12,
    /// The plant forbade it, by a veto or a quota of its own.
    Withheld = 13,
}

impl GapCause {
    pub const ALL: [GapCause; 13] = [
        GapCause::Overflow,
        GapCause::DeviceDown,
        GapCause::Quarantine,
        GapCause::DecodeFailure,
        GapCause::PolicyExpired,
        GapCause::Corruption,
        GapCause::UncleanStop,
        GapCause::Purge,
        GapCause::Overload,
        GapCause::SealFailure,
        GapCause::DeviceOverflow,
        GapCause::NotificationLost,
        GapCause::Withheld,
    ];

    pub fn from_id(id: i32) -> Option<GapCause> {
        GapCause::ALL.into_iter().find(|cause| *cause as i32 == id)
    }
}

impl GapCause {
    /// As people and the audit log call it.
    pub fn name(self) -> &'static str {
        match self {
            GapCause::Overflow => "overflow",
            GapCause::DeviceDown => "device_down",
            GapCause::Quarantine => "quarantine",
            GapCause::DecodeFailure => "decode_failure",
            GapCause::PolicyExpired => "policy_expired",
            GapCause::Corruption => "corruption",
            GapCause::UncleanStop => "unclean_stop",
            GapCause::Purge => "purge",
            GapCause::Overload => "overload",
            GapCause::SealFailure => "seal_failure",
            GapCause::DeviceOverflow => "device_overflow",
            GapCause::NotificationLost => "notification_lost",
            GapCause::Withheld => "withheld",
        }
    }
}

impl GapRecord {
    /// As a protobuf `Gap` without a link to the one before it: for whoever keeps it beside its sealed form.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_wire(Vec::new()).encode_to_vec()
    }

    /// `None` if these bytes are no gap.
    pub fn from_bytes(bytes: &[u8]) -> Option<GapRecord> {
        let gap = wire::Gap::decode(bytes).ok()?;
        let (readings, cause) = (gap.readings, GapCause::from_id(gap.cause)?);
        if gap.kid.is_empty() {
            let (from, to) = (UtcMicros(gap.from_us), UtcMicros(gap.to_us));
            return Some(GapRecord::Slots { device: gap.device, from, to, readings, cause });
        }
        let wire::Gap { first_seq, last_seq, maybe_delivered, .. } = gap;
        let kid = Kid(gap.kid.try_into().ok()?);
        Some(GapRecord::Records { kid, first_seq, last_seq, readings, cause, maybe_delivered })
    }

    /// `previous`: hash of the gap before it, or empty.
    pub(crate) fn to_wire(&self, previous: Vec<u8>) -> wire::Gap {
        let gap = wire::Gap { previous_gap: previous, ..wire::Gap::default() };
        match self {
            GapRecord::Records { kid, first_seq, last_seq, readings, cause, maybe_delivered } => wire::Gap {
                kid: kid.0.to_vec(),
                first_seq: *first_seq,
                last_seq: *last_seq,
                readings: *readings,
                cause: *cause as i32,
                maybe_delivered: *maybe_delivered,
                ..gap
            },
            GapRecord::Slots { device, from, to, readings, cause } => wire::Gap {
                device: device.clone(),
                from_us: from.0,
                to_us: to.0,
                readings: *readings,
                cause: *cause as i32,
                ..gap
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_comes_back_from_its_bytes_and_from_no_others() {
        let cause = GapCause::Overflow;
        let kid = Kid([7; 8]);
        let records = GapRecord::Records { kid, first_seq: 0, last_seq: 3, readings: 9, cause, maybe_delivered: true };
        let (from, to) = (UtcMicros(-5), UtcMicros(10));
        let slots = GapRecord::Slots { device: "press".to_owned(), from, to, readings: 3, cause: GapCause::DeviceDown };
        for gap in [records, slots] {
            assert_eq!(GapRecord::from_bytes(&gap.to_bytes()), Some(gap.clone()));
            assert_eq!(GapRecord::from_bytes(&gap.to_bytes()[..9]), None);
        }
        assert_eq!(GapRecord::from_bytes(&[]), None, "no cause");
    }
}
