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
    issuer: Issuer<'static, KeyPair>,
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

/// The role in a client's certificate, as a device finds it: behind its object identifier.
pub(crate) fn role_of(certificate: &CertificateDer<'_>) -> Option<String> {
    const IDENTIFIER: [u8; 11] = [0x2B, 6, 1, 4, 1, 0x83, 0x89, 0x0C, 0x86, 0x22, 1];
    let at = certificate.windows(IDENTIFIER.len()).position(|window| window == IDENTIFIER)?;
    // An octet string with a UTF8String in it, both shorter than 128 bytes.
    let [4, _, 0x0C, length, text @ ..] = &certificate[at + IDENTIFIER.len()..] else { return None };
    String::from_utf8(text.get(..usize::from(*length))?.to_vec()).ok()
}

/// In DER, shorter than 128 bytes.
pub fn utf8_string(text: &str) -> Vec<u8> {
    [&[0x0C, u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat()
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
        let files = Certificates {
            ca: folder.join("ca.pem"),
            client: folder.join("client.pem"),
            client_key: client_key.serialize_pem(),
            issuer,
            server_chain: server.der().clone(),
            server_key: PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes())?,
        };
        fs::write(&files.ca, ca_pem)?;
        files.issue_client(Some(utf8_string("reader")))?;
        fs::write(folder.join("server.pem"), server.pem())?;
        fs::write(folder.join("server.key"), server_key.serialize_pem())?;
        fs::write(folder.join("client.key"), &files.client_key)?;
        Ok(files)
    }

    /// The client's certificate anew, with this content of the role extension or without one, for the same key.
    pub fn issue_client(&self, role: Option<Vec<u8>>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut client = parameters(Vec::new(), "gateway")?;
        client.custom_extensions = role.into_iter().map(|role| CustomExtension::from_oid_content(ROLE, role)).collect();
        let key = KeyPair::from_pem(&self.client_key)?;
        fs::write(&self.client, client.signed_by(&key, &self.issuer)?.pem())?;
        Ok(())
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
