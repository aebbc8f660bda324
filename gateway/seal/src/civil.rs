//! Times as people write them: RFC 3339 with whole seconds, both ways, for bundle and lineage.

use lingate_model::UtcMicros;

const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAY: i64 = 719_468;

/// `2026-03-01T08:00:00Z` or `2026-03-01T16:00:00+08:00`, year 0000 to 9999. `None`: not such a time.
pub(crate) fn parse(text: &str) -> Option<UtcMicros> {
    let (local, zone) = text.split_at_checked(19)?;
    let seconds = parse_local(local)? - parse_zone(zone)?;
    Some(UtcMicros(seconds * 1_000_000))
}

fn parse_local(text: &str) -> Option<i64> {
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, separator)| text.as_bytes()[*at] != *separator) {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..])?);
    let days = days(year, month, day);
    let is_real = date(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    is_real.then_some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Seconds east of Greenwich.
fn parse_zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (hours, minutes) =
        text.get(1..)?.split_once(':').filter(|(hours, minutes)| (hours.len(), minutes.len()) == (2, 2))?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    match (text.as_bytes()[0], hours < 24 && minutes < 60) {
        (b'+', true) => Some(seconds),
        (b'-', true) => Some(-seconds),
        _ => None,
    }
}

fn number(digits: &str) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
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
    fn a_zone_is_taken_into_account() {
        let utc = parse("2026-03-01T08:00:00Z");
        assert!(utc.is_some());
        assert_eq!(parse("2026-03-01T16:00:00+08:00"), utc);
        assert_eq!(parse("2026-02-28T23:30:00-08:30"), utc);
    }

    #[test]
    fn every_day_of_four_centuries_finds_back() {
        for day in -200_000..150_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+0800",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+8:000",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:0ü",
            "ü026-01-01T00:00:0Z",
            "2026-1-1T0:0:0Z",
            "",
            "2026-00-10T00:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
