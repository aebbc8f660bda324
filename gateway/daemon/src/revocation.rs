//! Which certificates of the sandbox's authority count no more (RFC 5280, section 5).

use std::path::Path;

use lingate_model::UtcMicros;
use rustls::pki_types::{CertificateRevocationListDer, pem::PemObject};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::fault::{Fault, Setting};
use crate::files;
use crate::tls::{cannot_read, show_time};

const HINT: &str = "it must hold revocation lists of the authority of sandbox.ca, in PEM or DER form, one for each issuer \
                    in the broker's chain; ask the sandbox's operator for it";

/// What one connect believes, and what is wrong with it by the passing of time alone.
#[derive(Default)]
pub(crate) struct Revocation {
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) warnings: Vec<Fault>,
}

/// At least one list, or a fault. A list whose next one is overdue is told: with it no broker is believed.
pub(crate) fn read(path: &Path, utc: UtcMicros) -> Result<Revocation, Fault> {
    let bytes = files::read(path).map_err(|error| refuse(cannot_read("revocation list", path, &error)))?;
    let lists = parse(&bytes).map_err(|why| refuse(format!("{} {why}", path.display())))?;
    let mut warnings = Vec::new();
    for list in &lists {
        let (_, parsed) = CertificateRevocationList::from_der(list)
            .map_err(|_| refuse(format!("{} holds something that is no revocation list", path.display())))?;
        let until = parsed.next_update().map(|time| UtcMicros(time.timestamp().saturating_mul(1_000_000)));
        warnings.extend(overdue(path, until, utc));
    }
    Ok(Revocation { lists, warnings })
}

fn refuse(what: String) -> Fault {
    Fault::refuse(Setting::Crl, what, HINT)
}

fn parse(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, &'static str> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err("holds no revocation list"),
        Err(_) => Err("cannot be understood as revocation lists"),
    }
}

fn overdue(path: &Path, until: Option<UtcMicros>, utc: UtcMicros) -> Option<Fault> {
    let what = match until {
        None => format!("the revocation list {} does not say until when it holds", path.display()),
        Some(until) if until <= utc => {
            format!("the revocation list {} was to be replaced by {}", path.display(), show_time(until))
        }
        Some(_) => return None,
    };
    let hint = "no broker is believed until a newer one lies there, no restart is needed; readings are kept on disk \
                meanwhile. Compare this computer's clock";
    Some(Fault::warn(Setting::Crl, what, hint))
}
