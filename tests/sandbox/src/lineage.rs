//! From one opened value back to its origin: which hash or signature proves each step of the way.

use lingate_model::UtcMicros;
use lingate_seal::{Claims, KeyMessage, Kid};
use serde_json::{Map, Value};

use crate::clock::rfc3339;
use crate::keys::{hex, sha256};
use crate::store::{Store, StoreError};
use crate::{Authority, merkle};

/// One step back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub what: &'static str,
    pub says: String,
    pub proof: String,
    /// `Some(false)`: the proof does not hold. `None`: what it needs is not here.
    pub holds: Option<bool>,
}

/// The newest value of a point at or before a time.
struct Found {
    kid: Kid,
    seq: i64,
    alias: i64,
    at: UtcMicros,
    value: String,
    unit: String,
    source: String,
}

/// What the store keeps of an epoch.
struct EpochRow {
    key_message: Vec<u8>,
    catalogue: Vec<u8>,
    lineage: Vec<u8>,
    close_seq: Option<i64>,
    close_root: Option<Vec<u8>>,
}

impl Store {
    /// Kid and PROV-JSON document of every epoch that has one.
    pub fn lineages(&self) -> Result<Vec<(Kid, Vec<u8>)>, StoreError> {
        let query = "SELECT kid, lineage FROM epochs WHERE lineage IS NOT NULL ORDER BY ordinal";
        self.sql.query(query, vec![])?.iter().map(|row| Ok((row.kid(0)?, row.blob(1)?))).collect()
    }

    /// `None`: there is no such value. With the authority, its bundles and enrolments are compared as well.
    pub fn lineage(
        &self,
        dataset: &str,
        point: &str,
        time: UtcMicros,
        authority: Option<&Authority>,
    ) -> Result<Option<Vec<Hop>>, StoreError> {
        let Some(found) = self.find(dataset, point, time)? else { return Ok(None) };
        let Some(epoch) = self.epoch_row(found.kid)? else { return Ok(None) };
        let Ok(key) = KeyMessage::parse(&epoch.key_message) else { return Ok(None) };
        let document: Value = serde_json::from_slice(&epoch.lineage).unwrap_or_default();
        let mut hops = vec![self.value(point, &found, &epoch)?, self.catalogue_hop(&found, &key.claims, &epoch)];
        hops.push(source(&document, &found, &key.claims, &epoch));
        hops.extend(steps(&document, found.alias));
        hops.push(policy(&document, &key.claims));
        hops.push(bundle(&key.claims, authority));
        hops.push(software(&document, &key.claims, authority));
        hops.push(signature(&key, authority));
        hops.push(self.counts(dataset)?);
        Ok(Some(hops))
    }

    fn find(&self, dataset: &str, point: &str, time: UtcMicros) -> Result<Option<Found>, StoreError> {
        let query = "SELECT t.kid, t.seq, p.alias, t.time_us, CAST(t.value AS TEXT), p.unit, p.source, t.status
             FROM telemetry t JOIN points p ON p.kid = t.kid AND p.name = t.name
             WHERE t.dataset = ?1 AND t.name = ?2 AND t.time_us <= ?3 ORDER BY t.time_us DESC, t.at DESC LIMIT 1";
        let row = self.sql.first(query, vec![dataset.into(), point.into(), time.0.into()])?;
        let read = |row: crate::database::Row| {
            Ok(Found {
                kid: row.kid(0)?,
                seq: row.int(1)?,
                alias: row.int(2)?,
                at: UtcMicros(row.int(3)?),
                value: row.text(4).unwrap_or_else(|_| format!("bad, status 0x{:08X}", row.int(7).unwrap_or(0))),
                unit: row.text(5)?,
                source: row.text(6)?,
            })
        };
        row.map(read).transpose()
    }

