//! What records contain: catalogue, lineage, readings, counts, gaps.

use lingate_model::{Origin, Value};
use lingate_seal::{DecodedReading, Kid, wire};

use super::{Result, bounded};
use crate::database::{Cell, Database};
use crate::{Store, json};

impl Store {
    pub(crate) fn add_catalogue(&self, kid: Kid, body: &[u8], catalogue: &wire::Catalogue) -> Result<()> {
        self.sql.execute("UPDATE epochs SET catalogue = ?2 WHERE kid = ?1", vec![kid.into(), body.into()])?;
        let point = |tag: &wire::Tag| {
            vec![
                kid.into(),
                tag.alias.into(),
                text(&tag.name),
                tag.builtin_type.into(),
                tag.dimensions.into(),
                text(&tag.ucum),
                text(&tag.equipment),
                text(&tag.source),
                tag.interval_ms.into(),
            ]
        };
        self.sql.execute_each(
            "INSERT INTO points (kid, alias, name, builtin_type, dimensions, unit, equipment, source, interval_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            catalogue.tags.iter().map(point).collect(),
        )?;
        let device = |wire::Device { name, vendor, product, revision, security }: &wire::Device| {
            vec![kid.into(), text(name), text(vendor), text(product), text(revision), text(security)]
        };
        self.sql.execute_each(
            "INSERT INTO devices VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            catalogue.devices.iter().map(device).collect(),
        )?;
        Ok(())
    }

    pub(crate) fn add_lineage(&self, kid: Kid, document: &[u8]) -> Result<()> {
        self.sql.execute("UPDATE epochs SET lineage = ?2 WHERE kid = ?1", vec![kid.into(), document.into()])?;
        Ok(())
    }

    pub(crate) fn add_readings(&self, kid: Kid, seq: i64, readings: &[DecodedReading]) -> Result<()> {
        let (values, numbers) = match self.sql {
            Database::Sqlite(_) => ("value", "?10"),
            Database::Postgres(_) => ("value_int, value_real, value_text, value_bytes", "?10, ?11, ?12, ?13"),
        };
        let row = |(at, reading): (usize, &DecodedReading)| {
            let mut row: Vec<Cell> = vec![
                kid.into(),
                seq.into(),
                bounded(at as u64).into(),
                reading.alias.into(),
                reading.time_us.into(),
                Cell::Int(reading.source_time.map(|time| time.0)),
                Cell::Int(reading.server_time.map(|time| time.0)),
                (reading.origin == Origin::Backfilled).into(),
                reading.status.0.into(),
            ];
            row.extend(cells_of(&self.sql, reading.value.as_ref()));
            row
        };
        self.sql.execute_each(
            &format!(
                "INSERT INTO readings (kid, seq, at, alias, time_us, source_ticks, server_ticks, backfilled, status,
                    {values}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, {numbers})"
            ),
            readings.iter().enumerate().map(row).collect(),
        )?;
        let times = || readings.iter().map(|reading| reading.time_us);
        let bad = readings.iter().filter(|reading| reading.status.is_bad()).count();
        self.sql.execute(
            "UPDATE epochs SET readings = readings + ?2, bad_readings = bad_readings + ?3,
                oldest_us = least(coalesce(oldest_us, ?4), coalesce(?4, oldest_us)),
                newest_us = greatest(coalesce(newest_us, ?5), coalesce(?5, newest_us)) WHERE kid = ?1",
            vec![
                kid.into(),
                bounded(readings.len() as u64).into(),
                bounded(bad as u64).into(),
                times().min().into(),
                times().max().into(),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn add_steps(&self, kid: Kid, steps: &[wire::StepCount]) -> Result<()> {
        let row = |step: &wire::StepCount| {
            vec![kid.into(), step.step.into(), bounded(step.seen).into(), bounded(step.kept).into()]
        };
        self.sql.execute_each(
            "INSERT INTO steps (kid, step, seen, kept) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kid, step) DO UPDATE SET seen = steps.seen + excluded.seen, kept = steps.kept + excluded.kept",
            steps.iter().map(row).collect(),
        )?;
        Ok(())
    }

    pub(crate) fn add_gap(&self, kid: Kid, seq: i64, gap: &wire::Gap) -> Result<()> {
        let is_records = !gap.kid.is_empty();
        let of_records = |number: u64| Cell::Int(is_records.then_some(bounded(number)));
        let of_slots = |time: i64| Cell::Int((!is_records).then_some(time));
        self.sql.execute(
            "INSERT INTO gaps (kid, seq, lost_kid, first_seq, last_seq, device, from_us, to_us, readings, cause,
                maybe_delivered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            vec![
                kid.into(),
                seq.into(),
                Cell::Blob(is_records.then(|| gap.kid.clone())),
                of_records(gap.first_seq),
                of_records(gap.last_seq),
                if is_records { Cell::Text(None) } else { text(&gap.device) },
                of_slots(gap.from_us),
                of_slots(gap.to_us),
                bounded(gap.readings).into(),
                gap.cause.into(),
                gap.maybe_delivered.into(),
            ],
        )?;
        Ok(())
    }
}

/// A value as the columns of `readings` hold it.
pub(crate) fn cells_of(sql: &Database, value: Option<&Value>) -> Vec<Cell> {
    let value = value.map_or(Cell::Int(None), cell);
    match sql {
        Database::Sqlite(_) => vec![dynamic(value)],
        Database::Postgres(_) => by_type(value).into(),
    }
}

/// PostgreSQL's TEXT has no NUL, and a peer wrote this.
fn text(text: &str) -> Cell {
    Cell::Text(Some(text.replace('\0', "\u{fffd}")))
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Boolean(v) => (*v).into(),
        Value::SByte(v) => i64::from(*v).into(),
        Value::Byte(v) => (*v).into(),
        Value::Int16(v) => i64::from(*v).into(),
        Value::UInt16(v) => i64::from(*v).into(),
        Value::Int32(v) => (*v).into(),
        Value::UInt32(v) | Value::StatusCode(v) => (*v).into(),
        Value::Int64(v) | Value::DateTime(v) => (*v).into(),
        Value::UInt64(v) => i64::try_from(*v).map_or_else(|_| v.to_string().into(), Cell::from),
        Value::Float(v) => f64::from(*v).into(),
        Value::Double(v) => (*v).into(),
        Value::String(v) => v.to_string().into(),
        Value::Guid(v) => v[..].into(),
        Value::ByteString(v) => v[..].into(),
        Value::Text { text, .. } => text.to_string().into(),
        Value::LocalizedText { .. } | Value::Array(_) | Value::Structure(_) => json::of(value).into(),
        Value::Null => Cell::Int(None),
        Value::Opaque { body, .. } => body[..].into(),
    }
}

/// SQLite has no NaN: it would become NULL, which means "bad".
fn dynamic(value: Cell) -> Cell {
    match value {
        Cell::Real(Some(real)) if real.is_nan() => "NaN".into(),
        other => other,
    }
}

/// A column per type; a text that PostgreSQL cannot hold goes to the bytes.
fn by_type(value: Cell) -> [Cell; 4] {
    let mut cells = [Cell::Int(None), Cell::Real(None), Cell::Text(None), Cell::Blob(None)];
    match value {
        Cell::Int(_) => cells[0] = value,
        Cell::Real(_) => cells[1] = value,
        Cell::Text(Some(text)) if text.contains('\0') => cells[3] = text.into_bytes().into(),
        Cell::Text(_) => cells[2] = value,
        Cell::Blob(_) => cells[3] = value,
    }
    cells
}
