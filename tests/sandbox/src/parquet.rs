//! The opened data as one Parquet file: a row per reading, in the order of epochs and records.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use anyhow::{Context, Result};

use lingate_seal::Kid;

use crate::Store;
use crate::database::{Cell, Database, Row};
use crate::store::{ContextFilter, IN_CONTEXT};

const SCHEMA: &str = "
message lingate {
    REQUIRED BYTE_ARRAY dataset (UTF8);
    REQUIRED BYTE_ARRAY gateway (UTF8);
    REQUIRED BYTE_ARRAY point (UTF8);
    REQUIRED BYTE_ARRAY unit (UTF8);
    REQUIRED INT64 time (TIMESTAMP(MICROS, true));
    OPTIONAL INT64 source_time (TIMESTAMP(MICROS, true));
    REQUIRED BOOLEAN backfilled;
    REQUIRED INT32 status (INTEGER(32, false));
    OPTIONAL INT64 value_int;
    OPTIONAL DOUBLE value_real;
    OPTIONAL BYTE_ARRAY value_text (UTF8);
    OPTIONAL BYTE_ARRAY value_bytes;
    REQUIRED BYTE_ARRAY epoch;
    REQUIRED INT64 record;
}";
/// Records that are read at once, and written as one row group.
const RECORDS: i64 = 512;
/// Microseconds from 1601 to 1970.
const EPOCH_1601_US: i64 = 11_644_473_600_000_000;

impl Store {
    /// How many readings were written. `dataset`: only this one; `context`: only what was read in it.
    pub fn export_parquet(&self, path: &Path, dataset: Option<&str>, context: Option<&ContextFilter>) -> Result<u64> {
        let schema = Arc::new(parse_message_type(SCHEMA).expect("the schema above is one"));
        let file = File::create(path).context("cannot create the file")?;
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new()))?;
        let mut written = 0;
        for epoch in
            self.sql.query("SELECT kid, dataset, coalesce(max_seq, -1) FROM epochs ORDER BY ordinal", vec![])?
        {
            if dataset.is_some_and(|only| epoch.text(1).as_deref().ok() != Some(only)) {
                continue;
            }
            let (kid, last) = (epoch.kid(0)?, epoch.int(2)?);
            for first in (0..=last).step_by(RECORDS as usize) {
                let rows = self.readings_of(kid, first, context)?;
                if !rows.is_empty() {
                    let mut group = writer.next_row_group()?;
                    write_rows(&mut group, &rows)?;
                    group.close()?;
                    written += rows.len() as u64;
                }
            }
        }
        writer.close()?;
        Ok(written)
    }

    fn readings_of(&self, kid: Kid, first: i64, context: Option<&ContextFilter>) -> Result<Vec<Row>> {
        let values = match self.sql {
            Database::Sqlite(_) => {
                "CASE typeof(r.value) WHEN 'integer' THEN r.value END, CASE typeof(r.value) WHEN 'real' THEN r.value END,
                 CASE typeof(r.value) WHEN 'text' THEN r.value END, CASE typeof(r.value) WHEN 'blob' THEN r.value END"
            }
            Database::Postgres(_) => "r.value_int, r.value_real, r.value_text, r.value_bytes",
        };
        let query = format!(
            "SELECT e.dataset, e.gateway, p.name, p.unit, r.time_us, r.source_ticks, r.backfilled, r.status, {values},
                r.kid, r.seq
             FROM readings r JOIN epochs e USING (kid) JOIN points p ON p.kid = r.kid AND p.alias = r.alias
             WHERE {} ORDER BY r.seq, r.at",
            match context {
                Some(_) => format!("r.kid = ?3 AND r.seq >= ?4 AND r.seq < ?5 AND {IN_CONTEXT}"),
                None => "r.kid = ?1 AND r.seq >= ?2 AND r.seq < ?3".to_owned(),
            }
        );
        let mut cells: Vec<Cell> = context.map_or_else(Vec::new, |filter| filter.cells().into());
        cells.extend([kid.into(), first.into(), (first + RECORDS).into()]);
        Ok(self.sql.query(&query, cells)?)
    }
}

fn write_rows(group: &mut SerializedRowGroupWriter<'_, File>, rows: &[Row]) -> Result<()> {
    for at in 0..4 {
        required::<ByteArrayType>(group, rows, |row| Ok(row.text(at)?.into_bytes().into()))?;
    }
    required::<Int64Type>(group, rows, |row| Ok(row.int(4)?))?;
    optional::<Int64Type>(group, rows, |row| Ok(row.opt_int(5)?.map(|ticks| ticks / 10 - EPOCH_1601_US)))?;
    required::<BoolType>(group, rows, |row| Ok(row.int(6)? != 0))?;
    // Parquet keeps an unsigned 32-bit integer in the bits of a signed one.
    required::<Int32Type>(group, rows, |row| Ok(row.int(7)? as u32 as i32))?;
    optional::<Int64Type>(group, rows, |row| Ok(row.opt_int(8)?))?;
    optional::<DoubleType>(group, rows, |row| {
        Ok(match row.0[9] {
            Cell::Real(real) => real,
            _ => None,
        })
    })?;
    optional::<ByteArrayType>(group, rows, |row| {
        Ok(match &row.0[10] {
            Cell::Text(text) => text.as_ref().map(|text| text.as_bytes().to_vec().into()),
            _ => None,
        })
    })?;
    optional::<ByteArrayType>(group, rows, |row| Ok(row.opt_blob(11)?.map(ByteArray::from)))?;
    required::<ByteArrayType>(group, rows, |row| Ok(row.blob(12)?.into()))?;
    required::<Int64Type>(group, rows, |row| Ok(row.int(13)?))
}

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: &[Row],
    value: impl Fn(&Row) -> Result<T::T>,
) -> Result<()> {
    let values: Vec<T::T> = rows.iter().map(value).collect::<Result<_>>()?;
    let mut column = group.next_column()?.context("the schema has a column for it")?;
    column.typed::<T>().write_batch(&values, None, None)?;
    Ok(column.close()?)
}

fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: &[Row],
    value: impl Fn(&Row) -> Result<Option<T::T>>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = rows.iter().map(value).collect::<Result<_>>()?;
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = group.next_column()?.context("the schema has a column for it")?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(column.close()?)
}
