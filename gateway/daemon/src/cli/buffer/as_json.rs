use lingate_buffer::{ClassView, Quarantined, SegmentView};
use lingate_engine::ReasonCode;
use serde_json::{Value, json};

use super::time;

pub(crate) fn classes(views: &[ClassView]) -> Vec<Value> {
    let class = |view: &ClassView| {
        let cursor = view.cursor.map(|cursor| {
            json!({"next": cursor.durable, "done_below": cursor.floor, "clean": cursor.clean,
                "last_commit": cursor.last_commit.map(time)})
        });
        json!({"class": view.priority.name(), "cursor": cursor, "undeclared_losses": view.ledgers,
            "segments": view.segments.iter().map(segment).collect::<Vec<_>>()})
    };
    views.iter().map(class).collect()
}

fn segment(segment: &SegmentView) -> Value {
    let walked = segment.walked.clone().unwrap_or_default();
    let damaged = walked.damaged.iter().map(|range| json!([range.start, range.end - 1]));
    json!({"first": segment.first, "bytes": segment.bytes, "since": segment.utc.map(time), "records": walked.records,
        "readings": walked.readings, "purged": walked.purged, "damaged": damaged.collect::<Vec<_>>()})
}

pub(crate) fn quarantined(held: &[Quarantined]) -> Vec<Value> {
    let one = |held: &Quarantined| {
        json!({"record": held.record.to_string(), "topic": held.alias.to_string(), "epoch": held.kid.to_string(),
            "seq": held.seq, "readings": held.readings, "bytes": held.bytes, "since": time(held.utc),
            "reason": ReasonCode(held.reason).to_string()})
    };
    held.iter().map(one).collect()
}
