use std::path::PathBuf;

use super::path::parse_path;

/// systemd refuses longer credential names (systemd.exec, LoadCredential).
const NAME_BYTES_MAX: usize = 255;

/// A secret's place, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `credential:NAME`: a file in `$CREDENTIALS_DIRECTORY`.
    Systemd(String),
    File(PathBuf),
}

impl Credential {
    /// `None`: neither `credential:NAME` nor a whole path. The caller must not repeat the text, which may be the secret.
    pub fn parse(text: &str) -> Option<Credential> {
        let Some(name) = text.strip_prefix("credential:") else {
            return parse_path(text).ok().map(Credential::File);
        };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_allowed);
        (is_name && name != "." && name != "..").then(|| Credential::Systemd(name.to_owned()))
    }
}
