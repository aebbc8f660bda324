//! The thread: takes events, writes them, signs checkpoints and keeps the sandbox's cosignatures.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lingate_audit::{Checkpoint, Coalescer, Cosignature, Event, Kind, Note, Signer, Submission, Verifier};
use lingate_engine::Status;
use lingate_model::{Clock, Now, UtcMicros};
use tokio::sync::watch as channel;

use super::shelf::Folder;
use super::watch::Watch;
use super::writer::{Limits, Writer};
use super::{Beginning, Health, Order, QUEUE, Shared, checkpoints, spool};

/// How often a checkpoint is published (wire.md section 12). On the disk the newest one covers every durable line.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);
const CHECKPOINT_LINES: u64 = 1000;
/// The first checkpoint after a start: what the start itself wrote.
const FIRST_CHECKPOINT: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two words about a disk that refuses.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Orders of one turn.
const ORDERS_MAX: usize = 1024;

pub(super) struct Keeper {
    writer: Writer<Folder>,
    state_dir: PathBuf,
    signer: Option<Signer>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    submit: channel::Sender<Option<Arc<[u8]>>>,
    coalescer: Coalescer,
    watch: Watch,
    status: Option<channel::Receiver<Arc<Status>>>,
    witnesses: Vec<Verifier>,
    cosigned: Option<Cosigned>,
    /// Its bytes: whoever sends them again costs no work.
    cosigned_bytes: Vec<u8>,
    dispute: Option<String>,
    /// Lines of the sandbox's newest checkpoint, if it has another root: it is shown that this log does not continue it.
    disputed: Option<u64>,
    /// Lines of the newest checkpoint, and of the newest that was published.
    checkpoint: u64,
    published: u64,
    /// After a disk that refused it.
    sign_due: Duration,
    publish_due: Duration,
    look_due: Duration,
    tell_due: Duration,
    /// What the queue dropped and the log knows of.
    dropped: u64,
    /// Files of the spool that are in the log and cannot be removed.
    taken: BTreeSet<PathBuf>,
}

/// What the sandbox vouched for last.
struct Cosigned {
    checkpoint: Checkpoint,
    time: u64,
}

impl Keeper {
    pub(super) fn new(
        beginning: Beginning,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
        submit: channel::Sender<Option<Arc<[u8]>>>,
    ) -> Keeper {
        let Beginning { state_dir, origin, signer, config_sha256, software } = beginning;
        let mut opening = Event::new(Kind::AuditFile).text("origin", &origin);
        if let Some(signer) = &signer {
            opening = opening.text("key", signer.verifier().to_string());
            if let Err(error) = checkpoints::write_key(&state_dir, signer.verifier()) {
                tracing::warn!(%error, "audit/key.txt cannot be written; `lingate audit verify` needs --key meanwhile");
            }
        }
        let mut writer = Writer::open(Folder::new(super::folder(&state_dir)), Limits::default(), opening);
        let now = clock.now();
        begin(&mut writer, now, &config_sha256, &software);
        let mut keeper = Keeper {
            writer,
            state_dir,
            signer,
            clock,
            shared,
            submit,
            coalescer: Coalescer::default(),
            watch: Watch::started(now),
            status: None,
            witnesses: Vec::new(),
            cosigned: None,
            cosigned_bytes: Vec::new(),
            dispute: None,
            disputed: None,
            checkpoint: 0,
            published: 0,
            sign_due: Duration::ZERO,
            publish_due: now.monotonic + FIRST_CHECKPOINT,
            look_due: now.monotonic,
            tell_due: Duration::ZERO,
            dropped: 0,
            taken: BTreeSet::new(),
        };
        keeper.recall();
        keeper
    }

