//! Keys in a PKCS#11 token: made there, used there, and never outside. The manufacturer's library is loaded at run time.
//!
//! A token that is away fails each signature with words that say so, and is looked for again with the next one. A library
//! that does not return costs its caller a few seconds once, and everything behind it fails until it does. A PIN that
//! was refused is not tried again by this process: three wrong ones lock most tokens.

mod caller;
mod session;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use lingate_config::TokenKey;
use lingate_seal::{HeldKey, SignatureAlgorithm, SigningFailed, SigningKey, VerifyingKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};

use crate::files::sha256;
use caller::Caller;

pub(crate) use session::begin_anew;

/// For a signature; the engine waits for it, so it is well below what the watchdog allows.
const SIGN_PATIENCE: Duration = Duration::from_secs(5);
const OPEN_PATIENCE: Duration = Duration::from_secs(15);

/// A key pair in a token.
pub(crate) struct Token {
    place: TokenKey,
    public: VerifyingKey,
    caller: Caller<Ask, Result<Answer, Unusable>>,
}

/// Why a token cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) why: String,
    /// The token is away or silent: it may come back without anybody's hand at the configuration.
    pub(crate) is_away: bool,
}

impl Unusable {
    fn away(why: String) -> Unusable {
        Unusable { why, is_away: true }
    }

    fn silent(place: &TokenKey) -> Unusable {
        Unusable::away(format!("{} does not answer", name(place)))
    }
}

impl From<String> for Unusable {
    fn from(why: String) -> Unusable {
        Unusable { why, is_away: false }
    }
}

enum Ask {
    Open,
    Sign(Vec<u8>),
}

enum Answer {
    /// `None`: the token is there, and this key is not in it.
    Key(Option<VerifyingKey>),
    Signature([u8; 64]),
}

impl Token {
    /// `None`: the token is there, and this key is not in it.
    pub(crate) fn open(place: &TokenKey) -> Result<Option<Token>, Unusable> {
        let mut held = Held { place: place.clone(), public: None, opened: None };
        let caller = Caller::start(move |ask| held.answer(ask)).map_err(|_| Unusable::silent(place))?;
        let answer = caller.ask(Ask::Open, OPEN_PATIENCE).map_err(|_| Unusable::silent(place))??;
        let Answer::Key(public) = answer else { unreachable!("who asks for a key is given one") };
        Ok(public.map(|public| Token { place: place.clone(), public, caller }))
    }

    pub(crate) fn generate(place: &TokenKey, algorithm: SignatureAlgorithm) -> Result<Token, Unusable> {
        session::generate(place, algorithm)?;
        let token = Token::open(place)?;
        token.ok_or_else(|| format!("{} does not show the key that was made in it", name(place)).into())
    }

    pub(crate) fn public(&self) -> &VerifyingKey {
        &self.public
    }

    pub(crate) fn into_signing_key(self) -> SigningKey {
        SigningKey::held(self.public.clone(), Box::new(self))
    }

    /// The 64 bytes of either kind of signature.
    fn sign_raw(&self, message: &[u8]) -> Result<[u8; 64], String> {
        let asked = self.caller.ask(Ask::Sign(message.to_vec()), SIGN_PATIENCE);
        let answer = asked.unwrap_or_else(|_| Err(Unusable::silent(&self.place))).map_err(|unusable| unusable.why)?;
        let Answer::Signature(signature) = answer else { unreachable!("who asks for a signature is given one") };
        Ok(signature)
    }
}

/// The session, in the thread that talks to the library.
struct Held {
    place: TokenKey,
    public: Option<VerifyingKey>,
    opened: Option<Opened>,
}

struct Opened {
    session: Session,
    private: ObjectHandle,
}

impl Held {
    fn answer(&mut self, ask: Ask) -> Result<Answer, Unusable> {
        match ask {
            Ask::Open => self.open().map(Answer::Key),
            Ask::Sign(message) => self.sign(&message).map(Answer::Signature),
        }
    }

    fn open(&mut self) -> Result<Option<VerifyingKey>, Unusable> {
        let session = session::open(&self.place, session::Access::Use)?;
        let Some(private) = session::find_private(&session, &self.place)? else { return Ok(None) };
        self.public = Some(session::public_key(&session, &self.place)?);
        self.opened = Some(Opened { session, private });
        Ok(self.public.clone())
    }

    /// A session that fails is opened anew once.
    fn sign(&mut self, message: &[u8]) -> Result<[u8; 64], Unusable> {
        if let Some(opened) = self.opened.take()
            && let Ok(signature) = self.sign_with(&opened, message)
        {
            self.opened = Some(opened);
            return Ok(signature);
        }
        let opened = self.reopen()?;
        let signature = self.sign_with(&opened, message)?;
        self.opened = Some(opened);
        Ok(signature)
    }

    fn reopen(&self) -> Result<Opened, Unusable> {
        let session = session::open(&self.place, session::Access::Use)?;
        let private = session::find_private(&session, &self.place)?;
        let private = private.ok_or_else(|| format!("{} has lost key {:?}", name(&self.place), self.place.object))?;
        match Some(session::public_key(&session, &self.place)?) == self.public {
            true => Ok(Opened { session, private }),
            false => Err(format!("key {:?} of {} is another one than before", self.place.object, name(&self.place)))?,
        }
    }

    fn sign_with(&self, opened: &Opened, message: &[u8]) -> Result<[u8; 64], Unusable> {
        let signed = match self.public.as_ref().map(VerifyingKey::algorithm) {
            Some(SignatureAlgorithm::Esp256) => {
                opened.session.sign(&Mechanism::Ecdsa, opened.private, &sha256(message))
            }
            _ => {
                let plain = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                opened.session.sign(&plain, opened.private, message)
            }
        };
        let signature = signed.map_err(|error| Unusable::away(format!("{}: {error}", name(&self.place))))?;
        let length = |_| format!("{} gave a signature that is not 64 bytes long", name(&self.place));
        Ok(signature.try_into().map_err(length)?)
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
