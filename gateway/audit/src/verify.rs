//! Reads a log from its files and says of every line and checkpoint whether it is what was written.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Checkpoint, Cosignature, Hash, Header, Kind, Line, Log, Note, NoteRefused, Verifier, hex};

/// Findings that are kept; the first ones say most.
const FINDINGS_MAX: usize = 50;

/// Something is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File and line in it, from 1; or the checkpoint's name.
    pub place: String,
    pub what: String,
}

/// A checkpoint that the lines agree with, or of which this cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub name: String,
    pub size: u64,
    /// By a key that was given.
    pub is_signed: bool,
    pub cosignatures: Vec<Cosignature>,
    /// Why the root could not be compared.
    pub unchecked: Option<String>,
}

impl Checked {
    /// Compared, and signed by a key that was given: nobody else could have written other lines.
    pub fn is_proof(&self) -> bool {
        self.unchecked.is_none() && (self.is_signed || !self.cosignatures.is_empty())
    }
}

/// What the files hold.
#[derive(Clone, Debug)]
pub struct Report {
    pub origin: String,
    pub files: u64,
    /// Number of the first line that was there.
    pub first: u64,
    /// Lines of the whole log, also those that were pruned.
    pub size: u64,
    pub root: Hash,
    pub newest: Option<String>,
    pub kinds: BTreeMap<String, u64>,
    /// Lines that were declared lost or pruned, with the declaration's words.
    pub declared: Vec<String>,
    pub checked: Vec<Checked>,
    /// Lines behind the newest checkpoint that is a proof: nothing but their chain protects them.
    pub uncovered: u64,
    /// What is not wrong, and what whoever can write files could have changed all the same.
    pub unproven: Vec<String>,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Nothing contradicts anything.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Every line is as it was when a key that was given signed it.
    pub fn is_proven(&self) -> bool {
        self.is_sound() && self.unproven.is_empty()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Takes files in their order, line by line.
pub struct Verification {
    notes: Vec<(String, Note)>,
    keys: Vec<Verifier>,
    /// Root by number of lines, for the sizes that a checkpoint names.
    roots: BTreeMap<u64, Option<Hash>>,
    log: Log,
    /// Number of the next line.
    next: u64,
    origin: String,
    files: u64,
    first: Option<u64>,
    place: Place,
    /// Lines that are not there: first, end, and where it was seen.
    holes: Vec<(u64, u64, String)>,
    declared: Vec<Declared>,
    newest: Option<String>,
    kinds: BTreeMap<String, u64>,
    findings: Vec<Finding>,
}

/// Lines `from` to before `upto` are gone, says line `n`.
struct Declared {
    n: u64,
    from: u64,
    upto: u64,
    words: String,
}

#[derive(Default)]
struct Place {
    file: String,
    line: u64,
}

impl Verification {
    /// `notes`: checkpoints by name. `keys`: of the log and of its witnesses; without one, signatures are not checked.
    pub fn new(notes: Vec<(String, Note)>, keys: Vec<Verifier>) -> Verification {
        let sizes = notes.iter().filter_map(|(_, note)| Checkpoint::of(note).ok());
        Verification {
            roots: sizes.map(|checkpoint| (checkpoint.size, None)).collect(),
            notes,
            keys,
            log: Log::default(),
            next: 0,
            origin: String::new(),
            files: 0,
            first: None,
            place: Place::default(),
            holes: Vec::new(),
            declared: Vec::new(),
            newest: None,
            kinds: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    pub fn begin_file(&mut self, name: &str) {
        self.place = Place { file: name.to_owned(), line: 0 };
        self.files += 1;
    }

    /// Without its LF.
    pub fn line(&mut self, bytes: &[u8]) {
        self.place.line += 1;
        self.note_root();
        match Line::parse(bytes) {
            Ok(line) => self.judge(&line),
            Err(_) => {
                let (n, next) = (self.next, self.next.saturating_add(1));
                self.find(format!("is not a line of an audit log where line {n} is expected: it was changed"));
                self.next = next;
            }
        }
        self.log.take(bytes);
        self.note_root();
    }

    /// Bytes behind the last LF.
    pub fn torn(&mut self, bytes: usize) {
        self.place.line += 1;
        self.find(format!(
            "{bytes} bytes without a line end: a line that was being written; the gateway cuts it at its next start"
        ));
    }

    fn judge(&mut self, line: &Line) {
        match (self.place.line, Header::of(line)) {
            (1, Ok(header)) => self.begin(line, header),
            (1, Err(_)) => self.find(
                "does not begin with a sound `audit.file` line: its first lines are missing or changed".to_owned(),
            ),
            (_, Ok(_)) => self.find("an `audit.file` line in the middle of a file: files were joined".to_owned()),
            (_, Err(_)) => {}
        }
        self.number(line.n);
        self.chain(line);
        self.declaration(line);
        *self.kinds.entry(line.event.clone()).or_default() += 1;
        self.newest = Some(line.t.clone());
    }

    fn begin(&mut self, line: &Line, header: Header) {
        if self.first.is_none() {
            self.first = Some(line.n);
            self.origin.clone_from(&header.origin);
        } else if header.origin != self.origin {
            self.find(format!("belongs to log {:?} and not to {:?}", header.origin, self.origin));
        }
        if line.n > self.next {
            self.holes.push((self.next, line.n, self.place()));
            (self.next, self.log) = (line.n, header.log);
            self.note_root();
        } else if line.n == self.next && header.log != self.log {
            let what = "says another hash, root or frontier of the lines before it than they have: they were changed";
            self.find(what.to_owned());
            // What follows is compared with what was written, so that each place is named once.
            self.log = header.log;
        }
    }

    fn number(&mut self, n: u64) {
        let expected = self.next;
        match n.checked_sub(expected) {
            Some(0) => {}
            Some(missing) => {
                let last = n - 1;
                self.find(format!("has number {n} where {expected} is expected: {missing} line(s) deleted or moved ({expected} to {last})"));
            }
            None => self.find(format!(
                "has number {n} where {expected} is expected: lines were reordered, doubled or inserted"
            )),
        }
        self.next = n.max(expected.saturating_sub(1)).saturating_add(1);
    }

    fn chain(&mut self, line: &Line) {
        if line.prev == *self.log.last() {
            return;
        }
        let (there, named) = (hex(self.log.last()), hex(&line.prev));
        let what = format!(
            "names {} as the hash of the line before it, which has {}: the line before was changed, or other lines stood there",
            &named[..16],
            &there[..16]
        );
        self.find(what);
    }

    /// A line that says that lines before number `upto` are gone.
    fn declaration(&mut self, line: &Line) {
        let declares = matches!(line.kind, Some(Kind::AuditPruned | Kind::AuditGap));
        if !declares {
            return;
        }
        let upto = line.count("upto").unwrap_or(0);
        let cause = line.text("cause").unwrap_or("retention");
        let lost = line.count("lost").map_or(String::new(), |lost| format!(", {lost} events not written"));
        let until = if upto > 0 { format!(", lines before {upto}") } else { String::new() };
        let from = line.count("from").unwrap_or(0);
        let words = format!("line {} ({}): {}: {cause}{until}{lost}", line.n, line.t, line.event);
        self.declared.push(Declared { n: line.n, from, upto, words });
    }

    fn note_root(&mut self) {
        let root = || self.log.root();
        if let Some(slot) = self.roots.get_mut(&self.log.size()) {
            slot.get_or_insert_with(root);
        }
    }

    fn place(&self) -> String {
        format!("{}, line {}", self.place.file, self.place.line)
    }

    fn find(&mut self, what: String) {
        let place = self.place();
        self.find_at(place, what);
    }

    fn find_at(&mut self, place: String, what: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { place, what });
        }
    }

    pub fn finish(mut self) -> Report {
        let notes = std::mem::take(&mut self.notes);
        let checked: Vec<Checked> = notes.iter().filter_map(|(name, note)| self.checkpoint(name, note)).collect();
        let covered = checked.iter().filter(|checked| checked.is_proof()).map(|checked| checked.size).max();
        let uncovered = self.log.size().saturating_sub(covered.unwrap_or(0));
        let mut unproven: Vec<String> = uncovered_words(covered, uncovered).into_iter().collect();
        unproven.extend(self.judge_holes(covered));
        Report {
            origin: self.origin,
            files: self.files,
            first: self.first.unwrap_or(0),
            size: self.log.size(),
            root: self.log.root(),
            newest: self.newest,
            kinds: self.kinds,
            declared: self.declared.into_iter().map(|declared| declared.words).collect(),
            uncovered,
            unproven,
            checked,
            findings: self.findings,
        }
    }

    /// Gives what only a line behind the newest proof declares: whoever deletes lines can add such a line.
    fn judge_holes(&mut self, covered: Option<u64>) -> Vec<String> {
        let mut unproven = Vec::new();
        for (first, end, place) in std::mem::take(&mut self.holes) {
            let last = end - 1;
            let declaring = self.declared.iter().filter(|it| it.from <= first && end <= it.upto).map(|it| it.n).min();
            match (declaring, covered) {
                (None, _) => self.find_at(place, format!("lines {first} to {last} are missing, and no line declares that they were pruned or lost: deleted")),
                (Some(n), Some(covered)) if n >= covered => unproven.push(format!(
                    "lines {first} to {last} are missing, and only line {n}, which no checkpoint covers, declares it"
                )),
                _ => {}
            }
        }
        unproven
    }

    /// `None`: there is a finding instead.
    fn checkpoint(&mut self, name: &str, note: &Note) -> Option<Checked> {
        let judged = self.signed(note).and_then(|signed| {
            let checkpoint = Checkpoint::of(note).map_err(|error| error.to_string())?;
            let unchecked = self.compare(&checkpoint)?;
            Ok(Checked {
                name: name.to_owned(),
                size: checkpoint.size,
                is_signed: signed.0,
                cosignatures: signed.1,
                unchecked,
            })
        });
        judged.map_err(|what| self.find_at(name.to_owned(), what)).ok()
    }

    fn signed(&self, note: &Note) -> Result<(bool, Vec<Cosignature>), String> {
        let (mut is_signed, mut cosignatures) = (false, Vec::new());
        for key in &self.keys {
            let verified = match key.is_witness() {
                true => Cosignature::verify(note, key).map(|cosignature| cosignatures.push(cosignature)),
                false => note.verify(key).map(|()| is_signed = true),
            };
            match verified {
                Ok(()) | Err(NoteRefused::Unsigned) => {}
                Err(error) => return Err(format!("{}: {error}", key.name())),
            }
        }
        let wants_log = self.keys.iter().any(|key| !key.is_witness());
        match is_signed || !wants_log {
            true => Ok((is_signed, cosignatures)),
            false => Err("the signature of the log's key is missing".to_owned()),
        }
    }

    /// `Some`: why it cannot be compared.
    fn compare(&self, checkpoint: &Checkpoint) -> Result<Option<String>, String> {
        let Checkpoint { origin, size, root } = checkpoint;
        if !self.origin.is_empty() && *origin != self.origin {
            return Err(format!("it is of log {origin:?}, and the files are of {:?}", self.origin));
        }
        if *size > self.log.size() {
            let (have, missing) = (self.log.size(), size - self.log.size());
            return Err(format!(
                "the log had {size} lines when this was signed and has {have}: the last {missing} were cut off, or this is \
                 another history"
            ));
        }
        match self.roots.get(size).copied().flatten() {
            Some(there) if there == *root => Ok(None),
            Some(there) => Err(format!(
                "the root over the first {size} lines is {} and was {} when this was signed: the lines were changed, or the \
                 log was forked before line {size}",
                &hex(&there)[..16],
                &hex(root)[..16]
            )),
            None => Ok(Some(format!("line {size} lies in a part that is not there"))),
        }
    }
}

fn uncovered_words(covered: Option<u64>, uncovered: u64) -> Option<String> {
    match covered {
        None => Some(
            "no checkpoint that a given key signed was compared: the lines agree with each other and with nothing else"
                .to_owned(),
        ),
        Some(_) if uncovered > 0 => Some(format!(
            "the last {uncovered} line(s) stand behind the newest checkpoint: they could have been changed, added or cut"
        )),
        Some(_) => None,
    }
}
