//! The ledger: what arrived, what it contained, what is missing. Writers work inside [`Store::bunch`].

mod content;
mod context;
mod held;

use std::collections::BTreeSet;
use std::path::Path;

use lingate_model::UtcMicros;
use lingate_seal::{Claims, KeyMessage, Kid, RecordKind};

use crate::Rejected;
use crate::database::{Cell, Database, Row, Sqlite};
use crate::topic::Topic;

pub(crate) use content::cells_of;
pub(crate) use context::IN_CONTEXT;
pub use context::{ContextFilter, ContextRow};
pub use held::Alarm;

/// 1: the first. 2: times of the device, devices.
pub(crate) const VERSION: i64 = 2;
/// Refused epochs that are remembered; records of others wait in vain within the bounds of `held`.
const REFUSED_MAX: i64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store failed")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the connection to the store has ended")]
    Ended,
    #[error("another receiver stored the same record at the same time")]
    Raced,
    #[error("column {0} of a result is not what this program stores there")]
    Column(usize),
    #[error("the store has format {0}, this program knows format {VERSION}")]
    Version(i64),
    #[error("{0:?} is not a store: sqlite:FILE or postgres://USER@HOST/DATABASE is expected")]
    Address(String),
}

impl StoreError {
    /// Another receiver was in the way: the same work can be done again.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            StoreError::Postgres(error) => crate::database::is_conflict(error),
            StoreError::Raced => true,
            _ => false,
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

pub struct Store {
    pub(crate) sql: Database,
}

/// What is stored of a record that was accepted.
pub(crate) struct NewRecord<'a> {
    pub(crate) kid: Kid,
    pub(crate) seq: i64,
    pub(crate) kind: RecordKind,
    pub(crate) digest: &'a [u8; 32],
    /// As it came.
    pub(crate) message: &'a [u8],
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
    /// `sqlite:FILE`, or `postgres://USER@HOST/DATABASE` with whatever else libpq's URLs say. Missing tables are made.
    pub fn open(address: &str) -> Result<Store> {
        Ok(Store { sql: Database::open(address)? })
    }

    pub fn open_file(path: &Path) -> Result<Store> {
        Ok(Store { sql: Database::Sqlite(Sqlite::open(path)?) })
    }

    /// All of `work` becomes durable, or nothing of it. Meanwhile no other receiver works on the epochs `kids`.
    pub(crate) fn bunch<T>(&self, kids: &BTreeSet<Kid>, work: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
        self.sql.transaction(|| {
            self.sql.lock(kids.iter().copied())?;
            work(self)
        })
    }

    pub(crate) fn key_message(&self, kid: Kid) -> Result<Option<Vec<u8>>> {
        self.one("SELECT key_message FROM epochs WHERE kid = ?1", kid, |row| row.blob(0))
    }

    /// Tenant and gateway of an epoch whose KEY is stored.
    pub(crate) fn gateway_of(&self, kid: Kid) -> Result<Option<(String, String)>> {
        self.one("SELECT tenant, gateway FROM epochs WHERE kid = ?1", kid, |row| Ok((row.text(0)?, row.text(1)?)))
    }

    pub(crate) fn catalogue(&self, kid: Kid) -> Result<Option<Vec<u8>>> {
        Ok(self.one("SELECT catalogue FROM epochs WHERE kid = ?1", kid, |row| row.opt_blob(0))?.flatten())
    }

    pub(crate) fn refused_epoch(&self, kid: Kid) -> Result<bool> {
        Ok(self.one("SELECT gateway FROM refused_epochs WHERE kid = ?1", kid, |_| Ok(()))?.is_some())
    }

    pub(crate) fn digest(&self, kid: Kid, seq: i64) -> Result<Option<Vec<u8>>> {
        let query = "SELECT digest FROM records WHERE kid = ?1 AND seq = ?2";
        self.sql.first(query, vec![kid.into(), seq.into()])?.map(|row| row.blob(0)).transpose()
    }

    /// A record as it came; `None`: it is not here, or came before records were kept.
    pub(crate) fn message(&self, kid: Kid, seq: i64) -> Result<Option<Vec<u8>>> {
        let query = "SELECT message FROM messages WHERE kid = ?1 AND seq = ?2";
        self.sql.first(query, vec![kid.into(), seq.into()])?.map(|row| row.blob(0)).transpose()
    }

    /// Digests of the epoch's records below `end`, ascending by seq.
    pub(crate) fn digests(&self, kid: Kid, end: i64) -> Result<Vec<[u8; 32]>> {
        let query = "SELECT digest FROM records WHERE kid = ?1 AND seq < ?2 ORDER BY seq";
        self.sql.query(query, vec![kid.into(), end.into()])?.iter().map(|row| row.bytes(0)).collect()
    }

    /// Numbers of the epoch's records from `from` on, ascending.
    pub(crate) fn numbers(&self, kid: Kid, from: i64) -> Result<Vec<i64>> {
        let query = "SELECT seq FROM records WHERE kid = ?1 AND seq >= ?2 ORDER BY seq";
        self.sql.query(query, vec![kid.into(), from.into()])?.iter().map(|row| row.int(0)).collect()
    }

    pub(crate) fn epoch_state(&self, kid: Kid) -> Result<EpochState> {
        let query = "SELECT records, max_seq, readings, close_seq, close_readings, close_root,
                    (SELECT count(*) FROM epochs later WHERE later.dataset = epochs.dataset
                        AND later.gateway = epochs.gateway AND later.tenant = epochs.tenant
                        AND later.ordinal > epochs.ordinal AND later.records > 0)
             FROM epochs WHERE kid = ?1";
        let state = self.one(query, kid, |row| {
            Ok(EpochState {
                records: row.int(0)?,
                max_seq: row.opt_int(1)?,
                readings: row.int(2)?,
                close: close(row)?,
                is_overtaken: row.int(6)? > 0,
            })
        })?;
        state.ok_or(StoreError::Ended)
    }

