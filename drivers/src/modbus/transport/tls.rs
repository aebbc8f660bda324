//! MODBUS/TCP Security Protocol Specification V21: TLS 1.2 or 1.3, both sides with certificates, the client's role in an
//! extension of its certificate.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroize;

use super::{Peer, tcp};
use crate::settings::Credential;
use crate::{LinkError, Site, SiteProblem};

/// Files by name; they are read at every connect, so that a renewal needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: Credential,
    /// What the device's certificate must name; the host, if nothing else is said.
    pub(crate) server_name: ServerName<'static>,
    pub(crate) role: Role,
}

/// What the client's certificate must say of the client's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Any,
    /// The device asks for none.
    None,
    Named(String),
}

/// Role of the client (MODBUS/TCP Security, 8.3), a UTF8String.
const ROLE: &str = "1.3.6.1.4.1.50316.802.1";

pub(super) async fn open(peer: &Peer, tls: &Tls, client: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, LinkError> {
    let at = |source| LinkError::Connect { address: peer.to_string(), source };
    let stream = tcp::open(peer).await.map_err(at)?;
    let connector = TlsConnector::from(Arc::clone(client));
    connector.connect(tls.server_name.clone(), stream).await.map_err(|source| refusal(peer, source))
}

/// A certificate that is not right does not become right by itself.
fn refusal(peer: &Peer, source: io::Error) -> LinkError {
    let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error @ rustls::Error::InvalidCertificate(_)) => LinkError::Refused {
            what: format!("the certificate of {peer} is refused: {error}"),
            hint: "ca must be the authority of the device's certificate, and server_name a name in it".to_owned(),
        },
        Some(error @ rustls::Error::AlertReceived(_)) => LinkError::Refused {
            what: format!("{peer} refuses the connection: {error}"),
            hint: "look whether the device knows the authority and the role of lingate's certificate".to_owned(),
        },
        _ => LinkError::Connect { address: peer.to_string(), source },
    }
}

struct Fault {
    setting: &'static str,
    what: String,
    hint: String,
}

impl Tls {
    pub(super) fn client(&self, site: &Site) -> Result<Arc<ClientConfig>, LinkError> {
        let refused = |Fault { setting, what, hint }| LinkError::Refused { what: format!("{setting}: {what}"), hint };
        self.config(site).map(Arc::new).map_err(refused)
    }

    pub(super) fn problems(&self, site: &Site) -> Vec<SiteProblem> {
        let told = |Fault { setting, what, hint }| SiteProblem { setting, what, hint };
        let files = self.config(site).err().into_iter();
        files.chain(self.role_fault()).map(told).collect()
    }

    fn config(&self, site: &Site) -> Result<ClientConfig, Fault> {
        let roots = self.roots()?;
        let chain = certificates("certificate", &self.certificate)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring has suites of both versions");
        let own = CertifiedKey::new(chain, self.key(site)?);
        match own.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => {
                let what = format!("does not fit its certificate: {error}");
                let hint = "give the private key that belongs to certificate".to_owned();
                return Err(Fault { setting: "key", what, hint });
            }
        }
        let own = Arc::new(SingleCertAndKey::from(own));
        let mut config = builder.with_root_certificates(roots).with_client_cert_resolver(own);
        // A resumed session would keep an identity that was replaced.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Fault> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca", &self.ca)? {
            roots.add(certificate).map_err(|error| Fault {
                setting: "ca",
                what: format!("{} holds a certificate that cannot be an authority: {error}", self.ca.display()),
                hint: "give the authority that signed the device's certificate".to_owned(),
            })?;
        }
        Ok(roots)
    }

    /// Of all copies only that of ring stays.
    fn key(&self, site: &Site) -> Result<Arc<dyn SigningKey>, Fault> {
        let hint = || "give a private key in PEM form, readable for lingate alone".to_owned();
        let bytes = (site.secret)(&self.key).map_err(|what| Fault { setting: "key", what, hint: hint() })?;
        let mut key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| Fault {
            setting: "key",
            what: "is no private key in PEM form".to_owned(),
            hint: hint(),
        })?;
        let loaded = any_supported_type(&key);
        key.zeroize();
        loaded.map_err(|error| Fault { setting: "key", what: format!("cannot be used: {error}"), hint: hint() })
    }

    fn role_fault(&self) -> Option<Fault> {
        let chain = certificates("certificate", &self.certificate).ok()?;
        let role = role(chain.first()?);
        let (what, hint) = match (&self.role, role) {
            (Role::None, _) | (Role::Any, Some(_)) => return None,
            (Role::Named(wanted), Some(role)) if *wanted == role => return None,
            (Role::Named(wanted), Some(_)) => {
                (format!("names another role than {wanted:?}"), "ask the plant's authority for a certificate with it")
            }
            (Role::Any | Role::Named(_), None) => (
                format!("has no role (extension {ROLE}), so that the device may refuse every request"),
                "ask for a certificate with a role, or write role = \"none\" if the device knows no roles",
            ),
        };
        Some(Fault { setting: "certificate", what, hint: hint.to_owned() })
    }
}

fn certificates(setting: &'static str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let hint = || "give a file with certificates in PEM form".to_owned();
    let fault = |what| Fault { setting, what, hint: hint() };
    let bytes = std::fs::read(path).map_err(|error| fault(format!("{} cannot be read: {error}", path.display())))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(fault(format!("{} holds no certificate in PEM form", path.display()))),
    }
}

/// Escaped, at most 256 characters.
fn role(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let extension = certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == ROLE)?;
    // Tag of a UTF8String, then its length, which is below 128.
    let [0x0C, length, text @ ..] = extension.value else { return None };
    let text = text.get(..usize::from(*length))?;
    Some(std::str::from_utf8(text).ok()?.escape_default().take(256).collect())
}
