use lingate_model::{DeviceTime, Now, Origin, Reading, StatusCode};

use super::decode::Sample;
use super::desk::Desk;
use super::shape::admit;
use super::wire::Flaw;

impl Desk<'_> {
    /// What a sample says of a point: status and times as they came, a value only where it is fit to be used.
    pub(crate) fn reading(&self, point: usize, sample: Sample, now: Now) -> Reading {
        let Sample { value, status, source_time, server_time } = sample;
        let admitted = value.and_then(|value| admit(&self.plan.items[point], value));
        let (value, status) = match admitted {
            // Many servers send the last good value with a bad status.
            Ok(value) => (value.filter(|_| !status.is_bad()), status),
            Err(flaw) => (None, self.note(flaw, status)),
        };
        if source_time.is_some_and(|time| self.is_ahead(time, now)) {
            self.plan.memory.count("skewed", 1);
        }
        let (id, gateway_time) = (self.id(point), now.utc);
        Reading { point: id, value, status, source_time, server_time, gateway_time, origin: Origin::Live }
    }

    /// The server's own complaint is worth more than ours.
    fn note(&self, flaw: Flaw, status: StatusCode) -> StatusCode {
        let counter = if flaw == Flaw::Mismatch { "type_mismatches" } else { "decode_failures" };
        self.plan.memory.count(counter, 1);
        if status.is_bad() { status } else { flaw.status() }
    }

    /// A time that has not come yet: no value can be so young.
    fn is_ahead(&self, time: DeviceTime, now: Now) -> bool {
        let bound = i64::try_from(self.plan.pace.skew_max.as_micros()).unwrap_or(i64::MAX);
        time.utc().0.saturating_sub(now.utc.0) > bound
    }
}

/// The server had no room for a change before this one and threw it away (OPC 10000-4, 7.39.1: the overflow bit). Some
/// servers set the bit and forget the info type that it belongs to.
pub(crate) fn is_overflow(status: StatusCode) -> bool {
    const INFO_TYPE: u32 = 0x0C00;
    const DATA_VALUE: u32 = 0x0400;
    const OVERFLOW: u32 = 0x0080;
    matches!(status.0 & INFO_TYPE, 0 | DATA_VALUE) && status.0 & OVERFLOW != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_bit_is_heard_unless_it_belongs_to_something_else() {
        for (status, expected) in [
            (0x0000_0480, true),
            (0x4094_0480, true),
            (0x0000_0580, true),
            (0x0000_0080, true),
            (0x0000_0400, false),
            (0x0000_0880, false),
            (0, false),
        ] {
            assert_eq!(is_overflow(StatusCode(status)), expected, "{status:08x}");
        }
    }
}
