//! What a gateway ever asked of simulated devices, summed over many programs: `LINGATE_FRAMES` names the file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A line of the file each so many. A program that ends keeps less than that for itself, so that the sum is a lower bound.
const LINE: u64 = 100;

/// Requests of one protocol.
pub(crate) struct Sent {
    protocol: &'static str,
    waiting: AtomicU64,
}

pub(crate) static MODBUS: Sent = Sent::by("modbus");
pub(crate) static OPCUA: Sent = Sent::by("opcua");

impl Sent {
    const fn by(protocol: &'static str) -> Sent {
        Sent { protocol, waiting: AtomicU64::new(0) }
    }

    /// What must not be sent is written at once.
    pub(crate) fn count(&self, is_forbidden: bool) {
        let Some(file) = file() else { return };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before + 1 >= LINE || is_forbidden {
            let requests = self.waiting.swap(0, Ordering::Relaxed);
            write(file, &line(self.protocol, requests, is_forbidden));
        }
    }
}

/// The four reads and the identification (Modbus application protocol 1.1b3, sections 6.1 to 6.4 and 6.21).
pub(crate) fn is_read(function: u8) -> bool {
    matches!(function, 1..=4 | 43)
}

fn line(protocol: &str, requests: u64, is_forbidden: bool) -> String {
    format!("{{\"protocol\":\"{protocol}\",\"requests\":{requests},\"forbidden\":{}}}\n", u8::from(is_forbidden))
}

fn file() -> Option<&'static PathBuf> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| std::env::var_os("LINGATE_FRAMES").map(PathBuf::from)).as_ref()
}

/// One call, so that lines of several programs do not mix.
fn write(file: &PathBuf, line: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("LINGATE_FRAMES: {}: {error}", file.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_protocol_requests_and_whether_one_must_not_be_sent() {
        assert_eq!(line("modbus", 100, false), "{\"protocol\":\"modbus\",\"requests\":100,\"forbidden\":0}\n");
        assert_eq!(line("opcua", 7, true), "{\"protocol\":\"opcua\",\"requests\":7,\"forbidden\":1}\n");
    }
}
