//! The ledger in SQLite: what arrived, what it contained, what is missing. Writers work inside [`Store::bunch`].

use std::path::Path;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use lingate_model::{Origin, UtcMicros, Value};
use lingate_seal::{DecodedReading, KeyMessage, Kid, RecordKind, wire};

use crate::topic::Topic;
use crate::{Rejected, json};

/// 1: the first. 2: times of the device, devices.
const VERSION: i64 = 2;
/// Alarms that are kept in full; beyond it only `rejected` counts.
const ALARMS_MAX: i64 = 10_000;
/// Refused epochs that are remembered; records of others wait in vain within the bounds of `held`.
const REFUSED_MAX: i64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store has format {0}, this program knows format {VERSION}")]
    Version(i64),
    #[error("{0:?} is not a store: sqlite:FILE is expected")]
    Address(String),
}

type Result<T> = std::result::Result<T, StoreError>;

pub struct Store {
    pub(crate) sql: Connection,
}

/// What is stored of a record that was accepted.
pub(crate) struct NewRecord<'a> {
    pub(crate) kid: Kid,
    pub(crate) seq: i64,
    pub(crate) kind: RecordKind,
    pub(crate) digest: &'a [u8; 32],
    pub(crate) bytes: usize,
    pub(crate) arrival: UtcMicros,
}

/// An epoch's counters before a record is added.
pub(crate) struct EpochState {
    pub(crate) records: i64,
    pub(crate) max_seq: Option<i64>,
    /// A later epoch of the same stream already has records.
    pub(crate) is_overtaken: bool,
    pub(crate) readings: i64,
    pub(crate) close: Option<Close>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Close {
    /// Of the EpochClose record itself.
    pub(crate) seq: i64,
    pub(crate) readings: i64,
    pub(crate) root: Vec<u8>,
}

impl Store {
    /// `sqlite:FILE`; the file is made if it is missing.
    pub fn open(address: &str) -> Result<Store> {
        let file = address.strip_prefix("sqlite:").filter(|file| !file.is_empty());
        Store::open_file(Path::new(file.ok_or_else(|| StoreError::Address(address.to_owned()))?))
    }

    pub fn open_file(path: &Path) -> Result<Store> {
        let sql = Connection::open(path)?;
        // FULL: what `bunch` returned for is on disk before it is acknowledged to the broker.
        sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")?;
        sql.set_prepared_statement_cache_capacity(64);
        match sql.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
            0 => {
                sql.execute_batch(&format!(
                    "BEGIN; {} PRAGMA user_version = {VERSION}; COMMIT;",
                    include_str!("ledger.sql")
                ))?;
            }
            VERSION => {}
            other => return Err(StoreError::Version(other)),
        }
        Ok(Store { sql })
    }

    /// All of `work` becomes durable, or nothing of it.
    pub(crate) fn bunch<T>(&mut self, work: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
        self.sql.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(self).and_then(|value| Ok(self.sql.execute_batch("COMMIT").map(|()| value)?));
        if done.is_err() && !self.sql.is_autocommit() {
            let _ = self.sql.execute_batch("ROLLBACK");
        }
        done
    }

    pub(crate) fn key_message(&self, kid: Kid) -> Result<Option<Vec<u8>>> {
        self.one("SELECT key_message FROM epochs WHERE kid = ?", kid, |row| row.get(0))
    }

    pub(crate) fn catalogue(&self, kid: Kid) -> Result<Option<Vec<u8>>> {
        Ok(self.one("SELECT catalogue FROM epochs WHERE kid = ?", kid, |row| row.get(0))?.flatten())
    }

    pub(crate) fn refused_epoch(&self, kid: Kid) -> Result<bool> {
        Ok(self.one("SELECT 1 FROM refused_epochs WHERE kid = ?", kid, |_| Ok(()))?.is_some())
    }

    pub(crate) fn digest(&self, kid: Kid, seq: i64) -> Result<Option<Vec<u8>>> {
        let mut query = self.sql.prepare_cached("SELECT digest FROM records WHERE kid = ? AND seq = ?")?;
        Ok(query.query_row(params![kid.0, seq], |row| row.get(0)).optional()?)
    }

