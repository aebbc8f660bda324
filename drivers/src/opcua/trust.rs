//! Which server's certificate is believed. Decided here, before the library sees it: the library's own store knows exact
//! files only, files every stranger's certificate away without a bound, and knows neither chains nor revocation.
//!
//! ```text
//! trusted/   certificates of servers, each believed by itself
//! issuers/   certificate authorities: what they signed is believed, unless a list in crl/ revokes it
//! crl/       their revocation lists; without a fresh one nothing of an authority is believed
//! rejected/  the newest 20 strangers, waiting for somebody to decide
//! own/       the gateway's own certificate, to be trusted on the servers, and its key
//! ```

mod certificate;
mod chain;
mod store;
mod thumbprint;

use lingate_model::{ClockState, Now};
use opcua::crypto::SecurityPolicy;

pub use certificate::Certificate;
pub use store::{Kind, Listed, Store};
pub(crate) use store::{read_bounded, replace};
pub use thumbprint::Thumbprint;

use super::security::Security;
use crate::LinkError;
use crate::settings::Table;

/// What a device's table says about its server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The only certificate that is believed.
    pub(crate) thumbprint: Option<Thumbprint>,
    /// The server's application URI, if it is known in advance.
    pub(crate) server_uri: Option<String>,
    /// Faults that are overlooked in a certificate that is believed by itself.
    pub(crate) tolerate: Vec<Fault>,
}

/// What can be wrong with a certificate without making it another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Hostname,
    ApplicationUri,
    Validity,
    KeyUsage,
}

const FAULTS: [(&str, Fault); 4] = [
    ("hostname", Fault::Hostname),
    ("application-uri", Fault::ApplicationUri),
    ("validity", Fault::Validity),
    ("key-usage", Fault::KeyUsage),
];

impl Rules {
    pub(crate) fn take(table: &mut Table<'_>, security: &Security) -> Rules {
        let rules = Rules {
            thumbprint: table.take("server_thumbprint").parsed(),
            server_uri: table.take("server_uri").string(),
            tolerate: take_faults(table),
        };
        for key in ["server_thumbprint", "tolerate"] {
            if security.is_none() && table.has(key) {
                table.problem(key, "means nothing with security = \"none\", which looks at no certificate", None);
            }
        }
        rules
    }
}

fn take_faults(table: &mut Table<'_>) -> Vec<Fault> {
    let words = table.take("tolerate").texts(0..=FAULTS.len());
    let mut faults = Vec::new();
    for word in words {
        match FAULTS.iter().find(|(known, _)| *known == word) {
            Some((_, fault)) => faults.push(*fault),
            None => {
                let known: Vec<_> = FAULTS.iter().map(|(known, _)| format!("{known:?}")).collect();
                table.problem("tolerate", format!("has {word:?}, allowed are {}", known.join(", ")), None);
            }
        }
    }
    faults
}

/// What a certificate is held against.
pub(crate) struct Question<'a> {
    /// As it came.
    pub(crate) der: &'a [u8],
    pub(crate) host: &'a str,
    /// As the server's description says; the certificate must say the same.
    pub(crate) application_uri: &'a str,
    pub(crate) policy: SecurityPolicy,
    pub(crate) now: Now,
}

impl Rules {
    /// Whether the server that shows this certificate is believed to be the one of the configuration.
    pub(crate) fn judge(&self, question: &Question<'_>, store: &Store) -> Result<(), LinkError> {
        let certificate = Certificate::parse(question.der).map_err(|what| LinkError::Refused {
            what: format!("the server's certificate cannot be used: {what}"),
            hint: "give the server another certificate".to_owned(),
        })?;
        let by_itself = self.believes(&certificate, question, store)?;
        let faults = faults(&certificate, question, self.server_uri.as_deref());
        match faults.into_iter().find(|(fault, _)| !(by_itself && self.tolerate.contains(fault))) {
            None => Ok(()),
            Some((fault, what)) => Err(refused(fault, &what, by_itself, &certificate)),
        }
    }

