//! The value, its record, and the counts: the sealed bytes, opened once more.

use lingate_seal::{DataMessage, DecodedReading, wire};

use super::{Hop, Walk};
use crate::clock::rfc3339;
use crate::json;
use crate::keys::{hex, sha256};
use crate::merkle;
use crate::store::{StoreError, cells_of};

/// Why a record says nothing here.
const NOT_KEPT: &str = "the sealed record is not here";
const NO_KEY: &str = "no role key that opens the epoch was given (--sandbox)";
const FALSE: &str = "the sealed record is not what this epoch's gateway signed and sealed";

type Message = wire::sealed::Message;

impl Walk<'_> {
    /// The store's value is the one that the sealed record holds at its place.
    pub(super) fn value(&self) -> Result<Hop, StoreError> {
        let found = &self.found;
        let (seq, at) = (found.seq, found.at);
        let hop = |says: String, proof: String, holds| Hop { what: "value", says, proof, holds };
        let reading = match self.open(seq)? {
            Ok(message) => self.reading(&message),
            Err(why) => {
                let says = format!("{} at {}", self.point, rfc3339(found.time));
                return Ok(hop(says, why.to_owned(), (why == FALSE).then_some(false)));
            }
        };
        let Some(reading) = reading else {
            let says = format!("{} at {}", self.point, rfc3339(found.time));
            return Ok(hop(says, format!("record {seq} holds no reading {at} that could be understood"), Some(false)));
        };
        let status = reading.status.0;
        let shown = reading.value.as_ref().map_or_else(|| format!("bad, status 0x{status:08X}"), json::of);
        let unit = self.tag().map_or("", |tag| tag.ucum.as_str());
        let is_same = i64::from(reading.alias) == found.alias
            && reading.time_us == found.time.0
            && i64::from(status) == found.status
            && cells_of(&self.store.sql, reading.value.as_ref()) == found.cells;
        let words = if is_same { "is" } else { "is NOT" };
        let says = format!("{} = {shown} {unit} at {}", self.point, rfc3339(lingate_model::UtcMicros(reading.time_us)));
        let proof = format!(
            "reading {at} of sealed record {seq} of epoch {}, opened again, {words} what the store has",
            found.kid
        );
        Ok(hop(says, proof, Some(is_same)))
    }

    /// The record is a leaf of the root that the gateway sealed at the epoch's end.
    pub(super) fn record(&self) -> Result<Hop, StoreError> {
        let says = format!("record {} of epoch {}", self.found.seq, self.found.kid);
        let hop = |proof: String, holds| Hop { what: "record", says: says.clone(), proof, holds };
        let Some(bytes) = self.store.message(self.found.kid, self.found.seq)? else {
            return Ok(hop(NOT_KEPT.to_owned(), None));
        };
        let digest = sha256(&bytes);
        let Some(end) = self.close_seq else {
            return Ok(hop(format!("SHA-256 {}; the epoch's end is not here (yet)", hex(&digest)), None));
        };
        let close = match self.open(end)? {
            Ok(Message::Close(close)) => close,
            Ok(_) => return Ok(hop(format!("record {end} is not the epoch's end"), Some(false))),
            Err(why) => return Ok(hop(format!("the epoch's end: {why}"), (why == FALSE).then_some(false))),
        };
        let mut leaves = self.store.digests(self.found.kid, end)?;
        if let Some(leaf) = usize::try_from(self.found.seq).ok().and_then(|seq| leaves.get_mut(seq)) {
            *leaf = digest;
        }
        let holds = merkle::root(&leaves)[..] == close.data_root[..];
        let words = if holds { "a leaf" } else { "NOT a leaf" };
        let proof =
            format!("SHA-256 {}, {words} of the root in the epoch's end, which the gateway signed", hex(&digest));
        Ok(hop(proof, Some(holds)))
    }

    /// read = kept + suppressed: in this record as it was sealed, and over all batches that came.
    pub(super) fn counts(&self, dataset: &str) -> Result<Hop, StoreError> {
        let report = self.store.report()?;
        let of = report.datasets.iter().find(|it| it.dataset == dataset);
        let (read, kept, suppressed) = of.map_or((0, 0, 0), |it| (it.read, it.kept, it.suppressed));
        let in_all = of.is_some_and(|it| it.counts_agree && read == kept.saturating_add(suppressed));
        let says = format!("{read} readings were read, {kept} kept, {suppressed} suppressed by the steps");
        let (proof, holds) = match self.open(self.found.seq)? {
            Ok(Message::Batch(batch)) => match self.agrees(&batch) {
                true => ("read = kept + suppressed, in this record and over all of the dataset", Some(in_all)),
                false => ("the counts of this record do not add up", Some(false)),
            },
            Ok(_) => (FALSE, Some(false)),
            Err(why) if why == FALSE => (FALSE, Some(false)),
            Err(_) => ("read = kept + suppressed over all of the dataset; this record was not opened", Some(in_all)),
        };
        Ok(Hop {
            what: "counts",
            says,
            proof: proof.to_owned(),
            holds: holds.filter(|holds| !holds || self.epoch.is_some()),
        })
    }

    fn agrees(&self, batch: &wire::Batch) -> bool {
        let Some(catalogue) = &self.catalogue else { return false };
        let Ok(readings) = lingate_seal::decode_batch(batch, catalogue) else { return false };
        let suppressed: u64 = batch.steps.iter().map(|step| step.seen.saturating_sub(step.kept)).sum();
        batch.steps.first().is_some_and(|first| first.seen == suppressed.saturating_add(readings.len() as u64))
    }

    fn reading(&self, message: &Message) -> Option<DecodedReading> {
        let Message::Batch(batch) = message else { return None };
        let readings = lingate_seal::decode_batch(batch, self.catalogue.as_ref()?).ok()?;
        readings.into_iter().nth(usize::try_from(self.found.at).ok()?)
    }

    /// What a stored record holds, if the epoch's gateway signed it and the epoch's key opens it.
    fn open(&self, seq: i64) -> Result<Result<Message, &'static str>, StoreError> {
        let Some(bytes) = self.store.message(self.found.kid, seq)? else { return Ok(Err(NOT_KEPT)) };
        let Some(epoch) = &self.epoch else { return Ok(Err(NO_KEY)) };
        let opened = || {
            let data = DataMessage::parse(&bytes).ok()?;
            let is_here = data.kid == self.found.kid && i64::try_from(data.seq) == Ok(seq);
            let is_signed = data.signer == self.key.signer
                && self.signer.as_ref().is_none_or(|signer| data.is_signed_by_key(signer));
            let body = epoch.open_record(&data).ok().filter(|_| is_here && is_signed)?;
            lingate_seal::parse_body(&body).ok()
        };
        Ok(opened().ok_or(FALSE))
    }
}