    /// Digests of the epoch's records below `end`, ascending by seq.
    pub(crate) fn digests(&self, kid: Kid, end: i64) -> Result<Vec<[u8; 32]>> {
        let mut query = self.sql.prepare_cached("SELECT digest FROM records WHERE kid = ? AND seq < ? ORDER BY seq")?;
        let rows = query.query_map(params![kid.0, end], |row| row.get(0))?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    pub(crate) fn epoch_state(&self, kid: Kid) -> Result<EpochState> {
        let mut query = self.sql.prepare_cached(
            "SELECT records, max_seq, readings, close_seq, close_readings, close_root,
                    EXISTS (SELECT 1 FROM epochs later WHERE later.dataset = epochs.dataset
                        AND later.gateway = epochs.gateway AND later.tenant = epochs.tenant
                        AND later.ordinal > epochs.ordinal AND later.records > 0)
             FROM epochs WHERE kid = ?",
        )?;
        Ok(query.query_row([kid.0], |row| {
            Ok(EpochState {
                records: row.get(0)?,
                max_seq: row.get(1)?,
                readings: row.get(2)?,
                close: close(row)?,
                is_overtaken: row.get(6)?,
            })
        })?)
    }

    pub(crate) fn add_epoch(&self, topic: &Topic, key: &KeyMessage<'_>, bytes: &[u8]) -> Result<()> {
        let claims = &key.claims;
        let previous = claims.previous.as_ref();
        self.sql
            .prepare_cached(
                "INSERT INTO epochs (kid, ordinal, tenant, gateway, dataset, alias, purpose, class, issued_s, expires_s,
                    previous_kid, previous_last_seq, key_message)
                 VALUES (?1, (SELECT 1 + coalesce(max(ordinal), 0) FROM epochs), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                    ?10, ?11, ?12)",
            )?
            .execute(params![
                key.kid().0,
                topic.tenant.as_str(),
                topic.gateway.as_str(),
                claims.subject,
                topic.alias.as_str(),
                claims.purpose,
                claims.class as u8,
                claims.issued_at,
                claims.expires,
                previous.map(|previous| previous.kid.0),
                previous.map(|previous| bounded(previous.last_seq)),
                bytes,
            ])?;
        Ok(())
    }

    pub(crate) fn refuse_epoch(&self, kid: Kid, topic: &Topic, reason: &Rejected) -> Result<()> {
        self.sql
            .prepare_cached(
                "INSERT OR IGNORE INTO refused_epochs (kid, gateway, reason) SELECT ?1, ?2, ?3
                 WHERE (SELECT count(*) FROM refused_epochs) < ?4",
            )?
            .execute(params![kid.0, topic.gateway.as_str(), reason.reason(), REFUSED_MAX])?;
        Ok(())
    }

    pub(crate) fn add_duplicate(&self, kid: Kid) -> Result<()> {
        self.update("UPDATE epochs SET duplicates = duplicates + 1 WHERE kid = ?", kid)
    }

    pub(crate) fn add_order_violation(&self, kid: Kid) -> Result<()> {
        self.update("UPDATE epochs SET order_violations = order_violations + 1 WHERE kid = ?", kid)
    }

    pub(crate) fn add_record(&self, record: &NewRecord<'_>) -> Result<()> {
        let NewRecord { kid, seq, kind, digest, bytes, arrival } = record;
        self.sql
            .prepare_cached("INSERT INTO records (kid, seq, kind, digest, arrival_us) VALUES (?, ?, ?, ?, ?)")?
            .execute(params![kid.0, seq, *kind as u8, digest, arrival.0])?;
        self.sql
            .prepare_cached(
                "UPDATE epochs SET records = records + 1, bytes = bytes + ?2, max_seq = max(coalesce(max_seq, -1), ?3),
                    first_arrival_us = coalesce(first_arrival_us, ?4), last_arrival_us = ?4 WHERE kid = ?1",
            )?
            .execute(params![kid.0, bounded(*bytes as u64), seq, arrival.0])?;
        Ok(())
    }

