//! Numbers as people read them.

/// `1 device`, `2 devices`; for nouns that take an s.
pub(crate) fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one place")]
pub(crate) fn bytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / (1024.0 * 1024.0);
    match mebibytes < 1024.0 {
        true => format!("{mebibytes:.1} MiB"),
        false => format!("{:.1} GiB", mebibytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_large_numbers_are_short() {
        assert_eq!([0_u64, 1, 2].map(|count| plural(count, "device")), ["0 devices", "1 device", "2 devices"]);
        assert_eq!([0, 3 << 19, 5 << 29].map(bytes), ["0.0 MiB", "1.5 MiB", "2.5 GiB"]);
    }
}
