use std::fs::File;
use std::io::{self, Read};

pub(crate) use lingate_audit::hex;
use ring::digest::{Context, SHA256};

/// `lingate 0.1.0 sha256:...`: name, version and digest of the running program, for lineage and enrolment.
pub(crate) fn name() -> String {
    format!("lingate {} sha256:{}", env!("CARGO_PKG_VERSION"), sha256())
}

/// Of the running program, 64 hex digits; zeros if it cannot be read (a chroot without /proc).
pub(crate) fn sha256() -> String {
    digest_of_this_program().unwrap_or_else(|_| "0".repeat(64))
}

/// In pieces: a whole program in memory would be the largest thing that the daemon ever holds.
fn digest_of_this_program() -> io::Result<String> {
    let mut program = File::open("/proc/self/exe")?;
    let mut digest = Context::new(&SHA256);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match program.read(&mut piece)? {
            0 => return Ok(hex(digest.finish().as_ref())),
            read => digest.update(&piece[..read]),
        }
    }
}
