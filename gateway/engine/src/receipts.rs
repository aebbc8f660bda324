//! Records that the broker has and the sandbox has not confirmed: with receipts, only its signed word frees them.
//!
//! ```text
//!  in flight ──PUBACK──▶ awaiting ──receipt──▶ freed
//!                           │
//!       link down, or nothing confirmed for too long: forgotten here, and the buffer hands everything out again
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_buffer::RecordId;
use lingate_model::DatasetAlias;
use lingate_seal::{EpochReceipt, Kid, Receipt, RecordKind, Sealed};

/// So many records may wait for a receipt; then nothing more is sent.
const AWAITING_MAX: usize = 4_096;
/// What receipts said is remembered for this many epochs, for records whose PUBACK comes after their receipt.
const EPOCHS_MAX: usize = 256;
/// Pause until records are sent again for want of a receipt; doubled each time that none came, as long as others may
/// still be sent.
const RESEND_FIRST: Duration = Duration::from_secs(60);
const REFUSAL_EVERY: Duration = Duration::from_secs(60);
const RESEND_CAP: Duration = Duration::from_secs(960);

/// What is left of a record that was sent: no longer its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) record: RecordId,
    pub(crate) alias: DatasetAlias,
    pub(crate) kid: Kid,
    pub(crate) seq: u64,
    pub(crate) kind: RecordKind,
    pub(crate) readings: u32,
}

impl Sent {
    pub(crate) fn new(record: RecordId, sealed: &Sealed) -> Sent {
        let (kid, seq, kind) = (sealed.kid(), sealed.seq(), sealed.kind());
        Sent { record, alias: sealed.alias().clone(), kid, seq, kind, readings: sealed.readings() }
    }

    /// A receipt that speaks of an epoch at all says that its KEY is there.
    fn is_covered(&self, epoch: &EpochReceipt) -> bool {
        self.kind == RecordKind::Key || epoch.covers(self.seq)
    }
}

pub(crate) struct Receipts {
    awaiting: BTreeMap<RecordId, Sent>,
    known: BTreeMap<Kid, EpochReceipt>,
    resend_at: Option<Duration>,
    pause: Duration,
    /// Nothing is said of a refused receipt before this monotonic time.
    quiet_until: Duration,
}

impl Default for Receipts {
    fn default() -> Receipts {
        Receipts {
            awaiting: BTreeMap::new(),
            known: BTreeMap::new(),
            resend_at: None,
            pause: RESEND_FIRST,
            quiet_until: Duration::ZERO,
        }
    }
}

impl Receipts {
    /// The broker has it. `Some`: the sandbox said before that it has it as well.
    pub(crate) fn wait_for(&mut self, monotonic: Duration, sent: Sent) -> Option<Sent> {
        if self.known.get(&sent.kid).is_some_and(|epoch| sent.is_covered(epoch)) {
            return Some(sent);
        }
        self.awaiting.insert(sent.record, sent);
        self.resend_at.get_or_insert(monotonic + self.pause);
        None
    }

    /// What this receipt frees.
    pub(crate) fn take(&mut self, monotonic: Duration, receipt: &Receipt) -> Vec<Sent> {
        let mut freed = Vec::new();
        for epoch in &receipt.epochs {
            let is_covered = |_: &RecordId, sent: &mut Sent| sent.kid == epoch.kid && sent.is_covered(epoch);
            freed.extend(self.awaiting.extract_if(.., is_covered).map(|(_, sent)| sent));
            self.remember(epoch);
        }
        if !freed.is_empty() {
            self.pause = RESEND_FIRST;
            self.resend_at = (!self.awaiting.is_empty()).then(|| monotonic + self.pause);
        }
        freed
    }

    /// An older receipt that comes late says less, and takes nothing back.
    fn remember(&mut self, epoch: &EpochReceipt) {
        let extent =
            |epoch: &EpochReceipt| (epoch.next, epoch.beyond.iter().map(|(first, last)| last - first + 1).sum::<u64>());
        if self.known.get(&epoch.kid).is_none_or(|known| extent(known) < extent(epoch)) {
            self.known.insert(epoch.kid, epoch.clone());
        }
        while self.known.len() > EPOCHS_MAX {
            // Which one goes does no harm: its records are confirmed again when they are sent again.
            let Some(unused) = self.known.keys().find(|kid| **kid != epoch.kid).copied() else { return };
            self.known.remove(&unused);
        }
    }

    /// Nothing was confirmed for too long. `true`: the caller has the buffer hand everything out again.
    pub(crate) fn is_resend_due(&mut self, monotonic: Duration) -> bool {
        let is_due = self.resend_at.is_some_and(|at| at <= monotonic);
        if is_due {
            // Behind a full window nothing else goes on.
            self.pause = match self.has_room() {
                true => self.pause.saturating_mul(2).min(RESEND_CAP),
                false => RESEND_FIRST,
            };
            self.forget();
        }
        is_due
    }

    /// Anybody whom the broker lets write there can send forgeries: one in a while is told.
    pub(crate) fn is_refusal_news(&mut self, monotonic: Duration) -> bool {
        let is_news = monotonic >= self.quiet_until;
        if is_news {
            self.quiet_until = monotonic + REFUSAL_EVERY;
        }
        is_news
    }

    /// Another connection: what went wrong on the last one may be over.
    pub(crate) fn begin(&mut self) {
        self.forget();
        self.pause = RESEND_FIRST;
    }

    /// The buffer hands everything out again.
    pub(crate) fn forget(&mut self) {
        self.awaiting.clear();
        self.resend_at = None;
    }

