//! Where each stream stood on the disk at the start: a KEY claims it as its predecessor, so that whoever receives both
//! notices a disk that went back (wire.md section 6).

use std::collections::BTreeMap;

use lingate_model::DatasetAlias;
use lingate_seal::{Kid, PreviousEpoch, Receipt};

#[derive(Default)]
pub(crate) struct Heads {
    at_start: BTreeMap<DatasetAlias, PreviousEpoch>,
    unclaimed: BTreeMap<DatasetAlias, PreviousEpoch>,
    has_told: bool,
}

impl Heads {
    /// Of a stream whose newest record is a KEY nothing is claimed: there is no last number.
    pub(crate) fn new(found: &BTreeMap<DatasetAlias, (Kid, Option<u64>)>) -> Heads {
        let known = |(alias, (kid, seq)): (&DatasetAlias, &(Kid, Option<u64>))| {
            Some((alias.clone(), PreviousEpoch { kid: *kid, last_seq: (*seq)? }))
        };
        let at_start: BTreeMap<_, _> = found.iter().filter_map(known).collect();
        Heads { unclaimed: at_start.clone(), at_start, has_told: false }
    }

    /// For the first epoch of the stream in this process. Two epochs with one predecessor are an alarm: when it is open,
    /// `claimed`.
    pub(crate) fn unclaimed(&self, alias: &DatasetAlias) -> Option<PreviousEpoch> {
        self.unclaimed.get(alias).copied()
    }

    pub(crate) fn claimed(&mut self, alias: &DatasetAlias) {
        self.unclaimed.remove(alias);
    }

    /// The sandbox confirms what this disk never held. Told once.
    pub(crate) fn went_back(&mut self, receipt: &Receipt) -> Option<String> {
        let is_beyond = |head: &&PreviousEpoch| {
            let of_epoch = receipt.epochs.iter().filter(|epoch| epoch.kid == head.kid);
            of_epoch.clone().any(|epoch| epoch.next > head.last_seq + 1)
        };
        let head = self.at_start.values().find(is_beyond)?;
        (!std::mem::replace(&mut self.has_told, true)).then(|| {
            format!(
                "the sandbox confirms records of epoch {} behind number {}, the last that this disk held at the start: the \
                 state directory is an old copy, or a second gateway runs with this one's key. Records of the time between \
                 may be lost; ask the sandbox for its report, and enrol anew if there are two gateways",
                head.kid, head.last_seq
            )
        })
    }
}
