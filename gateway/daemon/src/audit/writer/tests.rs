#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::sync::{Arc, Mutex};

use lingate_audit::{Report, Verification};

use super::*;

/// A disk whose faults are arranged.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    files: BTreeMap<u64, Vec<u8>>,
    growing: Option<u64>,
    is_full: bool,
    /// A full disk takes so many bytes of a write before it fails.
    takes: usize,
    fails_sync: bool,
    fails_remove: bool,
}

impl Fake {
    fn with<T>(&self, change: impl FnOnce(&mut Disk) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

impl Shelf for Fake {
    fn list(&self) -> io::Result<Vec<(u64, u64)>> {
        Ok(self.with(|disk| disk.files.iter().map(|(number, bytes)| (*number, bytes.len() as u64)).collect()))
    }

    fn read(&self, number: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<u64> {
        let bytes = self.with(|disk| disk.files.get(&number).cloned()).ok_or(io::ErrorKind::NotFound)?;
        let mut read = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            read += line.len() as u64 + 1;
            if !each(line) {
                break;
            }
        }
        Ok(read)
    }

    fn create(&mut self, number: u64) -> io::Result<()> {
        self.with(|disk| {
            if disk.is_full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            assert!(disk.files.insert(number, Vec::new()).is_none(), "{number} exists");
            disk.growing = Some(number);
            Ok(())
        })
    }

    fn open(&mut self, number: u64, bytes: u64) -> io::Result<()> {
        self.with(|disk| disk.growing = Some(number));
        self.cut(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            let takes = if disk.is_full { disk.takes.min(bytes.len()) } else { bytes.len() };
            let number = disk.growing.unwrap();
            disk.files.entry(number).or_default().extend(&bytes[..takes]);
            if disk.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|disk| if disk.fails_sync { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) })
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.with(|disk| {
            let number = disk.growing.unwrap();
            disk.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?.truncate(bytes as usize);
            Ok(())
        })
    }

    fn is_there(&self) -> bool {
        self.with(|disk| disk.growing.is_some_and(|number| disk.files.contains_key(&number)))
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        self.with(|disk| match disk.fails_remove {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => {
                disk.files.remove(&number);
                Ok(())
            }
        })
    }
}

const SMALL: Limits = Limits { file_bytes: 2_000, all_bytes: 6_000, kept_micros: i64::MAX, kept_files: 3 };

fn open(disk: &Fake) -> Writer<Fake> {
    Writer::open(disk.clone(), SMALL, Event::new(Kind::AuditFile).text("origin", "o"))
}

fn tell(writer: &mut Writer<Fake>, count: u64) {
    for n in 0..count {
        writer.record(UtcMicros(0), Event::new(Kind::SourceUp).text("device", "press-1").count("i", n));
        writer.flush(UtcMicros(0));
    }
}

/// The judge is the verifier that everybody has.
fn report(disk: &Fake) -> Report {
    let mut verification = Verification::new(Vec::new(), Vec::new());
    let files = disk.with(|disk| disk.files.clone());
    for (number, bytes) in files {
        verification.begin_file(&number.to_string());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => verification.line(line),
                None => verification.torn(line.len()),
            }
        }
    }
    verification.finish()
}

fn sound(disk: &Fake) -> Report {
    let report = report(disk);
    assert!(report.is_sound(), "{:#?}", report.findings);
    report
}

#[test]
fn a_log_goes_on_over_files_and_restarts() {
    let disk = Fake::default();
    for round in 1..=5 {
        let mut writer = open(&disk);
        tell(&mut writer, 5);
        let report = sound(&disk);
        assert_eq!((report.size, report.root), (writer.size(), writer.log.root()), "round {round}");
        assert_eq!(report.kinds["source.up"], 5 * round);
    }
    assert!(sound(&disk).files > 1);
}

#[test]
fn a_torn_line_is_cut_and_declared() {
    let disk = Fake::default();
    tell(&mut open(&disk), 3);
    disk.with(|disk| disk.files.values_mut().last().unwrap().extend(b"{\"v\":1,\"n\":4,"));
    assert!(!report(&disk).is_sound());
    tell(&mut open(&disk), 1);
    assert_eq!(sound(&disk).declared, ["line 4 (1970-01-01T00:00:00.000Z): audit.gap: torn"]);
}

