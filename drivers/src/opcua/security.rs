use lingate_model::UtcMicros;
use opcua::crypto::SecurityPolicy;
use opcua::types::MessageSecurityMode;

use super::date::Date;
use crate::LinkError;
use crate::settings::Table;

/// What must stand in the file, letter by letter, before anything is read without protection.
pub(crate) const PLAIN_TEXT_SENTENCE: &str =
    "I accept that anybody on this network can read and forge these values";

/// How the connection is protected. Exactly this is asked for; what the server would rather have does not count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Security {
    pub(crate) policy: SecurityPolicy,
    pub(crate) mode: MessageSecurityMode,
    /// For a policy that is broken or near to it.
    exception: Option<Exception>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    until: Date,
}

/// The RSA policies of OPC 10000-7 that are not deprecated.
const POLICIES: [(&str, SecurityPolicy); 3] = [
    ("Basic256Sha256", SecurityPolicy::Basic256Sha256),
    ("Aes128_Sha256_RsaOaep", SecurityPolicy::Aes128Sha256RsaOaep),
    ("Aes256_Sha256_RsaPss", SecurityPolicy::Aes256Sha256RsaPss),
];

/// Deprecated since OPC UA 1.04: SHA-1, and RSA PKCS#1 v1.5 encryption.
const LEGACY: [(&str, SecurityPolicy); 2] =
    [("Basic256", SecurityPolicy::Basic256), ("Basic128Rsa15", SecurityPolicy::Basic128Rsa15)];

const MODES: [(&str, MessageSecurityMode); 3] = [
    ("sign-and-encrypt", MessageSecurityMode::SignAndEncrypt),
    ("sign", MessageSecurityMode::Sign),
    ("none", MessageSecurityMode::None),
];

impl Security {
    pub(crate) const NONE: Security =
        Security { policy: SecurityPolicy::None, mode: MessageSecurityMode::None, exception: None };

    /// The safest that every reading of the table allows, where something in it is wrong.
    pub(crate) fn take(table: &mut Table<'_>) -> Security {
        let mode = table.take("security").word(&MODES).unwrap_or(MessageSecurityMode::SignAndEncrypt);
        let policy = table.take("policy").word(&POLICIES);
        let legacy = take_legacy(table);
        let sentence = table.take("accept_plain_text").string();
        if mode == MessageSecurityMode::None {
            only_with_the_sentence(table, sentence.as_deref());
            for key in ["policy", "legacy_exception"] {
                if table.has(key) {
                    table.problem(key, "means nothing with security = \"none\"", None);
                }
            }
            return Security::NONE;
        }
        if table.has("accept_plain_text") {
            let hint = "leave it out, or write security = \"none\"".to_owned();
            table.problem("accept_plain_text", "belongs to security = \"none\"", Some(hint));
        }
        if table.has("policy") && legacy.is_some() {
            table.problem("policy", "is named twice: legacy_exception names one as well", None);
        }
        match legacy {
            Some((policy, until)) => Security { policy, mode, exception: Some(Exception { until }) },
            None => Security { policy: policy.unwrap_or(SecurityPolicy::Basic256Sha256), mode, exception: None },
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.mode == MessageSecurityMode::None
    }

    /// For status and catalogue: `Basic256Sha256, SignAndEncrypt`.
    pub(crate) fn in_words(&self) -> String {
        if self.is_none() {
            return "none (as the configuration says)".to_owned();
        }
        let mode = if self.mode == MessageSecurityMode::Sign { "Sign" } else { "SignAndEncrypt" };
        let until = self.exception.as_ref().map(|exception| format!(" (legacy, until {})", exception.until));
        format!("{}, {mode}{}", policy_name(self.policy), until.unwrap_or_default())
    }

    /// An exception ends on its day, whatever runs.
    pub(crate) fn allowed_at(&self, now: UtcMicros) -> Result<(), LinkError> {
        match &self.exception {
            Some(Exception { until }) if until.is_over(now) => Err(LinkError::Refused {
                what: format!("the exception for {} ended on {until}", policy_name(self.policy)),
                hint: "let the device offer a policy that is safe, or decide on a new legacy_exception".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// As the configuration writes it.
pub(crate) fn policy_name(policy: SecurityPolicy) -> &'static str {
    let known = POLICIES.iter().chain(&LEGACY).find(|(_, known)| *known == policy);
    known.map_or("None", |(name, _)| name)
}

fn only_with_the_sentence(table: &mut Table<'_>, sentence: Option<&str>) {
    if sentence == Some(PLAIN_TEXT_SENTENCE) {
        return;
    }
    let (key, what) = match sentence {
        Some(_) => ("accept_plain_text", "is not the sentence that is asked for"),
        None => ("security", "is \"none\" without the sentence that accepts what this means"),
    };
    table.problem(key, what, Some(format!("write accept_plain_text = \"{PLAIN_TEXT_SENTENCE}\"")));
}

/// `{ policy = "Basic256", reason = "...", until = "2027-06-30" }`
fn take_legacy(table: &mut Table<'_>) -> Option<(SecurityPolicy, Date)> {
    let mut exception = table.take("legacy_exception").table()?;
    let policy = exception.require("policy").word(&LEGACY);
    // Nobody reads it but people.
    exception.require("reason").string();
    let until = exception.require("until").parsed::<Date>();
    table.add_problems(exception.finish());
    policy.zip(until)
}

#[cfg(test)]
mod tests;
