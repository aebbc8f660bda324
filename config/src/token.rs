//! A key in a PKCS#11 token, named by a URI of RFC 7512:
//! `pkcs11:token=lingate;object=tls?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/lingate/pin`.

use std::path::PathBuf;

use lingate_drivers::settings::{Credential, parse_path};

/// Where the key is and how it is reached; never the PIN itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The manufacturer's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The key pair's label.
    pub object: String,
    pub pin: Credential,
}

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    File(Credential),
    Token(TokenKey),
}

const EXAMPLE: &str = "\"pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/...so&pin-source=credential:NAME\"";
const TEXT_BYTES_MAX: usize = 128;

/// What is wrong, and what to do. Repeats no value: it may hold a PIN.
pub(crate) type Wrong = (&'static str, String);

impl TokenKey {
    /// `None`: not a URI of a token.
    pub(crate) fn parse(text: &str) -> Option<Result<TokenKey, Wrong>> {
        Some(parse(text.strip_prefix("pkcs11:")?))
    }
}

fn parse(text: &str) -> Result<TokenKey, Wrong> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut token, mut object, mut module, mut pin) = (None, None, None, None);
    for attribute in path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty()) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let value = decode(value).ok_or_else(|| wrong("holds a value that is not percent-encoded text"))?;
        let place = match name {
            "token" => &mut token,
            "object" => &mut object,
            "module-path" => &mut module,
            "pin-source" => &mut pin,
            "type" if value == "private" => continue,
            "pin-value" => {
                let hint = "write the PIN into a file of its own, and pin-source=/path or pin-source=credential:NAME";
                return Err(("holds a PIN", hint.to_owned()));
            }
            _ => return Err(wrong("has an attribute other than token, object, type=private, module-path, pin-source")),
        };
        if value.is_empty() || place.replace(value).is_some() {
            return Err(wrong("has an attribute without a value, or twice"));
        }
    }
    let missing = |name: &str| ("is not a whole PKCS#11 URI", format!("it lacks {name}; write {EXAMPLE}"));
    let module = module.ok_or_else(|| missing("module-path"))?;
    let pin = pin.ok_or_else(|| missing("pin-source"))?;
    Ok(TokenKey {
        module: parse_path(&module).map_err(|_| wrong("has a module-path that is no path from /"))?,
        token: token.ok_or_else(|| missing("token"))?,
        object: object.ok_or_else(|| missing("object"))?,
        pin: Credential::parse(pin.strip_prefix("file:").unwrap_or(&pin))
            .ok_or_else(|| wrong("has a pin-source that is neither a path from / nor credential:NAME"))?,
    })
}

fn wrong(what: &'static str) -> Wrong {
    (what, format!("write {EXAMPLE}"))
}

/// Percent-encoding of RFC 3986, to at most 128 bytes of text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const GOOD: &str = "pkcs11:token=plant%201;object=tls?module-path=/usr/lib/p11.so&pin-source=file:/etc/pin";

    #[test]
    fn a_uri_of_rfc_7512_names_module_token_object_and_pin() {
        let key = TokenKey::parse(GOOD).unwrap().unwrap();
        assert_eq!((&*key.token, &*key.object), ("plant 1", "tls"));
        assert_eq!((key.module, key.pin), ("/usr/lib/p11.so".into(), Credential::File("/etc/pin".into())));
        let other = GOOD.replace("file:/etc/pin", "credential:hsm.pin").replace(";object", ";type=private;object");
        assert_eq!(TokenKey::parse(&other).unwrap().unwrap().pin, Credential::Systemd("hsm.pin".to_owned()));
        assert_eq!(TokenKey::parse("/etc/key.pem"), None);
    }

    #[test]
    fn what_is_incomplete_doubtful_or_holds_a_pin_is_refused_and_not_repeated() {
        for (from, to) in [
            ("token=plant%201;", ""),
            ("object=tls", "object="),
            ("object=tls", "object=tls;object=x"),
            ("module-path=/usr/lib/p11.so&", ""),
            ("/usr/lib/p11.so", "p11.so"),
            ("pin-source=file:/etc/pin", ""),
            ("pin-source=file:/etc/pin", "pin-source=7531"),
            ("pin-source=file:/etc/pin", "pin-value=7531"),
            ("%201", "%2"),
            ("%201", "%00"),
            ("object=tls", "objekt=tls"),
            ("object=tls", "type=cert;object=tls"),
        ] {
            let text = GOOD.replace(from, to);
            let (what, hint) = TokenKey::parse(&text).unwrap().unwrap_err();
            assert!(!what.contains("7531") && !hint.contains("7531"), "{text}: {what}; {hint}");
        }
    }
}
