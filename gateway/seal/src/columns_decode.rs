//! From columns back to readings. Every number here was chosen by the sender, so every one is checked before it is used.

use lingate_model::{BuiltinType, DeviceTime, Origin, StatusCode, Value};

use crate::blocks_decode;
use crate::plain::{Form, from_integer, from_text};
use crate::scale::{Scale, narrow};
use crate::times::{base, flags, offsets};
use crate::{datum, wire};

/// Readings, and rows, of one batch at most.
pub const BATCH_READINGS_MAX: usize = 131_072;
/// Tags of one catalogue at most.
pub const CATALOGUE_TAGS_MAX: usize = 16_384;

/// One reading as it left the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedReading {
    /// Place in the catalogue.
    pub alias: u32,
    /// When the gateway had it, microseconds since 1970.
    pub time_us: i64,
    /// As the device gave them.
    pub source_time: Option<DeviceTime>,
    pub server_time: Option<DeviceTime>,
    pub origin: Origin,
    /// `None` exactly if `status` is bad.
    pub value: Option<Value>,
    pub status: StatusCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRefused {
    #[error("the batch has more rows or readings than its bound")]
    TooLarge,
    #[error("the times do not fit to the number of rows")]
    Times,
    #[error("column {alias} is not in the catalogue, or its type is not known")]
    Alias { alias: u32 },
    #[error("column {alias} has rows that do not ascend within the batch")]
    Rows { alias: u32 },
    #[error("column {alias} has status runs that do not ascend within its entries")]
    Status { alias: u32 },
    #[error("column {alias} has device times or backfilled spans that do not fit to its entries")]
    Stamps { alias: u32 },
    #[error(
        "context of column {alias} is of another kind, does not ascend within the batch or has no value that can be read"
    )]
    Context { alias: u32 },
    #[error("column {alias} has values that do not fit to its type or to the number of its entries")]
    Values { alias: u32 },
}

/// The batch's readings in the order of rows, within a row in the order of columns. `catalogue` is the epoch's.
pub fn decode_batch(batch: &wire::Batch, catalogue: &wire::Catalogue) -> Result<Vec<DecodedReading>, BatchRefused> {
    let times = row_times(batch)?;
    let mut readings: Vec<(usize, DecodedReading)> = Vec::new();
    let gathered = blocks_decode::columns(batch)?;
    for column in batch.columns.iter().chain(&gathered) {
        let rows = entry_rows(column, times.len())?;
        if readings.len() + rows.len() > BATCH_READINGS_MAX {
            return Err(BatchRefused::TooLarge);
        }
        let mut values = Values::of(column, catalogue)?;
        let stamps = Stamps::of(column, rows.len()).ok_or(BatchRefused::Stamps { alias: column.alias })?;
        for (entry, (status, row)) in statuses(column, rows.len())?.into_iter().zip(rows).enumerate() {
            let value = if status.is_bad() { None } else { Some(values.next()?) };
            readings.push((row, stamps.reading(entry, column.alias, times[row], value, status)));
        }
        values.finish()?;
    }
    readings.sort_by_key(|(row, _)| *row);
    Ok(readings.into_iter().map(|(_, reading)| reading).collect())
}

pub(crate) fn row_times(batch: &wire::Batch) -> Result<Vec<i64>, BatchRefused> {
    let rows = batch.rows as usize;
    if rows > BATCH_READINGS_MAX {
        return Err(BatchRefused::TooLarge);
    }
    if !batch.dt_dev.is_empty() && batch.dt_dev.len() + 1 != rows {
        return Err(BatchRefused::Times);
    }
    let deviations = batch.dt_dev.iter().copied().chain(std::iter::repeat(0));
    let mut time = batch.t0_us;
    let later = deviations.map(|deviation| {
        time = time.wrapping_add(batch.dt_us.into()).wrapping_add(deviation);
        time
    });
    Ok(std::iter::once(batch.t0_us).chain(later).take(rows).collect())
}

/// The row of every entry.
pub(crate) fn entry_rows(column: &wire::Column, rows: usize) -> Result<Vec<usize>, BatchRefused> {
    if column.row.is_empty() {
        return Ok((0..rows).collect());
    }
    let refused = BatchRefused::Rows { alias: column.alias };
    if column.row.len() > rows || column.row.iter().skip(1).any(|delta| *delta == 0) {
        return Err(refused);
    }
    let mut row = 0_usize;
    let absolute = column.row.iter().map(|delta| {
        row = row.checked_add(*delta as usize).filter(|row| *row < rows)?;
        Some(row)
    });
    absolute.collect::<Option<_>>().ok_or(refused)
}

