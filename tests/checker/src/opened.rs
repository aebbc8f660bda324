//! R and G: what the receiver's store holds, read as anybody would read it, with SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use lingate_seal::GapCause;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use crate::Identity;

#[derive(Clone, Debug, Default)]
pub struct Opened {
    pub epochs: BTreeMap<String, Epoch>,
    /// By identity.
    pub records: BTreeMap<Identity, Record>,
    pub gaps: Vec<Gap>,
    /// In the order of their streams. Only those of devices whose values are integers are kept.
    pub values: Vec<OpenedValue>,
    pub readings: u64,
    pub bad_readings: u64,
    /// Points as the catalogues name them: `device/point`.
    pub points: BTreeSet<String>,
    /// By epoch and minimization step.
    pub steps: Vec<Steps>,
    /// Reason and text.
    pub alarms: Vec<(String, String)>,
    /// Not taken, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records that wait for their KEY or catalogue.
    pub held: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Epoch {
    /// Of all epochs, by arrival of the KEYs.
    pub ordinal: i64,
    pub dataset: String,
    pub previous: Option<Identity>,
    pub close_seq: Option<u64>,
    pub duplicates: u64,
    pub order_violations: u64,
    pub readings: u64,
    pub wrong_root: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    pub arrival_us: i64,
    /// Opened ones.
    pub readings: u64,
}

#[derive(Clone, Debug)]
pub struct OpenedValue {
    pub point: String,
    pub kid: String,
    pub ordinal: i64,
    pub seq: u64,
    pub time_us: i64,
    /// `None`: bad, or nothing that such a device serves.
    pub value: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Gap {
    /// Of the record that declares it.
    pub kid: String,
    pub seq: u64,
    pub lost: Lost,
    pub readings: u64,
    pub cause: String,
    pub maybe_delivered: bool,
}

#[derive(Clone, Debug)]
pub enum Lost {
    Records { kid: String, first: u64, last: u64 },
    Slots { device: String, from_us: i64, to_us: i64 },
}

#[derive(Clone, Copy, Debug)]
pub struct Steps {
    pub step: i64,
    pub seen: u64,
    pub kept: u64,
}

impl Opened {
    /// `integers_of`: devices whose values are compared one by one.
    pub fn read(store: &Path, integers_of: &[&str]) -> Result<Opened> {
        let sql = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut opened = Opened::default();
        each(&sql, EPOCHS, |row| {
            let previous = row.get::<_, Option<String>>(3)?.zip(row.get::<_, Option<i64>>(4)?);
            let epoch = Epoch {
                ordinal: row.get(1)?,
                dataset: row.get(2)?,
                previous: previous.map(|(kid, last)| (kid, last.unsigned_abs())),
                close_seq: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
                duplicates: count(row, 6)?,
                order_violations: count(row, 7)?,
                readings: count(row, 8)?,
                wrong_root: row.get(9)?,
            };
            opened.bad_readings += count(row, 10)?;
            opened.readings += epoch.readings;
            opened.epochs.insert(row.get(0)?, epoch);
            Ok(())
        })?;
        each(&sql, RECORDS, |row| {
            let record = Record { arrival_us: row.get(2)?, readings: count(row, 3)? };
            opened.records.insert((row.get(0)?, count(row, 1)?), record);
            Ok(())
        })?;
        each(&sql, GAPS, |row| {
            opened.gaps.push(gap(row)?);
            Ok(())
        })?;
        each(&sql, "SELECT DISTINCT name FROM points", |row| {
            opened.points.insert(row.get(0)?);
            Ok(())
        })?;
        each(&sql, "SELECT step, seen, kept FROM steps", |row| {
            opened.steps.push(Steps { step: row.get(0)?, seen: count(row, 1)?, kept: count(row, 2)? });
            Ok(())
        })?;
        each(&sql, "SELECT reason, text FROM alarms", |row| {
            opened.alarms.push((row.get(0)?, row.get(1)?));
            Ok(())
        })?;
        each(&sql, "SELECT reason, count FROM rejected", |row| {
            opened.rejected.insert(row.get(0)?, count(row, 1)?);
            Ok(())
        })?;
        each(&sql, "SELECT count(*) FROM held", |row| {
            opened.held = count(row, 0)?;
            Ok(())
        })?;
        opened.read_values(&sql, integers_of)?;
        Ok(opened)
    }

    fn read_values(&mut self, sql: &Connection, devices: &[&str]) -> Result<()> {
        if devices.is_empty() {
            return Ok(());
        }
        each(sql, VALUES, |row| {
            let point: String = row.get(0)?;
            if point.split_once('/').is_some_and(|(device, _)| devices.contains(&device)) {
                let value = match row.get_ref(5)? {
                    ValueRef::Integer(value) => u32::try_from(value).ok(),
                    _ => None,
                };
                let (kid, ordinal, seq) = (row.get(1)?, row.get(2)?, count(row, 3)?);
                self.values.push(OpenedValue { point, kid, ordinal, seq, time_us: row.get(4)?, value });
            }
            Ok(())
        })
    }
}

const EPOCHS: &str = "SELECT lower(hex(kid)), ordinal, dataset, lower(hex(previous_kid)), previous_last_seq, close_seq, \
                      duplicates, order_violations, readings, coalesce(root_state = 'wrong', 0), bad_readings FROM epochs";
const RECORDS: &str = "SELECT lower(hex(kid)), seq, arrival_us, \
                       (SELECT count(*) FROM readings r WHERE r.kid = records.kid AND r.seq = records.seq) FROM records";
const GAPS: &str = "SELECT lower(hex(kid)), seq, lower(hex(lost_kid)), first_seq, last_seq, device, from_us, to_us, readings, \
                    cause, maybe_delivered FROM gaps";
const VALUES: &str = "SELECT p.name, lower(hex(r.kid)), e.ordinal, r.seq, r.time_us, r.value FROM readings r \
                      JOIN epochs e ON e.kid = r.kid JOIN points p ON p.kid = r.kid AND p.alias = r.alias \
                      ORDER BY e.ordinal, r.seq, r.at";

fn gap(row: &Row<'_>) -> rusqlite::Result<Gap> {
    let device: Option<String> = row.get(5)?;
    let lost = match device {
        Some(device) => Lost::Slots { device, from_us: row.get(6)?, to_us: row.get(7)? },
        None => Lost::Records { kid: row.get(2)?, first: count(row, 3)?, last: count(row, 4)? },
    };
    let cause = i32::try_from(row.get::<_, i64>(9)?).ok().and_then(GapCause::from_id);
    Ok(Gap {
        kid: row.get(0)?,
        seq: count(row, 1)?,
        lost,
        readings: count(row, 8)?,
        cause: cause.map_or_else(|| "unknown".to_owned(), |cause| format!("{cause:?}")),
        maybe_delivered: row.get(10)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn each(sql: &Connection, query: &str, mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Result<()> {
    let mut statement = sql.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
