use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use lingate_model::{Class, DatasetId, GatewayId, PurposeId, UtcMicros};

use crate::bundle_document::{BundleDocument, DatasetDocument, PurposeDocument};
use crate::bundle_keys::Keys;
use crate::bundle_refused::BundleRefused;
use crate::lineage::hex;
use crate::suite::{built, suite};
use crate::thumbprint::sha256;
use crate::verified_bundle::{Dataset, Purpose, Role, Validity};
use crate::{Acknowledgement, Kid, RECIPIENTS_MAX, RootSet, VerifiedBundle, civil, json, jws};

/// Bytes of a bundle at most.
pub const BUNDLE_MAX: usize = 1024 * 1024;
const SPEC: &str = "lingate/1";
/// An epoch has a catalogue, a lineage and a close, and should have readings.
const EPOCH_MESSAGES_MIN: u32 = 4;

/// What is stored of the last accepted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousBundle {
    pub version: u64,
    pub sha256: [u8; 32],
}

/// The sandbox's signed bundle (wire.md section 7).
pub struct Bundle;

impl Bundle {
    /// Every acceptance rule of wire.md section 7. Nothing of a refused bundle is kept.
    pub fn verify(
        bytes: &[u8],
        roots: &RootSet,
        previous: Option<&PreviousBundle>,
        gateway: &GatewayId,
        utc: UtcMicros,
    ) -> Result<VerifiedBundle, BundleRefused> {
        if bytes.len() > BUNDLE_MAX {
            return Err(BundleRefused::TooLarge { bytes: bytes.len(), limit: BUNDLE_MAX });
        }
        let signed = jws::Signed::parse(bytes)?;
        signed.verify(roots)?;
        let document: BundleDocument = json::parse(&signed.payload).map_err(BundleRefused::Malformed)?;
        let next_roots = next_roots(&document, roots)?;
        signed.verify(&next_roots)?;
        signed.refuse_strangers(roots, &next_roots)?;

        let sha256 = sha256(bytes);
        check_identity(&document, gateway)?;
        check_succession(&document, &sha256, previous)?;
        let valid = validity(document.nbf, document.exp)?;
        check_time(valid, utc)?;
        check_suites(&document.suites)?;
        check_rotation(&document)?;
        let revoked = revoked(&document)?;
        let keys = Keys::read(&document.keys)?;
        let purposes = purposes(&document.purposes)?;
        let roles = roles(&document, &keys)?;
        let datasets = datasets(&document, &roles, &purposes)?;
        let keys = keys.without(&revoked);
        let ack = acknowledgement(&document, &keys)?;
        Ok(VerifiedBundle {
            version: document.version,
            sha256,
            sandbox: document.iss,
            valid,
            roots: next_roots,
            suites: document.suites,
            keys: keys.role_keys(),
            receipt_keys: keys.receipt_keys,
            revoked,
            roles,
            purposes,
            datasets,
            epoch_seconds: document.rotation.epoch_s,
            epoch_messages: document.rotation.epoch_msgs,
            ack,
        })
    }
}

/// A root follows itself, or the version before it.
fn next_roots(document: &BundleDocument, current: &RootSet) -> Result<RootSet, BundleRefused> {
    let next = RootSet::try_from(&document.root)?;
    if next.version() == current.version() {
        let is_same = next == *current;
        return is_same.then_some(next).ok_or(BundleRefused::RootChangedInPlace { version: current.version() });
    }
    if Some(next.version()) != current.version().checked_add(1) {
        return Err(BundleRefused::RootSkipped { current: current.version(), found: next.version() });
    }
    Ok(next)
}

fn check_identity(document: &BundleDocument, gateway: &GatewayId) -> Result<(), BundleRefused> {
    if document.spec != SPEC {
        return Err(BundleRefused::Unknown { kind: "specification", id: document.spec.clone() });
    }
    if document.iss.is_empty() || document.iss.len() > 256 {
        return Err(BundleRefused::malformed("its issuer is empty or longer than 256 bytes"));
    }
    if !document.aud.iter().any(|id| id == gateway.as_str()) {
        return Err(BundleRefused::WrongAudience { gateway: gateway.clone() });
    }
    Ok(())
}