/// The status of every entry.
fn statuses(column: &wire::Column, entries: usize) -> Result<Vec<StatusCode>, BatchRefused> {
    let mut statuses = vec![StatusCode::GOOD; entries];
    let mut done = 0;
    for run in &column.status {
        let (start, length) = (run.start as usize, run.len as usize);
        let end = start.checked_add(length).filter(|end| start >= done && length > 0 && *end <= entries);
        done = end.ok_or(BatchRefused::Status { alias: column.alias })?;
        statuses[start..done].fill(StatusCode(run.code));
    }
    Ok(statuses)
}

/// What the device said about the times of a column's entries.
struct Stamps {
    source: Vec<Option<i64>>,
    server: Vec<Option<i64>>,
    backfilled: Vec<bool>,
}

impl Stamps {
    fn of(column: &wire::Column, entries: usize) -> Option<Stamps> {
        Some(Stamps {
            source: offsets(column.source_time.as_ref(), entries)?,
            server: offsets(column.server_time.as_ref(), entries)?,
            backfilled: flags(&column.backfilled, entries)?,
        })
    }

    fn reading(
        &self,
        entry: usize,
        alias: u32,
        time_us: i64,
        value: Option<Value>,
        status: StatusCode,
    ) -> DecodedReading {
        let row = base(time_us);
        let source_time = self.source[entry].map(|offset| DeviceTime(row.wrapping_add(offset)));
        let nearest = source_time.map_or(row, |time| time.0);
        let server_time = self.server[entry].map(|offset| DeviceTime(nearest.wrapping_add(offset)));
        let origin = if self.backfilled[entry] { Origin::Backfilled } else { Origin::Live };
        DecodedReading { alias, time_us, source_time, server_time, origin, value, status }
    }
}

/// Takes a column's values one by one.
struct Values<'a> {
    column: &'a wire::Column,
    builtin_type: BuiltinType,
    source: Source,
    taken: usize,
    sum: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Integers,
    Counts(Scale),
    Floats,
    Strings,
    /// With so many dimensions.
    Data(u32),
}

/// Of the tag, or of the column: never of both.
fn scale(column: &wire::Column, tag: &wire::Tag) -> Option<Scale> {
    match column.places {
        None => Scale::of_resolution(tag.scale),
        Some(places) if tag.scale == 0.0 => Scale::of_places(places.try_into().ok()?),
        Some(_) => None,
    }
}

