//! Context runs: "batch 4711 from charge to discharge" is one query.

use std::fmt;
use std::str::FromStr;

use lingate_model::Value;
use lingate_seal::{DecodedContext, Kid, wire};
use serde::Serialize;

use super::{Result, bounded};
use crate::database::{Cell, Row};
use crate::{Store, json};

/// What a context point says: `batch=4711`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFilter {
    kind: &'static str,
    value: String,
}

const KINDS: [(wire::ContextKind, &str); 5] = [
    (wire::ContextKind::Batch, "batch"),
    (wire::ContextKind::Phase, "phase"),
    (wire::ContextKind::Lot, "lot"),
    (wire::ContextKind::Recipe, "recipe"),
    (wire::ContextKind::EquipmentState, "state"),
];

impl FromStr for ContextFilter {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<ContextFilter, String> {
        let (kind, value) = text.split_once('=').ok_or("write it as batch=4711")?;
        let known = KINDS.iter().find(|(_, name)| *name == kind);
        let (_, kind) = known.ok_or("the kinds are batch, phase, lot, recipe and state")?;
        Ok(ContextFilter { kind, value: value.to_owned() })
    }
}

impl fmt::Display for ContextFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.value)
    }
}

/// Of readings `r` with their points `p`: a context point of the same equipment, or of one above it, said this.
pub(crate) const IN_CONTEXT: &str =
    "EXISTS (SELECT 1 FROM contexts c JOIN points o ON o.kid = c.kid AND o.alias = c.alias
    WHERE c.kid = r.kid AND c.seq = r.seq AND r.at >= c.first_at AND r.at < c.end_at AND c.kind = ?1 AND c.value = ?2
        AND (p.equipment = o.equipment OR substr(p.equipment, 1, length(o.equipment) + 1) = o.equipment || '/'))";

impl ContextFilter {
    /// For the first two parameters of [`IN_CONTEXT`].
    pub(crate) fn cells(&self) -> [Cell; 2] {
        [self.kind.into(), (&self.value).into()]
    }
}

/// What one context holds of one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContextRow {
    pub dataset: String,
    pub gateway: String,
    pub equipment: String,
    pub point: String,
    pub readings: u64,
    /// When the gateway had the first and the last, microseconds since 1970.
    pub from_us: i64,
    pub to_us: i64,
}

impl Store {
    pub(crate) fn add_contexts(&self, kid: Kid, seq: i64, contexts: &[DecodedContext]) -> Result<()> {
        let row = |(place, context): (usize, &DecodedContext)| {
            let kind = KINDS.iter().find(|(kind, _)| *kind == context.kind).map_or("", |(_, name)| name);
            let (from, to) = context.time_us.unzip();
            vec![
                kid.into(),
                seq.into(),
                bounded(place as u64).into(),
                context.alias.into(),
                kind.into(),
                Cell::Text(context.value.as_ref().map(shown)),
                bounded(context.readings.0 as u64).into(),
                bounded(context.readings.1 as u64).into(),
                Cell::Int(from),
                Cell::Int(to),
            ]
        };
        self.sql.execute_each(
            "INSERT INTO contexts (kid, seq, place, alias, kind, value, first_at, end_at, from_us, to_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            contexts.iter().enumerate().map(row).collect(),
        )?;
        Ok(())
    }

    /// Everything that was read in a context, over all epochs and records: a row per point, by its first reading.
    pub fn in_context(&self, filter: &ContextFilter) -> Result<Vec<ContextRow>> {
        let query = format!(
            "SELECT e.dataset, e.gateway, p.equipment, p.name, count(*), min(r.time_us), max(r.time_us)
             FROM readings r JOIN epochs e USING (kid) JOIN points p ON p.kid = r.kid AND p.alias = r.alias
             WHERE {IN_CONTEXT} GROUP BY e.dataset, e.gateway, p.equipment, p.name ORDER BY 6, 4"
        );
        self.sql.query(&query, filter.cells().into())?.iter().map(context_row).collect()
    }
}

fn context_row(row: &Row) -> Result<ContextRow> {
    Ok(ContextRow {
        dataset: row.text(0)?,
        gateway: row.text(1)?,
        equipment: row.text(2)?,
        point: row.text(3)?,
        readings: row.count(4)?,
        from_us: row.int(5)?,
        to_us: row.int(6)?,
    })
}

/// A number as its decimal text, so that a query needs no types. PostgreSQL's TEXT has no NUL.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) | Value::Text { text, .. } | Value::LocalizedText { text: Some(text), .. } => {
            text.to_string()
        }
        value => json::of(value),
    };
    text.replace('\0', "\u{fffd}")
}
