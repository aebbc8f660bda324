//! What the audit log hears of the line, when it is durable: epochs at once, records, acknowledgements and losses once a
//! minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lingate_audit::{Event, Hash, Kind, Tree, hex, sha256, shown};
use lingate_seal::{GapRecord, KeyMessage, Kid, RecordKind, Sealed};

use crate::lost::Lost;
use crate::receipts::Sent;

/// Between two lines of one dataset about what was sealed, and about what was acknowledged.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Auditor {
    /// Not durable yet.
    kept: Vec<Kept>,
    sealed: BTreeMap<String, Range>,
    acknowledged: BTreeMap<(String, Kid), Acknowledged>,
    dropped: BTreeMap<&'static str, u64>,
    due_at: Option<Duration>,
    told: Vec<Event>,
}

/// A record that the buffer has, in the order of the line.
struct Kept {
    dataset: String,
    kid: Kid,
    seq: u64,
    kind: RecordKind,
    readings: u32,
    hash: Hash,
    /// What is told of it alone.
    told: Option<Event>,
}

/// Records of one epoch.
struct Range {
    kid: Kid,
    first: u64,
    last: u64,
    records: u64,
    readings: u64,
    /// Over the SHA-256 of each DATA message.
    tree: Tree,
}

#[derive(Default)]
struct Acknowledged {
    last: u64,
    records: u64,
    readings: u64,
}

impl Auditor {
    /// The buffer took it: it is told when it is durable. With what it declares, if it is a gap record.
    pub(crate) fn kept(&mut self, dataset: &str, sealed: &Sealed, gap: Option<&GapRecord>) {
        let told = match sealed.kind() {
            RecordKind::Key => opened(dataset, sealed),
            RecordKind::EpochClose => {
                let event = Event::new(Kind::EpochClose).text("dataset", dataset).text("kid", sealed.kid().to_string());
                Some(event.count("last", sealed.seq()))
            }
            _ => gap.map(|gap| declared(dataset, sealed, gap)),
        };
        let (kid, seq, kind, readings) = (sealed.kid(), sealed.seq(), sealed.kind(), sealed.readings());
        let (dataset, hash) = (dataset.to_owned(), sha256(sealed.bytes()));
        self.kept.push(Kept { dataset, kid, seq, kind, readings, hash, told });
    }

    /// A commit wrote these; of a KEY without a number. What it did not write, and what does not wait for another commit,
    /// was dropped before it reached the disk: it never was.
    pub(crate) fn durable(&mut self, monotonic: Duration, records: &BTreeSet<(Kid, Option<u64>)>, others_wait: bool) {
        for kept in std::mem::take(&mut self.kept) {
            let number = Some(kept.seq).filter(|_| kept.kind != RecordKind::Key);
            if records.contains(&(kept.kid, number)) {
                self.tell(monotonic, kept);
            } else if others_wait {
                self.kept.push(kept);
            }
        }
    }

    fn tell(&mut self, monotonic: Duration, kept: Kept) {
        if kept.kind == RecordKind::Key {
            self.tell_range(&kept.dataset);
        } else {
            self.sealed(monotonic, &kept);
        }
        if kept.kind == RecordKind::EpochClose {
            self.tell_range(&kept.dataset);
        }
        self.told.extend(kept.told);
    }

    fn sealed(&mut self, monotonic: Duration, kept: &Kept) {
        let Kept { dataset, kid, seq, .. } = kept;
        if self.sealed.get(dataset).is_some_and(|range| range.kid != *kid) {
            self.tell_range(dataset);
        }
        let fresh = || Range { kid: *kid, first: *seq, last: *seq, records: 0, readings: 0, tree: Tree::default() };
        let range = self.sealed.entry(dataset.clone()).or_insert_with(fresh);
        range.last = *seq;
        range.records += 1;
        range.readings += u64::from(kept.readings);
        range.tree.push(&kept.hash);
        self.wake_within(monotonic);
    }

    fn tell_range(&mut self, dataset: &str) {
        let Some(range) = self.sealed.remove(dataset) else { return };
        let event = Event::new(Kind::DataRange).text("dataset", dataset).text("kid", range.kid.to_string());
        let event = event.count("from", range.first).count("to", range.last).count("records", range.records);
        self.told.push(event.count("readings", range.readings).text("root", hex(&range.tree.root())));
    }

