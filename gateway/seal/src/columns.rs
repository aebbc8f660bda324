//! From readings to columns: what makes a reading cost about one byte.

use std::collections::BTreeMap;

use lingate_model::{BuiltinType, Origin, StatusCode, Value};
use lingate_refine::{ContextRun, PointPlan, Stamp};

use crate::blocks::Gatherer;
use crate::catalogue::scale_of;
use crate::counts::Counts;
use crate::plain::{Form, to_integer, to_text};
use crate::scale::{Scale, widen};
use crate::times::{TimesEncoder, base, push_span};
use crate::{datum, wire};

const NO_SLOT: u32 = u32::MAX;

/// A reading on its way into a batch.
pub(crate) struct Entry<'a> {
    pub(crate) alias: u32,
    pub(crate) stamp: &'a Stamp,
    pub(crate) value: Option<&'a Value>,
    pub(crate) status: StatusCode,
}

/// Fills one batch after the other and keeps the memory of the last.
pub(crate) struct ColumnEncoder {
    points: Vec<Shape>,
    rows: Rows,
    open: Vec<OpenColumn>,
    /// Place of an alias in `open` and in the batch's columns.
    slots: Vec<u32>,
    free: Vec<wire::Column>,
    gatherer: Gatherer,
}

#[derive(Clone, Copy)]
struct Shape {
    builtin_type: BuiltinType,
    rank: u8,
    scale: Option<Scale>,
}

impl Shape {
    fn form(self) -> Form {
        if self.rank > 0 { Form::Datum } else { Form::of(self.builtin_type) }
    }

    fn fits(self, value: &Value) -> bool {
        let is_type = self.builtin_type == BuiltinType::Variant || self.builtin_type == value.builtin_type();
        is_type && value.rank() == self.rank
    }
}

impl ColumnEncoder {
    /// `points` by alias.
    pub(crate) fn new<'a>(points: impl Iterator<Item = &'a PointPlan>) -> ColumnEncoder {
        let shape =
            |point: &PointPlan| Shape { builtin_type: point.exported_type(), rank: point.rank, scale: scale_of(point) };
        let points: Vec<Shape> = points.map(shape).collect();
        let slots = vec![NO_SLOT; points.len()];
        let (rows, gatherer) = Default::default();
        ColumnEncoder { points, rows, open: Vec::new(), slots, free: Vec::new(), gatherer }
    }

    /// Replaces times, columns, blocks and context of `batch`. Every alias is one of the epoch's points. `context` ascends by start.
    pub(crate) fn encode<'a>(
        &mut self,
        entries: impl Iterator<Item = Entry<'a>>,
        context: &[ContextRun],
        batch: &mut wire::Batch,
    ) {
        self.reset(batch);
        let mut runs = context.iter().peekable();
        let mut began = Began::default();
        for (place, entry) in entries.enumerate() {
            let slot = self.slot(entry.alias, batch);
            let (open, column) = (&mut self.open[slot], &mut batch.columns[slot]);
            let row = self.rows.row(entry.stamp.gateway_time.0, open.next_row);
            open.push(row, &entry, column);
            while let Some(run) = runs.next_if(|run| run.start <= place) {
                batch.context.push(began.run(run, row));
            }
        }
        // What changed behind the last reading holds for none of this batch.
        batch.context.extend(runs.map(|run| began.run(run, self.rows.count())));
        let rows = self.rows.write(batch);
        for (open, column) in self.open.iter_mut().zip(&mut batch.columns) {
            if open.entries == rows {
                column.row.clear();
            }
            column.source_time = open.source_time.finish(open.entries);
            column.server_time = open.server_time.finish(open.entries);
            column.places = open.counts.places().filter(|_| !column.v.is_empty());
        }
        self.gatherer.gather(batch, &mut self.free);
    }

    fn reset(&mut self, batch: &mut wire::Batch) {
        self.rows.clear();
        batch.context.clear();
        for open in self.open.drain(..) {
            self.slots[open.alias as usize] = NO_SLOT;
        }
        self.gatherer.reset(batch);
        for mut column in batch.columns.drain(..) {
            column.v.clear();
            column.row.clear();
            column.f.clear();
            column.status.clear();
            column.s.clear();
            column.backfilled.clear();
            self.free.push(column);
        }
    }

    fn slot(&mut self, alias: u32, batch: &mut wire::Batch) -> usize {
        let slot = &mut self.slots[alias as usize];
        if *slot == NO_SLOT {
            *slot = self.open.len() as u32;
            self.open.push(OpenColumn::new(alias, self.points[alias as usize]));
            batch.columns.push(wire::Column { alias, ..self.free.pop().unwrap_or_default() });
        }
        *slot as usize
    }
}

