use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use opcua::crypto::{CertificateStore, PrivateKey, X509};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SanType};

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// DER
    pub certificate: PathBuf,
    /// PKCS 8, PEM
    pub key: PathBuf,
    pub application_uri: String,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct IdentityOptions<'a> {
    pub common_name: &'a str,
    pub application_uri: &'a str,
    /// Names and addresses of the host.
    pub hosts: &'a [&'a str],
    /// From so many years ago, for one.
    pub began_years_ago: i32,
    /// Whether its year is over.
    pub is_expired: bool,
}

impl Default for IdentityOptions<'_> {
    fn default() -> Self {
        IdentityOptions {
            common_name: "lingate-plant",
            application_uri: "urn:lingate:plant",
            hosts: &["localhost", "127.0.0.1"],
            began_years_ago: 0,
            is_expired: false,
        }
    }
}

const KEY_BITS: u32 = 2048;

impl Identity {
    /// Makes both in a folder; self-signed, RSA 2048, SHA-256.
    pub fn create(folder: &Path, options: &IdentityOptions<'_>) -> Result<Identity> {
        let key = PrivateKey::new(KEY_BITS).map_err(|error| anyhow::anyhow!("no RSA key: {error:?}"))?;
        let key = key.to_der().map_err(|error| anyhow::anyhow!("no PKCS 8: {error:?}"))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key.as_bytes().into(), &PKCS_RSA_SHA256)?;
        Identity::write(folder, options, &key)
    }

    /// Another certificate for the same key, in another folder.
    pub fn again(&self, folder: &Path, options: &IdentityOptions<'_>) -> Result<Identity> {
        let key = KeyPair::from_pem_and_sign_algo(&fs::read_to_string(&self.key)?, &PKCS_RSA_SHA256)?;
        Identity::write(folder, options, &key)
    }

    fn write(folder: &Path, options: &IdentityOptions<'_>, key: &KeyPair) -> Result<Identity> {
        fs::create_dir_all(folder)?;
        let identity = Identity {
            certificate: folder.join("certificate.der"),
            key: folder.join("key.pem"),
            application_uri: options.application_uri.to_owned(),
        };
        fs::write(&identity.certificate, certificate(options)?.self_signed(key)?.der())?;
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&identity.key)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        Ok(identity)
    }

    pub fn der(&self) -> Result<Vec<u8>> {
        fs::read(&self.certificate).with_context(|| self.certificate.display().to_string())
    }

    /// SHA-1 of the DER in lower-case hex, as OPC UA servers and tools show it.
    pub fn thumbprint(&self) -> Result<String> {
        Ok(x509(&self.der()?)?.thumbprint().as_hex_string())
    }
}

/// OPC 10000-6, 6.2.2: what an application instance certificate has.
fn certificate(options: &IdentityOptions<'_>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(options.hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
    params.subject_alt_names.insert(0, SanType::URI(options.application_uri.try_into()?));
    params.distinguished_name.push(DnType::CommonName, options.common_name);
    params.distinguished_name.push(DnType::OrganizationName, "lingate plant");
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::DataEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let (first, last) = if options.is_expired { (2020, 2021) } else { (2025, 2045) };
    params.not_before = rcgen::date_time_ymd(first - options.began_years_ago, 1, 1);
    params.not_after = rcgen::date_time_ymd(last, 1, 1);
    Ok(params)
}

pub(super) fn x509(der: &[u8]) -> Result<X509> {
    X509::from_der(der).map_err(|error| anyhow::anyhow!("no certificate: {error}"))
}

/// The name under which the library looks for a certificate that it trusts.
pub(super) fn trust(folder: &Path, der: &[u8]) -> Result<()> {
    let trusted = folder.join("trusted");
    fs::create_dir_all(&trusted)?;
    fs::write(trusted.join(CertificateStore::cert_file_name(&x509(der)?)), der)?;
    Ok(())
}
