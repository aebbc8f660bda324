//! TLS 1.3 with client certificates, from the authority's files; the ring provider, no system roots.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What a server or client shows and trusts, PEM.
pub(crate) struct Material {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: RootCertStore,
}

impl Material {
    /// `name`.pem and `name`.key of an authority folder.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Material> {
        let bytes = |name: String| std::fs::read(folder.join(&name)).with_context(|| name);
        Material::parse(&bytes(format!("{name}.pem"))?, &bytes(format!("{name}.key"))?, &bytes("ca.pem".to_owned())?)
    }

    pub(crate) fn parse(chain: &[u8], key: &[u8], ca: &[u8]) -> Result<Material> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca).context("the CA certificate")?)?;
        Ok(Material {
            chain: CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().context("the certificate chain")?,
            key: PrivateKeyDer::from_pem_slice(key).context("the private key")?,
            roots,
        })
    }

    pub(crate) fn client(self) -> Result<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(self.roots)
            .with_client_auth_cert(self.chain, self.key)?;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    pub(crate) fn server(self) -> Result<Arc<ServerConfig>> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots), provider()).build()?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain, self.key)?;
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The subject's common name: who a client certificate says that its holder is.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}
