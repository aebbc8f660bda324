//! From context runs to the readings that they speak of. Every number here was chosen by the sender.

use std::collections::BTreeMap;

use lingate_model::Value;

use crate::columns_decode::{entry_rows, row_times};
use crate::{BATCH_READINGS_MAX, BatchRefused, blocks_decode, datum, wire};

/// A part of a batch in which a context point said one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedContext {
    /// Of the context tag.
    pub alias: u32,
    pub kind: wire::ContextKind,
    /// `None`: it ended, or nobody knows.
    pub value: Option<Value>,
    /// Places in what [`crate::decode_batch`] gives: from the first to, without it, the second. Empty if the context began
    /// behind the last reading.
    pub readings: (usize, usize),
    /// Times of the first and last of its rows, microseconds since 1970; `None` without rows.
    pub time_us: Option<(i64, i64)>,
}

/// The runs of a batch, in their order.
pub fn decode_context(batch: &wire::Batch, catalogue: &wire::Catalogue) -> Result<Vec<DecodedContext>, BatchRefused> {
    if batch.context.len() > BATCH_READINGS_MAX {
        return Err(BatchRefused::TooLarge);
    }
    let times = row_times(batch)?;
    let mut rows: Vec<usize> = Vec::new();
    for column in &batch.columns {
        rows.extend(entry_rows(column, times.len())?);
        if rows.len() > BATCH_READINGS_MAX {
            return Err(BatchRefused::TooLarge);
        }
    }
    rows.extend(blocks_decode::rows(batch, times.len())?);
    if rows.len() > BATCH_READINGS_MAX {
        return Err(BatchRefused::TooLarge);
    }
    rows.sort_unstable();
    // From the last to the first, so that each knows where the next of its alias begins.
    let mut starts: BTreeMap<u32, usize> = BTreeMap::new();
    let mut decoded = Vec::with_capacity(batch.context.len());
    for run in batch.context.iter().rev() {
        let next = starts.insert(run.alias, run.start_row as usize).unwrap_or(times.len());
        decoded.push(one(run, next, catalogue, &times, &rows)?);
    }
    decoded.reverse();
    Ok(decoded)
}