/// The row at which each alias's newest run began.
#[derive(Default)]
struct Began(BTreeMap<u32, u32>);

impl Began {
    /// From this row on; an empty value: it ended, or nobody knows. A reading that shares the row of an earlier time does not
    /// take a run back before the alias's run before it: a receiver refuses runs that do not ascend.
    fn run(&mut self, run: &ContextRun, row: u32) -> wire::Run {
        let start_row = row.max(self.0.get(&run.alias).copied().unwrap_or(0));
        self.0.insert(run.alias, start_row);
        let value = run.value.as_ref().map_or_else(Vec::new, datum::encode);
        wire::Run { kind: run.kind as i32, start_row, value, alias: run.alias }
    }
}

/// What is known of a column while it grows.
struct OpenColumn {
    alias: u32,
    shape: Shape,
    /// The column may use this row or a later one.
    next_row: u32,
    entries: u32,
    last: i64,
    counts: Counts,
    source_time: TimesEncoder,
    server_time: TimesEncoder,
}

impl OpenColumn {
    fn new(alias: u32, shape: Shape) -> OpenColumn {
        let (source_time, server_time) = Default::default();
        let counts = match shape.builtin_type.is_floating() {
            true => Counts::of(shape.scale),
            false => Counts::None,
        };
        OpenColumn { alias, shape, next_row: 0, entries: 0, last: 0, counts, source_time, server_time }
    }

    fn push(&mut self, row: u32, entry: &Entry<'_>, column: &mut wire::Column) {
        let previous = if self.entries == 0 { 0 } else { self.next_row - 1 };
        column.row.push(row - previous);
        self.next_row = row + 1;
        let status = match entry.value {
            _ if entry.status.is_bad() => entry.status,
            None => StatusCode::BAD_NO_DATA,
            Some(value) if !self.shape.fits(value) => StatusCode::BAD_TYPE_MISMATCH,
            Some(value) => {
                self.push_value(value, column);
                entry.status
            }
        };
        push_status(self.entries, status, &mut column.status);
        self.push_stamp(entry.stamp, column);
        self.entries += 1;
    }

    fn push_stamp(&mut self, stamp: &Stamp, column: &mut wire::Column) {
        let row = base(stamp.gateway_time.0);
        self.source_time.push(self.entries, stamp.source_time, row);
        let nearest = stamp.source_time.map_or(row, |time| time.0);
        self.server_time.push(self.entries, stamp.server_time, nearest);
        if stamp.origin == Origin::Backfilled {
            push_span(self.entries, &mut column.backfilled);
        }
    }

    fn push_value(&mut self, value: &Value, column: &mut wire::Column) {
        match value {
            value if self.shape.form() == Form::Datum => column.s.push(datum::encode(value)),
            Value::Double(v) => self.push_float(*v, |scale| scale.count(*v), column),
            Value::Float(v) => self.push_float(widen(*v), |scale| scale.count_f32(*v), column),
            plain => match to_integer(plain) {
                Some(n) => self.push_integer(n, column),
                None => column.s.push(to_text(plain).unwrap_or_default().to_vec()),
            },
        }
    }

