//! Whoever changes a log, or keeps two, is caught.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_audit::{Checkpoint, Event, Kind, Log, Note, Report, Signer, Verification, Verifier};
use lingate_model::UtcMicros;

const ORIGIN: &str = "lingate/acme/gw-0001/audit";

fn signer(seed: u8) -> Signer {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    Signer::log(ORIGIN, &[&HEAD[..], &[seed; 32]].concat()).unwrap()
}

struct Written {
    /// Lines by file, without LF.
    files: Vec<Vec<String>>,
    note: Note,
}

/// Two files of ten lines each, and a checkpoint over all of them.
fn written(word: &str) -> Written {
    let mut log = Log::default();
    let mut files = Vec::new();
    for file in 1..=2 {
        let opening = Event::new(Kind::AuditFile).text("origin", ORIGIN);
        let mut lines = vec![log.append_header(UtcMicros(0), file, &opening)];
        for n in 0..9 {
            let event = Event::new(Kind::SourceUp).text("device", word).count("i", n);
            lines.push(log.append(UtcMicros(1_000_000), &event));
        }
        files.push(lines.iter().map(|line| line.trim_end().to_owned()).collect());
    }
    let note = Checkpoint { origin: ORIGIN.to_owned(), size: log.size(), root: log.root() }.sign(&signer(1));
    Written { files, note }
}

fn verify(written: &Written) -> Report {
    verify_with(written, vec![signer(1).verifier().clone()])
}

fn verify_with(written: &Written, keys: Vec<Verifier>) -> Report {
    let mut verification = Verification::new(vec![("checkpoint".to_owned(), written.note.clone())], keys);
    for (number, lines) in (1..).zip(&written.files) {
        verification.begin_file(&format!("{number}.jsonl"));
        lines.iter().for_each(|line| verification.line(line.as_bytes()));
    }
    verification.finish()
}

fn check(change: impl FnOnce(&mut Written), place: &str, words: &str) {
    let mut log = written("press-1");
    change(&mut log);
    let report = verify(&log);
    let told: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.starts_with(place) && told.contains(words)), "{place}: {words}\n{told:#?}");
}

#[test]
fn a_log_as_it_was_written_is_sound() {
    let report = verify(&written("press-1"));
    assert!(report.checked[0].is_proof() && report.is_proven());
    assert_eq!((report.findings, report.size, report.uncovered, report.files), (vec![], 20, 0, 2));
}

/// Lines that nothing covers can be changed together with their chain: that is not called proven.
#[test]
fn what_no_signed_checkpoint_covers_is_not_proven() {
    let log = written("press-1");
    let unproven = |report: &Report| report.unproven.join("\n");
    let keyless = verify_with(&log, Vec::new());
    assert!(keyless.is_sound() && !keyless.is_proven() && keyless.uncovered == 20, "{:?}", keyless.unproven);
    let mut without = Verification::new(Vec::new(), vec![signer(1).verifier().clone()]);
    for (number, lines) in (1..).zip(&log.files) {
        without.begin_file(&number.to_string());
        lines.iter().for_each(|line| without.line(line.as_bytes()));
    }
    assert!(unproven(&without.finish()).contains("no checkpoint"));

    let mut longer = written("press-1");
    longer.note = over(&longer.files, 19);
    let last = longer.files[1].pop().unwrap();
    longer.files[1].push(last.replace("press-1", "press-2"));
    let report = verify(&longer);
    assert!(report.is_sound() && unproven(&report).contains("the last 1 line(s)"), "{report:?}");
}

/// A checkpoint of the first `size` lines.
fn over(files: &[Vec<String>], size: usize) -> Note {
    let mut log = Log::default();
    files.iter().flatten().take(size).for_each(|line| log.take(line.as_bytes()));
    Checkpoint { origin: ORIGIN.to_owned(), size: log.size(), root: log.root() }.sign(&signer(1))
}

/// Who deletes a file can add a line that excuses it, with the right chain; what was signed does not say so.
#[test]
fn an_excuse_behind_the_newest_checkpoint_is_none() {
    for (excuse, counts) in
        [(Kind::AuditPruned, &[("upto", 10)][..]), (Kind::AuditGap, &[("from", 0), ("upto", 10)][..])]
    {
        let mut log = written("press-1");
        let mut state = Log::default();
        log.files.iter().flatten().for_each(|line| state.take(line.as_bytes()));
        let event = counts.iter().fold(Event::new(excuse), |event, (name, count)| event.count(name, *count));
        log.files[1].push(state.append(UtcMicros(1), &event).trim_end().to_owned());
        let signed = over(&log.files, 21);
        log.files.remove(0);
        let report = verify(&log);
        assert!(!report.is_proven() && report.unproven[1].contains("lines 0 to 9"), "{report:?}");
        log.note = signed;
        assert!(verify(&log).is_proven(), "the gateway's own word, which it signed");
    }
}