    /// What this log said of itself before, compared with what is there.
    fn recall(&mut self) {
        let newest = checkpoints::read(&checkpoints::checkpoint_path(&self.state_dir));
        let log = self.signer.as_ref().map(|signer| signer.verifier().clone());
        let signed = newest.zip(log).and_then(|(note, log)| Checkpoint::verify(&note, &log).ok());
        if let Some(signed) = signed {
            let agrees = self.writer.prove(signed.size).is_some_and(|(root, _)| root == signed.root);
            if !agrees {
                self.writer.declare(
                    "the lines are not those of the newest checkpoint: some were cut off, changed or restored",
                );
            }
        }
        let newest = self.writer.file_of(self.writer.size());
        let files = (1..=newest.unwrap_or(0)).rev().take(64);
        let note =
            files.filter_map(|file| checkpoints::read(&checkpoints::cosigned_path(&self.state_dir, file))).next();
        let checkpoint = note.and_then(|note| Checkpoint::of(&note).ok());
        self.cosigned = checkpoint.map(|checkpoint| Cosigned { checkpoint, time: 0 });
    }

    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let first = orders.recv_timeout(TURN);
            let goes_on = self.heed() && !matches!(first, Err(RecvTimeoutError::Disconnected));
            let most = if goes_on { ORDERS_MAX } else { QUEUE };
            first.into_iter().chain(orders.try_iter().take(most)).for_each(|order| self.take(order));
            let now = self.clock.now();
            self.look(now);
            if !goes_on {
                return self.end(now);
            }
            self.write(now);
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Event(at, event) => self.record(at, event),
            Order::Cosigned(bytes) => self.cosigned(&bytes),
            Order::Look => {}
        }
    }

    /// `false`: told to end.
    fn heed(&mut self) -> bool {
        let mut said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        self.witnesses = said.witnesses.take().unwrap_or_else(|| std::mem::take(&mut self.witnesses));
        self.status = said.status.take().or_else(|| self.status.take());
        !said.ends
    }

    fn record(&mut self, at: UtcMicros, event: Event) {
        if let Some(event) = self.coalescer.admit(self.clock.now().monotonic, event) {
            self.writer.record(at, event);
        }
    }

    /// What nobody tells by itself.
    fn look(&mut self, now: Now) {
        let dropped = self.shared.dropped.load(std::sync::atomic::Ordering::Relaxed);
        self.writer.lose(dropped.saturating_sub(self.dropped));
        self.dropped = dropped;
        if now.monotonic < self.look_due {
            return;
        }
        self.look_due = now.monotonic + LOOK_EVERY;
        let mut events = self.watch.clock(now);
        if let Some(status) = &self.status {
            let status = status.borrow().clone();
            events.extend(self.watch.status(&status, now));
        }
        events.into_iter().for_each(|event| self.record(now.utc, event));
        let settled = self.coalescer.settled(now.monotonic);
        settled.into_iter().for_each(|event| self.writer.record(now.utc, event));
        self.take_spool(now);
    }

    /// Removed only when its event is durable: after a crash it is taken again.
    fn take_spool(&mut self, now: Now) {
        let mut waiting = spool::waiting(&self.state_dir);
        waiting.retain(|(path, _)| !self.taken.contains(path));
        if waiting.is_empty() {
            return;
        }
        // What is taken while the disk refuses would be taken again at the next look.
        self.writer.flush(now.utc);
        if self.writer.fault().is_some() {
            return;
        }
        for (_, event) in &waiting {
            match event {
                Some((at, event)) => self.writer.record(*at, event.clone()),
                None => self.writer.lose(1),
            }
        }
        self.writer.flush(now.utc);
        if self.writer.fault().is_none() {
            let kept = waiting.into_iter().filter(|(path, _)| std::fs::remove_file(path).is_err());
            self.taken.extend(kept.map(|(path, _)| path));
        }
    }

    fn write(&mut self, now: Now) {
        self.writer.flush(now.utc);
        self.tell_fault(now);
        let size = self.writer.size();
        let grown = size.saturating_sub(self.published);
        let is_due = now.monotonic >= self.publish_due || grown >= CHECKPOINT_LINES;
        if now.monotonic < self.sign_due {
            return self.show();
        }
        if grown > 0 && is_due {
            self.sign_and_publish(now);
        } else if size > self.checkpoint {
            self.sign(now);
        }
        self.show();
    }

    fn tell_fault(&mut self, now: Now) {
        let Some(fault) = self.writer.fault().filter(|_| now.monotonic >= self.tell_due) else { return };
        tracing::error!(
            "the audit log cannot be written: {fault}; data goes on, events wait or are counted, and the log will say so: \
             free space below the state directory or mend its disk"
        );
        self.tell_due = now.monotonic + TELL_EVERY;
    }

    /// A checkpoint over what is durable: on disk before anybody sees it.
    fn sign(&mut self, now: Now) -> Option<Note> {
        let note = self.writer.checkpoint(self.signer.as_ref()?);
        if let Err(error) = checkpoints::write(checkpoints::checkpoint_path(&self.state_dir), &note) {
            tracing::warn!(%error, "a checkpoint of the audit log cannot be kept, so it is not published");
            self.sign_due = now.monotonic + TELL_EVERY;
            return None;
        }
        self.checkpoint = self.writer.size();
        Some(note)
    }

    fn sign_and_publish(&mut self, now: Now) {
        self.publish_due = now.monotonic + CHECKPOINT_EVERY;
        if let Some(note) = self.sign(now) {
            self.published = self.checkpoint;
            self.publish(note);
        }
    }

    /// With the proof that it continues what the sandbox vouched for.
    fn publish(&mut self, note: Note) {
        let cosigned = self.cosigned.as_ref().map_or(0, |cosigned| cosigned.checkpoint.size);
        let old = self.disputed.unwrap_or(cosigned);
        let (old, proof) = match self.writer.prove(old) {
            Some((_, proof)) => (old, proof),
            None => (0, Vec::new()),
        };
        let submission = Submission { old, proof, note }.encode();
        self.submit.send_replace(Some(submission.into_bytes().into()));
    }

    /// The sandbox's newest checkpoint of this log: usually the one that it just was sent.
    fn cosigned(&mut self, bytes: &[u8]) {
        if bytes == self.cosigned_bytes && self.still_holds_cosigned() {
            return;
        }
        let Some((note, checkpoint, time)) = self.verified(bytes) else { return };
        let told = (checkpoint.size, time);
        let known = self.cosigned.as_ref().map_or((0, 0), |known| (known.checkpoint.size, known.time));
        if known > told || (known == told && self.still_holds_cosigned()) {
            return;
        }
        let there = self.writer.prove(checkpoint.size).map(|(root, _)| root);
        match there {
            Some(root) if root == checkpoint.root => {
                self.cosigned_bytes = bytes.to_vec();
                self.keep(&note, checkpoint, time);
            }
            Some(_) => self.dispute("has another root", &checkpoint),
            None if checkpoint.size > self.writer.size() => self.dispute("is longer", &checkpoint),
            None => self.dispute("cannot be compared, because its lines were pruned,", &checkpoint),
        }
    }

    /// The line in which the cosigned checkpoint ends was not pruned: it needs no second look.
    fn still_holds_cosigned(&self) -> bool {
        self.cosigned.as_ref().is_some_and(|known| self.writer.file_of(known.checkpoint.size).is_some())
    }

    fn verified(&self, bytes: &[u8]) -> Option<(Note, Checkpoint, u64)> {
        let note = Note::parse(bytes).ok()?;
        let checkpoint = Checkpoint::verify(&note, self.signer.as_ref()?.verifier()).ok()?;
        let cosigned = self.witnesses.iter().find_map(|witness| Cosignature::verify(&note, witness).ok())?;
        Some((note, checkpoint, cosigned.time))
    }

    fn keep(&mut self, note: &Note, checkpoint: Checkpoint, time: u64) {
        let file = self.writer.file_of(checkpoint.size).unwrap_or(1);
        if let Err(error) = checkpoints::write(checkpoints::cosigned_path(&self.state_dir, file), note) {
            tracing::warn!(%error, "a cosigned checkpoint cannot be kept");
        }
        let is_behind = checkpoint.size < self.published;
        self.cosigned = Some(Cosigned { checkpoint, time });
        (self.dispute, self.disputed) = (None, None);
        // It did not know where to continue from: with the right proof it can.
        if is_behind {
            self.sign_and_publish(self.clock.now());
        }
    }

    fn dispute(&mut self, how: &str, checkpoint: &Checkpoint) {
        let words = format!(
            "the history that the sandbox cosigned (line {}) {how} than this log: it was restored, changed, or copied",
            checkpoint.size
        );
        if self.dispute.as_ref() == Some(&words) {
            return;
        }
        tracing::error!(
            "audit log: {words}; ask the sandbox operator, and find out what happened to the state directory"
        );
        let event = Event::new(Kind::AuditForked).text("how", how).count("size", checkpoint.size);
        self.writer.record(self.clock.now().utc, event);
        self.dispute = Some(words);
        self.disputed = Some(checkpoint.size).filter(|size| *size <= self.writer.size());
        if self.disputed.is_some() {
            self.sign_and_publish(self.clock.now());
        }
    }

    fn show(&self) {
        let health = Health {
            lines: self.writer.size(),
            files: self.writer.files(),
            bytes: self.writer.bytes(),
            checkpoint: self.checkpoint,
            cosigned: self.cosigned.as_ref().map_or(0, |cosigned| cosigned.checkpoint.size),
            cosigned_at: self.cosigned.as_ref().map_or(0, |cosigned| cosigned.time),
            lost: self.writer.lost_in_all().saturating_sub(self.dropped),
            fault: self.writer.fault().cloned().or_else(|| self.keyless()),
            dispute: self.dispute.clone(),
        };
        *self.shared.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn keyless(&self) -> Option<String> {
        let words = "there is no key to sign checkpoints with: run `lingate enroll`";
        self.signer.is_none().then(|| words.to_owned())
    }

    fn end(mut self, now: Now) {
        self.coalescer.rest().into_iter().for_each(|event| self.writer.record(now.utc, event));
        self.writer.record(now.utc, Event::new(Kind::Stop));
        self.writer.flush(now.utc);
        self.tell_fault(now);
        self.sign_and_publish(now);
        self.show();
    }
}

fn begin(writer: &mut Writer<Folder>, now: Now, config: &str, software: &str) {
    if let Some(event) = writer.newest().and_then(|newest| super::watch::stands_before(now, newest)) {
        writer.record(now.utc, event);
    }
    let before = writer.begin_config(config);
    if !before.is_empty() && before != config {
        writer.record(now.utc, Event::new(Kind::ConfigChanged).text("from", before).text("to", config));
    }
    let start = Event::new(Kind::Start).text("software", software).text("config", config);
    writer.record(now.utc, start.text("clock", now.clock.to_string()));
}