/// Whoever asks for receipts says by which key they can be told from forged ones.
fn acknowledgement(document: &BundleDocument, keys: &Keys) -> Result<Acknowledgement, BundleRefused> {
    match document.ack.as_str() {
        "broker" => Ok(Acknowledgement::Broker),
        "receipt" if keys.receipt_keys.is_empty() => Err(BundleRefused::NoReceiptKey),
        "receipt" => Ok(Acknowledgement::Receipt),
        other => Err(BundleRefused::Acknowledgement(other.to_owned())),
    }
}

fn check_succession(
    document: &BundleDocument,
    sha256: &[u8; 32],
    previous: Option<&PreviousBundle>,
) -> Result<(), BundleRefused> {
    let (version, prev) = (document.version, document.prev.as_deref().map(parse_sha256).transpose()?);
    let Some(previous) = previous else { return Ok(()) };
    if version < previous.version {
        return Err(BundleRefused::Rollback { stored: previous.version, found: version });
    }
    if version == previous.version {
        let is_same = *sha256 == previous.sha256;
        return is_same.then_some(()).ok_or(BundleRefused::SameVersionOtherBytes { version });
    }
    let follows = version - previous.version > 1 || prev.is_none_or(|prev| prev == previous.sha256);
    follows.then_some(()).ok_or(BundleRefused::OtherPredecessor { version })
}

fn check_time(valid: Validity, utc: UtcMicros) -> Result<(), BundleRefused> {
    if utc < valid.from {
        return Err(BundleRefused::NotYetValid { from: civil::format(valid.from) });
    }
    if utc >= valid.until {
        return Err(BundleRefused::Expired { until: civil::format(valid.until) });
    }
    Ok(())
}

/// Which of them a gateway takes is settled when it seals: one that it cannot take must not keep a revocation out.
fn check_suites(suites: &[u16]) -> Result<(), BundleRefused> {
    if let Some(unknown) = suites.iter().find(|id| suite(**id).is_none()) {
        return Err(BundleRefused::Unknown { kind: "suite", id: format!("0x{unknown:04x}") });
    }
    suites.iter().any(|id| built(*id).is_some()).then_some(()).ok_or(BundleRefused::NoSuite)
}

fn check_rotation(document: &BundleDocument) -> Result<(), BundleRefused> {
    let rotation = &document.rotation;
    let has_bounds =
        (1..=86_400).contains(&rotation.epoch_s) && (EPOCH_MESSAGES_MIN..=1 << 20).contains(&rotation.epoch_msgs);
    has_bounds
        .then_some(())
        .ok_or_else(|| BundleRefused::malformed("its rotation is not 1 to 86400 seconds and 4 to 1048576 messages"))
}

fn revoked(document: &BundleDocument) -> Result<BTreeSet<Kid>, BundleRefused> {
    let kid = |revoked: &crate::bundle_document::RevokedDocument| {
        parse_time(&revoked.at)?;
        jws::parse_kid(&revoked.kid)
    };
    document.revoked.iter().map(kid).collect()
}

fn purposes(documents: &[PurposeDocument]) -> Result<BTreeMap<PurposeId, Purpose>, BundleRefused> {
    let mut purposes = BTreeMap::new();
    for document in documents {
        let valid = Validity { from: parse_time(&document.valid_from)?, until: parse_time(&document.valid_until)? };
        let (statement, statement_sha256) = (document.statement.clone(), sha256(document.statement.as_bytes()));
        let purpose = Purpose { statement, statement_sha256, valid };
        if purposes.insert(name("purpose", &document.id)?, purpose).is_some() {
            return Err(BundleRefused::Duplicate { kind: "purpose", id: document.id.clone() });
        }
    }
    Ok(purposes)
}

fn datasets(
    document: &BundleDocument,
    roles: &BTreeMap<String, Role>,
    purposes: &BTreeMap<PurposeId, Purpose>,
) -> Result<BTreeMap<DatasetId, Dataset>, BundleRefused> {
    let mut datasets = BTreeMap::new();
    let mut aliases = BTreeSet::new();
    for entry in &document.datasets {
        let dataset = dataset(entry, roles, purposes)?;
        if !aliases.insert(dataset.alias.clone()) {
            return Err(BundleRefused::Duplicate { kind: "dataset alias", id: entry.alias.clone() });
        }
        if datasets.insert(name("dataset", &entry.id)?, dataset).is_some() {
            return Err(BundleRefused::Duplicate { kind: "dataset", id: entry.id.clone() });
        }
    }
    Ok(datasets)
}