    pub(crate) fn add_catalogue(&self, kid: Kid, body: &[u8], catalogue: &wire::Catalogue) -> Result<()> {
        self.sql.prepare_cached("UPDATE epochs SET catalogue = ?2 WHERE kid = ?1")?.execute(params![kid.0, body])?;
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO points (kid, alias, name, builtin_type, dimensions, unit, equipment, source, interval_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for tag in &catalogue.tags {
            insert.execute(params![
                kid.0,
                tag.alias,
                tag.name,
                tag.builtin_type,
                tag.dimensions,
                tag.ucum,
                tag.equipment,
                tag.source,
                tag.interval_ms
            ])?;
        }
        let mut insert = self.sql.prepare_cached("INSERT OR IGNORE INTO devices VALUES (?, ?, ?, ?, ?, ?)")?;
        for wire::Device { name, vendor, product, revision, security } in &catalogue.devices {
            insert.execute(params![kid.0, name, vendor, product, revision, security])?;
        }
        Ok(())
    }

    pub(crate) fn add_lineage(&self, kid: Kid, document: &[u8]) -> Result<()> {
        self.sql.prepare_cached("UPDATE epochs SET lineage = ?2 WHERE kid = ?1")?.execute(params![kid.0, document])?;
        Ok(())
    }

    pub(crate) fn add_readings(&self, kid: Kid, seq: i64, readings: &[DecodedReading]) -> Result<()> {
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO readings (kid, seq, at, alias, time_us, source_ticks, server_ticks, backfilled, status, value)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for (at, reading) in readings.iter().enumerate() {
            let value = reading.value.as_ref().map_or(Sql::Null, to_sql);
            insert.execute(params![
                kid.0,
                seq,
                at as i64,
                reading.alias,
                reading.time_us,
                reading.source_time.map(|time| time.0),
                reading.server_time.map(|time| time.0),
                reading.origin == Origin::Backfilled,
                reading.status.0,
                value
            ])?;
        }
        let times = || readings.iter().map(|reading| reading.time_us);
        let bad = readings.iter().filter(|reading| reading.status.is_bad()).count();
        self.sql
            .prepare_cached(
                "UPDATE epochs SET readings = readings + ?2, bad_readings = bad_readings + ?3,
                    oldest_us = min(coalesce(oldest_us, ?4), coalesce(?4, oldest_us)),
                    newest_us = max(coalesce(newest_us, ?5), coalesce(?5, newest_us)) WHERE kid = ?1",
            )?
            .execute(params![kid.0, readings.len() as i64, bad as i64, times().min(), times().max()])?;
        Ok(())
    }

    pub(crate) fn add_steps(&self, kid: Kid, steps: &[wire::StepCount]) -> Result<()> {
        let mut add = self.sql.prepare_cached(
            "INSERT INTO steps (kid, step, seen, kept) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET seen = seen + excluded.seen, kept = kept + excluded.kept",
        )?;
        for step in steps {
            add.execute(params![kid.0, step.step, bounded(step.seen), bounded(step.kept)])?;
        }
        Ok(())
    }

    pub(crate) fn add_gap(&self, kid: Kid, seq: i64, gap: &wire::Gap) -> Result<()> {
        let is_records = !gap.kid.is_empty();
        self.sql.prepare_cached("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            kid.0,
            seq,
            is_records.then_some(&gap.kid),
            is_records.then_some(bounded(gap.first_seq)),
            is_records.then_some(bounded(gap.last_seq)),
            (!is_records).then_some(&gap.device),
            (!is_records).then_some(gap.from_us),
            (!is_records).then_some(gap.to_us),
            bounded(gap.readings),
            gap.cause,
            gap.maybe_delivered,
        ])?;
        Ok(())
    }

    pub(crate) fn set_close(&self, kid: Kid, close: &Close) -> Result<()> {
        self.sql
            .prepare_cached("UPDATE epochs SET close_seq = ?2, close_readings = ?3, close_root = ?4 WHERE kid = ?1")?
            .execute(params![kid.0, close.seq, close.readings, close.root])?;
        Ok(())
    }

    pub(crate) fn set_root_state(&self, kid: Kid, is_right: bool) -> Result<()> {
        let state = if is_right { "right" } else { "wrong" };
        self.sql.prepare_cached("UPDATE epochs SET root_state = ?2 WHERE kid = ?1")?.execute(params![kid.0, state])?;
        Ok(())
    }

    pub(crate) fn hold(&self, kid: Kid, gateway: &str, topic: &str, payload: &[u8]) -> Result<()> {
        self.sql
            .prepare_cached("INSERT INTO held (kid, gateway, topic, payload) VALUES (?, ?, ?, ?)")?
            .execute(params![kid.0, gateway, topic, payload])?;
        Ok(())
    }

