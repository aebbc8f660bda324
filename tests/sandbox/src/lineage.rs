//! From one opened value back to its origin. Each step of the way is checked against bytes that somebody signed: nothing is
//! believed because it stands in a column.
//!
//! ```text
//! value ─ record ─ point ─ source ─ steps ─ policy ─ bundle ─ software ─ gateway ─ counts
//!   │       │        │       └──────┴─────────────────┴─ lineage document ┐   │
//!   │       │        └─ catalogue ─ its hash ─┐            its hash ──────┤   signature of the KEY over all claims
//!   │       └─ digest ─ root in the epoch's signed end                    claims
//!   └─ the sealed record, opened once more
//! ```

mod document;
mod record;
mod rights;

use std::path::Path;

use anyhow::{Context, Result};
use lingate_model::UtcMicros;
use lingate_seal::{Claims, KeyMessage, Kid, VerifyingKey, wire};
use serde_json::Value;

use crate::database::{Cell, Database, Row};
use crate::epoch::OpenEpoch;
use crate::keys::sha256;
use crate::store::{Store, StoreError};
use crate::{Authority, KnownGateway, RoleKey};

/// One step back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub what: &'static str,
    pub says: String,
    pub proof: String,
    /// `Some(false)`: the proof does not hold. `None`: what it needs is not here.
    pub holds: Option<bool>,
}

/// What the walk may use beside the store.
#[derive(Default)]
pub struct Evidence<'a> {
    /// Its bundles, roots and enrolments.
    pub authority: Option<&'a Authority>,
    /// Keys by which a recipient opens what was sealed for it.
    pub keys: Vec<RoleKey>,
    /// SHA-256 of the gateway program that should have run.
    pub program: Option<[u8; 32]>,
}

impl<'a> Evidence<'a> {
    /// Everything that a sandbox's folder holds.
    pub fn of(authority: &'a Authority) -> Result<Evidence<'a>> {
        let roles = authority.policy()?.roles;
        let keys = roles.iter().map(|role| authority.role_keys_of(&role.id)).collect::<Result<Vec<_>>>()?;
        Ok(Evidence { authority: Some(authority), keys: keys.concat(), program: None })
    }

    /// And the gateway's program.
    pub fn with_program(self, path: &Path) -> Result<Evidence<'a>> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Evidence { program: Some(sha256(&bytes)), ..self })
    }
}

/// The newest value of a point at or before a time, as the store has it.
struct Found {
    kid: Kid,
    seq: i64,
    /// Place in its record.
    at: i64,
    alias: i64,
    time: UtcMicros,
    status: i64,
    cells: Vec<Cell>,
}

/// What the store keeps of an epoch.
struct EpochRow {
    key_message: Vec<u8>,
    catalogue: Vec<u8>,
    lineage: Vec<u8>,
    close_seq: Option<i64>,
}

/// What every hop looks at.
struct Walk<'a> {
    store: &'a Store,
    evidence: &'a Evidence<'a>,
    point: &'a str,
    found: Found,
    close_seq: Option<i64>,
    key: KeyMessage<'a>,
    /// The key with which its gateway is enrolled.
    signer: Option<VerifyingKey>,
    enrolled: Option<KnownGateway>,
    /// `None`: no key of the evidence opens the epoch.
    epoch: Option<OpenEpoch>,
    /// As claimed; `None`: what lies here is not what was claimed.
    catalogue: Option<wire::Catalogue>,
    document: Option<Value>,
}

impl Store {
    /// Kid and PROV-JSON document of every epoch that has one.
    pub fn lineages(&self) -> Result<Vec<(Kid, Vec<u8>)>, StoreError> {
        let query = "SELECT kid, lineage FROM epochs WHERE lineage IS NOT NULL ORDER BY ordinal";
        self.sql.query(query, vec![])?.iter().map(|row| Ok((row.kid(0)?, row.blob(1)?))).collect()
    }