    /// Receipts are not asked for any more: the PUBACKs are enough.
    pub(crate) fn release(&mut self) -> Vec<Sent> {
        self.resend_at = None;
        std::mem::take(&mut self.awaiting).into_values().collect()
    }

    pub(crate) fn drop_those_of(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) {
        self.awaiting.retain(|_, sent| !is_meant(&sent.alias));
    }

    pub(crate) fn has_room(&self) -> bool {
        self.awaiting.len() < AWAITING_MAX
    }

    pub(crate) fn awaits(&self, record: RecordId) -> bool {
        self.awaiting.contains_key(&record)
    }

    pub(crate) fn awaiting(&self) -> usize {
        self.awaiting.len()
    }

    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.resend_at
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::Priority;

    use super::*;

    fn sent(position: u64, kid: u8, seq: u64, kind: RecordKind) -> Sent {
        let record = RecordId { priority: Priority::Normal, position };
        Sent { record, alias: "q7".parse().unwrap(), kid: Kid([kid; 8]), seq, kind, readings: 1 }
    }

    fn receipt(kid: u8, next: u64, beyond: &[(u64, u64)]) -> Receipt {
        let epochs = vec![EpochReceipt { kid: Kid([kid; 8]), next, beyond: beyond.to_vec() }];
        Receipt { issuer: "s".to_owned(), gateway: "g".to_owned(), issued_at: 0, epochs }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn waiting() -> Receipts {
        let mut receipts = Receipts::default();
        receipts.wait_for(at(0), sent(0, 1, 0, RecordKind::Key));
        for seq in 0..6 {
            assert!(receipts.wait_for(at(0), sent(seq + 1, 1, seq, RecordKind::Batch)).is_none());
        }
        receipts
    }

    fn positions(freed: &[Sent]) -> Vec<u64> {
        freed.iter().map(|sent| sent.record.position).collect()
    }

    #[test]
    fn a_receipt_frees_what_it_names_and_nothing_else() {
        let mut receipts = waiting();
        assert!(receipts.take(at(1), &receipt(2, 9, &[])).is_empty(), "another epoch");
        assert_eq!(positions(&receipts.take(at(1), &receipt(1, 2, &[(4, 4)]))), [0, 1, 2, 5]);
        assert!(receipts.take(at(1), &receipt(1, 2, &[(4, 4)])).is_empty(), "the same one again");
        assert!(receipts.take(at(1), &receipt(1, 1, &[])).is_empty(), "an older one that comes late");
        assert_eq!(positions(&receipts.take(at(1), &receipt(1, 6, &[]))), [3, 4, 6]);
    }

    #[test]
    fn a_receipt_that_overtakes_the_puback_still_counts() {
        let mut receipts = Receipts::default();
        receipts.take(at(0), &receipt(1, 5, &[]));
        receipts.take(at(0), &receipt(1, 2, &[]));
        assert!(receipts.wait_for(at(0), sent(3, 1, 4, RecordKind::Batch)).is_some());
        assert!(receipts.wait_for(at(0), sent(4, 1, 5, RecordKind::Batch)).is_none());
    }

    #[test]
    fn without_receipts_everything_is_sent_again_with_growing_pauses() {
        let mut receipts = waiting();
        assert!(!receipts.is_resend_due(at(59)) && receipts.is_resend_due(at(60)));
        assert_eq!((receipts.awaiting(), receipts.wake_at()), (0, None));
        receipts.wait_for(at(60), sent(0, 1, 0, RecordKind::Key));
        assert_eq!(receipts.wake_at(), Some(at(180)));
        receipts.take(at(70), &receipt(1, 0, &[]));
        receipts.wait_for(at(70), sent(1, 1, 0, RecordKind::Batch));
        assert_eq!(receipts.wake_at(), Some(at(130)), "a receipt that frees something ends the growing");
    }

    #[test]
    fn a_new_connection_ends_the_growing_of_the_pause() {
        let mut receipts = Receipts::default();
        for began in [0, 60, 180] {
            receipts.wait_for(at(began), sent(0, 1, 0, RecordKind::Key));
            assert!(receipts.is_resend_due(at(began + 900)));
        }
        receipts.begin();
        receipts.wait_for(at(2_000), sent(0, 1, 0, RecordKind::Key));
        assert_eq!(receipts.wake_at(), Some(at(2_060)));
    }

    #[test]
    fn behind_a_full_window_the_pause_does_not_grow() {
        let mut receipts = Receipts::default();
        for began in [0, 60, 120, 180, 240] {
            (0..AWAITING_MAX as u64).for_each(|n| drop(receipts.wait_for(at(began), sent(n, 1, n, RecordKind::Batch))));
            assert!(!receipts.has_room() && !receipts.is_resend_due(at(began + 59)));
            assert!(receipts.is_resend_due(at(began + 60)), "nothing else can be sent meanwhile");
        }
    }

    #[test]
    fn what_is_remembered_of_receipts_is_bounded() {
        let mut receipts = Receipts::default();
        for kid in 0..=255 {
            receipts.take(at(0), &receipt(kid, 5, &[]));
        }
        for n in 0..1_000_u64 {
            let mut other = receipt(0, 5, &[]);
            other.epochs[0].kid = Kid((n << 16 | 0xABCD).to_be_bytes());
            receipts.take(at(0), &other);
        }
        assert_eq!(receipts.known.len(), EPOCHS_MAX);
        assert!(receipts.known.contains_key(&Kid((999_u64 << 16 | 0xABCD).to_be_bytes())));
    }
}
