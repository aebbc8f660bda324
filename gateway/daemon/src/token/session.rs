use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use lingate_config::TokenKey;
use lingate_seal::{SignatureAlgorithm, VerifyingKey};

use super::{Unusable, name};
use crate::files;

/// A library is initialized once per process, whoever asks for it.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
/// Tokens whose PIN was refused.
static REFUSED: Mutex<BTreeSet<(PathBuf, String)>> = Mutex::new(BTreeSet::new());

/// DER of the curves' names: 1.2.840.10045.3.1.7, and the printable string of PKCS#11 3.0, section 2.3.5.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: &[u8] = b"\x13\x0cedwards25519";
const LABEL_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Use,
    /// To make keys.
    Change,
}

/// A session in which the user is logged in.
pub(super) fn open(place: &TokenKey, access: Access) -> Result<Session, Unusable> {
    let module = module(&place.module)?;
    let told = |error: Error| Unusable::away(format!("{}: {error}", name(place)));
    let is_ours =
        |label: &str| label.trim_end().as_bytes() == &place.token.as_bytes()[..place.token.len().min(LABEL_BYTES)];
    let slots = module.get_slots_with_initialized_token().map_err(told)?;
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).is_ok_and(|info| is_ours(info.label())));
    let slot = slot.ok_or_else(|| {
        Unusable::away(format!("{} is not there: is it plugged in, and is its label right?", name(place)))
    })?;
    let session = match access {
        Access::Use => module.open_ro_session(slot),
        Access::Change => module.open_rw_session(slot),
    };
    let session = session.map_err(told)?;
    log_in(&session, place)?;
    Ok(session)
}

fn module(path: &Path) -> Result<Pkcs11, Unusable> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let told = |error: Error| format!("the PKCS#11 library {} cannot be used: {error}", path.display());
    let module = Pkcs11::new(path).map_err(told)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(Unusable::away(told(error))),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// Many libraries look for their tokens only when they begin. Sessions end with this.
pub(crate) fn begin_anew() {
    let modules = std::mem::take(&mut *MODULES.lock().unwrap_or_else(PoisonError::into_inner));
    for (path, module) in modules {
        if let Err(error) = module.finalize() {
            tracing::debug!(%error, path = %path.display(), "the PKCS#11 library does not end");
        }
    }
}

fn log_in(session: &Session, place: &TokenKey) -> Result<(), Unusable> {
    let token = (place.module.clone(), place.token.clone());
    let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if refused.contains(&token) {
        return Err(format!("{} refused its PIN; it is not tried again before a restart", name(place)).into());
    }
    let pin = files::secret(&place.pin).map_err(|what| format!("the PIN of {}: {what}", name(place)))?;
    let pin = std::str::from_utf8(&pin).map_err(|_| format!("the PIN of {} is not text", name(place)))?;
    let pin = AuthPin::from(pin.trim_end_matches(['\r', '\n']).to_owned());
    match session.login(UserType::User, Some(&pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error @ Error::Pkcs11(RvError::PinIncorrect | RvError::PinLocked | RvError::PinLenRange, _)) => {
            refused.insert(token);
            Err(format!(
                "{} refuses the PIN of pin-source, which is not tried again before a restart: {error}",
                name(place)
            )
            .into())
        }
        Err(error) => Err(Unusable::away(format!("{}: {error}", name(place)))),
    }
}

pub(super) fn find_private(session: &Session, place: &TokenKey) -> Result<Option<ObjectHandle>, String> {
    find(session, place, ObjectClass::PRIVATE_KEY)
}

fn find(session: &Session, place: &TokenKey, class: ObjectClass) -> Result<Option<ObjectHandle>, String> {
    let template = [Attribute::Class(class), Attribute::Label(place.object.as_bytes().to_vec())];
    let found = session.find_objects(&template).map_err(|error| format!("{}: {error}", name(place)))?;
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(format!(
            "{} has several keys {:?}: give the one to be used a label of its own",
            name(place),
            place.object
        )),
    }
}

pub(super) fn public_key(session: &Session, place: &TokenKey) -> Result<VerifyingKey, String> {
    let public = find(session, place, ObjectClass::PUBLIC_KEY)?;
    let public = public.ok_or_else(|| format!("{} has no public key {:?}", name(place), place.object))?;
    let attributes = session.get_attributes(public, &[AttributeType::EcPoint]);
    let attributes = attributes.map_err(|error| format!("{}: {error}", name(place)))?;
    let point = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => verifying_key(point),
        _ => None,
    });
    point.ok_or_else(|| format!("key {:?} of {} is neither of P-256 nor Ed25519", place.object, name(place)))
}

/// With or without the OCTET STRING around it: tokens differ.
fn verifying_key(point: &[u8]) -> Option<VerifyingKey> {
    match point {
        [4, 65, inner @ ..] if inner.len() == 65 => Some(VerifyingKey::p256(inner.try_into().ok()?)),
        [4, 32, inner @ ..] if inner.len() == 32 => Some(VerifyingKey::ed25519(inner.try_into().ok()?)),
        [4, ..] if point.len() == 65 => Some(VerifyingKey::p256(point.try_into().ok()?)),
        _ => Some(VerifyingKey::ed25519(point.try_into().ok()?)),
    }
}

/// A key pair that never leaves the token.
pub(super) fn generate(place: &TokenKey, algorithm: SignatureAlgorithm) -> Result<(), Unusable> {
    let session = open(place, Access::Change)?;
    let (mechanism, curve) = match algorithm {
        SignatureAlgorithm::Esp256 => (Mechanism::EccKeyPairGen, P256.to_vec()),
        SignatureAlgorithm::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, ED25519.to_vec()),
    };
    let (label, id) = (place.object.as_bytes().to_vec(), files::sha256(place.object.as_bytes())[..8].to_vec());
    let common = [Attribute::Token(true), Attribute::Label(label), Attribute::Id(id)];
    let public =
        [&common[..], &[Attribute::Private(false), Attribute::Verify(true), Attribute::EcParams(curve)]].concat();
    let secret =
        [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Sign(true)];
    let private = [&common[..], &secret].concat();
    session.generate_key_pair(&mechanism, &public, &private).map(drop).map_err(|error| {
        let hint = match algorithm {
            SignatureAlgorithm::Ed25519 => "; if it has no Ed25519, write suites = [\"p256\"]",
            SignatureAlgorithm::Esp256 => "",
        };
        format!("{} makes no key: {error}{hint}", name(place)).into()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_known_with_and_without_its_octet_string() {
        let (p256, ed25519) = ([4; 65], [4; 32]);
        for point in [p256.to_vec(), [&[4, 65][..], &p256].concat()] {
            assert_eq!(verifying_key(&point), Some(VerifyingKey::p256(p256)));
        }
        for point in [ed25519.to_vec(), [&[4, 32][..], &ed25519].concat()] {
            assert_eq!(verifying_key(&point), Some(VerifyingKey::ed25519(ed25519)));
        }
        for bad in [&[][..], &[4, 65], &[4; 64], &[3; 66]] {
            assert_eq!(verifying_key(bad), None);
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let pin = lingate_config::Credential::File("/nowhere/pin".into());
        let place = TokenKey { module: "/nowhere/p11.so".into(), token: "t".to_owned(), object: "o".to_owned(), pin };
        let Unusable { why, is_away } = open(&place, Access::Use).err().unwrap();
        assert!(why.starts_with("the PKCS#11 library /nowhere/p11.so cannot be used: ") && !is_away, "{why}");
    }
}
