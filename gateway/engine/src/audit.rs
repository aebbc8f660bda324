//! What the audit log hears of the line: epochs at once, records, acknowledgements and losses once a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_audit::{Event, Kind, Tree, hex, sha256, shown};
use lingate_seal::{GapRecord, KeyMessage, Kid, RecordKind, Sealed};

use crate::lost::Lost;
use crate::receipts::Sent;

/// Between two lines of one dataset about what was sealed, and about what was acknowledged.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Auditor {
    sealed: BTreeMap<String, Range>,
    acknowledged: BTreeMap<(String, Kid), Acknowledged>,
    dropped: BTreeMap<&'static str, u64>,
    due_at: Option<Duration>,
    told: Vec<Event>,
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
    /// The buffer took it. With what it declares, if it is a gap record.
    pub(crate) fn kept(&mut self, monotonic: Duration, dataset: &str, sealed: &Sealed, gap: Option<&GapRecord>) {
        gap.into_iter().for_each(|gap| self.gap(dataset, sealed, gap));
        match sealed.kind() {
            RecordKind::Key => self.opened(dataset, sealed),
            RecordKind::EpochClose => {
                self.sealed(monotonic, dataset, sealed);
                self.tell_range(dataset);
                let event = Event::new(Kind::EpochClose).text("dataset", dataset).text("kid", sealed.kid().to_string());
                self.told.push(event.count("last", sealed.seq()));
            }
            _ => self.sealed(monotonic, dataset, sealed),
        }
    }

    fn opened(&mut self, dataset: &str, sealed: &Sealed) {
        self.tell_range(dataset);
        let Ok(key) = KeyMessage::parse(sealed.bytes()) else { return };
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
        self.told.push(event);
    }

    fn sealed(&mut self, monotonic: Duration, dataset: &str, sealed: &Sealed) {
        if self.sealed.get(dataset).is_some_and(|range| range.kid != sealed.kid()) {
            self.tell_range(dataset);
        }
        let (kid, seq) = (sealed.kid(), sealed.seq());
        let fresh = || Range { kid, first: seq, last: seq, records: 0, readings: 0, tree: Tree::default() };
        let range = self.sealed.entry(dataset.to_owned()).or_insert_with(fresh);
        range.last = seq;
        range.records += 1;
        range.readings += u64::from(sealed.readings());
        range.tree.push(&sha256(sealed.bytes()));
        self.wake_within(monotonic);
    }

    fn tell_range(&mut self, dataset: &str) {
        let Some(range) = self.sealed.remove(dataset) else { return };
        let event = Event::new(Kind::DataRange).text("dataset", dataset).text("kid", range.kid.to_string());
        let event = event.count("from", range.first).count("to", range.last).count("records", range.records);
        self.told.push(event.count("readings", range.readings).text("root", hex(&range.tree.root())));
    }

    fn gap(&mut self, dataset: &str, sealed: &Sealed, gap: &GapRecord) {
        let event = Event::new(Kind::Gap).text("dataset", dataset).text("kid", sealed.kid().to_string());
        let event = event.count("seq", sealed.seq());
        self.told.push(match gap {
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
        });
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