    pub(crate) fn add_epoch(&self, topic: &Topic, key: &KeyMessage<'_>, bytes: &[u8]) -> Result<()> {
        let claims = &key.claims;
        let previous = claims.previous.as_ref();
        self.sql.execute(
            "INSERT INTO epochs (kid, ordinal, tenant, gateway, dataset, alias, purpose, class, issued_s, expires_s,
                previous_kid, previous_last_seq, key_message)
             VALUES (?1, (SELECT 1 + coalesce(max(ordinal), 0) FROM epochs), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                ?10, ?11, ?12)",
            vec![
                key.kid().into(),
                topic.tenant.as_str().into(),
                topic.gateway.as_str().into(),
                (&claims.subject).into(),
                topic.alias.as_str().into(),
                (&claims.purpose).into(),
                (claims.class as u8).into(),
                claims.issued_at.into(),
                claims.expires.into(),
                Cell::Blob(previous.map(|previous| previous.kid.0.to_vec())),
                Cell::Int(previous.map(|previous| bounded(previous.last_seq))),
                bytes.into(),
            ],
        )?;
        Ok(())
    }

    /// The epoch before it, as this KEY claims, has records behind the claimed last one, or another epoch behind it.
    pub(crate) fn goes_back(&self, topic: &Topic, claims: &Claims) -> Result<bool> {
        let Some(previous) = &claims.previous else { return Ok(false) };
        let query = "SELECT count(*) FROM epochs WHERE tenant = ?3 AND gateway = ?4
             AND ((kid = ?1 AND max_seq > ?2) OR previous_kid = ?1)";
        let names = [topic.tenant.as_str().into(), topic.gateway.as_str().into()];
        let cells = [previous.kid.into(), bounded(previous.last_seq).into()].into_iter().chain(names).collect();
        let found = self.sql.first(query, cells)?;
        Ok(found.map(|row| row.int(0)).transpose()?.unwrap_or(0) > 0)
    }

    pub(crate) fn refuse_epoch(&self, kid: Kid, topic: &Topic, reason: &Rejected) -> Result<()> {
        self.sql.execute(
            "INSERT INTO refused_epochs (kid, gateway, reason) SELECT ?1, ?2, ?3
             WHERE (SELECT count(*) FROM refused_epochs) < ?4 ON CONFLICT DO NOTHING",
            vec![kid.into(), topic.gateway.as_str().into(), reason.reason().into(), REFUSED_MAX.into()],
        )?;
        Ok(())
    }

    pub(crate) fn add_duplicate(&self, kid: Kid) -> Result<()> {
        self.update("UPDATE epochs SET duplicates = duplicates + 1 WHERE kid = ?1", kid)
    }

    pub(crate) fn add_order_violation(&self, kid: Kid) -> Result<()> {
        self.update("UPDATE epochs SET order_violations = order_violations + 1 WHERE kid = ?1", kid)
    }

    /// False if the record is there already.
    pub(crate) fn add_record(&self, record: &NewRecord<'_>) -> Result<bool> {
        let NewRecord { kid, seq, kind, digest, message, arrival } = *record;
        let added = self.sql.execute(
            "INSERT INTO records (kid, seq, kind, digest, arrival_us) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (kid, seq) DO NOTHING",
            vec![kid.into(), seq.into(), (kind as u8).into(), digest.into(), arrival.0.into()],
        )?;
        if added == 0 {
            return Ok(false);
        }
        self.sql.execute(
            "UPDATE epochs SET records = records + 1, bytes = bytes + ?2,
                max_seq = greatest(coalesce(max_seq, -1), ?3),
                first_arrival_us = coalesce(first_arrival_us, ?4), last_arrival_us = ?4 WHERE kid = ?1",
            vec![kid.into(), bounded(message.len() as u64).into(), seq.into(), arrival.0.into()],
        )?;
        let keep = "INSERT INTO messages (kid, seq, message) VALUES (?1, ?2, ?3)";
        self.sql.execute(keep, vec![kid.into(), seq.into(), message.into()])?;
        Ok(true)
    }

    pub(crate) fn set_close(&self, kid: Kid, close: &Close) -> Result<()> {
        let sql = "UPDATE epochs SET close_seq = ?2, close_readings = ?3, close_root = ?4 WHERE kid = ?1";
        let root = close.root.as_slice().into();
        self.sql.execute(sql, vec![kid.into(), close.seq.into(), close.readings.into(), root])?;
        Ok(())
    }

    pub(crate) fn set_root_state(&self, kid: Kid, is_right: bool) -> Result<()> {
        let state = if is_right { "right" } else { "wrong" };
        self.sql.execute("UPDATE epochs SET root_state = ?2 WHERE kid = ?1", vec![kid.into(), state.into()])?;
        Ok(())
    }

    fn one<T>(&self, query: &str, kid: Kid, read: impl FnOnce(&Row) -> Result<T>) -> Result<Option<T>> {
        self.sql.first(query, vec![kid.into()])?.map(|row| read(&row)).transpose()
    }

    fn update(&self, statement: &str, kid: Kid) -> Result<()> {
        self.sql.execute(statement, vec![kid.into()])?;
        Ok(())
    }
}

fn close(row: &Row) -> Result<Option<Close>> {
    let Some(seq) = row.opt_int(3)? else { return Ok(None) };
    Ok(Some(Close { seq, readings: row.int(4)?, root: row.blob(5)? }))
}

/// The stores' integers end at 2^63; a sender's count beyond it is a lie that stays visible.
pub(crate) fn bounded(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
