use lingate_engine::Status;
use lingate_model::UtcMicros;
use serde::{Deserialize, Serialize};

use crate::export_ledger::date;
use crate::report::days;
use crate::veto;

/// Newest days of the ledger that are shown; all of them are in the file.
const DAYS: i64 = 7;

/// What limits sealing, and what was sealed within it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RightsReport {
    pub(crate) receipts: ReceiptsReport,
    pub(crate) has_veto: bool,
    pub(crate) veto: String,
    /// Whatever sealing needs and when it ends, the soonest first.
    pub(crate) endings: Vec<EndingReport>,
    pub(crate) ledger: Vec<LedgerReport>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ReceiptsReport {
    /// Records are freed by receipts and not by the broker.
    pub(crate) asked: bool,
    pub(crate) awaiting: usize,
    pub(crate) taken: u64,
    pub(crate) refused: u64,
    pub(crate) last_refusal: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EndingReport {
    pub(crate) what: String,
    pub(crate) at: String,
    pub(crate) days_left: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LedgerReport {
    pub(crate) day: String,
    pub(crate) dataset: String,
    pub(crate) purpose: String,
    pub(crate) recipient: String,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl RightsReport {
    pub(crate) fn new(status: &Status, utc: UtcMicros) -> RightsReport {
        let (rights, link) = (&status.rights, &status.link);
        let mut endings: Vec<_> = rights.endings.iter().collect();
        endings.sort_by_key(|ending| ending.at);
        let oldest = lingate_engine::day(utc) - DAYS;
        let lines = rights.ledger.lines().filter(|(line, _)| line.day > oldest);
        RightsReport {
            receipts: ReceiptsReport {
                asked: rights.asks_for_receipts,
                awaiting: link.awaiting_receipt,
                taken: link.receipts,
                refused: link.receipts_refused,
                last_refusal: link.last_receipt_refusal.clone(),
            },
            has_veto: !rights.veto.is_empty(),
            veto: veto::in_words(&rights.veto),
            endings: endings
                .into_iter()
                .map(|ending| EndingReport {
                    what: ending.what.clone(),
                    at: ending.shown.clone(),
                    days_left: days(utc, ending.at),
                })
                .collect(),
            ledger: lines
                .map(|(line, amount)| LedgerReport {
                    day: date(line.day),
                    dataset: line.dataset.clone(),
                    purpose: line.purpose.clone(),
                    recipient: line.recipient.clone(),
                    records: amount.records,
                    bytes: amount.bytes,
                })
                .collect(),
        }
    }

    /// For the page: what is forbidden, and what ends next.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let next = self.endings.first().map(|next| format!("{} ends in {:.0} days", next.what, next.days_left));
        let receipts = self.receipts.asked.then(|| format!("{} records await a receipt", self.receipts.awaiting));
        let veto = (self.has_veto || next.is_none()).then(|| self.veto.clone());
        [veto, next, receipts].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(what: &str, days_left: f64) -> EndingReport {
        EndingReport { what: what.to_owned(), at: String::new(), days_left }
    }

    #[test]
    fn one_line_names_what_is_forbidden_what_ends_next_and_what_waits_for_receipts() {
        let mut rights = RightsReport { veto: "nothing is forbidden".to_owned(), ..RightsReport::default() };
        assert_eq!(rights.in_words().join("; "), "nothing is forbidden");
        rights.endings = vec![ending("purpose urn:a", 6.6), ending("the sandbox bundle of version 3", 80.0)];
        assert_eq!(
            rights.in_words().join("; "),
            "purpose urn:a ends in 7 days",
            "what is not forbidden needs no word then"
        );
        (rights.has_veto, rights.veto) = (true, "forbidden: dataset ds-1".to_owned());
        rights.receipts = ReceiptsReport { asked: true, awaiting: 41, ..ReceiptsReport::default() };
        assert_eq!(
            rights.in_words().join("; "),
            "forbidden: dataset ds-1; purpose urn:a ends in 7 days; 41 records await a receipt"
        );
    }
}
