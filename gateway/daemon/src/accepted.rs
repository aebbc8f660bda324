//! Which bundle was accepted last, and which root keys judge the next one: kept apart from the bundle itself, so that
//! nothing older comes back when the bundle's file is lost or broken.
//!
//! `bundle/accepted.json` is `{"version":7,"sha256":"...","root_sha256":"...","judged_by":{...},"roots":{...}}`: version and
//! SHA-256 of the bundle, the fingerprint of the root file that the chain of roots began with, and in the form of that
//! file the roots that the bundle was verified with and those that it brought. It is durable before
//! `bundle/current.jws.json` is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lingate_seal::{PreviousBundle, RootSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{Fault, Setting};
use crate::files;
use crate::keys::Pinned;
use crate::software::hex;
use crate::tls::cannot_read;

/// What must outlive the bundle.
pub(crate) struct Accepted {
    pub(crate) bundle: PreviousBundle,
    /// The bundle itself is verified with these again: it may be signed by a key that it removes.
    pub(crate) judged_by: RootSet,
    /// Every bundle after it is verified with these.
    pub(crate) roots: RootSet,
    /// 64 hex digits.
    pub(crate) root_sha256: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    sha256: String,
    root_sha256: String,
    judged_by: Value,
    roots: Value,
}

pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("bundle")
}

pub(crate) fn bundle_path(state_dir: &Path) -> PathBuf {
    folder(state_dir).join("current.jws.json")
}

fn path(state_dir: &Path) -> PathBuf {
    folder(state_dir).join("accepted.json")
}

impl Accepted {
    /// `None`: no bundle was ever accepted here. An error means that this cannot be known, and nothing may be accepted.
    pub(crate) fn load(state_dir: &Path, pinned: &Pinned) -> Result<Option<Accepted>, Fault> {
        let path = path(state_dir);
        let bytes = match files::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(&bundle_path(state_dir)) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(unknown(state_dir, &cannot_read("record of the accepted bundle", &path, &error)));
            }
        };
        let accepted =
            Accepted::from_json(&bytes).ok_or_else(|| unknown(state_dir, &format!("{} is damaged", path.display())))?;
        match accepted.root_sha256 == pinned.sha256 || accepted.roots == pinned.roots {
            true => Ok(Some(accepted)),
            false => Err(other_root(state_dir, &accepted)),
        }
    }

    /// Makes the bundle, with these `bytes`, the one that was accepted last. After an error or a crash the older one
    /// still is, or this one is and waits as a draft beside its place, or is taken again from the inbox.
    pub(crate) fn store(&self, state_dir: &Path, bytes: &[u8]) -> io::Result<()> {
        files::directory(&folder(state_dir))?;
        files::replace_all(&[(path(state_dir), &self.to_json()), (bundle_path(state_dir), bytes)])
    }

    fn to_json(&self) -> Vec<u8> {
        let value = |roots: &RootSet| serde_json::from_slice(&roots.to_json()).expect("a root set is written as JSON");
        let document = Document {
            version: self.bundle.version,
            sha256: hex(&self.bundle.sha256),
            root_sha256: self.root_sha256.clone(),
            judged_by: value(&self.judged_by),
            roots: value(&self.roots),
        };
        serde_json::to_vec(&document).expect("plain texts and numbers")
    }

    fn from_json(bytes: &[u8]) -> Option<Accepted> {
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let roots = |value: &Value| RootSet::from_stored(value.to_string().as_bytes()).ok();
        Some(Accepted {
            bundle: PreviousBundle { version: document.version, sha256: from_hex(&document.sha256)? },
            judged_by: roots(&document.judged_by)?,
            roots: roots(&document.roots)?,
            root_sha256: document.root_sha256,
        })
    }
}

/// Also if it cannot be looked at.
fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: [u8; 32] = (0..32).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()?;
    (hex(&bytes) == digits).then_some(bytes)
}

fn unknown(state_dir: &Path, what: &str) -> Fault {
    let what = format!("{what}, so it is not known which bundle was accepted last, and an older one could come back");
    Fault::refuse(Setting::StateDir, what, begin_again(state_dir, "restore the file from a backup"))
}

fn other_root(state_dir: &Path, accepted: &Accepted) -> Fault {
    let what = format!(
        "the bundle in force was accepted under the root file {}, which is not the one that the configuration names now",
        accepted.root_sha256
    );
    Fault::refuse(
        Setting::RootSha256,
        what,
        begin_again(
            state_dir,
            "put that fingerprint and its root.json back: the sandbox's bundles bring new root keys",
        ),
    )
}

fn begin_again(state_dir: &Path, first: &str) -> String {
    format!(
        "{first}; or, to begin anew, ask the sandbox by telephone which bundle is its newest, remove {} and put that \
         bundle into {}",
        folder(state_dir).display(),
        state_dir.join("inbox").display()
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn hex_digits_of_another_form_are_no_digest() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(hex(&from_hex(&digits).unwrap()), digits);
        for bad in [&digits[..62], &format!("{digits}00"), &digits.to_uppercase(), &"é".repeat(32), ""] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
