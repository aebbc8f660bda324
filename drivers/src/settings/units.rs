use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 8] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A whole number with `ms`, `s`, `m`, `h` or `d`: `500ms`, `5m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

/// A whole number of bytes with `B`, `KiB`, `MiB`, `GiB`, `TiB` or, in powers of ten, `KB`, `MB`, `GB`: `8GiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// In the largest unit that divides it: what [`parse_duration`] reads back.
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// In the largest binary unit that divides it: what [`parse_size`] reads back.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES[..5])
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let divides = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    let (name, factor) = units.iter().rev().find(divides).unwrap_or(&units[0]);
    format!("{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for millis in [0, 1, 500, 1_000, 1_500, 90_000, 3_600_000, 86_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
        for size in [0, 1, 1 << 10, 1 << 30, 1_000_000, u64::MAX] {
            assert_eq!(parse_size(&show_size(size)), Some(size));
        }
    }

    #[test]
    fn without_a_number_or_a_unit_it_is_nothing() {
        for bad in ["", "5", "ms", "5 parsecs", "-5s", "1.5s", "99999999999999999999s", "9999999999999999999d", "5S"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
        assert_eq!(parse_size("8Gib"), None);
        assert_eq!(parse_size("5 MB"), Some(5_000_000));
    }
}
