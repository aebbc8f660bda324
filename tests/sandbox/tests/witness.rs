//! A gateway's audit log has one history, or the sandbox says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_audit::{
    Checkpoint, Cosignature, Event, Kind, Log, Note, Signer, Submission, Verification, leaf_hash, prove_consistency,
};
use lingate_model::UtcMicros;
use lingate_sandbox::{Authority, InitOptions, Judged, Witness};

const TOPIC: &str = "lingate/1/acme/gw-0001/a";
const ORIGIN: &str = "lingate/acme/gw-0001/audit";

struct Bench {
    _home: tempfile::TempDir,
    authority: Authority,
    witness: Witness,
    signer: Signer,
}

/// A log, and its lines.
#[derive(Clone, Default)]
struct Written {
    log: Log,
    lines: Vec<String>,
}

impl Written {
    fn grow(&mut self, lines: u64, word: &str) {
        if self.lines.is_empty() {
            let opening = Event::new(Kind::AuditFile).text("origin", ORIGIN);
            self.lines.push(self.log.append_header(UtcMicros(0), 1, &opening));
        }
        for n in 0..lines {
            let event = Event::new(Kind::SourceUp).text("device", word).count("i", n);
            self.lines.push(self.log.append(UtcMicros(0), &event));
        }
    }

    fn submission(&self, signer: &Signer, old: u64) -> Submission {
        let mut tree = lingate_audit::Tree::default();
        let leaves: Vec<_> = self.lines.iter().map(|line| leaf_hash(line.trim_end().as_bytes())).collect();
        leaves.iter().take(old as usize).for_each(|leaf| tree.push_hash(*leaf));
        let proof = prove_consistency(&tree, &leaves[old as usize..]);
        let origin = ORIGIN.to_owned();
        let note = Checkpoint { origin, size: self.log.size(), root: self.log.root() }.sign(signer);
        Submission { old, proof, note }
    }
}

impl Bench {
    fn new() -> Bench {
        let home = tempfile::tempdir().unwrap();
        let mut authority = Authority::init(&home.path().join("sandbox"), &InitOptions::default()).unwrap();
        let gateway = authority.enroll_for_test("gw-0001", "acme").unwrap();
        let signer = Signer::log(ORIGIN, &gateway.audit_pkcs8).unwrap();
        let witness = authority.witness().unwrap();
        Bench { _home: home, authority, witness, signer }
    }

    fn send(&self, written: &Written, old: u64) -> (Judged, Option<Note>) {
        self.send_bytes(written.submission(&self.signer, old).encode().as_bytes())
    }

    fn send_bytes(&self, bytes: &[u8]) -> (Judged, Option<Note>) {
        let (judged, reply) = self.witness.take(TOPIC, bytes, 1_700_000_000).unwrap();
        let note = reply.map(|reply| {
            assert_eq!(reply.topic, "lingate/1/acme/gw-0001/r");
            Note::parse(reply.note.as_bytes()).unwrap()
        });
        (judged, note)
    }

    fn size(&self) -> u64 {
        self.authority.witnessed().unwrap()[0].newest.as_ref().map_or(0, |(checkpoint, _, _)| checkpoint.size)
    }

    fn forks(&self) -> usize {
        self.authority.witnessed().unwrap()[0].forks.len()
    }
}

#[test]
fn a_log_that_grows_is_cosigned_and_verifies_with_it() {
    let (bench, mut written) = (Bench::new(), Written::default());
    let (mut old, mut notes) = (0, Vec::new());
    for lines in [1, 5, 40, 3] {
        written.grow(lines, "press-1");
        let (judged, note) = bench.send(&written, old);
        old = written.log.size();
        assert_eq!(judged, Judged::Cosigned { size: old });
        notes.push(("sandbox".to_owned(), note.unwrap()));
    }
    let keys = bench.authority.witnessed().unwrap()[0].keys.clone();
    let mut verification = Verification::new(notes, keys);
    verification.begin_file("1");
    written.lines.iter().for_each(|line| verification.line(line.trim_end().as_bytes()));
    let report = verification.finish();
    assert!(report.is_sound(), "{:?}", report.findings);
    let cosigned = Cosignature { witness: "sandbox.example".to_owned(), time: 1_700_000_000 };
    assert!(report.checked.iter().all(|checked| checked.is_signed && checked.cosignatures == [cosigned.clone()]));
}

