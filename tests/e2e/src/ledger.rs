use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use lingate_model::{UtcMicros, Value};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// A DATA message: content key in hex, and sequence number.
pub type Identity = (String, u64);

/// An interval of a device that gave nothing, in the gateway's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredGap {
    pub from_us: i64,
    pub to_us: i64,
    pub readings: i64,
}

/// The receiver's store, read as anybody would: with SQL.
pub struct Ledger(Connection);

impl Ledger {
    pub fn open(path: &Path) -> Result<Ledger> {
        Ok(Ledger(Connection::open(path)?))
    }

    pub fn identities(&self) -> Result<BTreeSet<Identity>> {
        let mut query = self.0.prepare("SELECT lower(hex(kid)), seq FROM records")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The KEY of every epoch that was opened, by its content key's id in hex.
    pub fn key_messages(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut query = self.0.prepare("SELECT lower(hex(kid)), key_message FROM epochs")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every opened integer: (point, time, value). For devices whose values are all integers.
    pub fn integers(&self) -> Result<Vec<(String, UtcMicros, Option<Value>)>> {
        let mut query = self.0.prepare("SELECT name, time_us, value FROM telemetry")?;
        let rows = query.query_map([], |row| {
            let value = row.get::<_, Option<i64>>(2)?;
            // A value that no such device can have stays one, so that the checker sees it.
            let value = value.map(|value| u32::try_from(value).map_or(Value::Int64(value), Value::UInt32));
            Ok((row.get(0)?, UtcMicros(row.get(1)?), value))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The distinct values of one point, as SQLite shows them.
    pub fn values(&self, point: &str) -> Result<BTreeSet<String>> {
        let mut query = self.0.prepare("SELECT DISTINCT value FROM telemetry WHERE name = ?1")?;
        let rows = query.query_map([point], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Null => "bad".to_owned(),
                ValueRef::Integer(integer) => integer.to_string(),
                ValueRef::Real(real) => format!("{real:?}"),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => {
                    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("blob {hex}")
                }
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Of a point: source ticks (100 ns since 1601) and value as SQLite shows it, backfilled ones among them, in the order
    /// of their time.
    pub fn timed(&self, point: &str) -> Result<Vec<(i64, i64)>> {
        let mut query = self.0.prepare(
            "SELECT source_ticks, value FROM telemetry WHERE name = ?1 AND value IS NOT NULL ORDER BY source_ticks",
        )?;
        let rows = query.query_map([point], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest source ticks of a point.
    pub fn newest(&self, point: &str) -> Result<Option<i64>> {
        let sql = "SELECT max(source_ticks) FROM telemetry WHERE name = ?1";
        Ok(self.0.query_row(sql, [point], |row| row.get(0))?)
    }

    /// Of every point that matches, as SQL's LIKE: how many different values, the least and the largest.
    pub fn spans(&self, pattern: &str) -> Result<Vec<(String, i64, i64, i64)>> {
        let mut query = self.0.prepare(
            "SELECT name, count(DISTINCT value), min(value), max(value) FROM telemetry \
             WHERE name LIKE ?1 AND value IS NOT NULL GROUP BY name",
        )?;
        let rows = query.query_map([pattern], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Slots of devices that were declared missing.
    pub fn device_gaps(&self) -> Result<Vec<DeclaredGap>> {
        let mut query =
            self.0.prepare("SELECT from_us, to_us, readings FROM gaps WHERE device IS NOT NULL ORDER BY 1")?;
        let rows = query
            .query_map([], |row| Ok(DeclaredGap { from_us: row.get(0)?, to_us: row.get(1)?, readings: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The same of one device.
    pub fn gaps_of(&self, device: &str) -> Result<Vec<DeclaredGap>> {
        let mut query = self.0.prepare("SELECT from_us, to_us, readings FROM gaps WHERE device = ?1 ORDER BY 1")?;
        let rows = query.query_map([device], |row| {
            Ok(DeclaredGap { from_us: row.get(0)?, to_us: row.get(1)?, readings: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The receiver has a session at the broker.
    pub fn is_subscribed(&self) -> Result<bool> {
        Ok(self.0.query_row("SELECT count(*) > 0 FROM subscribed", [], |row| row.get(0))?)
    }

    pub fn readings(&self) -> Result<u64> {
        let count: i64 = self.0.query_row("SELECT count(*) FROM readings", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}
