//! Small questions to the store while a receiver writes to it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::OptionalExtension;

use lingate_model::UtcMicros;

use crate::receiver::LiveDataset;
use crate::{Store, StoreError};

impl Store {
    /// Every record that was taken: content key in hex, and sequence number.
    pub fn identities(&self) -> Result<BTreeSet<(String, u64)>, StoreError> {
        let mut query = self.sql.prepare("SELECT lower(hex(kid)), seq FROM records")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn live(&self) -> Result<BTreeMap<String, LiveDataset>, StoreError> {
        let mut query = self.sql.prepare_cached(
            "SELECT dataset, sum(readings), sum(records), sum(bytes), sum(duplicates),
                    sum(coalesce(max_seq, -1) + 1 - records), max(newest_us) FROM epochs GROUP BY dataset",
        )?;
        let rows = query.query_map([], |row| {
            let live = LiveDataset {
                readings: row.get(1)?,
                records: row.get(2)?,
                bytes: row.get(3)?,
                duplicates: row.get(4)?,
                holes: row.get(5)?,
                newest: row.get::<_, Option<i64>>(6)?.map(UtcMicros),
            };
            Ok((row.get(0)?, live))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether this client's session at this broker is known to hold the subscriptions.
    pub(crate) fn is_subscribed(&self, session: &str) -> Result<bool, StoreError> {
        let query = "SELECT 1 FROM subscribed WHERE session = ?";
        Ok(self.sql.query_row(query, [session], |_| Ok(())).optional()?.is_some())
    }

    pub(crate) fn set_subscribed(&self, session: &str) -> Result<(), StoreError> {
        self.sql.execute("INSERT OR IGNORE INTO subscribed (session) VALUES (?)", [session])?;
        Ok(())
    }
}
