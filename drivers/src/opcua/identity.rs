use std::fmt;

use opcua::client::{IdentityToken, Password};
use opcua::crypto::{PrivateKey, SecurityPolicy, X509};
use opcua::types::{EndpointDescription, MessageSecurityMode, UserTokenPolicy, UserTokenType};
use zeroize::Zeroizing;

use super::security::Security;
use crate::settings::{Credential, Table};
use crate::{LinkError, Site};

/// Who the gateway says it is to a server, beside its own application certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Anonymous,
    Password { user: String, password: Credential },
    Certificate { certificate: Credential, key: Credential },
}

/// With the secrets; lives as long as one attempt to connect.
pub(crate) enum Secrets {
    Anonymous,
    Password { user: String, password: Zeroizing<String> },
    Certificate { certificate: Box<X509>, key: Box<PrivateKey> },
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

const HINT: &str = "write credential:NAME, a file that systemd hands over, or a whole path";

impl Identity {
    pub(crate) fn take(table: &mut Table<'_>, security: &Security) -> Identity {
        let user = table.take("user").string();
        let password = take_credential(table, "password");
        let certificate = take_credential(table, "user_certificate");
        let key = take_credential(table, "user_key");
        for (one, other) in [("user", "password"), ("password", "user"), ("user_certificate", "user_key"), ("user_key", "user_certificate")] {
            if table.has(one) && !table.has(other) {
                table.problem(one, format!("needs {other:?} beside it"), None);
            }
        }
        if table.has("user") && table.has("user_certificate") {
            table.problem("user_certificate", "is a second identity beside \"user\"", Some("leave one out".to_owned()));
        }
        for secret in ["user", "user_certificate"] {
            if table.has(secret) && security.is_none() {
                let hint = "a password or signature is never sent without protection: choose another security";
                table.problem(secret, "cannot be used with security = \"none\"", Some(hint.to_owned()));
            }
        }
        match (user.zip(password), certificate.zip(key)) {
            (Some((user, password)), _) => Identity::Password { user, password },
            (None, Some((certificate, key))) => Identity::Certificate { certificate, key },
            (None, None) => Identity::Anonymous,
        }
    }

    /// The key that names its secret.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Identity::Anonymous | Identity::Password { .. } => "password",
            Identity::Certificate { .. } => "user_certificate",
        }
    }

    pub(crate) fn credentials(&self) -> Vec<&Credential> {
        match self {
            Identity::Anonymous => Vec::new(),
            Identity::Password { password, .. } => vec![password],
            Identity::Certificate { certificate, key } => vec![certificate, key],
        }
    }

    /// Reads the files that the table names.
    pub(crate) fn secrets(&self, site: &Site) -> Result<Secrets, LinkError> {
        let read = |credential: &Credential| (site.secret)(credential).map_err(|what| refused(what, HINT));
        match self {
            Identity::Anonymous => Ok(Secrets::Anonymous),
            Identity::Password { user, password } => {
                let bytes = read(password)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| refused("the password is not UTF-8".to_owned(), HINT))?;
                // A file that was written by an editor or by echo ends with a line break.
                let password = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
                Ok(Secrets::Password { user: user.clone(), password })
            }
            Identity::Certificate { certificate, key } => {
                let bytes = read(certificate)?;
                let certificate = if bytes.starts_with(b"-----") { X509::from_pem(&bytes) } else { X509::from_der(&bytes) };
                let pem = read(key)?;
                let key = std::str::from_utf8(&pem).ok().and_then(|pem| PrivateKey::from_pem(pem.as_bytes()).ok());
                let hint = "the certificate is PEM or DER, the key PKCS#8 in PEM, both RSA";
                let wrong = |what: &str| refused(format!("the user's {what} cannot be read"), hint);
                Ok(Secrets::Certificate {
                    certificate: Box::new(certificate.map_err(|_| wrong("certificate"))?),
                    key: Box::new(key.ok_or_else(|| wrong("key"))?),
                })
            }
        }
    }
}

impl Secrets {
    /// The one policy of the server's list under which this identity may be shown. The list came unauthenticated: what
    /// it says may make the proof of identity stronger than the channel, never weaker.
    pub(crate) fn policy_among(&self, endpoint: &EndpointDescription, security: &Security) -> Result<UserTokenPolicy, LinkError> {
        let wanted = match self {
            Secrets::Anonymous => UserTokenType::Anonymous,
            Secrets::Password { .. } => UserTokenType::UserName,
            Secrets::Certificate { .. } => UserTokenType::Certificate,
        };
        let offered = endpoint.user_identity_tokens.iter().flatten().filter(|policy| policy.token_type == wanted);
        let usable = offered.filter_map(|policy| usable(policy, security)).next();
        match (usable, self) {
            (Some(policy), _) => Ok(policy),
            // A server without any list has no users.
            (None, Secrets::Anonymous) if endpoint.user_identity_tokens.iter().flatten().next().is_none() => {
                Ok(UserTokenPolicy::anonymous())
            }
            (None, _) => Err(refused(
                format!("the server does not accept this kind of user ({wanted:?}) at {}", security.in_words()),
                "look at `lingate probe opcua` and change user or security",
            )),
        }
    }

    pub(crate) fn into_token(self) -> IdentityToken {
        match self {
            Secrets::Anonymous => IdentityToken::Anonymous,
            // The library keeps its own copy, which it does not wipe, for as long as the session lives.
            Secrets::Password { user, password } => IdentityToken::UserName(user, Password(String::clone(&password))),
            Secrets::Certificate { certificate, key } => IdentityToken::X509(certificate, key),
        }
    }
}

/// OPC 10000-4, 7.41: an empty policy means that of the channel.
fn usable(policy: &UserTokenPolicy, security: &Security) -> Option<UserTokenPolicy> {
    let uri = policy.security_policy_uri.as_ref();
    let own = if uri.is_empty() { security.policy } else { SecurityPolicy::from_uri(uri) };
    let is_encrypted = security.mode == MessageSecurityMode::SignAndEncrypt;
    let is_allowed = match own {
        SecurityPolicy::Unknown | SecurityPolicy::Basic128Rsa15 | SecurityPolicy::Basic256 => own == security.policy,
        // In the clear inside of the channel.
        SecurityPolicy::None => match policy.token_type {
            UserTokenType::Anonymous => true,
            UserTokenType::UserName => is_encrypted,
            _ => false,
        },
        _ => true,
    };
    // Said outright, because the library takes an empty one for None when it signs.
    is_allowed.then(|| UserTokenPolicy { security_policy_uri: own.to_uri().into(), ..policy.clone() })
}

/// The text is never repeated: it may be the secret itself.
fn take_credential(table: &mut Table<'_>, key: &'static str) -> Option<Credential> {
    let text = table.take(key).string()?;
    let credential = Credential::parse(&text);
    if credential.is_none() {
        table.problem(key, "is neither credential:NAME nor a path from /", Some(HINT.to_owned()));
    }
    credential
}

fn refused(what: String, hint: &str) -> LinkError {
    LinkError::Refused { what, hint: hint.to_owned() }
}
