use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lingate_model::{GatewayId, UtcMicros};
use opcua::crypto::{X509, X509Data};

use super::trust::{Certificate, Store, read_bounded, replace};
use crate::{LinkError, Site};

/// The gateway's own application certificate, the same for all servers, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

const KEY_BITS: u32 = 2048;
/// As long as plants leave a box alone; it is renewed by deleting it, and then trusted anew on every server.
const DAYS: u32 = 5 * 365;
const WARN_DAYS: i64 = 30;
/// 2025-01-01. A clock that shows less was never set, and a certificate of 1970 is worth nothing.
const CLOCK_MIN: UtcMicros = UtcMicros(1_735_689_600_000_000);

/// One maker at a time: all devices of a gateway share the certificate.
#[derive(Default)]
struct Making(Mutex<()>);

/// `urn:lingate:gw-0001`
pub fn application_uri(gateway: &GatewayId) -> String {
    format!("urn:lingate:{gateway}")
}

/// Where the gateway's own certificate lies and what it says, if it was made: to be trusted on the servers.
pub fn own_certificate(store: &Store) -> Option<(PathBuf, Certificate)> {
    let own = Own::of(store);
    own.read().map(|certificate| (own.certificate, certificate))
}

impl Own {
    pub(crate) fn of(store: &Store) -> Own {
        let folder = store.folder().join("own");
        Own { certificate: folder.join("cert.der"), key: folder.join("key.pem") }
    }

    /// `None`: not made yet.
    pub(crate) fn read(&self) -> Option<Certificate> {
        read_bounded(&self.certificate).ok().and_then(|bytes| Certificate::parse(&bytes).ok())
    }

    /// Makes certificate and key if they are not there. Takes seconds on a small machine, the first time.
    pub(crate) async fn ensure(site: &Site) -> Result<Own, LinkError> {
        let store = Store::of(&site.folder);
        let own = Own::of(&store);
        if let Some(certificate) = own.read().filter(|_| own.key.exists()) {
            own.warn(&certificate, site);
            return Ok(own);
        }
        if site.clock.now().utc < CLOCK_MIN {
            let what = "the gateway's OPC UA certificate cannot be made, because its clock was never set".to_owned();
            return Err(LinkError::Refused { what, hint: "set the clock".to_owned() });
        }
        let making: Arc<Making> = site.lines.join("opcua own certificate", Making::default);
        let uri = application_uri(&site.gateway);
        let name = site.gateway.to_string();
        let (make, made) = (own.clone(), own);
        let done = tokio::task::spawn_blocking(move || {
            let _alone = making.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Another device may have made it meanwhile.
            if make.read().is_some() && make.key.exists() { Ok(()) } else { make.make(&store, &name, &uri) }
        });
        match done.await {
            Ok(Ok(())) => Ok(made),
            Ok(Err(what)) => Err(LinkError::Refused { what, hint: "look at the state folder and its disk".to_owned() }),
            Err(_) => Err(LinkError::Protocol { what: "the gateway's certificate could not be made".to_owned() }),
        }
    }

    /// At every connection: seldom enough, and nobody overlooks it for a month.
    fn warn(&self, certificate: &Certificate, site: &Site) {
        let days = certificate.days_left(site.clock.now().utc);
        if days < WARN_DAYS {
            let path = self.certificate.display();
            tracing::warn!(days, certificate = %path, "the gateway's OPC UA certificate ends: remove it, and trust the new one on the servers");
        }
    }

    fn make(&self, store: &Store, gateway: &str, uri: &str) -> Result<(), String> {
        let failed = |what: &dyn std::fmt::Display| format!("the gateway's OPC UA certificate cannot be made: {what}");
        // The URI first: servers compare it with the application URI of the session (OPC 10000-6, 6.2.2).
        let names = X509Data::alt_host_names(uri, Some(vec![gateway.to_owned()]), false, false, false);
        let wanted = X509Data {
            key_size: KEY_BITS,
            common_name: format!("lingate {gateway}"),
            organization: "lingate".to_owned(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: names,
            certificate_duration_days: DAYS,
        };
        let (certificate, key) = X509::cert_and_pkey(&wanted).map_err(|error| failed(&error))?;
        let der = certificate.to_der().map_err(|error| failed(&error))?;
        let document = key.to_der().map_err(|error| failed(&error))?;
        let pem = document.to_pem("PRIVATE KEY", Default::default()).map_err(|error| failed(&error))?;
        store.make("own").map_err(|error| failed(&error))?;
        // The certificate last: with it the pair counts as made.
        replace(&self.key, pem.as_bytes()).map_err(|error| failed(&error))?;
        replace(&self.certificate, &der).map_err(|error| failed(&error))
    }
}
