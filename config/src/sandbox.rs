use std::ops::Range;
use std::path::PathBuf;

use lingate_drivers::settings::{Credential, DeTable, Problem, Table, parse_path};
use lingate_seal::suite::{SUITE_X25519, SUITES, Support};
use toml::Spanned;
use toml::de::DeValue;

use crate::keys::{optional, require, require_table};
use crate::{Ack, Broker, KeyPlace, SandboxPlan, TokenKey, broker, secret};

const BROKERS_MAX: usize = 16;
const ACKS: [(&str, Ack); 3] = [("broker", Ack::Broker), ("broker-alone", Ack::BrokerAlone), ("receipt", Ack::Receipt)];

pub(crate) fn read(root: &mut Table<'_>, file: &DeTable<'_>, problems: &mut Vec<Problem>) -> Option<SandboxPlan> {
    let mut table = require_table(root, "sandbox", "broker, ca, certificate, key and root_sha256")?;
    let brokers = brokers(&mut table, &broker_spans(file), problems);
    let ca = path_of(&mut table, "ca", "\"/etc/lingate/sandbox-ca.pem\"");
    let crl = optional(&mut table, "crl", None, |key| key.parsed_with(parse_path).map(Some));
    let certificate = path_of(&mut table, "certificate", "\"/etc/lingate/gateway.pem\"");
    let key = key(&mut table, holds_key(file));
    let signing_key = signing_key(&mut table);
    let example = "\"9f86...0a08\", the 64 hex digits that the sandbox's operator told you";
    let root_sha256 = require(&mut table, "root_sha256", example).parsed_with(fingerprint);
    let ack = optional(&mut table, "ack", Ack::Broker, |key| key.word(&ACKS));
    let suites = suites(&mut table);
    problems.extend(table.finish());
    Some(SandboxPlan {
        brokers: brokers?,
        ca: ca?,
        crl: crl?,
        certificate: certificate?,
        key: key?,
        signing_key: signing_key?,
        root_sha256: root_sha256?,
        ack: ack?,
        suites: suites?,
    })
}

/// Where each broker's text stands, in order.
pub(crate) fn broker_spans(file: &DeTable<'_>) -> Vec<Range<usize>> {
    let Some(value) = value_of(file, "broker") else {
        return Vec::new();
    };
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(Spanned::span).collect(),
        _ => vec![value.span()],
    }
}

fn value_of<'f, 'a>(file: &'f DeTable<'a>, key: &str) -> Option<&'f Spanned<DeValue<'a>>> {
    file.get("sandbox")?.get_ref().as_table()?.get(key)
}

fn holds_key(file: &DeTable<'_>) -> bool {
    let text = value_of(file, "key").and_then(|value| value.get_ref().as_str());
    text.is_some_and(|text| text.contains("-----BEGIN"))
}

/// `None` if one of them is wrong.
fn brokers(table: &mut Table<'_>, spans: &[Range<usize>], problems: &mut Vec<Problem>) -> Option<Vec<Broker>> {
    let path = table.path_of("broker");
    let texts = require(table, "broker", "\"mqtts://HOST:8883\"").texts(1..=BROKERS_MAX);
    let mut brokers: Vec<Broker> = Vec::new();
    for (index, (text, span)) in texts.iter().zip(spans).enumerate() {
        let (what, hint) = match broker::parse(text) {
            Ok(broker) if !brokers.contains(&broker) => {
                brokers.push(broker);
                continue;
            }
            Ok(_) => ("stands twice in this list", "leave it out".to_owned()),
            Err(refusal) => refusal,
        };
        let path = if spans.len() > 1 { format!("{path}[{index}]") } else { path.clone() };
        problems.push(Problem { span: span.clone(), path, what: what.to_owned(), hint: Some(hint) });
    }
    (!brokers.is_empty() && brokers.len() == spans.len()).then_some(brokers)
}

fn path_of(table: &mut Table<'_>, key: &'static str, example: &str) -> Option<PathBuf> {
    require(table, key, example).parsed_with(parse_path)
}

/// Never repeats the text: it may be the key itself.
fn key(table: &mut Table<'_>, is_itself: bool) -> Option<KeyPlace> {
    if is_itself {
        let _ = table.take("key");
        table.problem("key", "holds the key itself", Some(secret::HINT.to_owned()));
        return None;
    }
    let text = require(table, "key", "\"credential:gateway.key\"").string()?;
    if let Some(token) = TokenKey::parse(&text) {
        return token.map_err(|(what, hint)| table.problem("key", what, Some(hint))).ok().map(KeyPlace::Token);
    }
    match Credential::parse(&text) {
        Some(credential) => Some(KeyPlace::File(credential)),
        None => {
            let hint = "write \"credential:NAME\" for a file that systemd passes (LoadCredential=), a whole path, or \
                        \"pkcs11:...\" for a key in a token";
            table.problem("key", "is neither a credential nor a path from /", Some(hint.to_owned()));
            None
        }
    }
}

/// `None`: it is wrong.
fn signing_key(table: &mut Table<'_>) -> Option<Option<TokenKey>> {
    if !table.has("signing_key") {
        let _ = table.take("signing_key");
        return Some(None);
    }
    let text = table.take("signing_key").string()?;
    let told = match TokenKey::parse(&text) {
        Some(Ok(token)) => return Some(Some(token)),
        Some(Err((what, hint))) => (what, hint),
        None => {
            let hint = "leave it out for the file that `lingate enroll` makes, or write \"pkcs11:...\"";
            ("names no key in a token", hint.to_owned())
        }
    };
    table.problem("signing_key", told.0, Some(told.1));
    None
}

/// 64 hex digits; colons between them, as OpenSSL prints them, do no harm.
fn fingerprint(text: &str) -> Result<String, (String, Option<String>)> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    match digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(digits),
        false => {
            let hint = "it is the SHA-256 of the sandbox's root file: ask its operator, not the network";
            Err(("is not 64 hex digits".to_owned(), Some(hint.to_owned())))
        }
    }
}

/// By number, in the order of preference. There is no other: what is not listed is never taken instead.
fn suites(table: &mut Table<'_>) -> Option<Vec<u16>> {
    if !table.has("suites") {
        let _ = table.take("suites");
        return Some(vec![SUITE_X25519]);
    }
    let built = || SUITES.iter().filter(|suite| suite.support != Support::Reserved);
    let texts = table.take("suites").texts(1..=SUITES.len());
    let mut suites = Vec::new();
    for text in &texts {
        match built().find(|suite| suite.name == text) {
            Some(suite) if !suites.contains(&suite.id) => suites.push(suite.id),
            Some(_) => table.problem("suites", format!("names {text:?} twice"), Some("leave one out".to_owned())),
            None => {
                let names = built().map(|suite| format!("{:?}", suite.name)).collect::<Vec<_>>().join(", ");
                let hint = match text.as_str() {
                    "sm" => format!("it is reserved and not built (docs/sm-profile.md); the suites are {names}"),
                    _ => format!("the suites are {names}"),
                };
                table.problem("suites", "names no suite that this version has", Some(hint));
            }
        }
    }
    (!texts.is_empty() && suites.len() == texts.len()).then_some(suites)
}
