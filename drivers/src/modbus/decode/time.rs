use lingate_model::{StatusCode, Value};

use super::order::ByteOrder;

/// How a device writes a point in time. All of them are local to the device; `utc_offset` says by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// 2 registers: seconds since 1970-01-01, unsigned.
    UnixSeconds,
    /// 4 registers: milliseconds since 1970-01-01.
    UnixMilliseconds,
    /// 4 registers, IEC 60870-5-4 as Schneider Electric prints it (iEM3000 manual, "DATETIME format"): year from 2000 in
    /// bits 0 to 6; month in bits 8 to 11, day in 0 to 4; hour in 8 to 12, invalid in 7, minute in 0 to 5; milliseconds
    /// of the minute.
    Iec60870,
    /// 4 registers, 8 bytes of BCD as in SIMATIC's DATE_AND_TIME: year (90 to 99: 1990s, else 2000s), month, day, hour,
    /// minute, second, two digits of milliseconds, the third one and the day of the week.
    SiemensDateAndTime,
    /// 6 registers: year (four digits, or two of this century), month, day, hour, minute, second.
    SixRegisters,
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    millisecond: i64,
}

impl Layout {
    pub(crate) const NAMES: [(&'static str, Layout); 5] = [
        ("unix-s", Layout::UnixSeconds),
        ("unix-ms", Layout::UnixMilliseconds),
        ("iec-60870", Layout::Iec60870),
        ("siemens-dt", Layout::SiemensDateAndTime),
        ("ymdhms", Layout::SixRegisters),
    ];

    pub(crate) fn count(self) -> u16 {
        match self {
            Layout::UnixSeconds => 2,
            Layout::UnixMilliseconds | Layout::Iec60870 | Layout::SiemensDateAndTime => 4,
            Layout::SixRegisters => 6,
        }
    }

    /// A number, whose registers have an order among them.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Layout::UnixSeconds | Layout::UnixMilliseconds)
    }

    /// `words` are as many as `count`. BadDecodingError for what is no date, and BadSensorFailure for a date that the
    /// device itself calls invalid.
    pub(crate) fn decode(self, words: &[u16], order: ByteOrder, offset_minutes: i16) -> Result<Value, StatusCode> {
        let local_ms = match self {
            Layout::UnixSeconds => (order.join(words) as i64).checked_mul(1000),
            Layout::UnixMilliseconds => i64::try_from(order.join(words)).ok(),
            Layout::Iec60870 => Civil::of_iec(words, order)?.milliseconds(),
            Layout::SiemensDateAndTime => Civil::of_siemens(words, order).and_then(|civil| civil.milliseconds()),
            Layout::SixRegisters => Civil::of_six(words, order).milliseconds(),
        };
        let utc_ms = local_ms.and_then(|local| local.checked_sub(i64::from(offset_minutes) * 60_000));
        utc_ms.and_then(ticks).map(Value::DateTime).ok_or(StatusCode::BAD_DECODING_ERROR)
    }
}

/// Of 100 ns since 1601-01-01 (OPC 10000-6, 5.2.2.5); none of them before it or behind the year 9999.
fn ticks(unix_ms: i64) -> Option<i64> {
    const FROM_1601_MS: i64 = 11_644_473_600_000;
    const YEAR_10000_MS: i64 = 253_402_300_800_000;
    let since = unix_ms.checked_add(FROM_1601_MS)?;
    (since >= 0 && unix_ms < YEAR_10000_MS).then(|| since * 10_000)
}

impl Civil {
    fn of_iec(words: &[u16], order: ByteOrder) -> Result<Civil, StatusCode> {
        let field = |index: usize, shift: u32, bits: u32| {
            let word = words.get(index).map_or(0, |word| order.word(*word));
            i64::from(word >> shift) & ((1 << bits) - 1)
        };
        if field(2, 7, 1) == 1 {
            return Err(StatusCode::BAD_SENSOR_FAILURE);
        }
        let (year, month, day) = (2000 + field(0, 0, 7), field(1, 8, 4), field(1, 0, 5));
        Ok(Civil { year, month, day, hour: field(2, 8, 5), minute: field(2, 0, 6), millisecond: field(3, 0, 16) })
    }