    fn epoch_row(&self, kid: Kid) -> Result<Option<EpochRow>, StoreError> {
        let query = "SELECT key_message, catalogue, lineage, close_seq, close_root FROM epochs WHERE kid = ?1";
        let read = |row: crate::database::Row| {
            Ok(EpochRow {
                key_message: row.blob(0)?,
                catalogue: row.opt_blob(1)?.unwrap_or_default(),
                lineage: row.opt_blob(2)?.unwrap_or_default(),
                close_seq: row.opt_int(3)?,
                close_root: row.opt_blob(4)?,
            })
        };
        self.sql.first(query, vec![kid.into()])?.map(read).transpose()
    }

    fn value(&self, point: &str, found: &Found, epoch: &EpochRow) -> Result<Hop, StoreError> {
        let digest = self.digest(found.kid, found.seq)?.unwrap_or_default();
        let root = match (epoch.close_seq, &epoch.close_root) {
            (Some(seq), Some(root)) => Some(merkle::root(&self.digests(found.kid, seq)?) == root[..]),
            _ => None,
        };
        let words = match root {
            None => "; the epoch's root is not here (yet)",
            Some(true) => ", a leaf of the root that the gateway signed at the epoch's end",
            Some(false) => ", but the root that the gateway signed at the epoch's end is another",
        };
        let says = format!("{point} = {} {} at {}", found.value, found.unit, rfc3339(found.at));
        let proof = format!("record {} of epoch {}: SHA-256 {}{words}", found.seq, found.kid, hex(&digest));
        Ok(Hop { what: "value", says, proof, holds: root })
    }

    fn catalogue_hop(&self, found: &Found, claims: &Claims, epoch: &EpochRow) -> Hop {
        let holds = sha256(&epoch.catalogue) == claims.catalogue_sha256;
        let says = format!("column {} is this point, read from {}", found.alias, found.source);
        let proof = format!("SHA-256 of the catalogue is claim -70007: {}", hex(&claims.catalogue_sha256));
        Hop { what: "point", says, proof, holds: Some(holds) }
    }

    fn counts(&self, dataset: &str) -> Result<Hop, StoreError> {
        let report = self.report()?;
        let of = report.datasets.iter().find(|it| it.dataset == dataset);
        let (read, kept, suppressed) = of.map_or((0, 0, 0), |it| (it.read, it.kept, it.suppressed));
        let says = format!("{read} readings were read, {kept} kept, {suppressed} suppressed by the steps");
        let proof = "read = kept + suppressed, over all batches of the dataset that came".to_owned();
        Ok(Hop { what: "counts", says, proof, holds: of.map(|it| it.counts_agree && read == kept + suppressed) })
    }
}

fn member<'a>(document: &'a Value, kind: &str, name: &str) -> Option<&'a Map<String, Value>> {
    document.get(kind)?.get(name)?.as_object()
}

fn source(document: &Value, found: &Found, claims: &Claims, epoch: &EpochRow) -> Hop {
    let holds = sha256(&epoch.lineage) == claims.lineage_sha256;
    let described = member(document, "entity", &format!("lingate:source/{}", found.alias));
    let text = |name: &str| described.and_then(|it| it.get(name)).and_then(Value::as_str).unwrap_or("not told");
    let device = text("prov:label").split('/').next().unwrap_or_default();
    let says = format!("device {device}, address {}, equipment {}", text("lingate:source"), text("lingate:equipment"));
    let proof = format!("SHA-256 of the lineage document is claim -70009: {}", hex(&claims.lineage_sha256));
    Hop { what: "source", says, proof, holds: Some(holds && described.is_some()) }
}

