//! Secrets do not belong in the file. If one is there all the same, a message must not carry it into a log.

/// Words in the name of a key whose value nobody may see.
const WORDS: [&str; 8] = ["passw", "passphrase", "secret", "token", "private", "psk", "api_key", "apikey"];

/// How far before a place a secret may begin that reaches into its excerpt.
const LOOK_BACK: usize = 4096;

pub(crate) const HINT: &str = "secrets are never in this file: keep it in a file of its own, pass it with systemd's \
    LoadCredential= and write \"credential:NAME\"";

pub(crate) fn is_key_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

pub(crate) fn holds_private_key(text: &str) -> bool {
    text.contains("-----BEGIN") && text.contains("PRIVATE KEY")
}

/// A wrong value at this path may be a secret itself.
pub(crate) fn concerns(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path);
    path == "sandbox.key"
        || path == "sandbox.signing_key"
        || (path.starts_with("device[") && (is_key_name(key) || key.ends_with("key")))
}

/// A secret seems to be given a value in this part of a line: `password = "x"`, `{ key = "x" }`, `mqtts://user:x@host`.
pub(crate) fn is_assigned(before: &str, after: &str) -> bool {
    let from = (before.len().saturating_sub(LOOK_BACK)..=before.len())
        .find(|at| before.is_char_boundary(*at))
        .unwrap_or(before.len());
    let part = format!("{}{after}", &before[from..]);
    let names = part
        .split('=')
        .rev()
        .skip(1)
        .filter_map(|left| left.trim_end().rsplit([' ', '\t', ',', '{', '.', '\n']).next());
    names.map(|name| name.trim_matches(['"', '\''])).any(is_key_name) || has_userinfo(&part)
}

fn has_userinfo(part: &str) -> bool {
    part.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '"', '\'', ' ']).next().unwrap_or("");
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_s_secrets_are_known_by_their_keys() {
        for path in ["sandbox.key", "device[3].password", "device[0].user.private_key", "device[0].key"] {
            assert!(concerns(path), "{path}");
        }
        for path in ["device[0].address", "device[0].point[1].name", "gateway.id"] {
            assert!(!concerns(path), "{path}");
        }
    }

    #[test]
    fn a_line_that_gives_a_secret_a_value_is_known_by_its_key() {
        for line in [
            "password = \"x\"",
            "sandbox = { id = 1, client_secret = \"x\" }",
            "\"broker.password\"='x'",
            "a.token = 'x'",
            "broker = \"mqtts://user:x@host\"",
        ] {
            assert!(is_assigned("", line), "{line}");
            assert!(is_assigned(line, ""), "{line}");
        }
        for line in ["name = \"token_ring\"", "key = \"/etc/k\"", "broker = \"mqtts://host:1\" # a@b", "[token]"] {
            assert!(!is_assigned("", line), "{line}");
        }
    }
}
