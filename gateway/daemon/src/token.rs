//! Keys in a PKCS#11 token: made there, used there, and never outside. The manufacturer's library is loaded at run time.
//!
//! A token that is away fails each signature with words that say so, and is looked for again with the next one. A PIN that
//! was refused is not tried again by this process: three wrong ones lock most tokens.

mod session;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use lingate_config::TokenKey;
use lingate_seal::{HeldKey, SignatureAlgorithm, SigningFailed, SigningKey, VerifyingKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};

use crate::files::sha256;

/// A key pair in a token.
pub(crate) struct Token {
    place: TokenKey,
    public: VerifyingKey,
    session: Mutex<Option<Opened>>,
}

struct Opened {
    session: Session,
    private: ObjectHandle,
}

impl Token {
    /// `None`: the token is there, and this key is not in it.
    pub(crate) fn open(place: &TokenKey) -> Result<Option<Token>, String> {
        let session = session::open(place, session::Access::Use)?;
        let Some(private) = session::find_private(&session, place)? else { return Ok(None) };
        let public = session::public_key(&session, place)?;
        Ok(Some(Token { place: place.clone(), public, session: Mutex::new(Some(Opened { session, private })) }))
    }

    pub(crate) fn generate(place: &TokenKey, algorithm: SignatureAlgorithm) -> Result<Token, String> {
        session::generate(place, algorithm)?;
        Token::open(place)?.ok_or_else(|| format!("{} does not show the key that was made in it", name(place)))
    }

    pub(crate) fn public(&self) -> &VerifyingKey {
        &self.public
    }

    pub(crate) fn into_signing_key(self) -> SigningKey {
        SigningKey::held(self.public.clone(), Box::new(self))
    }

    /// The 64 bytes of either kind of signature. A session that fails is opened anew once.
    fn sign_raw(&self, message: &[u8]) -> Result<[u8; 64], String> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*held
            && let Ok(signature) = self.sign_with(opened, message)
        {
            return Ok(signature);
        }
        *held = None;
        let opened = self.reopen()?;
        let signature = self.sign_with(&opened, message)?;
        *held = Some(opened);
        Ok(signature)
    }

    fn reopen(&self) -> Result<Opened, String> {
        let session = session::open(&self.place, session::Access::Use)?;
        let private = session::find_private(&session, &self.place)?;
        let private = private.ok_or_else(|| format!("{} has lost key {:?}", name(&self.place), self.place.object))?;
        match session::public_key(&session, &self.place)? == self.public {
            true => Ok(Opened { session, private }),
            false => Err(format!("key {:?} of {} is another one than before", self.place.object, name(&self.place))),
        }
    }

    fn sign_with(&self, opened: &Opened, message: &[u8]) -> Result<[u8; 64], String> {
        let signed = match self.public.algorithm() {
            SignatureAlgorithm::Esp256 => opened.session.sign(&Mechanism::Ecdsa, opened.private, &sha256(message)),
            SignatureAlgorithm::Ed25519 => {
                let plain = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                opened.session.sign(&plain, opened.private, message)
            }
        };
        let signature = signed.map_err(|error| format!("{}: {error}", name(&self.place)))?;
        signature.try_into().map_err(|_| format!("{} gave a signature that is not 64 bytes long", name(&self.place)))
    }
}

impl HeldKey for Token {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningFailed> {
        self.sign_raw(message).map_err(SigningFailed)
    }
}

/// For certificate requests.
impl PublicKeyData for Token {
    fn der_bytes(&self) -> &[u8] {
        self.public.bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.public.algorithm() {
            SignatureAlgorithm::Esp256 => &PKCS_ECDSA_P256_SHA256,
            SignatureAlgorithm::Ed25519 => &PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for Token {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.sign_raw(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(tls::encode(self.public.algorithm(), &signature))
    }
}

/// As TLS uses it.
pub(crate) fn tls_key(token: Token) -> Arc<dyn rustls::sign::SigningKey> {
    Arc::new(tls::TlsKey::new(Arc::new(token)))
}

fn name(place: &TokenKey) -> String {
    format!("PKCS#11 token {:?} ({})", place.token, place.module.display())
}
