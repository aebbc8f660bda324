//! Receipts on their way from the link to the heart.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

const RECEIPTS_MAX: usize = 64;

/// For one reader. Of too many the oldest go: the newest says the most, and what an older one said is asked for again.
#[derive(Clone, Default)]
pub(crate) struct ReceiptQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<VecDeque<Vec<u8>>>,
    arrived: Notify,
}

impl ReceiptQueue {
    pub(crate) fn put(&self, receipt: Vec<u8>) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == RECEIPTS_MAX {
            waiting.pop_front();
        }
        waiting.push_back(receipt);
        self.0.arrived.notify_one();
    }

    /// Loses nothing when it is dropped while it waits.
    pub(crate) async fn next(&self) -> Vec<u8> {
        loop {
            if let Some(receipt) = self.take() {
                return receipt;
            }
            self.0.arrived.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_flood_the_newest_receipts_stay_and_nobody_is_blocked() {
        let queue = ReceiptQueue::default();
        (0..1_000_u32).for_each(|n| queue.put(n.to_be_bytes().to_vec()));
        for n in 1_000 - 64..1_000_u32 {
            assert_eq!(queue.next().await, n.to_be_bytes());
        }
        assert_eq!(queue.take(), None);
    }

    #[tokio::test]
    async fn a_receipt_wakes_who_waits_for_it() {
        let queue = ReceiptQueue::default();
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.put(vec![7]);
        assert_eq!(waits.await.ok(), Some(vec![7]));
    }
}