impl<'a> Values<'a> {
    fn of(column: &'a wire::Column, catalogue: &wire::Catalogue) -> Result<Values<'a>, BatchRefused> {
        let alias = column.alias;
        let tag = catalogue.tags.get(alias as usize).filter(|tag| tag.alias == alias);
        let tag = tag.ok_or(BatchRefused::Alias { alias })?;
        let builtin_type = BuiltinType::from_id(tag.builtin_type).ok_or(BatchRefused::Alias { alias })?;
        let source = match Form::of(builtin_type) {
            _ if tag.dimensions > 0 => Source::Data(tag.dimensions),
            Form::Datum => Source::Data(0),
            Form::Integer => Source::Integers,
            Form::Text => Source::Strings,
            Form::Float if column.v.is_empty() => Source::Floats,
            Form::Float => Source::Counts(scale(column, tag).ok_or(BatchRefused::Values { alias })?),
        };
        if column.places.is_some() && !matches!(source, Source::Counts(_)) {
            return Err(BatchRefused::Values { alias });
        }
        Ok(Values { column, builtin_type, source, taken: 0, sum: 0 })
    }

    fn next(&mut self) -> Result<Value, BatchRefused> {
        let value = match self.source {
            Source::Integers => self.next_integer().and_then(|n| from_integer(self.builtin_type, n)),
            Source::Counts(scale) => self.next_integer().map(|n| self.counted(scale.value(n))),
            Source::Floats => self.column.f.get(self.taken).and_then(|f| self.floating(*f)),
            Source::Strings => self.column.s.get(self.taken).and_then(|s| from_text(self.builtin_type, s)),
            Source::Data(rank) => self.column.s.get(self.taken).and_then(|s| self.datum(rank, s)),
        };
        self.taken += 1;
        value.ok_or(self.refused())
    }

    /// All were taken, and the other two lists are empty.
    fn finish(self) -> Result<(), BatchRefused> {
        let expected = match self.source {
            Source::Integers | Source::Counts(_) => (self.taken, 0, 0),
            Source::Floats => (0, self.taken, 0),
            Source::Strings | Source::Data(_) => (0, 0, self.taken),
        };
        let found = (self.column.v.len(), self.column.f.len(), self.column.s.len());
        if found == expected { Ok(()) } else { Err(self.refused()) }
    }

    fn next_integer(&mut self) -> Option<i64> {
        self.sum = self.sum.wrapping_add(*self.column.v.get(self.taken)?);
        Some(self.sum)
    }

    fn counted(&self, value: f64) -> Value {
        match self.builtin_type {
            BuiltinType::Float => Value::Float(value as f32),
            _ => Value::Double(value),
        }
    }

    fn floating(&self, value: f64) -> Option<Value> {
        match self.builtin_type {
            BuiltinType::Float => narrow(value).map(Value::Float),
            _ => Some(Value::Double(value)),
        }
    }

    /// Of the tag's type, or of any if that is Variant.
    fn datum(&self, rank: u32, bytes: &[u8]) -> Option<Value> {
        let value = datum::decode(bytes).filter(|value| !matches!(value, Value::Null))?;
        let is_type = self.builtin_type == BuiltinType::Variant || value.builtin_type() == self.builtin_type;
        (is_type && u32::from(value.rank()) == rank).then_some(value)
    }

    fn refused(&self) -> BatchRefused {
        BatchRefused::Values { alias: self.column.alias }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn catalogue() -> wire::Catalogue {
        let tag = |(alias, (builtin_type, scale)): (u32, (BuiltinType, f64))| wire::Tag {
            alias,
            builtin_type: builtin_type as u32,
            scale,
            ..wire::Tag::default()
        };
        let types = [(BuiltinType::Byte, 1.0), (BuiltinType::Float, 0.0), (BuiltinType::Double, 0.1)];
        let types = types.into_iter().chain([(BuiltinType::String, 1.0), (BuiltinType::Guid, 1.0)]);
        wire::Catalogue { schema: 1, tags: (0..).zip(types).map(tag).collect(), devices: Vec::new() }
    }

    fn decode(rows: u32, column: wire::Column) -> Result<usize, BatchRefused> {
        let batch = wire::Batch { rows, columns: vec![column], ..wire::Batch::default() };
        decode_batch(&batch, &catalogue()).map(|readings| readings.len())
    }

    fn bytes(v: &[i64]) -> wire::Column {
        wire::Column { v: v.to_vec(), ..wire::Column::default() }
    }

    #[test]
    fn columns_that_lie_about_their_rows_are_refused() {
        let refused = Err(BatchRefused::Rows { alias: 0 });
        assert_eq!(decode(3, wire::Column { row: vec![0, 2], ..bytes(&[1, 1]) }), Ok(2));
        assert_eq!(decode(3, wire::Column { row: vec![0, 0], ..bytes(&[1, 1]) }), refused);
        assert_eq!(decode(3, wire::Column { row: vec![1, 2], ..bytes(&[1, 1]) }), refused);
        assert_eq!(decode(3, wire::Column { row: vec![u32::MAX, u32::MAX], ..bytes(&[1, 1]) }), refused);
        assert_eq!(decode(1, wire::Column { row: vec![0, 1], ..bytes(&[1, 1]) }), refused);
    }

    #[test]
    fn values_that_do_not_fit_to_type_or_number_are_refused() {
        let refused = |alias| Err(BatchRefused::Values { alias });
        for v in [&[1][..], &[1, 1, 1], &[1, 255], &[-1, 1], &[0, i64::MIN]] {
            assert_eq!(decode(2, bytes(v)), refused(0), "{v:?}");
        }
        assert_eq!(decode(1, wire::Column { f: vec![1.0], ..bytes(&[1]) }), refused(0));
        assert_eq!(decode(1, wire::Column { alias: 1, ..bytes(&[1]) }), refused(1), "the tag has no scale");
        let counted = |alias, places| decode(1, wire::Column { alias, places: Some(places), ..bytes(&[1]) });
        assert_eq!((counted(1, 0), counted(1, 15)), (Ok(1), Ok(1)), "but the column has");
        assert_eq!((counted(1, 16), counted(1, u32::MAX)), (refused(1), refused(1)));
        assert_eq!((counted(0, 1), counted(2, 1)), (refused(0), refused(2)), "no float, and a tag that has a scale");
        assert_eq!(decode(1, wire::Column { alias: 1, f: vec![0.1], ..bytes(&[]) }), refused(1), "no 32-bit float");
        assert_eq!(decode(1, wire::Column { alias: 3, s: vec![vec![0xff]], ..bytes(&[]) }), refused(3));
        assert_eq!(decode(1, wire::Column { alias: 4, s: vec![vec![1; 15]], ..bytes(&[]) }), refused(4));
        assert_eq!(decode(1, wire::Column { alias: 5, ..bytes(&[1]) }), Err(BatchRefused::Alias { alias: 5 }));
    }

    #[test]
    fn status_runs_that_overlap_or_go_beyond_the_entries_are_refused() {
        let run = |start, len| wire::StatusRun { start, len, code: 0x4000_0000 };
        for status in [vec![run(0, 2), run(1, 1)], vec![run(2, 2)], vec![run(0, 0)], vec![run(u32::MAX, u32::MAX)]] {
            assert_eq!(decode(3, wire::Column { status, ..bytes(&[1, 1, 1]) }), Err(BatchRefused::Status { alias: 0 }));
        }
    }

    #[test]
    fn a_batch_beyond_its_bound_is_refused_before_memory_is_taken() {
        assert_eq!(decode(u32::MAX, bytes(&[])), Err(BatchRefused::TooLarge));
        let bad = wire::StatusRun { start: 0, len: BATCH_READINGS_MAX as u32, code: 0x8000_0000 };
        let column = wire::Column { status: vec![bad], ..wire::Column::default() };
        let batch = wire::Batch {
            rows: BATCH_READINGS_MAX as u32,
            columns: vec![column.clone(), column],
            ..wire::Batch::default()
        };
        assert_eq!(decode_batch(&batch, &catalogue()), Err(BatchRefused::TooLarge));
        let batch = wire::Batch { rows: 3, dt_dev: vec![1], ..wire::Batch::default() };
        assert_eq!(decode_batch(&batch, &catalogue()), Err(BatchRefused::Times));
    }

    fn column() -> impl Strategy<Value = wire::Column> {
        let numbers = (0_u32..6, any::<Vec<i64>>(), proptest::collection::vec(0_u32..4, 0..9), any::<Vec<f64>>());
        let others = (any::<Vec<(u32, u32, u32)>>(), any::<Vec<Vec<u8>>>(), times(), times(), spans());
        (numbers, others).prop_map(|((alias, v, row, f), (runs, s, source_time, server_time, backfilled))| {
            let status = runs.into_iter().map(|(start, len, code)| wire::StatusRun { start, len, code }).collect();
            wire::Column { alias, v, row, f, status, s, source_time, server_time, backfilled, places: None }
        })
    }

    fn times() -> impl Strategy<Value = Option<wire::Times>> {
        let times = (any::<Vec<i64>>(), spans()).prop_map(|(offsets, entries)| wire::Times { offsets, entries });
        proptest::option::of(times)
    }

    fn spans() -> impl Strategy<Value = Vec<wire::Span>> {
        proptest::collection::vec((0_u32..6, 0_u32..6).prop_map(|(start, len)| wire::Span { start, len }), 0..3)
    }

    #[test]
    fn device_times_that_do_not_fit_to_the_entries_are_refused() {
        let stamped = |offsets: Vec<i64>| {
            let source_time = Some(wire::Times { offsets, entries: Vec::new() });
            decode(2, wire::Column { source_time, ..bytes(&[1, 1]) })
        };
        assert_eq!(stamped(vec![1, 1]), Ok(2));
        assert_eq!(stamped(vec![1]), Err(BatchRefused::Stamps { alias: 0 }));
        let backfilled = vec![wire::Span { start: 1, len: 2 }];
        let refused = decode(2, wire::Column { backfilled, ..bytes(&[1, 1]) });
        assert_eq!(refused, Err(BatchRefused::Stamps { alias: 0 }));
    }

    proptest! {
        #[test]
        fn any_batch_ends_without_panic(
            t0_us: i64, rows in 0_u32..9, dt_us: u32, dt_dev: Vec<i64>,
            columns in proptest::collection::vec(column(), 0..4),
        ) {
            let batch = wire::Batch { t0_us, rows, dt_us, dt_dev, columns, ..wire::Batch::default() };
            let _ = decode_batch(&batch, &catalogue());
        }
    }
}