    /// The sandbox has it, by broker or by receipt.
    pub(crate) fn acknowledged(&mut self, monotonic: Duration, dataset: &str, sent: &Sent) {
        if sent.kind == RecordKind::Key {
            return;
        }
        let entry = self.acknowledged.entry((dataset.to_owned(), sent.kid)).or_default();
        entry.last = entry.last.max(sent.seq);
        entry.records += 1;
        entry.readings += u64::from(sent.readings);
        self.wake_within(monotonic);
    }

    pub(crate) fn lost(&mut self, monotonic: Duration, lost: &Lost) {
        if lost.readings > 0 {
            let readings = self.dropped.entry(lost.cause).or_default();
            *readings = readings.saturating_add(lost.readings);
            self.wake_within(monotonic);
        }
    }

    fn wake_within(&mut self, monotonic: Duration) {
        self.due_at.get_or_insert(monotonic + EVERY);
    }

    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.due_at
    }

    /// What is to be written: what was gathered only when its minute is over.
    pub(crate) fn due(&mut self, monotonic: Duration) -> Vec<Event> {
        if self.due_at.is_some_and(|at| at <= monotonic) {
            return self.all();
        }
        std::mem::take(&mut self.told)
    }

    /// Everything, at the end of a minute or of the process.
    pub(crate) fn all(&mut self) -> Vec<Event> {
        self.due_at = None;
        let datasets: Vec<String> = self.sealed.keys().cloned().collect();
        datasets.iter().for_each(|dataset| self.tell_range(dataset));
        for ((dataset, kid), acknowledged) in std::mem::take(&mut self.acknowledged) {
            let event = Event::new(Kind::DataAcked).text("dataset", dataset).text("kid", kid.to_string());
            let event = event.count("last", acknowledged.last).count("records", acknowledged.records);
            self.told.push(event.count("readings", acknowledged.readings));
        }
        for (cause, readings) in std::mem::take(&mut self.dropped) {
            self.told.push(Event::new(Kind::DataDropped).text("cause", cause).count("readings", readings));
        }
        std::mem::take(&mut self.told)
    }
}

fn opened(dataset: &str, sealed: &Sealed) -> Option<Event> {
    let key = KeyMessage::parse(sealed.bytes()).ok()?;
    let claims = &key.claims;
    let event = Event::new(Kind::EpochOpen)
        .text("dataset", dataset)
        .text("kid", sealed.kid().to_string())
        .text("purpose", &claims.purpose)
        .text("class", claims.class.to_string())
        .count("suite", claims.suite.into())
        .count("bundle", claims.bundle_version)
        .text("policy", hex(&claims.policy_sha256))
        .text("catalogue", hex(&claims.catalogue_sha256))
        .text("lineage", hex(&claims.lineage_sha256))
        .texts("recipients", key.recipients.iter().map(|recipient| recipient.kid.to_string()));
    Some(event)
}

fn declared(dataset: &str, sealed: &Sealed, gap: &GapRecord) -> Event {
    let event = Event::new(Kind::Gap).text("dataset", dataset).text("kid", sealed.kid().to_string());
    let event = event.count("seq", sealed.seq());
    match gap {
        GapRecord::Records { kid, first_seq, last_seq, readings, cause, .. } => event
            .text("cause", cause.name())
            .count("readings", *readings)
            .text("of", kid.to_string())
            .count("from", *first_seq)
            .count("to", *last_seq),
        GapRecord::Slots { device, from, to, readings, cause } => event
            .text("cause", cause.name())
            .count("readings", *readings)
            .text("device", device)
            .text("since", shown(*from))
            .text("until", shown(*to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(events: &[Event]) -> String {
        events.iter().map(|event| event.to_json() + "\n").collect()
    }

    #[test]
    fn losses_of_a_minute_are_one_line_for_each_cause() {
        let mut auditor = Auditor::default();
        for second in 0..59 {
            auditor.lost(Duration::from_secs(second), &Lost { cause: "overflow", readings: 2, notice: None });
            assert_eq!(auditor.due(Duration::from_secs(second)), []);
        }
        auditor.lost(Duration::from_secs(59), &Lost { cause: "policy", readings: 1, notice: None });
        assert_eq!(auditor.wake_at(), Some(Duration::from_secs(60)));
        assert_eq!(
            written(&auditor.due(Duration::from_secs(60))),
            "{\"ev\":\"data.dropped\",\"cause\":\"overflow\",\"readings\":118}\n\
             {\"ev\":\"data.dropped\",\"cause\":\"policy\",\"readings\":1}\n"
        );
        assert_eq!((auditor.wake_at(), auditor.all()), (None, Vec::new()));
    }
}
