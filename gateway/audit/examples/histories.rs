//! Writes two histories of one audit log that begin alike, each in two files with checkpoint and keys: `histories DIR`.

use std::fs;
use std::path::Path;

use lingate_audit::{Checkpoint, Cosignature, Event, Kind, Log, Signer};
use lingate_model::UtcMicros;

const ORIGIN: &str = "lingate/acme/gw-0001/audit";
const LINES: u64 = 40;

fn main() {
    let folder = std::env::args().nth(1).expect("say a folder");
    let folder = Path::new(&folder);
    write(&folder.join("log"), "press-1");
    write(&folder.join("fork"), "press-2");
}

/// The histories part in the middle of the first file.
fn write(folder: &Path, device: &str) {
    let (log_key, witness) = (key(1, Signer::log, ORIGIN), key(2, Signer::witness, "sandbox.example"));
    let mut log = Log::default();
    fs::create_dir_all(folder).expect("a folder");
    for file in 1..=2 {
        let opening = Event::new(Kind::AuditFile).text("origin", ORIGIN).text("key", log_key.verifier().to_string());
        let mut text = log.append_header(UtcMicros(0), file, &opening);
        for n in 0..LINES {
            let is_common = file == 1 && n < LINES / 2;
            let event = Event::new(Kind::SourceUp).text("device", if is_common { "press-0" } else { device });
            text += &log.append(UtcMicros(1_767_225_600_000_000), &event.count("i", n));
        }
        fs::write(folder.join(format!("{file:08}.jsonl")), text).expect("a file");
    }
    let origin = ORIGIN.to_owned();
    let mut note = Checkpoint { origin, size: log.size(), root: log.root() }.sign(&log_key);
    Cosignature::add(&mut note, &witness, 1_767_225_700);
    fs::write(folder.join("checkpoint"), note.to_string()).expect("a file");
    let keys = format!("{}\n{}\n", log_key.verifier(), witness.verifier());
    fs::write(folder.join("keys.txt"), keys).expect("a file");
}

fn key<E: std::fmt::Debug>(seed: u8, make: fn(&str, &[u8]) -> Result<Signer, E>, name: &str) -> Signer {
    // RFC 8410, 10.3: what stands before the seed of an Ed25519 key.
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    make(name, &[&HEAD[..], &[seed; 32]].concat()).expect("a key")
}
