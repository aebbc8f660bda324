//! `enroll.json`: what a gateway asks for, signed by the key that it asks for.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use lingate_model::{GatewayId, TenantId};
use lingate_seal::SigningKey;

use crate::jws;
use crate::keys::Jwk;
use crate::pki::Request;

/// 64 KiB; a real one has about 2 KiB.
const BYTES_MAX: usize = 65_536;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) spec: String,
    pub(crate) gateway: String,
    pub(crate) tenant: String,
    pub(crate) jwk: Jwk,
    /// What signs the checkpoints of its audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audit: Option<Jwk>,
    /// PKCS#10 in PEM form; its common name is the gateway id.
    pub(crate) csr: String,
    pub(crate) software: Software,
    pub(crate) iat: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    pub version: String,
    /// Of the binary, 64 hex digits.
    pub sha256: String,
}

/// A request whose own signature, key id, names and certificate request agree. Whether this gateway may have what it
/// asks for is the operator's decision; so is its `iat`, since a plant's clock may be wrong before it is enrolled.
pub(crate) struct Enrolment {
    pub(crate) gateway: GatewayId,
    pub(crate) tenant: TenantId,
    pub(crate) jwk: Jwk,
    pub(crate) audit: Option<Jwk>,
    pub(crate) request: Request,
    pub(crate) software: Software,
}

impl Enrolment {
    pub(crate) fn verify(bytes: &[u8]) -> Result<Enrolment> {
        ensure!(bytes.len() <= BYTES_MAX, "the enrolment file has {} bytes, the limit is {BYTES_MAX}", bytes.len());
        let jws = jws::Single::parse(bytes).context("the enrolment file")?;
        let payload: Payload = serde_json::from_slice(&jws.payload).context("the payload of the enrolment file")?;
        ensure!(payload.spec == "lingate/1", "spec must be \"lingate/1\", it is {:?}", payload.spec);
        ensure!(jws.kid == payload.jwk.kid, "signed by {:?}, but asks for key {:?}", jws.kid, payload.jwk.kid);
        jws.verify(&payload.jwk.verifying_key()?).context("the enrolment file")?;
        if let Some(audit) = &payload.audit {
            let is_note_key = audit.verifying_key().context("the audit key")?.as_ed25519().is_some();
            ensure!(is_note_key, "the audit key must be Ed25519: checkpoints are C2SP signed notes");
        }
        let request = Request::verify(&payload.csr)?;
        ensure!(
            request.common_name() == Some(&payload.gateway),
            "the certificate request is for {:?}, the enrolment for {:?}",
            request.common_name().unwrap_or("nobody"),
            payload.gateway
        );
        Ok(Enrolment {
            gateway: payload.gateway.parse().context("gateway")?,
            tenant: payload.tenant.parse().context("tenant")?,
            jwk: payload.jwk,
            audit: payload.audit,
            request,
            software: payload.software,
        })
    }
}

/// What `lingate enroll` writes. For tests that need an enrolled gateway without the daemon.
pub(crate) fn sign(payload: &Payload, key: &SigningKey) -> Vec<u8> {
    let payload = serde_json::to_vec(payload).expect("strings serialize");
    jws::sign(&payload, key)
}
