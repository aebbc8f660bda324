use ring::digest;

/// `lingate 0.1.0 sha256:...`: name, version and digest of the running program, for lineage and enrolment.
pub(crate) fn name() -> String {
    format!("lingate {} sha256:{}", env!("CARGO_PKG_VERSION"), sha256())
}

/// Of the running program, 64 hex digits; zeros if it cannot be read (a chroot without /proc).
pub(crate) fn sha256() -> String {
    let program = std::fs::read("/proc/self/exe").unwrap_or_default();
    if program.is_empty() {
        return "0".repeat(64);
    }
    hex(digest::digest(&digest::SHA256, &program).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
