use std::fmt;
use std::str::FromStr;

use lingate_model::UtcMicros;

/// A day of the proleptic Gregorian calendar, UTC: `2027-06-30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const DAY_US: i64 = 86_400_000_000;

impl Date {
    pub(crate) fn of(utc: UtcMicros) -> Date {
        civil(utc.0.div_euclid(DAY_US))
    }

    /// The day after it has begun.
    pub(crate) fn is_over(self, now: UtcMicros) -> bool {
        now.0.div_euclid(DAY_US) > self.days()
    }

    /// Since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }
}

/// As above, civil_from_days. Years before 0 and after 65535 are cut to those.
fn civil(days: i64) -> Date {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |number: i64| u8::try_from(number).expect("a month or a day of one");
    Date { year: year.clamp(0, 65_535) as u16, month: small(month), day: small(day) }
}

impl FromStr for Date {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Date, &'static str> {
        const WRONG: &str = "is not a day, write it as 2027-06-30";
        let mut parts = text.splitn(3, '-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|part| part.parse::<u16>().ok()).ok_or(WRONG)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let small = |number: u16| u8::try_from(number).map_err(|_| WRONG);
        let date = Date { year, month: small(month)?, day: small(day)? };
        // 2027-02-30 is another day than it says.
        if !(1..=12).contains(&date.month) || day == 0 || civil(date.days()) != date { Err(WRONG) } else { Ok(date) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_back_and_counts_from_1970() {
        for (text, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-23", 20_780), ("2100-03-01", 47_541)]
        {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.days(), days, "{text}");
            assert_eq!(Date::of(UtcMicros(days * DAY_US + 5)), date);
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn a_day_that_the_calendar_has_not_is_refused() {
        for wrong in ["2027-02-29", "2100-02-29", "2027-13-01", "2027-00-01", "2027-01-00", "27-01-01", "2027-1-1", ""] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_day_counts_wholly() {
        let date: Date = "2027-06-30".parse().unwrap();
        let midnight_after = (date.days() + 1) * DAY_US;
        assert!(!date.is_over(UtcMicros(midnight_after - 1)));
        assert!(date.is_over(UtcMicros(midnight_after)));
    }
}
