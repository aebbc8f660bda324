//! What a fuzzer may ask of the daemon; for `tests/hostile` alone.

/// Gives a request's bytes to the health endpoint; whether it answered with 200.
pub fn http(bytes: &[u8]) -> bool {
    crate::health::answered(bytes)
}
