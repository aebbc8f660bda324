//! The receiver of `lingate_sandbox` with a store in memory, and what it has opened so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lingate_model::UtcMicros;
use lingate_sandbox::{Arrival, Event, Intake, OpenedBatch, OpenedGap, Store, Trust};
use lingate_seal::{GapCause, Kid};

pub struct Receiver {
    intake: Intake,
    pub batches: Vec<OpenedBatch>,
    pub gaps: Vec<OpenedGap>,
    /// When each of the batches arrived.
    arrived: Vec<UtcMicros>,
    pub duplicates: u64,
    /// `None`: an alarm breaks a law.
    pub alarms: Option<Vec<String>>,
}

impl Receiver {
    pub(crate) fn new(trust: Trust) -> Receiver {
        let store = Store::open_file(":memory:".as_ref()).expect("a store in memory");
        Receiver {
            intake: Intake::new(trust, store),
            batches: Vec::new(),
            arrived: Vec::new(),
            gaps: Vec::new(),
            duplicates: 0,
            alarms: None,
        }
    }

    /// Gives the number of the first batch that is new.
    pub(crate) fn take(&mut self, arrivals: &[Arrival], utc: UtcMicros) -> Result<usize, String> {
        let first = self.batches.len();
        for event in self.intake.take(arrivals, utc).map_err(|error| error.to_string())? {
            match event {
                Event::Batch(batch) => {
                    self.batches.push(batch);
                    self.arrived.push(utc);
                }
                Event::Gap(gap) => self.gaps.push(gap),
                Event::Duplicate { .. } => self.duplicates += 1,
                Event::Alarm(alarm) => match &mut self.alarms {
                    Some(alarms) => alarms.push(alarm.rejected.to_string()),
                    None => return Err(format!("the receiver raised an alarm: {alarm:?}")),
                },
            }
        }
        Ok(first)
    }

    pub fn report(&self) -> lingate_sandbox::Report {
        self.intake.store().report().expect("a store in memory")
    }

    /// Whether a gap record covers this record.
    pub fn declares(&self, kid: Kid, seq: u64) -> bool {
        self.gaps
            .iter()
            .any(|opened| opened.gap.kid == kid.0 && (opened.gap.first_seq..=opened.gap.last_seq).contains(&seq))
    }

    /// Readings that gap records with this cause declare.
    pub fn declared(&self, cause: GapCause) -> u64 {
        let of_cause = self.gaps.iter().filter(|opened| opened.gap.cause == cause as i32);
        of_cause.map(|opened| opened.gap.readings).sum()
    }

    /// Readings that gap records declare, by cause; each range of records once, however often it was declared.
    pub fn declared_by_cause(&self) -> BTreeMap<&'static str, u64> {
        let (mut sums, mut known) = (BTreeMap::new(), BTreeSet::new());
        for gap in self.gaps.iter().map(|opened| &opened.gap) {
            // Slots have no range, and losses without a name have none that says which.
            let is_counted = gap.kid.iter().all(|byte| *byte == 0);
            let is_new = is_counted || known.insert((gap.kid.clone(), gap.first_seq, gap.last_seq, gap.cause));
            let cause = GapCause::from_id(gap.cause).expect("the receiver takes no other").name();
            *sums.entry(cause).or_default() += if is_new { gap.readings } else { 0 };
        }
        sums
    }

    /// Ranges of records that were declared more than once: the same range with the same cause.
    pub fn declared_again(&self) -> u64 {
        let mut known = BTreeSet::new();
        let of_records = self.gaps.iter().map(|it| &it.gap).filter(|gap| gap.kid.iter().any(|byte| *byte != 0));
        of_records.filter(|gap| !known.insert((gap.kid.clone(), gap.first_seq, gap.last_seq, gap.cause))).count() as u64
    }

    /// Values of one dataset.
    pub fn of(&self, dataset: &str) -> u64 {
        let of_dataset = self.batches.iter().filter(|batch| &*batch.dataset == dataset);
        of_dataset.map(|batch| batch.readings.len() as u64).sum()
    }

    /// How old the batches of a dataset were that were read after that.
    pub fn ages(&self, dataset: &str, since: UtcMicros) -> Vec<Duration> {
        let all = self.batches.iter().zip(&self.arrived).filter(|(batch, _)| &*batch.dataset == dataset);
        let begun = all.filter_map(|(batch, at)| Some((batch.readings.first()?.time, at)));
        let meant = begun.filter(|(time, _)| *time > since);
        meant.map(|(time, at)| Duration::from_micros((at.0 - time.0).unsigned_abs())).collect()
    }

    /// Values that were opened, over all batches.
    pub fn readings(&self) -> u64 {
        self.batches.iter().map(|batch| batch.readings.len() as u64).sum()
    }
}