    /// `None`: there is no such value.
    pub fn lineage(
        &self,
        dataset: &str,
        point: &str,
        time: UtcMicros,
        evidence: &Evidence<'_>,
    ) -> Result<Option<Vec<Hop>>, StoreError> {
        let Some(found) = self.find(dataset, point, time)? else { return Ok(None) };
        let Some(row) = self.epoch_row(found.kid)? else { return Ok(None) };
        let Ok(key) = KeyMessage::parse(&row.key_message) else { return Ok(None) };
        let walk = Walk::new(self, evidence, point, found, &row, key);
        let mut hops = vec![walk.value()?, walk.record()?, walk.point()?, walk.source()];
        hops.extend(walk.steps());
        hops.extend([walk.policy(), walk.bundle(), walk.software(), walk.gateway(), walk.counts(dataset)?]);
        Ok(Some(hops))
    }

    fn find(&self, dataset: &str, point: &str, time: UtcMicros) -> Result<Option<Found>, StoreError> {
        let query =
            "SELECT t.kid, t.seq, t.at FROM telemetry t WHERE t.dataset = ?1 AND t.name = ?2 AND t.time_us <= ?3
             ORDER BY t.time_us DESC, t.seq DESC, t.at DESC LIMIT 1";
        let place = self.sql.first(query, vec![dataset.into(), point.into(), time.0.into()])?;
        let Some(place) = place else { return Ok(None) };
        let (kid, seq, at) = (place.kid(0)?, place.int(1)?, place.int(2)?);
        let values = match self.sql {
            Database::Sqlite(_) => "value",
            Database::Postgres(_) => "value_int, value_real, value_text, value_bytes",
        };
        let query =
            format!("SELECT alias, time_us, status, {values} FROM readings WHERE kid = ?1 AND seq = ?2 AND at = ?3");
        let read = |row: Row| {
            let (alias, time, status) = (row.int(0)?, UtcMicros(row.int(1)?), row.int(2)?);
            Ok(Found { kid, seq, at, alias, time, status, cells: row.0.into_iter().skip(3).collect() })
        };
        self.sql.first(&query, vec![kid.into(), seq.into(), at.into()])?.map(read).transpose()
    }

    fn epoch_row(&self, kid: Kid) -> Result<Option<EpochRow>, StoreError> {
        let query = "SELECT key_message, catalogue, lineage, close_seq FROM epochs WHERE kid = ?1";
        let read = |row: Row| {
            Ok(EpochRow {
                key_message: row.blob(0)?,
                catalogue: row.opt_blob(1)?.unwrap_or_default(),
                lineage: row.opt_blob(2)?.unwrap_or_default(),
                close_seq: row.opt_int(3)?,
            })
        };
        self.sql.first(query, vec![kid.into()])?.map(read).transpose()
    }
}

impl<'a> Walk<'a> {
    fn new(
        store: &'a Store,
        evidence: &'a Evidence<'a>,
        point: &'a str,
        found: Found,
        row: &'a EpochRow,
        key: KeyMessage<'a>,
    ) -> Walk<'a> {
        let known = evidence.authority.and_then(|authority| authority.known_gateways().ok());
        let enrolled = known.into_iter().flatten().find(|known| known.gateway == key.claims.issuer);
        let keys = enrolled.iter().flat_map(|known| &known.keys).filter_map(|jwk| jwk.verifying_key().ok());
        let signer = keys.into_iter().find(|public| public.kid() == key.signer);
        let catalogue = Some(&row.catalogue).filter(|body| sha256(body) == key.claims.catalogue_sha256);
        let document = Some(&row.lineage).filter(|document| sha256(document) == key.claims.lineage_sha256);
        Walk {
            epoch: OpenEpoch::open(&key, &evidence.keys).ok(),
            catalogue: catalogue.and_then(|body| decoded(body)),
            document: document.and_then(|document| serde_json::from_slice(document).ok()),
            close_seq: row.close_seq,
            store,
            evidence,
            point,
            found,
            key,
            signer,
            enrolled,
        }
    }

    fn claims(&self) -> &Claims {
        &self.key.claims
    }

    /// Of the point, as its gateway described it.
    fn tag(&self) -> Option<&wire::Tag> {
        let alias = usize::try_from(self.found.alias).ok()?;
        self.catalogue.as_ref()?.tags.get(alias).filter(|tag| i64::from(tag.alias) == self.found.alias)
    }
}

fn decoded(body: &[u8]) -> Option<wire::Catalogue> {
    match lingate_seal::parse_body(body) {
        Ok(wire::sealed::Message::Catalogue(catalogue)) => Some(catalogue),
        _ => None,
    }
}
