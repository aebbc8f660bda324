//! What must not stand anywhere, and where the one exception is.

use lingate_tidy::{Source, forbid, sources};

fn product() -> Vec<Source> {
    let mut all = sources(&["gateway", "drivers", "config"], &[".rs"]);
    // `tests.rs` is a test module in a file of its own.
    all.retain(|source| source.path.contains("/src/") && !source.path.ends_with("/tests.rs"));
    all
}

#[test]
fn only_the_daemons_clock_reads_a_clock() {
    let mut all = product();
    all.retain(|source| source.path != "gateway/daemon/src/clock.rs");
    let words =
        ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "UNIX_EPOCH.elapsed", "clock_gettime"];
    forbid(&all, &words, "only gateway/daemon/src/clock.rs reads a clock: take `Now` as an argument or ask a `Clock`");
}

#[test]
fn drivers_cannot_write_to_a_device() {
    let words = [
        "write_single",
        "write_multiple",
        "masked_write",
        "read_write_multiple",
        "WriteSingle",
        "WriteMultiple",
        "MaskWrite",
        "ReadWriteMultiple",
        "write_coil",
        "write_register",
        "Request::Custom",
        "context::Writer",
        "client::Writer",
        "client::Client",
    ];
    let drivers = sources(&["drivers/src"], &[".rs"]);
    forbid(&drivers, &words, "drivers are read-only by construction: no write function code exists in the gateway");
    // OPC 10000-4, sections 5.8, 5.11.4, 5.11.5 and 5.12: the services that change a server.
    let services = [
        "session.write",
        "WriteRequest",
        "WriteValue",
        "session.call",
        ".call_one(",
        "CallRequest",
        "CallMethodRequest",
        "history_update",
        "HistoryUpdate",
        "add_nodes",
        "AddNodes",
        "delete_nodes",
        "DeleteNodes",
        "add_references",
        "AddReferences",
        "delete_references",
        "DeleteReferences",
    ];
    forbid(
        &drivers,
        &services,
        "no code of ours names an OPC UA service that writes, calls or changes an address space",
    );
}

#[test]
fn nobody_trusts_the_systems_roots() {
    let words = ["native_certs", "webpki_roots", "dangerous()", "with_system_roots", "platform_verifier"];
    forbid(&product(), &words, "the sandbox's own CA is the only root, and verification is never switched off");
}

/// What holds a private key, a content key, a password or a PIN, and where. One that is added belongs here.
const SECRETS: [(&str, &str); 11] = [
    ("gateway/seal/src/content_key.rs", "pub struct ContentKey "),
    ("gateway/seal/src/keys.rs", "pub struct SigningKey "),
    ("gateway/seal/src/keys.rs", "enum Pair "),
    ("gateway/seal/src/epoch.rs", "pub struct Epoch "),
    ("gateway/seal/src/wrap.rs", "pub(crate) struct Drawn "),
    ("gateway/audit/src/note.rs", "pub struct Signer "),
    ("gateway/refine/src/pseudonym.rs", "pub struct PseudonymKey("),
    ("gateway/daemon/src/token.rs", "pub(crate) struct Token "),
    ("gateway/daemon/src/token.rs", "struct Held "),
    ("gateway/daemon/src/token.rs", "struct Opened "),
    ("drivers/src/opcua/identity.rs", "pub(crate) enum Secrets "),
];

/// Of these the trait bounds of others ask for a Debug: it is written by hand and tells the type's name alone.
const NAMED_ONLY: [(&str, &str); 2] = [("PseudonymKey", "\"PseudonymKey(..)\""), ("Secrets", "\"Secrets\"")];

#[test]
fn secret_types_have_no_debug_that_tells_anything() {
    let all = product();
    for (path, opening) in SECRETS {
        let source = all.iter().find(|source| source.path == path).unwrap_or_else(|| panic!("{path} is gone"));
        let lines: Vec<&str> = source.code().map(|(_, line)| line).collect();
        let at = lines.iter().position(|line| line.starts_with(opening));
        let at = at.unwrap_or_else(|| panic!("{path} has no {opening:?}: say where the secret is now"));
        let attributes: String = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).copied().collect();
        for derived in ["Debug", "Serialize", "PartialEq", "Hash"] {
            assert!(
                !attributes.contains(derived),
                "{path}: {opening}derives {derived}: a secret is neither told nor compared"
            );
        }
        let name = opening.trim_end_matches([' ', '(']).rsplit(' ').next().expect("a name ends it");
        let shown = NAMED_ONLY.iter().find(|(named, _)| *named == name).map(|(_, shown)| *shown);
        for format in ["Debug", "Display", "LowerHex"] {
            let Some(at) = lines.iter().position(|line| line.contains(&format!("{format} for {name} "))) else {
                continue;
            };
            let body = lines[at..].iter().take_while(|line| **line != "}").copied().collect::<String>();
            let is_named_only = shown.is_some_and(|shown| body.contains(shown) && !body.contains("self."));
            assert!(is_named_only, "{path}: {format} of {name} may tell its name and nothing else");
        }
    }
}

#[test]
fn nothing_unfinished_is_committed() {
    let all = sources(&["gateway", "drivers", "config", "tests"], &[".rs"]);
    let own = |source: &Source| !source.path.starts_with("tests/tidy/");
    let all: Vec<Source> = all.into_iter().filter(own).collect();
    forbid(&all, &["todo!(", "unimplemented!(", "dbg!(", "#[ignore]"], "finish it, or leave it out and say so");
}

#[test]
fn files_stay_readable_in_one_sitting() {
    let all = sources(&["gateway", "drivers", "config", "tests"], &[".rs"]);
    let generated = |source: &Source| source.text.starts_with("// @generated") || source.path.contains("/wire/");
    let long: Vec<String> = all
        .iter()
        .filter(|source| !generated(source) && source.text.lines().count() > 450)
        .map(|source| format!("{} has {} lines", source.path, source.text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split when you scroll to remember (limit 450):\n  {}", long.join("\n  "));
}
