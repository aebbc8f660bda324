use std::net::IpAddr;

use lingate_model::UtcMicros;
use x509_parser::prelude::*;
use x509_parser::public_key::PublicKey;

use super::Thumbprint;
use crate::opcua::text::shown;

/// A certificate that was parsed once, with what the trust rules ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    issuer: String,
    validity: (UtcMicros, UtcMicros),
    hosts: Vec<String>,
    application_uri: Option<String>,
    key_bits: usize,
    is_signed_with_sha1: bool,
    may_sign_and_encrypt: bool,
    is_authority: bool,
}

/// No device's certificate is larger; a larger one is not parsed.
const BYTES_MAX: usize = 12 << 10;
const NAMES_MAX: usize = 32;

impl Certificate {
    /// DER, or PEM with one certificate. Or in words why not.
    pub fn read(bytes: &[u8]) -> Result<Certificate, String> {
        if !bytes.starts_with(b"-----") {
            return Certificate::parse(bytes);
        }
        let (_, pem) = parse_x509_pem(bytes).map_err(|_| "it is not PEM".to_owned())?;
        Certificate::parse(&pem.contents)
    }

    pub(crate) fn parse(der: &[u8]) -> Result<Certificate, String> {
        if der.is_empty() {
            return Err("there is none".to_owned());
        }
        if der.len() > BYTES_MAX {
            return Err(format!("it has {} bytes, allowed are {BYTES_MAX}", der.len()));
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| "it is not X.509".to_owned())?;
        if !rest.is_empty() {
            return Err("it came with its whole chain, which is not supported: let the server send its own alone".to_owned());
        }
        let key_bits = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => key.key_size(),
            // An authority's may be of another kind.
            _ => 0,
        };
        Ok(Certificate {
            der: der.to_vec(),
            subject: shown(&parsed.subject().to_string()),
            issuer: shown(&parsed.issuer().to_string()),
            validity: (micros(parsed.validity().not_before), micros(parsed.validity().not_after)),
            hosts: hosts(&parsed),
            application_uri: application_uri(&parsed),
            key_bits,
            is_signed_with_sha1: is_sha1(&parsed),
            may_sign_and_encrypt: may_sign_and_encrypt(&parsed),
            is_authority: parsed.is_ca(),
        })
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub fn sha256(&self) -> Thumbprint {
        Thumbprint::sha256(&self.der)
    }

    /// Escaped and cut.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Escaped and cut.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// First and last moment.
    pub fn validity(&self) -> (UtcMicros, UtcMicros) {
        self.validity
    }

    pub fn days_left(&self, now: UtcMicros) -> i64 {
        self.validity.1.0.saturating_sub(now.0).div_euclid(86_400_000_000)
    }

    /// As it came; not escaped.
    pub fn application_uri(&self) -> Option<&str> {
        self.application_uri.as_deref()
    }

    /// Of an RSA key; 0: it is of another kind.
    pub fn key_bits(&self) -> usize {
        self.key_bits
    }

    pub fn is_signed_with_sha1(&self) -> bool {
        self.is_signed_with_sha1
    }

    /// Escaped and cut.
    pub fn hosts(&self) -> String {
        if self.hosts.is_empty() { "no host".to_owned() } else { shown(&self.hosts.join(", ")) }
    }

    pub(crate) fn may_sign_and_encrypt(&self) -> bool {
        self.may_sign_and_encrypt
    }

    /// Names compare without case; a wildcard is only a name.
    pub(crate) fn names_host(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.split('%').next().and_then(|host| host.parse().ok());
        self.hosts.iter().any(|name| match address {
            Some(address) => name.parse() == Ok(address),
            None => name.eq_ignore_ascii_case(host.trim_end_matches('.')),
        })
    }
}

fn micros(time: ASN1Time) -> UtcMicros {
    UtcMicros(time.timestamp().saturating_mul(1_000_000))
}

fn names<'c>(certificate: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c GeneralName<'c>> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| extension.value.general_names.iter()).take(NAMES_MAX)
}

fn hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    names(certificate).filter_map(host).collect()
}

fn application_uri(certificate: &X509Certificate<'_>) -> Option<String> {
    names(certificate).find_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    })
}

/// sha1WithRSAEncryption, and what is older (RFC 8017, appendix C).
fn is_sha1(certificate: &X509Certificate<'_>) -> bool {
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    matches!(algorithm.as_str(), "1.2.840.113549.1.1.2" | "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5")
}

/// OPC 10000-6, 6.2.2: digitalSignature, keyEncipherment and dataEncipherment. Dear to few servers: one encipherment is
/// enough, and so is a certificate that says nothing at all.
fn may_sign_and_encrypt(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(Some(usage)) => {
            let usage = usage.value;
            usage.digital_signature() && (usage.key_encipherment() || usage.data_encipherment())
        }
        Ok(None) => true,
        Err(_) => false,
    }
}
