//! What must not leave with the bundle: secrets of the configuration, and of the files that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files;

const REMOVED: &str = "[removed]";
/// A key of the configuration with such a word in its name holds a secret, if it is not the name of a file or credential.
const WORDS: [&str; 8] = ["password", "passwd", "passphrase", "secret", "token", "pin", "credential", "key"];
/// A shorter text would blacken ordinary words.
const SHORTEST: usize = 4;
/// Lines of a PEM body have 64.
const PIECE: usize = 16;
/// Files that are read for their secrets.
const FILES_MAX: usize = 200;

/// Knows secrets, to find them in whatever text they are.
pub(super) struct Scrubber {
    /// Longest first, so that a secret within another leaves no rest.
    secrets: Vec<String>,
}

impl Scrubber {
    pub(super) fn of(config: &Path) -> Scrubber {
        let mut secrets = BTreeSet::new();
        let table = fs::read(config).ok().and_then(|bytes| parse(&bytes).ok());
        if let Some(table) = &table {
            gather(table, "", &mut secrets);
            files_of(table, config).iter().take(FILES_MAX).for_each(|path| of_file(path, &mut secrets));
        }
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Scrubber { secrets }
    }

    pub(super) fn clean(&self, text: &str) -> String {
        let known = self.secrets.iter().fold(text.to_owned(), |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret, REMOVED),
            false => text,
        });
        known.lines().map(|line| without_userinfo(line) + "\n").collect()
    }

    pub(super) fn count(&self) -> usize {
        self.secrets.len()
    }
}

/// Without comments, and without the values of keys that hold secrets.
pub(super) fn configuration(config: &Path) -> Result<Value, String> {
    let bytes = fs::read(config).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut table = parse(&bytes)?;
    blacken(&mut table, "");
    Ok(table)
}

/// The error without the line of the file: a secret may stand there.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())?;
    serde_json::to_value(table).map_err(|error| error.to_string())
}

fn is_secret(key: &str, value: &str) -> bool {
    let key = key.to_lowercase();
    WORDS.iter().any(|word| key.split(['_', '-', '.']).any(|part| part == *word)) && !is_place(value)
}

/// Where a secret is: the configuration's only right way to speak of one.
fn is_place(value: &str) -> bool {
    value.starts_with('/')
        || value.starts_with("credential:")
        || value.starts_with("pkcs11:") && !value.contains("pin-value")
}

fn gather(value: &Value, key: &str, secrets: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_secret(key, text) => {
            secrets.insert(text.clone());
        }
        Value::String(text) => secrets.extend(userinfo(text)),
        Value::Array(values) => values.iter().for_each(|value| gather(value, key, secrets)),
        Value::Object(values) => values.iter().for_each(|(key, value)| gather(value, key, secrets)),
        _ => {}
    }
}

fn blacken(value: &mut Value, key: &str) {
    match value {
        Value::String(text) if is_secret(key, text) => *text = REMOVED.to_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| blacken(value, key)),
        Value::Object(values) => values.iter_mut().for_each(|(key, value)| blacken(value, key)),
        _ => {}
    }
}

/// `user:password` of `scheme://user:password@host`: the password.
fn userinfo(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let (user, _) = rest.split(['/', ' ']).next()?.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password.to_owned())
}

/// However many addresses stand in the line.
fn without_userinfo(line: &str) -> String {
    let mut parts = line.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |clean, part| {
        let authority = part.split(['/', ' ', '"', '\'', ',']).next().unwrap_or_default();
        match authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) {
            Some((user, password)) => {
                let rest = part.get(user.len() + 1 + password.len()..).unwrap_or_default();
                format!("{clean}://{user}:{REMOVED}{rest}")
            }
            None => format!("{clean}://{part}"),
        }
    })
}

/// Every file that the configuration names or that lies beside the gateway's identity.
fn files_of(table: &Value, config: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    paths(table, &mut found);
    let folder = config.parent().unwrap_or(Path::new("."));
    let state = table.pointer("/gateway/state_dir").and_then(Value::as_str).map(|state| folder.join(state));
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    for folder in [state.map(|state| state.join("identity")), credentials].into_iter().flatten() {
        found.extend(fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()));
    }
    found.into_iter().map(|path| folder.join(path)).collect()
}

fn paths(value: &Value, found: &mut Vec<PathBuf>) {
    match value {
        Value::String(text) if text.contains('/') && !text.contains("://") => found.push(PathBuf::from(text)),
        Value::Array(values) => values.iter().for_each(|value| paths(value, found)),
        Value::Object(values) => values.values().for_each(|value| paths(value, found)),
        _ => {}
    }
}

/// A short file is one secret; of a longer one, and of PEM, every line of the body is. Certificates are public, and
/// removing them does no harm.
fn of_file(path: &Path, secrets: &mut BTreeSet<String>) {
    let Ok(bytes) = files::read(path) else { return };
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            let is_short = text.trim().lines().count() == 1;
            secrets.extend(lines.filter(|line| is_short || line.len() >= PIECE).map(str::to_owned));
        }
        Err(_) => {
            use base64::Engine;
            use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
            secrets.extend([BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)]);
            secrets.insert(crate::software::hex(&bytes));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
# canary-comment
[gateway]
id = "gw-1"
state_dir = "state"
[sandbox]
broker = "mqtts://user:canary-url@host:8883"
key = "credential:gateway.key"
[[device]]
password = "canary-direct"
password_file = "/etc/lingate/opc.password"
note = "see canary-file here"
"#;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("state/identity")).unwrap();
        fs::write(folder.path().join("state/identity/opc.password"), "canary-file\n").unwrap();
        fs::write(folder.path().join("state/identity/signing.key"), [0xc5_u8, 0x00, 0xff, 0x13, 0x37]).unwrap();
        fs::write(folder.path().join("lingate.toml"), CONFIG).unwrap();
        folder
    }

    #[test]
    fn no_secret_of_the_configuration_or_of_a_file_stays_in_any_text() {
        let folder = folder();
        let config = folder.path().join("lingate.toml");
        let scrubber = Scrubber::of(&config);
        let texts = [
            scrubber.clean(&configuration(&config).unwrap().to_string()),
            scrubber.clean("a log line with canary-file and canary-direct, and xQD/Ezc, and c500ff1337"),
            scrubber.clean("tried mqtts://user:canary-url@host:8883 and mqtts://other:canary-else@host"),
        ];
        for text in &texts {
            for canary in ["canary-", "xQD_Ezc", "xQD/Ezc", "c500ff1337"] {
                assert!(!text.contains(canary), "{canary}: {text}");
            }
        }
        assert!(texts[0].contains("gw-1") && texts[0].contains("credential:gateway.key"), "{}", texts[0]);
        assert!(texts[0].contains("/etc/lingate/opc.password"), "{}", texts[0]);
    }

    #[test]
    fn an_error_of_the_configuration_does_not_tell_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("lingate.toml");
        fs::write(&config, "password = canary-unquoted\n").unwrap();
        let error = configuration(&config).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
