//! The gateway's signing key and the sandbox's root keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lingate_audit::Signer;
use lingate_config::TokenKey;
use lingate_seal::{RootSet, SigningKey};
use zeroize::Zeroizing;

use crate::entropy::SystemEntropy;
use crate::fault::{Fault, Setting};
use crate::files;
use crate::software::hex;
use crate::tls::cannot_read;
use crate::token::Token;

pub(crate) fn signing_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity/signing.pk8")
}

/// Signs checkpoints of the audit log: always Ed25519, whatever the signing key is, because C2SP notes are.
pub(crate) fn audit_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity/audit.pk8")
}

pub(crate) fn root_path(state_dir: &Path) -> PathBuf {
    state_dir.join("root.json")
}

/// The key that `lingate enroll` made, in a file or in a token.
pub(crate) fn signing_key(state_dir: &Path, token: Option<&TokenKey>) -> Result<SigningKey, Fault> {
    let Some(place) = token else { return signing_key_file(state_dir) };
    let hint = "mend the token, its library or its PIN; what is on disk is kept, and nothing is sealed without the key";
    match Token::open(place) {
        Ok(Some(token)) => Ok(token.into_signing_key()),
        Ok(None) => {
            let what = format!("there is no signing key {:?} in the token {:?}", place.object, place.token);
            let hint = "run `lingate enroll` first: it makes the keys; or correct sandbox.signing_key";
            Err(Fault::refuse(Setting::SigningKey, what, hint))
        }
        Err(unusable) if unusable.is_away => Err(Fault::away(Setting::SigningKey, unusable.why, hint)),
        Err(unusable) => Err(Fault::refuse(Setting::SigningKey, unusable.why, hint)),
    }
}

/// Its owner's alone, and no link to somewhere else.
fn signing_key_file(state_dir: &Path) -> Result<SigningKey, Fault> {
    let path = signing_key_path(state_dir);
    let fault = |what: String, hint: &str| Fault::refuse(Setting::StateDir, what, hint);
    let unreadable = |error: io::Error| {
        let missing = "run `lingate enroll` first: it makes the keys";
        fault(cannot_read("signing key", &path, &error), &remedy(state_dir, &error, missing))
    };
    if let Some(why) = files::exposed(&path, 0o077, true).map_err(unreadable)? {
        let hint = format!("chmod 600 it; {}; if others could have read it, enroll anew", owner(state_dir));
        return Err(fault(format!("signing key {} {why}", path.display()), &hint));
    }
    let der = Zeroizing::new(files::read(&path).map_err(unreadable)?);
    SigningKey::from_pkcs8(&der).map_err(|error| {
        fault(format!("{}: {error}", path.display()), "restore the file from `lingate enroll`, or enroll anew")
    })
}

/// The key of the audit log, which is made if it is missing: a gateway that was enrolled without one has one from here on.
pub(crate) fn audit_key(state_dir: &Path, origin: &str) -> Result<Signer, String> {
    let path = audit_key_path(state_dir);
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if fs::symlink_metadata(&path).is_err() {
        let der = SigningKey::generate_pkcs8(&mut SystemEntropy::new()).map_err(|error| told(&error))?;
        files::create_secret(&path, &der).map_err(|error| told(&error))?;
    }
    if let Some(why) = files::exposed(&path, 0o077, true).map_err(|error| told(&error))? {
        return Err(told(&why));
    }
    let der = Zeroizing::new(files::read(&path).map_err(|error| told(&error))?);
    Signer::log(origin, &der).map_err(|error| told(&error))
}

/// What to do about a file of the state directory: one that is there is not to be made again.
fn remedy(state_dir: &Path, error: &io::Error, missing: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => owner(state_dir),
        _ => missing.to_owned(),
    }
}

fn owner(state_dir: &Path) -> String {
    format!("the daemon's user must own the state directory: chown -R lingate: {}", state_dir.display())
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
            remedy(state_dir, &error, &format!("copy the sandbox's root.json to {}", path.display())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_not_to_be_copied_again() {
        let (directory, denied) = (Path::new("/var/lib/lingate"), io::Error::from_raw_os_error(13));
        let told = remedy(directory, &denied, "copy it");
        assert!(told.ends_with("chown -R lingate: /var/lib/lingate") && !told.contains("copy"), "{told}");
        let told = cannot_read("root file", &root_path(directory), &denied);
        assert!(
            told.starts_with("root file /var/lib/lingate/root.json cannot be read: permission denied for user "),
            "{told}"
        );
        assert_eq!(remedy(directory, &io::ErrorKind::NotFound.into(), "copy it"), "copy it");
    }
}
