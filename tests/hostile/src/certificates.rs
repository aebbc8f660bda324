//! What a broker may show: certificates of the sandbox's own authority that are wrong in one thing, and others.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use lingate_sandbox::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

const DAY: Duration = Duration::from_secs(86_400);

/// The broker's own files.
pub(crate) fn honest(authority: &Authority) -> Result<Arc<ServerConfig>> {
    let file = |name: &str| fs::read(authority.folder().join(name)).with_context(|| name.to_owned());
    server(authority, &file("broker.pem")?, &file("broker.key")?, &rustls::version::TLS13)
}

/// To the honest broker behind, as the gateway.
pub(crate) fn gateway(folder: &std::path::Path) -> Result<Arc<ClientConfig>> {
    let file = |name: &str| fs::read(folder.join(name)).with_context(|| name.to_owned());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&file("sandbox-ca.pem")?)?)?;
    let chain = CertificateDer::pem_slice_iter(&file("gateway.pem")?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&file("gateway.key")?)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// By its word in a row: what is wrong with it.
pub(crate) fn wrong(authority: &Authority, word: &str) -> Result<Arc<ServerConfig>> {
    let ca_key = KeyPair::from_pem(&fs::read_to_string(authority.folder().join("ca.key"))?)?;
    let ca = Issuer::from_ca_cert_pem(authority.ca_pem(), ca_key)?;
    let names =
        |names: &[&str]| CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let mut params = names(&["localhost"])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "broker");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY).into());
    let key = KeyPair::generate()?;
    match word {
        "expired" => (params.not_before, params.not_after) = ((now - 3 * DAY).into(), (now - DAY).into()),
        "not-yet-valid" => (params.not_before, params.not_after) = ((now + DAY).into(), (now + 2 * DAY).into()),
        "another-name" => params.subject_alt_names = names(&["broker.example"])?.subject_alt_names,
        "an-address" => params.subject_alt_names = names(&["127.0.0.1"])?.subject_alt_names,
        "no-name" => params.subject_alt_names = Vec::new(),
        "a-wildcard" => params.subject_alt_names = names(&["*.example"])?.subject_alt_names,
        "a-client" => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        "self-signed" | "another-authority" | "through-a-leaf" => {}
        "tls-1.2" => {
            let (chain, key) = (params.signed_by(&key, &ca)?.pem(), key.serialize_pem());
            return server(authority, chain.as_bytes(), key.as_bytes(), &rustls::version::TLS12);
        }
        _ => bail!("{word:?} is no certificate that a broker can show"),
    }
    let chain = match word {
        "self-signed" => params.self_signed(&key)?.pem(),
        "another-authority" | "through-a-leaf" => {
            let (between, between_key) = (intermediate(word)?, KeyPair::generate()?);
            // The one names itself as the sandbox does; the other is signed by the sandbox, which let nobody sign.
            let own = match word {
                "through-a-leaf" => between.signed_by(&between_key, &ca)?.pem(),
                _ => between.self_signed(&between_key)?.pem(),
            };
            let issuer = Issuer::new(between, between_key);
            format!("{}{own}", params.signed_by(&key, &issuer)?.pem())
        }
        _ => params.signed_by(&key, &ca)?.pem(),
    };
    server(authority, chain.as_bytes(), key.serialize_pem().as_bytes(), &rustls::version::TLS13)
}

fn intermediate(word: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "CA of sandbox.example");
    if word == "another-authority" {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    Ok(params)
}

fn server(
    authority: &Authority,
    chain: &[u8],
    key: &[u8],
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ServerConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes())?)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
