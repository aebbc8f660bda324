//! The gateway's side of TLS 1.3: read again from the files at every connect, so that rotation needs no restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_config::{Credential, KeyPlace, SandboxPlan, TokenKey};
use lingate_model::{GatewayId, UtcMicros};
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use crate::fault::{Fault, Setting};
use crate::files;
use crate::revocation::{self, Revocation};
use crate::token::{self, Token};

/// Where the material is; never the material.
#[derive(Clone)]
pub(crate) struct TlsFiles {
    ca: PathBuf,
    pub(crate) crl: Option<PathBuf>,
    certificate: PathBuf,
    key: KeyPlace,
    gateway: GatewayId,
}

/// Time and length of each file; a file that is not there has none.
pub(crate) type Stamp = Vec<Option<(std::time::SystemTime, u64)>>;

/// What one connect uses.
pub(crate) struct Material {
    pub(crate) config: Arc<ClientConfig>,
    /// End of the certificate's validity.
    pub(crate) expires: UtcMicros,
    /// What will or did go wrong by the passing of time alone.
    pub(crate) warnings: Vec<Fault>,
}

impl TlsFiles {
    pub(crate) fn new(sandbox: &SandboxPlan, gateway: &GatewayId) -> TlsFiles {
        TlsFiles {
            ca: sandbox.ca.clone(),
            crl: sandbox.crl.clone(),
            certificate: sandbox.certificate.clone(),
            key: sandbox.key.clone(),
            gateway: gateway.clone(),
        }
    }

    /// Reads, parses and compares all of them; all faults at once.
    pub(crate) fn load(&self, utc: UtcMicros) -> Result<Material, Vec<Fault>> {
        let (roots, chain, key) = (self.roots(), self.chain(utc), self.key());
        let revoked = self.crl.as_deref().map_or_else(|| Ok(Revocation::default()), |path| revocation::read(path, utc));
        let (roots, (chain, expires, mut warnings), key, revoked) = match (roots, chain, key, revoked) {
            (Ok(roots), Ok(chain), Ok(key), Ok(revoked)) => (roots, chain, key, revoked),
            (roots, chain, key, revoked) => {
                let faults = [roots.err(), chain.err(), key.err(), revoked.err()];
                return Err(faults.into_iter().flatten().collect());
            }
        };
        warnings.extend(revoked.warnings);
        let brokers = brokers(roots, revoked.lists).map_err(|fault| vec![fault])?;
        let config = client_config(brokers, chain, key, utc).map_err(|fault| vec![fault])?;
        Ok(Material { config: Arc::new(config), expires, warnings })
    }

    /// Changes whenever one of the files does: a refused gateway tries again as soon as somebody brought new ones.
    pub(crate) fn stamp(&self) -> Stamp {
        let key = match &self.key {
            KeyPlace::File(credential) => credential_path(credential).ok(),
            KeyPlace::Token(_) => None,
        };
        let stamp = |path: &Path| path.metadata().and_then(|file| Ok((file.modified()?, file.len()))).ok();
        let crl = self.crl.as_deref().and_then(stamp);
        vec![stamp(&self.ca), crl, stamp(&self.certificate), key.as_deref().and_then(stamp)]
    }

    /// When the sandbox signed this gateway's certificate: a moment that has passed.
    pub(crate) fn issued(&self) -> Option<UtcMicros> {
        let bytes = files::read(&self.certificate).ok()?;
        let leaf = CertificateDer::pem_slice_iter(&bytes).next()?.ok()?;
        let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
        Some(UtcMicros(leaf.validity().not_before.timestamp().saturating_mul(1_000_000)))
    }

    fn roots(&self) -> Result<RootCertStore, Fault> {
        let hint = "it must hold the sandbox's CA certificate in PEM form, as `lingate-sandbox issue` or the sandbox \
                    operator gave it";
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca, Setting::Ca, hint)? {
            roots.add(certificate).map_err(|error| Fault::refuse(Setting::Ca, bad(&self.ca, &error), hint))?;
        }
        Ok(roots)
    }

    fn chain(&self, utc: UtcMicros) -> Result<(Vec<CertificateDer<'static>>, UtcMicros, Vec<Fault>), Fault> {
        let hint = "it must hold the certificate that the sandbox issued for this gateway's enroll.json, in PEM form, \
                    issuers after it";
        let chain = certificates(&self.certificate, Setting::Certificate, hint)?;
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|error| Fault::refuse(Setting::Certificate, bad(&self.certificate, &error), hint))?;
        self.named_after_gateway(&leaf)?;
        let validity = leaf.validity();
        let expires = UtcMicros(validity.not_after.timestamp().saturating_mul(1_000_000));
        let mut warnings = Vec::new();
        if expires <= utc {
            let what = format!("certificate {} has expired at {}", self.certificate.display(), show_time(expires));
            let hint = "the broker will refuse it; readings are kept on disk meanwhile. Ask the sandbox for a new one and \
                        replace the file, no restart is needed";
            warnings.push(Fault::warn(Setting::Certificate, what, hint));
        } else if validity.not_before.timestamp() > utc.seconds() {
            let what = format!("certificate {} is not yet valid", self.certificate.display());
            warnings.push(Fault::warn(
                Setting::Certificate,
                what,
                "compare this computer's clock with the certificate",
            ));
        }
        Ok((chain, expires, warnings))
    }

    fn named_after_gateway(&self, leaf: &X509Certificate<'_>) -> Result<(), Fault> {
        let name = leaf.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or("");
        if name == self.gateway.as_str() {
            return Ok(());
        }
        let what = format!(
            "certificate {} is for {name:?}, but gateway.id is {:?}",
            self.certificate.display(),
            self.gateway.as_str()
        );
        let hint = "the broker takes the gateway's topics from the certificate's common name, so both must be equal: \
                    correct gateway.id, or take the certificate that was issued for it";
        Err(Fault::refuse(Setting::Certificate, what, hint))
    }

    fn key(&self) -> Result<Arc<dyn SigningKey>, Fault> {
        match &self.key {
            KeyPlace::File(credential) => key_file(credential),
            KeyPlace::Token(place) => key_in(place),
        }
    }
}