    /// By itself (pinned or put into the store) or only by its issuer.
    fn believes(&self, certificate: &Certificate, question: &Question<'_>, store: &Store) -> Result<bool, LinkError> {
        strong_enough(certificate, question.policy)?;
        let shown = certificate.sha256();
        let stranger = |what: String| {
            store.reject(certificate);
            let hint = format!("compare it with the one on the device, then: lingate trust add {shown} --config FILE");
            LinkError::Refused { what, hint }
        };
        if let Some(pinned) = &self.thumbprint {
            return match pinned.is_of(certificate.der()) {
                true => Ok(true),
                false => {
                    store.reject(certificate);
                    let what = format!("the server shows certificate {shown}, but server_thumbprint is {pinned}");
                    let hint = "if the server was given a new certificate, write its thumbprint".to_owned();
                    Err(LinkError::Refused { what, hint })
                }
            };
        }
        if store.trusts(certificate) {
            return Ok(true);
        }
        match chain::verify(certificate, &store.issuers(), &store.revocations(), question.now.utc) {
            Ok(()) => Ok(false),
            Err(chain::Broken::NoIssuer) => {
                Err(stranger(format!("the server's certificate {shown} ({}) is not trusted", certificate.subject())))
            }
            Err(broken) => Err(stranger(format!("the server's certificate {shown} is not trusted: {broken}"))),
        }
    }
}

/// OPC 10000-7: what the policies ask of a certificate.
fn strong_enough(certificate: &Certificate, policy: SecurityPolicy) -> Result<(), LinkError> {
    let is_legacy = matches!(policy, SecurityPolicy::Basic256 | SecurityPolicy::Basic128Rsa15);
    let bits = if is_legacy { 1024..=4096 } else { 2048..=4096 };
    let what = if certificate.key_bits() == 0 {
        "has a key that is not RSA".to_owned()
    } else if !bits.contains(&certificate.key_bits()) {
        format!("has a key of {} bits, allowed are {} to {}", certificate.key_bits(), bits.start(), bits.end())
    } else if certificate.is_signed_with_sha1() && !is_legacy {
        "is signed with SHA-1, which can be forged".to_owned()
    } else {
        return Ok(());
    };
    let what = format!("the server's certificate {} {what}", certificate.sha256());
    Err(LinkError::Refused { what, hint: "let the server make a new certificate, RSA with SHA-256".to_owned() })
}

fn faults(certificate: &Certificate, question: &Question<'_>, server_uri: Option<&str>) -> Vec<(Fault, String)> {
    let mut faults = Vec::new();
    let mut note = |fault, what: String| faults.push((fault, what));
    let (from, to) = certificate.validity();
    let now = question.now.utc;
    if now > to {
        note(Fault::Validity, format!("ended on {}", super::date::Date::of(to)));
    }
    // A gateway that does not know the time cannot tell that something lies in the future.
    if now < from && question.now.clock != ClockState::Unsynced {
        note(Fault::Validity, format!("begins only on {}", super::date::Date::of(from)));
    }
    if !certificate.names_host(question.host) {
        note(Fault::Hostname, format!("is for {}, not for {}", certificate.hosts(), question.host));
    }
    let uri = certificate.application_uri();
    if uri.is_none() || uri != Some(question.application_uri) || server_uri.is_some_and(|expected| uri != Some(expected)) {
        let expected = server_uri.unwrap_or(question.application_uri);
        let (is, expected) = (super::text::shown(uri.unwrap_or("no application")), super::text::shown(expected));
        note(Fault::ApplicationUri, format!("is for {is}, not for {expected}"));
    }
    if !certificate.may_sign_and_encrypt() {
        note(Fault::KeyUsage, "may not be used to sign and to encrypt".to_owned());
    }
    faults
}

fn refused(fault: Fault, what: &str, by_itself: bool, certificate: &Certificate) -> LinkError {
    let (word, _) = FAULTS.iter().find(|(_, known)| *known == fault).expect("every fault has a word");
    let hint = match by_itself {
        true => format!("give the server a right one, or write tolerate = [\"{word}\"]"),
        false => format!("give the server a right one, or pin it with server_thumbprint and write tolerate = [\"{word}\"]"),
    };
    LinkError::Refused { what: format!("the server's certificate {} {what}", certificate.sha256()), hint }
}

#[cfg(test)]
mod tests;
