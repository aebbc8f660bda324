//! The bundle's JSON as it is written. Unknown members are refused: they could hold a restriction. Members with an
//! underscore have their form checked and are carried for people and receivers.

use serde::Deserialize;

use crate::json::Carried;
use crate::root::RootDocument;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleDocument {
    pub(crate) spec: String,
    pub(crate) iss: String,
    pub(crate) aud: Vec<String>,
    pub(crate) version: u64,
    /// `sha256:` of the bundle before, if there was one.
    #[serde(default)]
    pub(crate) prev: Option<String>,
    #[serde(rename = "iat")]
    pub(crate) _iat: i64,
    /// Seconds since 1970.
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) root: RootDocument,
    pub(crate) suites: Vec<u16>,
    pub(crate) keys: Vec<KeyDocument>,
    pub(crate) roles: Vec<RoleDocument>,
    pub(crate) purposes: Vec<PurposeDocument>,
    pub(crate) datasets: Vec<DatasetDocument>,
    pub(crate) rotation: RotationDocument,
    pub(crate) ack: String,
    #[serde(default)]
    pub(crate) revoked: Vec<RevokedDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyDocument {
    pub(crate) kty: String,
    #[serde(default)]
    pub(crate) crv: Option<String>,
    pub(crate) kid: String,
    pub(crate) alg: String,
    /// `enc` for a role's key, `sig` for one that signs receipts.
    #[serde(rename = "use")]
    pub(crate) usage: String,
    #[serde(default)]
    pub(crate) x: Option<String>,
    #[serde(default)]
    pub(crate) y: Option<String>,
    /// A key that is no point of a curve (kty AKP).
    #[serde(default, rename = "pub")]
    pub(crate) public: Option<String>,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleDocument {
    pub(crate) id: String,
    pub(crate) party: String,
    pub(crate) kids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurposeDocument {
    pub(crate) id: String,
    pub(crate) statement: String,
    /// RFC 3339 in UTC.
    pub(crate) valid_from: String,
    pub(crate) valid_until: String,
    #[serde(default, rename = "odrl")]
    pub(crate) _odrl: Option<Carried>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetDocument {
    pub(crate) id: String,
    pub(crate) alias: String,
    pub(crate) purposes: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) class_ceiling: String,
    #[serde(default)]
    pub(crate) approval: Option<String>,
    /// Empty: every policy of the plant.
    #[serde(default)]
    pub(crate) policy_sha256: Vec<String>,
    #[serde(default, rename = "retention_days")]
    pub(crate) _retention_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotationDocument {
    pub(crate) epoch_s: u32,
    pub(crate) epoch_msgs: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokedDocument {
    pub(crate) kid: String,
    pub(crate) at: String,
    #[serde(default, rename = "reason")]
    pub(crate) _reason: Option<String>,
}
