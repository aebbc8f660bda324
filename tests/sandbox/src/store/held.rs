//! What waits, what was not taken, and what an operator must see.

use lingate_model::UtcMicros;
use lingate_seal::Kid;

use super::{Result, bounded};
use crate::database::Cell;
use crate::{Rejected, Store};

/// Alarms that are kept in full; beyond it only `rejected` counts.
const ALARMS_MAX: i64 = 10_000;

/// A message that a known gateway signed and that an honest one would not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub topic: String,
    pub kid: Option<Kid>,
    pub seq: Option<u64>,
    pub rejected: Rejected,
}

impl Store {
    pub(crate) fn hold(&self, kid: Kid, gateway: &str, topic: &str, payload: &[u8]) -> Result<()> {
        self.sql.execute(
            "INSERT INTO held (kid, gateway, topic, payload) VALUES (?1, ?2, ?3, ?4)",
            vec![kid.into(), gateway.into(), topic.into(), payload.into()],
        )?;
        Ok(())
    }

    /// Messages and bytes that wait, of one gateway.
    pub(crate) fn held_of(&self, gateway: &str) -> Result<(i64, i64)> {
        let query = "SELECT count(*), CAST(coalesce(sum(length(payload)), 0) AS BIGINT) FROM held WHERE gateway = ?1";
        let row = self.sql.first(query, vec![gateway.into()])?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// Takes out what waits for this epoch, in the order of arrival.
    pub(crate) fn take_held(&self, kid: Kid) -> Result<Vec<(String, Vec<u8>)>> {
        let query = "SELECT topic, payload FROM held WHERE kid = ?1 ORDER BY id";
        let rows = self.sql.query(query, vec![kid.into()])?;
        if !rows.is_empty() {
            self.update("DELETE FROM held WHERE kid = ?1", kid)?;
        }
        rows.iter().map(|row| Ok((row.text(0)?, row.blob(1)?))).collect()
    }

    pub(crate) fn reject(&self, rejected: &Rejected, times: usize, utc: UtcMicros) -> Result<()> {
        self.sql.execute(
            "INSERT INTO rejected (reason, count, last_us) VALUES (?1, ?2, ?3)
             ON CONFLICT (reason) DO UPDATE SET count = rejected.count + excluded.count, last_us = excluded.last_us",
            vec![rejected.reason().into(), bounded(times as u64).into(), utc.0.into()],
        )?;
        Ok(())
    }

    pub(crate) fn alarm(&self, alarm: &Alarm, utc: UtcMicros) -> Result<()> {
        self.sql.execute(
            "INSERT INTO alarms (at_us, topic, kid, seq, reason, text) SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE (SELECT count(*) FROM alarms) < ?7",
            vec![
                utc.0.into(),
                (&alarm.topic).into(),
                Cell::Blob(alarm.kid.map(|kid| kid.0.to_vec())),
                Cell::Int(alarm.seq.map(bounded)),
                alarm.rejected.reason().into(),
                alarm.rejected.to_string().into(),
                ALARMS_MAX.into(),
            ],
        )?;
        Ok(())
    }
}