#[test]
fn an_edited_line_is_named() {
    check(
        |log| log.files[0][4] = log.files[0][4].replace("press-1", "press-2"),
        "1.jsonl, line 6",
        "line before was changed",
    );
    check(|log| log.files[0][4] = "{".to_owned(), "1.jsonl, line 5", "not a line");
    check(
        |log| log.files[0][9] = log.files[0][9].replace("press-1", "press-2"),
        "2.jsonl, line 1",
        "they were changed",
    );
    check(
        |log| log.files[1][9] = log.files[1][9].replace("press-1", "press-2"),
        "checkpoint",
        "the root over the first 20",
    );
    check(
        |log| log.files[0][0] = log.files[0][0].replace("acme", "evil"),
        "1.jsonl, line 2",
        "line before was changed",
    );
}

#[test]
fn numbers_at_the_end_of_their_range_end_no_verification() {
    let mut log = written("press-1");
    for line in &mut log.files[0] {
        *line = line.replacen(r#""n":"#, r#""n":1844674407370955161"#, 1);
    }
    log.files[0][1] = log.files[0][5].clone();
    log.files[0].insert(2, "{".to_owned());
    let report = verify(&log);
    assert!(report.findings.iter().any(|found| found.what.contains("18446744073709551615")), "{:?}", report.findings);
}

#[test]
fn a_deleted_line_is_named() {
    check(|log| drop(log.files[0].remove(4)), "1.jsonl, line 5", "1 line(s) deleted");
    check(|log| drop(log.files[1].remove(0)), "2.jsonl, line 1", "first lines are missing");
    check(|log| drop(log.files.remove(0)), "2.jsonl, line 1".replace('2', "1").as_str(), "no line declares");
}

#[test]
fn reordered_and_doubled_lines_are_named() {
    check(|log| log.files[0].swap(3, 4), "1.jsonl, line 5", "reordered");
    check(|log| log.files.swap(0, 1), "1.jsonl, line 1", "no line declares");
    check(
        |log| {
            let line = log.files[0][4].clone();
            log.files[0].insert(5, line);
        },
        "1.jsonl, line 6",
        "doubled",
    );
}

#[test]
fn a_truncated_log_is_shorter_than_its_checkpoint() {
    check(|log| log.files[1].truncate(5), "checkpoint", "the last 5 were cut off");
    check(|log| log.files.truncate(1), "checkpoint", "the last 10 were cut off");
}

#[test]
fn a_forked_history_has_another_root() {
    let fork = written("press-2").files;
    check(|log| log.files = fork, "checkpoint", "forked");
}

#[test]
fn a_checkpoint_of_another_key_or_log_is_refused() {
    let mut log = written("press-1");
    let of = Checkpoint::of(&log.note).unwrap();
    log.note = of.sign(&signer(2));
    assert!(verify(&log).findings[0].what.contains("missing"));
    log.note = Checkpoint { origin: "lingate/acme/gw-0002/audit".to_owned(), ..of }.sign(&signer(1));
    assert!(verify_with(&log, Vec::new()).findings[0].what.contains("gw-0002"));
}

#[test]
fn every_single_flipped_byte_is_caught() {
    let log = written("press-1");
    for file in 0..2 {
        for line in 0..log.files[file].len() {
            for at in 0..log.files[file][line].len() {
                let mut bytes = log.files[file][line].clone().into_bytes();
                bytes[at] ^= 1;
                let mut changed = Written { files: log.files.clone(), note: log.note.clone() };
                changed.files[file][line] = String::from_utf8_lossy(&bytes).into_owned();
                assert!(!verify(&changed).is_sound(), "file {file}, line {line}, byte {at}");
            }
        }
    }
}

#[test]
fn pruned_files_are_declared_and_reading_begins_at_a_later_one() {
    let mut log = Log::default();
    let opening = Event::new(Kind::AuditFile).text("origin", ORIGIN);
    log.append_header(UtcMicros(0), 1, &opening);
    let second = log.append_header(UtcMicros(0), 2, &opening);
    let pruned = Event::new(Kind::AuditPruned).text("cause", "retention").count("upto", 1);
    let pruned = log.append(UtcMicros(0), &pruned);
    let note = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: log.root() }.sign(&signer(1));
    let files = vec![[second, pruned].map(|line| line.trim_end().to_owned()).to_vec()];
    let report = verify(&Written { files, note });
    assert_eq!(
        (report.findings.len(), report.first, report.size, report.declared.len()),
        (0, 1, 3, 1),
        "{:?}",
        report.findings
    );
}