fn roles(document: &BundleDocument, keys: &Keys) -> Result<BTreeMap<String, Role>, BundleRefused> {
    let mut roles = BTreeMap::new();
    for role in &document.roles {
        let kids = role.kids.iter().map(|kid| jws::parse_kid(kid)).collect::<Result<BTreeSet<_>, _>>()?;
        if let Some(missing) = kids.iter().find(|kid| !keys.may_receive(**kid)) {
            return Err(unresolved("role", &role.id, "key", &missing.to_string()));
        }
        let kids = kids.into_iter().collect();
        if roles.insert(role.id.clone(), Role { party: role.party.clone(), kids }).is_some() {
            return Err(BundleRefused::Duplicate { kind: "role", id: role.id.clone() });
        }
    }
    Ok(roles)
}

fn dataset(
    entry: &DatasetDocument,
    roles: &BTreeMap<String, Role>,
    purposes: &BTreeMap<PurposeId, Purpose>,
) -> Result<Dataset, BundleRefused> {
    let granted = entry.purposes.iter().map(|id| name("purpose", id)).collect::<Result<Vec<PurposeId>, _>>()?;
    if let Some(missing) = granted.iter().find(|id| !purposes.contains_key(*id)) {
        return Err(unresolved("dataset", &entry.id, "purpose", missing.as_str()));
    }
    let mut kids: BTreeSet<Kid> = BTreeSet::new();
    for role in &entry.roles {
        kids.extend(&roles.get(role).ok_or_else(|| unresolved("dataset", &entry.id, "role", role))?.kids);
    }
    if kids.len() > RECIPIENTS_MAX {
        return Err(BundleRefused::malformed(format_args!("dataset {:?} has more than 64 keys", entry.id)));
    }
    if entry.approval.as_ref().is_some_and(|approval| approval.is_empty() || approval.len() > 256) {
        return Err(BundleRefused::malformed("an approval reference is empty or longer than 256 bytes"));
    }
    Ok(Dataset {
        alias: name("dataset alias", &entry.alias)?,
        purposes: granted,
        roles: entry.roles.clone(),
        ceiling: Class::from_str(&entry.class_ceiling)
            .map_err(|()| BundleRefused::Unknown { kind: "class", id: entry.class_ceiling.clone() })?,
        approval: entry.approval.clone(),
        policies: entry.policy_sha256.iter().map(|hash| parse_sha256(hash)).collect::<Result<_, _>>()?,
    })
}

fn unresolved(from_kind: &str, from: &str, kind: &'static str, id: &str) -> BundleRefused {
    BundleRefused::Unresolved { from: format!("{from_kind} {from:?}"), kind, id: id.to_owned() }
}

fn name<N: FromStr<Err = lingate_model::NameError>>(kind: &str, text: &str) -> Result<N, BundleRefused> {
    text.parse().map_err(|error| BundleRefused::malformed(format_args!("{kind} {text:?} {error}")))
}

pub(crate) fn validity(nbf: i64, exp: i64) -> Result<Validity, BundleRefused> {
    let time = |seconds: i64| seconds.checked_mul(1_000_000).map(UtcMicros);
    match (time(nbf), time(exp)) {
        (Some(from), Some(until)) if from < until => Ok(Validity { from, until }),
        _ => Err(BundleRefused::malformed(format_args!("{nbf} to {exp} is no time"))),
    }
}

fn parse_time(text: &str) -> Result<UtcMicros, BundleRefused> {
    civil::parse(text)
        .ok_or_else(|| BundleRefused::malformed(format_args!("{text:?} is no time like 2026-03-01T08:00:00Z")))
}

/// 64 lower-case hex digits behind `sha256:`, which may be left out.
fn parse_sha256(text: &str) -> Result<[u8; 32], BundleRefused> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let hash = bytes.and_then(|bytes| bytes.try_into().ok()).filter(|hash: &[u8; 32]| hex(hash) == digits);
    hash.ok_or_else(|| BundleRefused::malformed(format_args!("{text:?} is no sha256:...")))
}