    fn push_integer(&mut self, value: i64, column: &mut wire::Column) {
        column.v.push(value.wrapping_sub(self.last));
        self.last = value;
    }

    fn push_float(&mut self, value: f64, count: impl Fn(Scale) -> Option<i64>, column: &mut wire::Column) {
        let Some(counted) = self.counts.count(count) else {
            self.leave_counts(column);
            column.f.push(value);
            return;
        };
        if counted.lift > 1 {
            column.v.iter_mut().chain([&mut self.last]).for_each(|count| *count *= counted.lift);
        }
        self.push_integer(counted.count, column);
    }

    /// The counts so far give their values back exactly: that is what they were checked for.
    fn leave_counts(&mut self, column: &mut wire::Column) {
        let Some(scale) = std::mem::replace(&mut self.counts, Counts::None).scale() else { return };
        let mut count = 0_i64;
        for delta in column.v.drain(..) {
            count = count.wrapping_add(delta);
            let value = scale.value(count);
            column.f.push(if self.shape.builtin_type == BuiltinType::Float { widen(value as f32) } else { value });
        }
    }
}

fn push_status(entry: u32, status: StatusCode, runs: &mut Vec<wire::StatusRun>) {
    match runs.last_mut() {
        _ if status == StatusCode::GOOD => {}
        Some(run) if run.code == status.0 && run.start + run.len == entry => run.len += 1,
        _ => runs.push(wire::StatusRun { start: entry, len: 1, code: status.0 }),
    }
}

/// The batch's times, in the order in which they were first seen.
#[derive(Default)]
struct Rows {
    times: Vec<i64>,
    /// The latest row of a time.
    latest: BTreeMap<i64, u32>,
    differences: Vec<i64>,
}

impl Rows {
    fn clear(&mut self) {
        self.times.clear();
        self.latest.clear();
    }

    fn count(&self) -> u32 {
        self.times.len() as u32
    }

    /// The row of this time at or behind `from`, opened if there is none.
    fn row(&mut self, time_us: i64, from: u32) -> u32 {
        let known = match self.times.last() {
            Some(last) if *last == time_us => Some(self.times.len() as u32 - 1),
            _ => self.latest.get(&time_us).copied(),
        };
        if let Some(row) = known.filter(|row| *row >= from) {
            return row;
        }
        let row = self.times.len() as u32;
        self.times.push(time_us);
        self.latest.insert(time_us, row);
        row
    }

    /// Gives the number of rows.
    fn write(&mut self, batch: &mut wire::Batch) -> u32 {
        batch.t0_us = self.times.first().copied().unwrap_or(0);
        batch.rows = self.times.len() as u32;
        batch.dt_us = self.interval();
        let interval = i64::from(batch.dt_us);
        batch.dt_dev.clear();
        batch.dt_dev.extend(self.times.windows(2).map(|pair| difference(pair).wrapping_sub(interval)));
        if batch.dt_dev.iter().all(|deviation| *deviation == 0) {
            batch.dt_dev.clear();
        }
        batch.rows
    }

    /// The median difference, if it makes the deviations shorter than the differences are.
    fn interval(&mut self) -> u32 {
        self.differences.clear();
        self.differences.extend(self.times.windows(2).map(difference));
        if self.differences.is_empty() {
            return 0;
        }
        let middle = self.differences.len() / 2;
        let (_, median, _) = self.differences.select_nth_unstable(middle);
        let Some(interval) = u32::try_from(*median).ok() else { return 0 };
        let cost = |interval: i64| -> u32 { self.differences.iter().map(|d| bits(d.wrapping_sub(interval))).sum() };
        if cost(interval.into()) < cost(0) { interval } else { 0 }
    }
}

fn difference(pair: &[i64]) -> i64 {
    pair[1].wrapping_sub(pair[0])
}

/// Bits that zigzag leaves to write.
fn bits(value: i64) -> u32 {
    64 - ((value << 1) ^ (value >> 63)).leading_zeros()
}