    /// Messages and bytes that wait, of one gateway.
    pub(crate) fn held_of(&self, gateway: &str) -> Result<(i64, i64)> {
        let query = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM held WHERE gateway = ?";
        Ok(self.sql.prepare_cached(query)?.query_row([gateway], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Takes out what waits for this epoch, in the order of arrival.
    pub(crate) fn take_held(&self, kid: Kid) -> Result<Vec<(String, Vec<u8>)>> {
        let mut query = self.sql.prepare_cached("SELECT topic, payload FROM held WHERE kid = ? ORDER BY id")?;
        let rows = query.query_map([kid.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let held = rows.collect::<std::result::Result<_, _>>()?;
        self.update("DELETE FROM held WHERE kid = ?", kid)?;
        Ok(held)
    }

    pub(crate) fn reject(&self, rejected: &Rejected, times: usize, utc: UtcMicros) -> Result<()> {
        self.sql
            .prepare_cached(
                "INSERT INTO rejected (reason, count, last_us) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET count = count + ?2, last_us = ?3",
            )?
            .execute(params![rejected.reason(), times as i64, utc.0])?;
        Ok(())
    }

    pub(crate) fn alarm(&self, alarm: &Alarm, utc: UtcMicros) -> Result<()> {
        self.sql
            .prepare_cached(
                "INSERT INTO alarms (at_us, topic, kid, seq, reason, text) SELECT ?1, ?2, ?3, ?4, ?5, ?6
                 WHERE (SELECT count(*) FROM alarms) < ?7",
            )?
            .execute(params![
                utc.0,
                alarm.topic,
                alarm.kid.map(|kid| kid.0),
                alarm.seq.map(bounded),
                alarm.rejected.reason(),
                alarm.rejected.to_string(),
                ALARMS_MAX,
            ])?;
        Ok(())
    }

    fn one<T>(&self, query: &str, kid: Kid, read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>) -> Result<Option<T>> {
        Ok(self.sql.prepare_cached(query)?.query_row([kid.0], read).optional()?)
    }

    fn update(&self, statement: &str, kid: Kid) -> Result<()> {
        self.sql.prepare_cached(statement)?.execute([kid.0])?;
        Ok(())
    }
}

/// A message that a known gateway signed and that an honest one would not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub topic: String,
    pub kid: Option<Kid>,
    pub seq: Option<u64>,
    pub rejected: Rejected,
}

fn close(row: &Row<'_>) -> rusqlite::Result<Option<Close>> {
    let Some(seq) = row.get(3)? else { return Ok(None) };
    Ok(Some(Close { seq, readings: row.get(4)?, root: row.get(5)? }))
}

/// SQLite's integers end at 2^63; a sender's count beyond it is a lie that stays visible.
pub(crate) fn bounded(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn to_sql(value: &Value) -> Sql {
    match value {
        Value::Boolean(v) => Sql::Integer(i64::from(*v)),
        Value::SByte(v) => Sql::Integer(i64::from(*v)),
        Value::Byte(v) => Sql::Integer(i64::from(*v)),
        Value::Int16(v) => Sql::Integer(i64::from(*v)),
        Value::UInt16(v) => Sql::Integer(i64::from(*v)),
        Value::Int32(v) => Sql::Integer(i64::from(*v)),
        Value::UInt32(v) | Value::StatusCode(v) => Sql::Integer(i64::from(*v)),
        Value::Int64(v) | Value::DateTime(v) => Sql::Integer(*v),
        Value::UInt64(v) => i64::try_from(*v).map_or_else(|_| Sql::Text(v.to_string()), Sql::Integer),
        Value::Float(v) => real(f64::from(*v)),
        Value::Double(v) => real(*v),
        Value::String(v) => Sql::Text(v.to_string()),
        Value::Guid(v) => Sql::Blob(v.to_vec()),
        Value::ByteString(v) => Sql::Blob(v.to_vec()),
        Value::Text { text, .. } => Sql::Text(text.to_string()),
        Value::LocalizedText { .. } | Value::Array(_) | Value::Structure(_) => Sql::Text(json::of(value)),
        Value::Null => Sql::Null,
        Value::Opaque { body, .. } => Sql::Blob(body.to_vec()),
    }
}

/// SQLite has no NaN: it would become NULL, which means "bad".
fn real(value: f64) -> Sql {
    if value.is_nan() { Sql::Text("NaN".to_owned()) } else { Sql::Real(value) }
}
