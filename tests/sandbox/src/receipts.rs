//! The sandbox's word that it keeps a gateway's records (wire.md section 6). What is said comes out of the store, after
//! the transaction: any receiver of a group can say it.

use std::collections::{BTreeMap, VecDeque};

use lingate_seal::{EpochReceipt, Kid, RECEIPT_EPOCHS_MAX, RECEIPT_RANGES_MAX, Receipt, SigningKey};

use crate::clock;
use crate::{Store, StoreError};

/// Epochs that are told of again after a reconnect.
const RECENT_MAX: usize = 256;
/// Epochs whose beginning is not looked at again.
const STARTS_MAX: usize = 4096;

/// A receipt and where it goes.
pub(crate) struct ReceiptOut {
    pub(crate) topic: String,
    pub(crate) message: Vec<u8>,
}

pub(crate) struct Receipts {
    key: SigningKey,
    sandbox: String,
    recent: VecDeque<Kid>,
    /// By epoch: every number below it was stored or declared when last asked. It never goes down.
    starts: BTreeMap<Kid, i64>,
}

impl Receipts {
    pub(crate) fn new(key: SigningKey, sandbox: String) -> Receipts {
        Receipts { key, sandbox, recent: VecDeque::new(), starts: BTreeMap::new() }
    }

    /// For the epochs of what was just taken, also of duplicates: their gateway may have missed the receipt.
    pub(crate) fn after(
        &mut self,
        store: &Store,
        kids: impl Iterator<Item = Kid>,
    ) -> Result<Vec<ReceiptOut>, StoreError> {
        let mut kids: Vec<Kid> = kids.collect();
        kids.sort();
        kids.dedup();
        for kid in &kids {
            self.recent.retain(|recent| recent != kid);
            self.recent.push_back(*kid);
        }
        let excess = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..excess);
        self.write(store, &kids)
    }

    /// After a reconnect: a receipt may have been lost with the connection.
    pub(crate) fn again(&mut self, store: &Store) -> Result<Vec<ReceiptOut>, StoreError> {
        let mut kids: Vec<Kid> = self.recent.iter().copied().collect();
        kids.sort();
        self.write(store, &kids)
    }

    fn write(&mut self, store: &Store, kids: &[Kid]) -> Result<Vec<ReceiptOut>, StoreError> {
        let mut by_gateway: BTreeMap<(String, String), Vec<EpochReceipt>> = BTreeMap::new();
        for kid in kids {
            // A KEY that was refused or has not come is not stored.
            if let Some(gateway) = store.gateway_of(*kid)? {
                by_gateway.entry(gateway).or_default().push(self.epoch(store, *kid)?);
            }
        }
        let issued_at = clock::unix_seconds();
        let mut out = Vec::new();
        for ((tenant, gateway), epochs) in by_gateway {
            for epochs in epochs.chunks(RECEIPT_EPOCHS_MAX) {
                let (issuer, gateway, epochs) = (self.sandbox.clone(), gateway.clone(), epochs.to_vec());
                let topic = format!("lingate/1/{tenant}/{gateway}/r");
                let message = Receipt { issuer, gateway, issued_at, epochs }.sign(&self.key);
                out.push(ReceiptOut { topic, message });
            }
        }
        Ok(out)
    }

    fn epoch(&mut self, store: &Store, kid: Kid) -> Result<EpochReceipt, StoreError> {
        let start = self.starts.get(&kid).copied().unwrap_or_default();
        let certain = store.declared(kid)?.into_iter().filter(|gap| gap.is_certain);
        let declared = certain.map(|gap| (gap.first, gap.last)).filter(|(_, last)| *last >= start);
        let stored = store.numbers(kid, start)?.into_iter().map(|seq| (seq, seq));
        let mut ranges: Vec<(i64, i64)> = declared.chain(stored).collect();
        ranges.sort_unstable();
        let (next, beyond) = joined(start, &ranges);
        if self.starts.len() >= STARTS_MAX {
            self.starts.clear();
        }
        self.starts.insert(kid, next);
        Ok(EpochReceipt { kid, next: next.unsigned_abs(), beyond })
    }
}

/// The first number from `start` on that no range holds, and the ranges behind it. `ranges` ascend by their first.
fn joined(start: i64, ranges: &[(i64, i64)]) -> (i64, Vec<(u64, u64)>) {
    let mut next = start;
    let mut beyond: Vec<(u64, u64)> = Vec::new();
    for &(first, last) in ranges {
        let after = last.saturating_add(1);
        if first <= next {
            next = next.max(after);
            continue;
        }
        let (first, last) = (first.unsigned_abs(), last.unsigned_abs());
        let is_full = beyond.len() == RECEIPT_RANGES_MAX;
        match beyond.last_mut() {
            Some(open) if first <= open.1 + 1 => open.1 = open.1.max(last),
            _ if is_full => break,
            _ => beyond.push((first, last)),
        }
    }
    (next, beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_joins_the_beginning_moves_it_and_the_rest_are_ranges() {
        let ranges = [(0, 0), (1, 1), (2, 5), (3, 3), (7, 7), (8, 9), (11, 11)];
        assert_eq!(joined(0, &ranges), (6, vec![(7, 9), (11, 11)]));
        assert_eq!(joined(6, &[(6, 6), (7, 7)]), (8, vec![]));
        assert_eq!(joined(0, &[]), (0, vec![]));
        assert_eq!(joined(0, &[(2, 2), (2, 4), (5, 5)]), (0, vec![(2, 5)]));
        let scattered: Vec<(i64, i64)> = (0..200).map(|n| (2 * n + 1, 2 * n + 1)).collect();
        assert_eq!(joined(0, &scattered).1.len(), RECEIPT_RANGES_MAX);
    }
}
