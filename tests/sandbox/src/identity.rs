//! A complete gateway identity without the daemon: for tests and the demo.

use anyhow::Result;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use lingate_model::{GatewayId, TenantId};
use lingate_seal::{SignatureAlgorithm, SigningKey};

use crate::enroll::{self, Payload, Software};
use crate::keys::Jwk;
use crate::{Authority, Issued, KeyChange, clock, keys};

/// What a gateway holds after its enrolment. Has no Debug: it contains private keys.
#[derive(Clone)]
pub struct GatewayIdentity {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    /// Ed25519 or P-256 in PKCS#8, DER: what `lingate_seal::SigningKey::from_pkcs8` takes.
    pub signing_pkcs8: Vec<u8>,
    /// Ed25519: what signs the checkpoints of the audit log, `identity/audit.pk8` in the state directory.
    pub audit_pkcs8: Vec<u8>,
    pub tls_key_pem: String,
    /// The gateway's certificate and its issuer, PEM.
    pub chain_pem: String,
    /// What the broker's certificate is checked against, PEM.
    pub ca_pem: String,
    pub root_json: Vec<u8>,
    pub root_sha256: String,
    pub bundle: Vec<u8>,
    /// The request that was signed, as `lingate enroll` would have written it.
    pub enroll: Vec<u8>,
}

impl Authority {
    /// Makes keys, enrols and issues in one step. An already known gateway gets new keys.
    pub fn enroll_for_test(&mut self, gateway: &str, tenant: &str) -> Result<GatewayIdentity> {
        self.enroll_with(gateway, tenant, SignatureAlgorithm::Ed25519)
    }

    /// A P-256 signing key is what suite 0x0002 needs.
    pub fn enroll_with(
        &mut self,
        gateway: &str,
        tenant: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<GatewayIdentity> {
        let signing_pkcs8 = match algorithm {
            SignatureAlgorithm::Ed25519 => SigningKey::generate_pkcs8(&mut keys::SystemEntropy),
            SignatureAlgorithm::Esp256 => SigningKey::generate_p256_pkcs8(),
        };
        let audit_pkcs8 = SigningKey::generate_pkcs8(&mut keys::SystemEntropy)?.to_vec();
        let (signing_pkcs8, tls_key) = (signing_pkcs8?.to_vec(), KeyPair::generate()?);
        let enroll = request(
            gateway,
            tenant,
            &SigningKey::from_pkcs8(&signing_pkcs8)?,
            &SigningKey::from_pkcs8(&audit_pkcs8)?,
            &tls_key,
        )?;
        let Issued { gateway, tenant, chain_pem, bundle, .. } = self.issue(&enroll, KeyChange::Accept)?;
        Ok(GatewayIdentity {
            gateway,
            tenant,
            signing_pkcs8,
            audit_pkcs8,
            tls_key_pem: tls_key.serialize_pem(),
            chain_pem,
            ca_pem: self.ca_pem().to_owned(),
            root_json: self.root_json()?,
            root_sha256: self.root_sha256()?,
            bundle,
            enroll,
        })
    }
}

fn request(
    gateway: &str,
    tenant: &str,
    signing: &SigningKey,
    audit: &SigningKey,
    tls_key: &KeyPair,
) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, gateway);
    let payload = Payload {
        spec: "lingate/1".to_owned(),
        gateway: gateway.to_owned(),
        tenant: tenant.to_owned(),
        jwk: Jwk::of(signing.verifying_key()),
        audit: Some(Jwk::of(audit.verifying_key())),
        csr: params.serialize_request(tls_key)?.pem()?,
        software: Software { version: env!("CARGO_PKG_VERSION").to_owned(), sha256: "0".repeat(64) },
        iat: clock::unix_seconds(),
    };
    Ok(enroll::sign(&payload, signing))
}
