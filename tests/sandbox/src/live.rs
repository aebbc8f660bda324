//! Small questions to the store while a receiver writes to it.

use std::collections::{BTreeMap, BTreeSet};

use lingate_model::UtcMicros;

use crate::keys::hex;
use crate::receiver::LiveDataset;
use crate::{Store, StoreError};

impl Store {
    /// Every record that was taken: content key in hex, and sequence number.
    pub fn identities(&self) -> Result<BTreeSet<(String, u64)>, StoreError> {
        let rows = self.sql.query("SELECT kid, seq FROM records", vec![])?;
        rows.iter().map(|row| Ok((hex(&row.kid(0)?.0), row.count(1)?))).collect()
    }

    pub(crate) fn live(&self) -> Result<BTreeMap<String, LiveDataset>, StoreError> {
        let rows = self.sql.query(
            "SELECT dataset, CAST(sum(readings) AS BIGINT), CAST(sum(records) AS BIGINT), CAST(sum(bytes) AS BIGINT),
                    CAST(sum(duplicates) AS BIGINT), CAST(sum(coalesce(max_seq, -1) + 1 - records) AS BIGINT),
                    max(newest_us) FROM epochs GROUP BY dataset",
            vec![],
        )?;
        let live = |row: &crate::database::Row| {
            let live = LiveDataset {
                readings: row.count(1)?,
                records: row.count(2)?,
                bytes: row.count(3)?,
                duplicates: row.count(4)?,
                holes: row.count(5)?,
                newest: row.opt_int(6)?.map(UtcMicros),
            };
            Ok((row.text(0)?, live))
        };
        rows.iter().map(live).collect()
    }

    /// Whether this client's session at this broker is known to hold the subscriptions.
    pub(crate) fn is_subscribed(&self, session: &str) -> Result<bool, StoreError> {
        let query = "SELECT session FROM subscribed WHERE session = ?1";
        Ok(self.sql.first(query, vec![session.into()])?.is_some())
    }

    pub(crate) fn set_subscribed(&self, session: &str) -> Result<(), StoreError> {
        let insert = "INSERT INTO subscribed (session) VALUES (?1) ON CONFLICT DO NOTHING";
        self.sql.execute(insert, vec![session.into()])?;
        Ok(())
    }
}
