//! Times as people write them: RFC 3339 in UTC with whole seconds, both ways, for bundle and lineage.

use lingate_model::UtcMicros;

const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAY: i64 = 719_468;

/// `2026-03-01T08:00:00Z`; only this form, from year 0000 to 9999. `None`: not such a time.
pub(crate) fn parse(text: &str) -> Option<UtcMicros> {
    let bytes = text.as_bytes();
    let has_shape = bytes.len() == 20
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')]
            .iter()
            .all(|(at, b)| bytes[*at] == *b);
    if !has_shape {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days(year, month, day);
    let is_real =
        (1..=12).contains(&month) && date(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    is_real.then_some(UtcMicros((days * DAY + hour * 3600 + minute * 60 + second) * 1_000_000))
}

/// Rounded down to seconds.
pub(crate) fn format(time: UtcMicros) -> String {
    let (days, second) = (time.seconds().div_euclid(DAY), time.seconds().rem_euclid(DAY));
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Howard Hinnant's civil calendar: years begin in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY
}

fn date(days: i64) -> (i64, i64, i64) {
    let (era, of_era) = ((days + EPOCH_DAY).div_euclid(146_097), (days + EPOCH_DAY).rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = (march_month + 2) % 12 + 1;
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_agree_both_ways() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-23T05:18:52Z", 1_795_411_132),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let time = UtcMicros(seconds * 1_000_000);
            assert_eq!(parse(text), Some(time));
            assert_eq!(format(time), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_finds_back() {
        for day in -200_000..150_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn what_is_no_utc_time_is_refused() {
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+08:00",
            "2026-1-1T0:0:0Z",
            "",
            "2026-00-10T00:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
