use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// An authority, a device's certificate and a client's with a role (MODBUS/TCP Security, 8.3).
pub struct Certificates {
    ca: PathBuf,
    client: PathBuf,
    pub client_key: String,
    server_chain: CertificateDer<'static>,
    server_key: PrivateKeyDer<'static>,
}

/// Names that differ: of equal ones OpenSSL takes each certificate for its own issuer.
fn parameters(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    Ok(parameters)
}

const ROLE: &[u64] = &[1, 3, 6, 1, 4, 1, 50316, 802, 1];

impl Certificates {
    /// As `ca.pem`, `client.pem`, `client.key`, `server.pem` (for 127.0.0.1) and `server.key` in this folder.
    pub fn make(folder: &Path) -> io::Result<Certificates> {
        Certificates::try_make(folder).map_err(io::Error::other)
    }

    fn try_make(folder: &Path) -> Result<Certificates, Box<dyn std::error::Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let mut authority = parameters(Vec::new(), "plant authority")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_pem = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);
        let server_key = KeyPair::generate()?;
        let server = parameters(vec!["127.0.0.1".to_owned()], "device")?.signed_by(&server_key, &issuer)?;
        let client_key = KeyPair::generate()?;
        let mut client = parameters(Vec::new(), "gateway")?;
        // A UTF8String of six bytes.
        let role = [&[0x0C, 6], b"reader".as_slice()].concat();
        client.custom_extensions = vec![CustomExtension::from_oid_content(ROLE, role)];
        let client = client.signed_by(&client_key, &issuer)?;
        let files = Certificates {
            ca: folder.join("ca.pem"),
            client: folder.join("client.pem"),
            client_key: client_key.serialize_pem(),
            server_chain: server.der().clone(),
            server_key: PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes())?,
        };
        fs::write(&files.ca, ca_pem)?;
        fs::write(&files.client, client.pem())?;
        fs::write(folder.join("server.pem"), server.pem())?;
        fs::write(folder.join("server.key"), server_key.serialize_pem())?;
        fs::write(folder.join("client.key"), &files.client_key)?;
        Ok(files)
    }

    /// Takes clients of this authority only.
    pub(crate) fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).map_err(io::Error::other)?).map_err(io::Error::other)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(clients.build().map_err(io::Error::other)?)
            .with_single_cert(vec![self.server_chain.clone()], self.server_key.clone_key())
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }

    /// The lines of a device table.
    pub fn toml(&self) -> String {
        let key = self.ca.with_file_name("client.key");
        format!("ca = {:?}\ncertificate = {:?}\nkey = {key:?}\nrole = \"reader\"\n", self.ca, self.client)
    }
}