#[test]
fn a_full_disk_loses_nothing_within_the_bound_and_counts_beyond_it() {
    for takes in [0, 1, 50, 250] {
        let disk = Fake::default();
        let mut writer = Writer::open(disk.clone(), Limits::default(), Event::new(Kind::AuditFile));
        tell(&mut writer, 2);
        disk.with(|disk| (disk.is_full, disk.takes) = (true, takes));
        tell(&mut writer, PENDING_MAX as u64 + 7);
        assert!(writer.fault().is_some() && writer.lost_in_all() == 7);
        disk.with(|disk| disk.is_full = false);
        writer.flush(UtcMicros(0));
        let report = sound(&disk);
        assert_eq!((writer.fault(), writer.lost_in_all()), (None, 7));
        assert!(report.declared.iter().any(|words| words.contains("7 events not written")), "{:?}", report.declared);
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_declared_as_well() {
    let disk = Fake::default();
    disk.with(|disk| disk.is_full = true);
    let mut writer = open(&disk);
    tell(&mut writer, 3);
    assert!(writer.fault().is_some());
    disk.with(|disk| disk.is_full = false);
    writer.flush(UtcMicros(0));
    assert_eq!((sound(&disk).declared.len(), writer.size()), (1, 5));
}

#[test]
fn after_a_failed_sync_nothing_more_goes_into_that_file() {
    let disk = Fake::default();
    let mut writer = open(&disk);
    tell(&mut writer, 2);
    disk.with(|disk| disk.fails_sync = true);
    tell(&mut writer, 2);
    disk.with(|disk| disk.fails_sync = false);
    writer.flush(UtcMicros(0));
    let report = sound(&disk);
    assert_eq!((report.kinds["source.up"], report.files), (4, 2));
    assert!(report.declared[0].contains("os error 5"), "{:?}", report.declared);
}

#[test]
fn a_deleted_log_goes_on_and_says_from_where() {
    let disk = Fake::default();
    let mut writer = open(&disk);
    tell(&mut writer, 12);
    let before = writer.size();
    disk.with(|disk| disk.files.clear());
    tell(&mut writer, 3);
    let report = sound(&disk);
    assert_eq!((report.first, report.size), (before, writer.size()));
    assert!(report.declared[0].contains("deleted"), "{:?}", report.declared);
}

#[test]
fn old_files_go_and_are_declared() {
    let disk = Fake::default();
    let mut writer = open(&disk);
    tell(&mut writer, 60);
    let report = sound(&disk);
    assert!(report.first > 0 && writer.bytes() <= SMALL.all_bytes + SMALL.file_bytes, "{}", writer.bytes());
    assert!(report.kinds["audit.pruned"] > 0);
    // A file more than what was declared is missing: that is caught.
    disk.with(|disk| disk.files.pop_first());
    assert!(report_is_about_deletion(&disk));
}

/// A line for each refusal would fill the disk that nothing can be removed from.
#[test]
fn a_file_that_cannot_be_removed_is_declared_once() {
    let disk = Fake::default();
    let mut writer = open(&disk);
    disk.with(|disk| disk.fails_remove = true);
    tell(&mut writer, 60);
    assert_eq!(sound(&disk).kinds["audit.pruned"], 1);
    disk.with(|disk| disk.fails_remove = false);
    tell(&mut writer, 1);
    let report = sound(&disk);
    assert!(report.first > 0 && report.kinds["audit.pruned"] > 1, "{report:?}");
    assert!(writer.bytes() <= SMALL.all_bytes + SMALL.file_bytes, "{}", writer.bytes());
}

#[test]
fn what_was_deleted_is_declared_also_if_the_disk_refuses_the_first_line_about_it() {
    for fails_sync in [true, false] {
        let disk = Fake::default();
        let mut writer = open(&disk);
        tell(&mut writer, 12);
        disk.with(|disk| {
            disk.files.clear();
            (disk.fails_sync, disk.is_full) = (fails_sync, !fails_sync);
        });
        tell(&mut writer, 2);
        assert!(writer.fault().is_some());
        disk.with(|disk| (disk.fails_sync, disk.is_full) = (false, false));
        tell(&mut writer, 2);
        let report = sound(&disk);
        assert!(report.declared.iter().any(|words| words.contains("deleted, lines before")), "{:?}", report.declared);
    }
}

const DAY: i64 = 86_400_000_000;

/// A line every minute of `days` from `from` on, in files of a few lines.
fn live(writer: &mut Writer<Fake>, from: i64, minutes: i64) {
    for minute in 0..minutes {
        let at = UtcMicros(from + minute * 60_000_000);
        writer.record(at, Event::new(Kind::SourceUp).text("device", "press-1"));
        writer.flush(at);
    }
}

#[test]
fn files_go_by_age_and_a_clock_that_jumps_ages_nothing() {
    let limits = Limits { file_bytes: 1_000, all_bytes: u64::MAX, kept_micros: DAY / 24, kept_files: 3 };
    let disk = Fake::default();
    let open = || Writer::open(disk.clone(), limits, Event::new(Kind::AuditFile));
    let mut writer = open();
    live(&mut writer, 0, 50);
    assert_eq!(sound(&disk).first, 0, "nothing is an hour old");
    let files = writer.files();
    // Twelve years ahead, and on from there.
    live(&mut writer, 12 * 365 * DAY, 5);
    assert_eq!(sound(&disk).first, 0);
    // As after a repair of the clock, and beyond the hour.
    live(&mut writer, DAY / 24, 60);
    assert!(sound(&disk).first > 0, "files go by age");
    // A start with a wrong clock, and one more that takes it for granted: the newest files stay.
    for _ in 0..2 {
        let mut writer = open();
        live(&mut writer, 24 * 365 * DAY, 3);
        assert!(writer.files() >= 3 && sound(&disk).is_sound(), "{files}");
    }
}

fn report_is_about_deletion(disk: &Fake) -> bool {
    report(disk).findings.iter().any(|finding| finding.what.contains("no line declares"))
}

#[test]
fn a_proof_is_found_for_every_size_that_is_left() {
    let disk = Fake::default();
    let mut writer = open(&disk);
    let mut roots = Vec::new();
    for _ in 0..25 {
        tell(&mut writer, 1);
        roots.push((writer.size(), writer.log.root()));
    }
    let new = (writer.size(), writer.log.root());
    let mut proven = 0;
    for (size, root) in &roots {
        let Some((found, proof)) = writer.prove(*size) else { continue };
        assert_eq!(found, *root);
        assert!(lingate_audit::is_consistent((*size, root), (new.0, &new.1), &proof), "{size}");
        proven += 1;
    }
    assert!(proven >= 10 && writer.prove(new.0 + 1).is_none());
}
