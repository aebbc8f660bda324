//! The sandbox's one clock.

use lingate_model::UtcMicros;

#[expect(clippy::disallowed_methods, reason = "the ban is for the gateway; this is the sandbox's one clock")]
pub(crate) fn now() -> UtcMicros {
    UtcMicros(jiff::Timestamp::now().as_microsecond())
}

pub(crate) fn unix_seconds() -> i64 {
    now().seconds()
}

/// RFC 3339 for people and for the bundle.
pub(crate) fn rfc3339(utc: UtcMicros) -> String {
    jiff::Timestamp::from_microsecond(utc.0).map_or_else(|_| utc.0.to_string(), |time| time.to_string())
}

/// To the second, as bundles say times.
pub(crate) fn now_in_words() -> String {
    rfc3339(UtcMicros(unix_seconds().saturating_mul(1_000_000)))
}
