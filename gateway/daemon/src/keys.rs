//! The gateway's signing key and the sandbox's root keys.

use std::io;
use std::path::{Path, PathBuf};

use lingate_seal::{RootSet, SigningKey};
use zeroize::Zeroizing;

use crate::fault::{Fault, Setting};
use crate::files;
use crate::software::hex;
use crate::tls::cannot_read;

pub(crate) fn signing_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity/signing.pk8")
}

pub(crate) fn root_path(state_dir: &Path) -> PathBuf {
    state_dir.join("root.json")
}

/// The key that `lingate enroll` made: its owner's alone, and no link to somewhere else.
pub(crate) fn signing_key(state_dir: &Path) -> Result<SigningKey, Fault> {
    let path = signing_key_path(state_dir);
    let fault = |what: String, hint: &str| Fault::refuse(Setting::StateDir, what, hint);
    let unreadable = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "run `lingate enroll` first: it makes the keys",
            _ => "run lingate as the user who ran `lingate enroll`",
        };
        fault(cannot_read("signing key", &path, &error), hint)
    };
    if let Some(why) = files::exposed(&path, 0o077, true).map_err(unreadable)? {
        let hint = "chmod 600 it, owner the user who runs lingate; if others could have read it, enroll anew";
        return Err(fault(format!("signing key {} {why}", path.display()), hint));
    }
    let der = Zeroizing::new(files::read(&path).map_err(unreadable)?);
    SigningKey::from_pkcs8(&der).map_err(|error| {
        fault(format!("{}: {error}", path.display()), "restore the file from `lingate enroll`, or enroll anew")
    })
}

/// The root file that plant IT compared by telephone: where the chain of roots begins.
pub(crate) struct Pinned {
    pub(crate) roots: RootSet,
    /// Of its bytes, 64 hex digits.
    pub(crate) sha256: String,
}

/// The root file, if its exact bytes have the fingerprint that the configuration gives.
pub(crate) fn pinned(state_dir: &Path, root_sha256: &str) -> Result<Pinned, Fault> {
    let path = root_path(state_dir);
    let bytes = files::read(&path).map_err(|error| {
        Fault::refuse(
            Setting::StateDir,
            cannot_read("root file", &path, &error),
            format!("copy the sandbox's root.json to {}", path.display()),
        )
    })?;
    let roots = RootSet::from_file(&bytes, root_sha256).map_err(|refused| {
        Fault::refuse(
            Setting::RootSha256,
            format!("root file {} is refused: {refused}", path.display()),
            "compare `sha256sum root.json` with the fingerprint that the sandbox operator tells by telephone or on paper; \
             never copy it from the file itself",
        )
    })?;
    Ok(Pinned { roots, sha256: hex(&files::sha256(&bytes)) })
}
