//! The journal, with fields that can be searched: `journalctl -u lingate DEVICE=press-1`, `journalctl -u lingate CAUSE=...`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use lingate_engine::Level;

/// Whether fields have a place of their own; on a terminal they would only repeat the line.
static TAKES_FIELDS: AtomicBool = AtomicBool::new(false);

/// A layer to the journal, if standard error is connected to it (systemd.exec(5), `JOURNAL_STREAM`).
pub(crate) fn layer() -> Option<tracing_journald::Layer> {
    let told = std::env::var("JOURNAL_STREAM").ok()?;
    let stream = fs::metadata("/proc/self/fd/2").ok()?;
    if !is_stream(&told, stream.dev(), stream.ino()) {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    TAKES_FIELDS.store(true, Ordering::Relaxed);
    Some(layer.with_field_prefix(None).with_syslog_identifier("lingate".to_owned()))
}

/// Somebody may have redirected standard error behind the variable.
fn is_stream(told: &str, device: u64, inode: u64) -> bool {
    told.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// A change of state of a device or of the link.
pub(crate) fn change(level: Level, text: &str, device: Option<&str>, cause: Option<&str>) {
    let (device, cause) = match TAKES_FIELDS.load(Ordering::Relaxed) {
        true => (device, cause),
        false => (None, None),
    };
    match level {
        Level::Info => tracing::info!(device, cause, "{text}"),
        Level::Warning => tracing::warn!(device, cause, "{text}"),
        Level::Error => tracing::error!(device, cause, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_itself_is_the_journal() {
        assert!(is_stream("9:4711", 9, 4711));
        for told in ["9:4712", "8:4711", "4711", "", "9:", "9:4711:1"] {
            assert!(!is_stream(told, 9, 4711), "{told}");
        }
    }
}
