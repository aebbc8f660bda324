//! The sandbox's certificate authority: ECDSA P-256, one level, server and client certificates.

use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevocationReason, RevokedCertParams, SerialNumber,
};

use crate::clock;

const DAY: Duration = Duration::from_secs(86_400);
/// Gateways without a battery-backed clock start up to this far behind.
const BACKDATE: Duration = Duration::from_secs(300);

pub(crate) struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate, its issuer below it, and the private key in PKCS#8; PEM.
pub(crate) struct Leaf {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

/// A certificate request that proves possession of its key.
pub(crate) struct Request {
    parsed: CertificateSigningRequestParams,
}

impl CertificateAuthority {
    pub(crate) fn generate(common_name: &str, valid_days: u32) -> Result<(CertificateAuthority, String)> {
        let key = KeyPair::generate()?;
        let mut params = parameters(common_name, &[], valid_days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let certificate_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok((CertificateAuthority { issuer: Issuer::new(params, key), certificate_pem }, key_pem))
    }

    pub(crate) fn load(certificate_pem: String, key_pem: &str) -> Result<CertificateAuthority> {
        let key = KeyPair::from_pem(key_pem).context("the CA key is not a PKCS#8 key in PEM form")?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key).context("the CA certificate is unusable")?;
        Ok(CertificateAuthority { issuer, certificate_pem })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// `names`: DNS names and IP addresses that clients may use for the server.
    pub(crate) fn server(&self, names: &[String], valid_days: u32) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = parameters(&names[0], names, valid_days)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let chain_pem = params.signed_by(&key, &self.issuer)?.pem() + &self.certificate_pem;
        Ok(Leaf { chain_pem, key_pem: key.serialize_pem() })
    }

    pub(crate) fn client(&self, common_name: &str, valid_days: u32) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let chain_pem = self.client_for(common_name, &key, valid_days)?;
        Ok(Leaf { chain_pem, key_pem: key.serialize_pem() })
    }

    /// Only the public key of a request is used: names, usages and validity are the authority's decision.
    pub(crate) fn client_for_request(&self, common_name: &str, request: &Request, valid_days: u32) -> Result<String> {
        self.client_for(common_name, &request.parsed.public_key, valid_days)
    }

    /// Certificate revocation list (RFC 5280, section 5) over these certificates, PEM. A broker refuses everybody when its
    /// list is out of date, so it is valid as long as the authority: a revocation writes the next one.
    pub(crate) fn revocation_list(&self, revoked: &[(Vec<u8>, i64)], valid_days: u32) -> Result<String> {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let at = |seconds: i64| epoch + Duration::from_secs(seconds.unsigned_abs());
        let entry = |(serial, seconds): &(Vec<u8>, i64)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: at(*seconds),
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        };
        let now = clock::unix_seconds();
        let list = CertificateRevocationListParams {
            this_update: at(now) - BACKDATE,
            next_update: at(now) + DAY * valid_days,
            crl_number: SerialNumber::from(now.unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    fn client_for(&self, common_name: &str, key: &impl PublicKeyData, valid_days: u32) -> Result<String> {
        let mut params = parameters(common_name, &[], valid_days)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(key, &self.issuer)?.pem() + &self.certificate_pem)
    }
}

/// Of the first certificate in PEM form, as its DER writes it.
pub(crate) fn serial_of(chain_pem: &str) -> Result<Vec<u8>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain_pem.as_bytes()).context("a certificate in PEM form")?;
    Ok(pem.parse_x509().context("a certificate")?.raw_serial().to_vec())
}

impl Request {
    /// Parses PKCS#10 in PEM form and verifies its signature.
    pub(crate) fn verify(pem: &str) -> Result<Request> {
        let parsed = CertificateSigningRequestParams::from_pem(pem)
            .context("the certificate request (csr) cannot be read or its signature is wrong")?;
        Ok(Request { parsed })
    }

    pub(crate) fn common_name(&self) -> Option<&str> {
        match self.parsed.params.distinguished_name.get(&DnType::CommonName)? {
            DnValue::Utf8String(name) => Some(name),
            DnValue::PrintableString(name) => Some(name.as_str()),
            DnValue::Ia5String(name) => Some(name.as_str()),
            _ => None,
        }
    }
}

fn parameters(common_name: &str, names: &[String], valid_days: u32) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.to_vec()).context("a server name is neither DNS name nor address")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(clock::unix_seconds().unsigned_abs());
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now + DAY * valid_days;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let mut serial = crate::keys::random::<16>();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn request(common_name: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_request_is_named_and_proves_its_key() {
        let key = KeyPair::generate().unwrap();
        assert_eq!(Request::verify(&request("gw-0001", &key)).unwrap().common_name(), Some("gw-0001"));
    }

    #[test]
    fn a_request_with_a_flipped_bit_is_refused() {
        let pem = request("gw-0001", &KeyPair::generate().unwrap());
        let mut der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(CertificateSigningRequestParams::from_der(&der.into()).is_err());
    }

    #[test]
    fn a_loaded_authority_signs_under_its_own_name() {
        let (made, key) = CertificateAuthority::generate("CA of sandbox.example", 10).unwrap();
        let loaded = CertificateAuthority::load(made.certificate_pem().to_owned(), &key).unwrap();
        let leaf = loaded.client("gw-0001", 1).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(leaf.chain_pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.issuer().to_string(), "CN=CA of sandbox.example");
        assert_eq!(certificate.subject().to_string(), "CN=gw-0001");
    }
}