fn key_in(place: &TokenKey) -> Result<Arc<dyn SigningKey>, Fault> {
    let hint = "mend the token, its library or its PIN; readings are kept on disk meanwhile";
    match Token::open(place) {
        Ok(Some(token)) => Ok(token::tls_key(token)),
        Ok(None) => {
            let what = format!("there is no key {:?} in the token {:?}", place.object, place.token);
            let hint = "run `lingate enroll` first: it makes the keys; or correct sandbox.key";
            Err(Fault::refuse(Setting::Key, what, hint))
        }
        Err(unusable) if unusable.is_away => Err(Fault::away(Setting::Key, unusable.why, hint)),
        Err(unusable) => Err(Fault::refuse(Setting::Key, unusable.why, hint)),
    }
}

fn key_file(credential: &Credential) -> Result<Arc<dyn SigningKey>, Fault> {
    let path = credential_path(credential)?;
    let hint = "it must hold the private key that `lingate enroll` made, in PEM form, readable for the user who runs \
                lingate";
    let unreadable = |error: io::Error| Fault::refuse(Setting::Key, cannot_read("private key", &path, &error), hint);
    let bytes = Zeroizing::new(files::read(&path).map_err(unreadable)?);
    if matches!(credential, Credential::File(_))
        && let Some(why) = files::exposed(&path, 0o027, false).map_err(unreadable)?
    {
        let hint = format!("chmod 600 {} (0640 with the daemon's own group is accepted too)", path.display());
        return Err(Fault::refuse(Setting::Key, format!("private key {} {why}", path.display()), hint));
    }
    let mut key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        Fault::refuse(Setting::Key, format!("{} is not a private key in PEM form", path.display()), hint)
    })?;
    // Of all copies only that of ring stays.
    let loaded = any_supported_type(&key);
    key.zeroize();
    loaded.map_err(|error| {
        Fault::refuse(Setting::Key, format!("the private key {} cannot be used: {error}", path.display()), hint)
    })
}

/// Who is believed to be a broker. With lists every certificate of its chain has to be on none, and each of its issuers
/// has to have one that is not overdue; without lists revocation is not checked.
fn brokers(
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<WebPkiServerVerifier>, Fault> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| {
            let hint =
                "ask the sandbox's operator for another one: it has to be of version 2 and to say when the next comes";
            Fault::refuse(Setting::Crl, format!("a revocation list cannot be used: {error}"), hint)
        })
}

fn client_config(
    brokers: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
    utc: UtcMicros,
) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(default_provider());
    let hint = "take the certificate and the key of the same enrolment";
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Fault::refuse(
            Setting::Key,
            "the private key does not belong to the certificate of sandbox.certificate",
            hint,
        ),
        error => Fault::refuse(Setting::Key, format!("the private key cannot be used: {error}"), hint),
    };
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error) => return Err(unusable(error)),
    }
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(At(utc)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the ring provider has cipher suites for TLS 1.3")
        .with_webpki_verifier(brokers)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    // A resumed session keeps the old identity and the old judgement of the broker's certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The gateway's own judgement of the time, at the connect: a clock that was never set would refuse every certificate.
#[derive(Debug)]
struct At(UtcMicros);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.seconds().try_into().ok()?)))
    }
}

fn certificates(path: &Path, setting: Setting, hint: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes =
        files::read(path).map_err(|error| Fault::refuse(setting, cannot_read("certificate", path, &error), hint))?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Fault::refuse(setting, format!("{} holds no certificate in PEM form", path.display()), hint)),
        Err(error) => Err(Fault::refuse(setting, bad(path, &error), hint)),
    }
}

fn credential_path(key: &Credential) -> Result<PathBuf, Fault> {
    files::credential_path(key)
        .map_err(|what| Fault::refuse(Setting::Key, what, "run it as a systemd service, or give the key as a path"))
}

/// What stands in the way of a file, with the reason of the operating system.
pub(crate) fn cannot_read(noun: &str, path: &Path, error: &io::Error) -> String {
    let why = match (error.kind(), files::user()) {
        (io::ErrorKind::PermissionDenied, Some(user)) => format!("permission denied for user {user}"),
        _ => error.to_string(),
    };
    format!("{noun} {} cannot be read: {why}", path.display())
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{} cannot be understood as a certificate: {error}", path.display())
}

/// `2026-11-23T05:30:11Z`; whole seconds.
pub(crate) fn show_time(time: UtcMicros) -> String {
    jiff::Timestamp::from_second(time.seconds())
        .map_or_else(|_| "beyond the calendar".to_owned(), |time| time.to_string())
}