/// Activities that used this point, in the order in which a reading passes them.
fn steps(document: &Value, alias: i64) -> Vec<Hop> {
    let source = format!("lingate:source/{alias}");
    let used = document.get("used").and_then(Value::as_object).into_iter().flatten();
    let of_point = used.filter(|(_, link)| link["prov:entity"] == source.as_str());
    let mut activities: Vec<&str> = of_point.filter_map(|(_, link)| link["prov:activity"].as_str()).collect();
    let number = |name: &&str| {
        let step = member(document, "activity", name).and_then(|it| it.get("lingate:step")).and_then(Value::as_str);
        step.and_then(|step| step.trim_start_matches('M').parse::<u8>().ok()).unwrap_or(0)
    };
    activities.sort_by_key(number);
    let hop = |name: &str| {
        let members = member(document, "activity", name)?;
        let step = members.get("lingate:step")?.as_str()?;
        let is_parameter = |name: &str| !matches!(name, "lingate:step" | "lingate:term");
        let parameters = members.iter().filter(|(name, _)| is_parameter(name));
        let parameters: String = parameters
            .map(|(name, value)| {
                format!(", {} {}", name.trim_start_matches("lingate:"), value.as_str().unwrap_or_default())
            })
            .collect();
        let says = format!("{step} {}{parameters}", members.get("lingate:term")?.as_str()?);
        Some(Hop { what: "step", says, proof: format!("activity {name} of that document"), holds: Some(true) })
    };
    activities.into_iter().filter_map(hop).collect()
}

fn policy(document: &Value, claims: &Claims) -> Hop {
    let hash = hex(&claims.policy_sha256);
    let holds = member(document, "entity", &format!("lingate:policy/{hash}")).is_some();
    let says = format!("minimization policy {}... for purpose {}", &hash[..16], claims.purpose);
    Hop { what: "policy", says, proof: format!("the document's plan is claim -70004: {hash}"), holds: Some(holds) }
}

fn bundle(claims: &Claims, authority: Option<&Authority>) -> Hop {
    let hash = hex(&claims.bundle_sha256);
    let history = authority.and_then(|authority| authority.bundle_history(&claims.issuer).ok());
    let holds = history.map(|bundles| bundles.iter().any(|bundle| sha256(bundle) == claims.bundle_sha256));
    let says = format!("granted by bundle {} of {}", claims.bundle_version, claims.audience);
    let proof = format!("claim -70005 is the SHA-256 of the bundle that the sandbox signed: {hash}");
    Hop { what: "bundle", says, proof, holds }
}

fn software(document: &Value, claims: &Claims, authority: Option<&Authority>) -> Hop {
    let agent = member(document, "agent", &format!("lingate:gateway/{}", claims.issuer));
    let software = agent.and_then(|it| it.get("lingate:software")).and_then(Value::as_str).unwrap_or("not told");
    let known = authority.and_then(|authority| authority.known_gateways().ok());
    let enrolled = known.into_iter().flatten().find(|known| known.gateway == claims.issuer);
    let compared = enrolled.map(|known| match software.ends_with(&known.software.sha256) {
        true => "; the same as at enrolment",
        false => "; another than at enrolment: it was updated since",
    });
    let proof = format!("agent of that document{}", compared.unwrap_or_default());
    Hop { what: "software", says: software.to_owned(), proof, holds: Some(agent.is_some()) }
}

fn signature(key: &KeyMessage<'_>, authority: Option<&Authority>) -> Hop {
    let known = authority.and_then(|authority| authority.known_gateways().ok());
    let keys =
        known.into_iter().flatten().filter(|known| known.gateway == key.claims.issuer).flat_map(|known| known.keys);
    let mut keys = keys.filter_map(|jwk| jwk.verifying_key().ok()).filter(|public| public.kid() == key.signer);
    let holds = keys.next().map(|public| key.is_signed_by_key(&public));
    let says = format!("gateway {}, signing key {}", key.claims.issuer, key.signer);
    let proof = format!(
        "its signature over these claims (SHA-256 {}, of which the epoch's name is the beginning); the audit log's epoch.open line \
         names the same hashes",
        hex(key.epoch_id())
    );
    Hop { what: "gateway", says, proof, holds }
}
