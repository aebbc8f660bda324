//! The times that devices give to their readings: offsets from a base that the reader knows.

use lingate_model::{DeviceTime, UtcMicros};

use crate::wire;

/// The base of a row, in ticks; beyond the years that ticks can count both sides wrap alike.
pub(crate) fn base(row_us: i64) -> i64 {
    row_us.wrapping_mul(10).wrapping_add(DeviceTime::from(UtcMicros(0)).0)
}

/// Fills the times of one column.
#[derive(Default)]
pub(crate) struct TimesEncoder {
    times: wire::Times,
    last: i64,
}

impl TimesEncoder {
    pub(crate) fn push(&mut self, entry: u32, time: Option<DeviceTime>, base: i64) {
        let Some(time) = time else { return };
        let offset = time.0.wrapping_sub(base);
        self.times.offsets.push(offset.wrapping_sub(self.last));
        self.last = offset;
        push_span(entry, &mut self.times.entries);
    }

    /// `None` if no entry has a time.
    pub(crate) fn finish(&mut self, entries: u32) -> Option<wire::Times> {
        let mut times = std::mem::take(self).times;
        if times.offsets.len() == entries as usize {
            times.entries.clear();
        }
        (!times.offsets.is_empty()).then_some(times)
    }
}

/// The span that ends before `entry` grows, or a new one begins.
pub(crate) fn push_span(entry: u32, spans: &mut Vec<wire::Span>) {
    match spans.last_mut() {
        Some(span) if span.start + span.len == entry => span.len += 1,
        _ => spans.push(wire::Span { start: entry, len: 1 }),
    }
}

/// Whether each entry is in a span. `None` if the spans do not ascend within the entries.
pub(crate) fn flags(spans: &[wire::Span], entries: usize) -> Option<Vec<bool>> {
    let mut flags = vec![false; entries];
    let mut done = 0;
    for span in spans {
        let (start, length) = (span.start as usize, span.len as usize);
        let end = start.checked_add(length).filter(|end| start >= done && length > 0 && *end <= entries)?;
        flags[start..end].fill(true);
        done = end;
    }
    Some(flags)
}

/// The offset of each entry. `None` if there are not as many as entries that should have one.
pub(crate) fn offsets(times: Option<&wire::Times>, entries: usize) -> Option<Vec<Option<i64>>> {
    let Some(times) = times else { return Some(vec![None; entries]) };
    let has_one = match times.entries.is_empty() {
        true => vec![true; entries],
        false => flags(&times.entries, entries)?,
    };
    if has_one.iter().filter(|has_one| **has_one).count() != times.offsets.len() {
        return None;
    }
    let mut offset = 0_i64;
    let mut offsets = times.offsets.iter().map(|difference| {
        offset = offset.wrapping_add(*difference);
        offset
    });
    Some(has_one.into_iter().map(|has_one| if has_one { offsets.next() } else { None }).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_come_back_to_the_tick(times: Vec<(Option<i64>, i64)>) {
            let mut encoder = TimesEncoder::default();
            for (entry, (time, row)) in (0..).zip(&times) {
                encoder.push(entry, time.map(DeviceTime), base(*row));
            }
            let encoded = encoder.finish(times.len() as u32);
            prop_assert_eq!(encoded.is_some(), times.iter().any(|(time, _)| time.is_some()));
            let offsets = offsets(encoded.as_ref(), times.len()).unwrap();
            for (offset, (time, row)) in offsets.into_iter().zip(times) {
                prop_assert_eq!(offset.map(|offset| base(row).wrapping_add(offset)), time);
            }
        }
    }

    #[test]
    fn equal_offsets_cost_a_byte_and_a_device_without_times_nothing() {
        use prost::Message as _;
        let mut encoder = TimesEncoder::default();
        assert_eq!(encoder.finish(5), None);
        for entry in 0..1000 {
            let row = i64::from(entry) * 100_003;
            encoder.push(entry, Some(DeviceTime(base(row) - 12_345)), base(row));
        }
        assert!(encoder.finish(1000).unwrap().encoded_len() < 1010);
    }

    #[test]
    fn spans_that_do_not_ascend_and_times_of_another_number_are_refused() {
        let span = |start, len| wire::Span { start, len };
        for spans in [vec![span(0, 2), span(1, 1)], vec![span(2, 2)], vec![span(0, 0)], vec![span(u32::MAX, u32::MAX)]]
        {
            assert_eq!(flags(&spans, 3), None, "{spans:?}");
            assert_eq!(offsets(Some(&wire::Times { offsets: vec![1], entries: spans }), 3), None);
        }
        for (offsets_, entries) in [(vec![1, 2], vec![]), (vec![], vec![]), (vec![1, 2], vec![span(0, 1)])] {
            assert_eq!(offsets(Some(&wire::Times { offsets: offsets_, entries }), 3), None);
        }
    }
}