#[test]
fn who_lost_track_is_told_the_newest_checkpoint_and_goes_on() {
    let (bench, mut written) = (Bench::new(), Written::default());
    written.grow(10, "press-1");
    bench.send(&written, 0);
    let known = written.log.size();
    written.grow(10, "press-1");
    let (judged, note) = bench.send(&written, 0);
    assert_eq!((judged, Checkpoint::of(&note.unwrap()).unwrap().size), (Judged::Behind, known));
    assert_eq!(bench.send(&written, known).0, Judged::Cosigned { size: written.log.size() });
    assert_eq!(bench.send(&written, known).0, Judged::Cosigned { size: written.log.size() }, "the same again");
    assert_eq!(bench.forks(), 0);
}

#[test]
fn a_forked_log_is_not_cosigned_and_the_evidence_is_kept() {
    let (bench, mut written) = (Bench::new(), Written::default());
    written.grow(10, "press-1");
    let backup = written.clone();
    written.grow(10, "press-1");
    bench.send(&written, 0);
    let cosigned = written.log.size();
    // Restored from the backup: shorter, then as long, then longer.
    assert!(matches!(bench.send(&backup, 0).0, Judged::Forked(why) if why.contains("backup")));
    for lines in [10, 5] {
        let mut fork = backup.clone();
        fork.grow(10, "press-2");
        fork.grow(lines - 5, "press-2");
        let old = cosigned.min(fork.log.size());
        let (judged, note) = bench.send(&fork, old);
        assert!(matches!(judged, Judged::Forked(_)), "{judged:?}");
        assert_eq!(
            Checkpoint::of(&note.unwrap()).unwrap().root,
            written.log.root(),
            "the gateway is shown the other one"
        );
    }
    assert_eq!((bench.size(), bench.forks() > 0), (cosigned, true));
    written.grow(1, "press-1");
    assert_eq!(bench.send(&written, cosigned).0, Judged::Cosigned { size: cosigned + 1 }, "the first history goes on");
}

/// What was once genuine, and whoever reads topic `a` can keep it, is no fork when it comes again.
#[test]
fn an_older_checkpoint_that_comes_again_is_no_alarm() {
    let (bench, mut written) = (Bench::new(), Written::default());
    let mut sent = Vec::new();
    let mut old = 0;
    for _ in 0..4 {
        written.grow(5, "press-1");
        sent.push(written.submission(&bench.signer, old).encode());
        bench.send_bytes(sent.last().unwrap().as_bytes());
        old = written.log.size();
    }
    for replayed in &sent[..3] {
        let (judged, note) = bench.send_bytes(replayed.as_bytes());
        assert_eq!((judged, Checkpoint::of(&note.unwrap()).unwrap().size), (Judged::Behind, old));
    }
    assert_eq!((bench.forks(), bench.size()), (0, old));
    // Another history of a size that was cosigned is one, also later.
    let mut fork = Written::default();
    fork.grow(5, "press-2");
    for _ in 0..3 {
        assert!(matches!(bench.send(&fork, 0).0, Judged::Forked(why) if why.contains("two different")));
    }
    assert_eq!(bench.forks(), 1);
}

#[test]
fn strangers_and_forgeries_get_no_word() {
    let (bench, mut written) = (Bench::new(), Written::default());
    written.grow(3, "press-1");
    let stranger = Bench::new().signer;
    let forged = written.submission(&stranger, 0).encode();
    for bytes in [forged.as_bytes(), b"", b"old 0\n\n", &[0xff; 100]] {
        assert!(matches!(bench.send_bytes(bytes), (Judged::Refused(_), None)));
    }
    let good = written.submission(&bench.signer, 0).encode();
    for topic in ["lingate/1/acme/gw-0002/a", "lingate/1/other/gw-0001/a", "lingate/1/acme/gw-0001/k", "a"] {
        assert!(
            matches!(bench.witness.take(topic, good.as_bytes(), 0).unwrap(), (Judged::Refused(_), None)),
            "{topic}"
        );
    }
    assert_eq!((bench.size(), bench.forks()), (0, 0));
}