    fn of_siemens(words: &[u16], order: ByteOrder) -> Option<Civil> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| order.word(*word).to_be_bytes()).collect();
        let [year, month, day, hour, minute, second, hundredths, last] = bytes[..] else { return None };
        let two = |byte: u8| (byte >> 4 <= 9 && byte & 15 <= 9).then(|| i64::from(byte >> 4) * 10 + i64::from(byte & 15));
        let year = two(year).map(|year| if year >= 90 { 1900 + year } else { 2000 + year })?;
        let thousandth = (last >> 4 <= 9).then(|| i64::from(last >> 4))?;
        let second = two(second).filter(|second| *second < 60)?;
        let millisecond = second * 1000 + two(hundredths)? * 10 + thousandth;
        Some(Civil { year, month: two(month)?, day: two(day)?, hour: two(hour)?, minute: two(minute)?, millisecond })
    }

    fn of_six(words: &[u16], order: ByteOrder) -> Civil {
        let field = |index: usize| words.get(index).map_or(0, |word| i64::from(order.word(*word)));
        let year = if field(0) < 100 { 2000 + field(0) } else { field(0) };
        let [month, day, hour, minute] = [1, 2, 3, 4].map(field);
        Civil { year, month, day, hour, minute, millisecond: field(5) * 1000 }
    }

    /// Since 1970; `None` for a day that the calendar does not have.
    fn milliseconds(&self) -> Option<i64> {
        let is_year = (1601..=9999).contains(&self.year);
        let is_day = is_year && (1..=12).contains(&self.month) && (1..=self.days_of_month()).contains(&self.day);
        let is_time = self.hour < 24 && self.minute < 60 && self.millisecond < 60_000;
        (is_day && is_time)
            .then(|| ((self.days() * 24 + self.hour) * 60 + self.minute) * 60_000 + self.millisecond)
    }

    fn days_of_month(&self) -> i64 {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Since 1970-01-01, counted in years that begin in March so that the leap day is their last.
    fn days(&self) -> i64 {
        let year = if self.month > 2 { self.year } else { self.year - 1 };
        let month = (self.month + 9) % 12;
        let of_year = (153 * month + 2) / 5 + self.day - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const BAD: Result<i64, StatusCode> = Err(StatusCode::BAD_DECODING_ERROR);

    /// Expected as milliseconds since 1970.
    #[track_caller]
    fn check(layout: Layout, words: &[u16], expected: Result<i64, StatusCode>) {
        assert_eq!(words.len(), usize::from(layout.count()));
        let decoded = layout.decode(words, ByteOrder::PLAIN, 0);
        let expected = expected.map(|ms| Value::DateTime((ms + 11_644_473_600_000) * 10_000));
        assert!(decoded == expected, "{words:X?}: {decoded:?}");
    }

    /// 2026-11-23 08:45:12.345, in every layout.
    const MOMENT: i64 = 1_795_423_512_345;

    #[test]
    fn every_layout_writes_the_same_moment() {
        check(Layout::UnixSeconds, &[0x6B03, 0xFD18], Ok(MOMENT / 1000 * 1000));
        check(Layout::UnixMilliseconds, &[0, 0x01A2, 0x0794, 0xA719], Ok(MOMENT));
        check(Layout::Iec60870, &[26, 0x0B17, 0x082D, 12_345], Ok(MOMENT));
        check(Layout::Iec60870, &[26, 0x0BF7, 0x882D, 12_345], Ok(MOMENT));
        check(Layout::SiemensDateAndTime, &[0x2611, 0x2308, 0x4512, 0x3452], Ok(MOMENT));
        check(Layout::SixRegisters, &[2026, 11, 23, 8, 45, 12], Ok(MOMENT / 1000 * 1000));
        check(Layout::SixRegisters, &[26, 11, 23, 8, 45, 12], Ok(MOMENT / 1000 * 1000));
    }

    #[test]
    fn what_the_calendar_does_not_have_is_a_bad_reading() {
        check(Layout::SixRegisters, &[2024, 2, 29, 0, 0, 0], Ok(1_709_164_800_000));
        for wrong in [
            [2023, 2, 29, 0, 0, 0],
            [2100, 2, 29, 0, 0, 0],
            [2026, 13, 1, 0, 0, 0],
            [2026, 0, 1, 0, 0, 0],
            [2026, 4, 31, 0, 0, 0],
            [2026, 1, 1, 24, 0, 0],
            [2026, 1, 1, 0, 60, 0],
            [2026, 1, 1, 0, 0, 60],
            [10_000, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [0xFFFF; 6],
        ] {
            check(Layout::SixRegisters, &wrong, BAD);
        }
        check(Layout::SiemensDateAndTime, &[0x26A1, 0x2308, 0x4512, 0x3452], BAD);
        check(Layout::SiemensDateAndTime, &[0x2611, 0x2308, 0x4560, 0], BAD);
        check(Layout::SiemensDateAndTime, &[0x9912, 0x3123, 0x5959, 0x9996], Ok(946_684_799_999));
        check(Layout::UnixMilliseconds, &[0xFFFF; 4], BAD);
        check(Layout::UnixMilliseconds, &[0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF], BAD);
        check(Layout::UnixMilliseconds, &[0x1A9F, 0xBE77, 0x405E, 0xDD2F], BAD);
        check(Layout::Iec60870, &[26, 0x0B17, 0x08AD, 12_345], Err(StatusCode::BAD_SENSOR_FAILURE));
        check(Layout::Iec60870, &[26, 0x0B17, 0x082D, 60_000], BAD);
    }

    #[test]
    fn a_local_time_is_told_in_utc() {
        let shanghai = Layout::SixRegisters.decode(&[1970, 1, 1, 8, 0, 0], ByteOrder::PLAIN, 480);
        assert!(shanghai == Ok(Value::DateTime(116_444_736_000_000_000)));
        let swapped = ByteOrder { are_bytes_swapped: true, ..ByteOrder::PLAIN };
        let words = [1970_u16, 1, 1, 0, 0, 0].map(u16::swap_bytes);
        assert!(Layout::SixRegisters.decode(&words, swapped, 0) == Ok(Value::DateTime(116_444_736_000_000_000)));
    }
}