fn one(
    run: &wire::Run,
    next: usize,
    catalogue: &wire::Catalogue,
    times: &[i64],
    rows: &[usize],
) -> Result<DecodedContext, BatchRefused> {
    let alias = run.alias;
    let refused = BatchRefused::Context { alias };
    let kind = wire::ContextKind::try_from(run.kind).map_err(|_| refused)?;
    let tag = catalogue.tags.get(alias as usize).filter(|tag| tag.alias == alias && tag.context == run.kind);
    tag.ok_or(refused)?;
    let start = run.start_row as usize;
    if start > next || next > times.len() {
        return Err(refused);
    }
    let value = match run.value.as_slice() {
        [] => None,
        bytes => Some(datum::decode(bytes).ok_or(refused)?),
    };
    let place = |row: usize| rows.partition_point(|of| *of < row);
    let time_us = times[start..next].first().copied().zip(times[start..next].last().copied());
    Ok(DecodedContext { alias, kind, value, readings: (place(start), place(next)), time_us })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::time::Duration;

    use lingate_model::{BuiltinType, Class, Origin, PointId, StatusCode, UtcMicros};
    use lingate_refine::{ContextKind, ContextRun, DatasetIndex, Export, PointPlan, Stamp};
    use proptest::prelude::*;

    use super::*;
    use crate::columns::{ColumnEncoder, Entry};

    fn catalogue() -> wire::Catalogue {
        let batch = wire::Tag { context: wire::ContextKind::Batch as i32, builtin_type: 12, ..wire::Tag::default() };
        let other = wire::Tag { alias: 1, builtin_type: 3, scale: 1.0, ..wire::Tag::default() };
        wire::Catalogue { schema: 1, tags: vec![batch, other], devices: Vec::new() }
    }

    fn run(start_row: u32, value: Option<&str>) -> wire::Run {
        let value = value.map_or_else(Vec::new, |text| datum::encode(&Value::String(text.into())));
        wire::Run { kind: wire::ContextKind::Batch as i32, start_row, value, alias: 0 }
    }

    fn decode(context: Vec<wire::Run>) -> Result<Vec<DecodedContext>, BatchRefused> {
        let column = wire::Column { alias: 1, v: vec![1; 4], ..wire::Column::default() };
        let batch =
            wire::Batch { t0_us: 100, dt_us: 10, rows: 4, columns: vec![column], context, ..wire::Batch::default() };
        decode_context(&batch, &catalogue())
    }

    #[test]
    fn a_run_holds_until_the_next_one_of_its_point() {
        let found = decode(vec![run(0, Some("4711")), run(1, None), run(3, Some("4712"))]).unwrap();
        let text = |value: &Option<Value>| match value {
            Some(Value::String(text)) => Some(text.to_string()),
            _ => None,
        };
        let told: Vec<_> = found.iter().map(|run| (text(&run.value), run.readings, run.time_us)).collect();
        let expected = [
            (Some("4711".to_owned()), (0, 1), Some((100, 100))),
            (None, (1, 3), Some((110, 120))),
            (Some("4712".to_owned()), (3, 4), Some((130, 130))),
        ];
        assert_eq!(told, expected);
        let behind = decode(vec![run(4, Some("4711"))]).unwrap();
        assert_eq!((behind[0].readings, behind[0].time_us), ((4, 4), None));
    }

    #[test]
    fn a_run_that_lies_about_itself_is_refused() {
        let refused = Err(BatchRefused::Context { alias: 0 });
        assert_eq!(decode(vec![run(5, None)]), refused, "behind the rows");
        assert_eq!(decode(vec![run(2, None), run(1, None)]), refused, "backwards");
        assert_eq!(decode(vec![wire::Run { kind: 77, ..run(0, None) }]), refused);
        assert_eq!(decode(vec![wire::Run { kind: 2, ..run(0, None) }]), refused, "the tag is no phase");
        assert_eq!(decode(vec![wire::Run { value: vec![0xff], ..run(0, None) }]), refused);
        let stranger = decode(vec![wire::Run { alias: 7, ..run(0, None) }]);
        assert_eq!(stranger, Err(BatchRefused::Context { alias: 7 }));
        assert_eq!(decode(vec![wire::Run { alias: 1, ..run(0, None) }]), Err(BatchRefused::Context { alias: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_sealed_with_contexts_and_equal_or_earlier_times_is_understood(
            readings in proptest::collection::vec((0_u32..4, 0_i64..6), 1..30),
            changes in proptest::collection::vec((0_usize..31, 0_u32..2, proptest::option::of("[a-c]")), 0..12),
        ) {
            check(&readings, &changes);
            let ascending: Vec<_> = (0..).zip(&readings).map(|(time, (alias, _))| (*alias, time)).collect();
            for (start, next, run) in check(&ascending, &changes) {
                prop_assert_eq!(run.readings, (start, next), "at the very reading, where each has its own time");
            }
        }
    }

    /// Start, start of the next run of the alias, and what a receiver makes of it, by run.
    fn check(readings: &[(u32, i64)], changes: &[(usize, u32, Option<String>)]) -> Vec<(usize, usize, DecodedContext)> {
        let points: Vec<PointPlan> = (0..4).map(point).collect();
        let tag = |alias| wire::Tag { alias, context: ContextKind::Batch as i32, ..wire::Tag::default() };
        let catalogue = wire::Catalogue { tags: (0..2).map(tag).collect(), ..wire::Catalogue::default() };
        let mut runs: Vec<ContextRun> = changes.iter().map(|change| changed(change, readings.len())).collect();
        runs.sort_by_key(|run| run.start);
        let stamps: Vec<(u32, Stamp)> = readings.iter().map(|(alias, time)| (*alias, stamp(*time))).collect();
        let value = Value::Int32(1);
        let (value, status) = (Some(&value), StatusCode::GOOD);
        let entries = stamps.iter().map(|(alias, stamp)| Entry { alias: *alias, stamp, value, status });
        let mut batch = wire::Batch::default();
        ColumnEncoder::new(points.iter()).encode(entries, &runs, &mut batch);
        let decoded = decode_context(&batch, &catalogue).unwrap();
        assert_eq!(decoded.len(), runs.len());
        let next = |place: usize| runs[place + 1..].iter().find(|later| later.alias == runs[place].alias);
        let told = decoded.into_iter().enumerate().map(|(place, run)| {
            assert_eq!((run.alias, &run.value), (runs[place].alias, &runs[place].value));
            (runs[place].start, next(place).map_or(readings.len(), |next| next.start), run)
        });
        told.collect()
    }

    fn changed((start, alias, text): &(usize, u32, Option<String>), readings: usize) -> ContextRun {
        let value = text.as_ref().map(|text| Value::String(text.as_str().into()));
        ContextRun { kind: ContextKind::Batch, alias: *alias, start: (*start).min(readings), value }
    }

    fn stamp(time: i64) -> Stamp {
        Stamp { gateway_time: UtcMicros(time), source_time: None, server_time: None, origin: Origin::Live }
    }

    fn point(alias: u32) -> PointPlan {
        PointPlan {
            id: PointId(alias),
            name: "d/p".to_owned(),
            export: Some(Export::new(DatasetIndex(0), alias, Some(Class::General), Vec::new())),
            builtin_type: BuiltinType::Int32,
            rank: 0,
            places: None,
            unit: None,
            range: None,
            equipment: "L/E".parse().unwrap(),
            interval: Duration::from_secs(1),
            source: String::new(),
        }
    }
}
