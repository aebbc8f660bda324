//! C2SP signed-note v1: a text, an empty line, and signatures of whoever vouches for it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::sha256;

/// Signature types of the specification.
const ED25519_NOTE: u8 = 0x01;
const ED25519_COSIGNATURE: u8 = 0x04;
/// Signatures of one note that are looked at.
const SIGNATURES_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteRefused {
    #[error("it is not a signed note: text, empty line, lines that begin with \"\u{2014} \"")]
    Form,
    #[error("the signature of the key that was asked for is missing")]
    Unsigned,
    #[error("the signature is wrong: the text was changed, or somebody else signed it")]
    Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    #[error("not an Ed25519 key in PKCS#8 form")]
    Pkcs8,
    #[error("not a key of the form NAME+HASH+KEY")]
    Form,
    #[error("a key's name must not be empty or hold spaces or plus signs")]
    Name,
    #[error("the hash in the key does not belong to its name and bytes")]
    Hash,
}

/// A text and its signatures, of which none is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// With its last LF.
    pub text: String,
    pub(crate) signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoteSignature {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) bytes: Vec<u8>,
}

impl Note {
    pub fn parse(bytes: &[u8]) -> Result<Note, NoteRefused> {
        let note = std::str::from_utf8(bytes).map_err(|_| NoteRefused::Form)?;
        let is_clean = !note.chars().any(|c| c < ' ' && c != '\n');
        let end = note.rfind("\n\n").filter(|_| is_clean).ok_or(NoteRefused::Form)? + 1;
        let signatures = note[end + 1..].strip_suffix('\n').ok_or(NoteRefused::Form)?;
        let signatures: Option<Vec<NoteSignature>> =
            signatures.split('\n').take(SIGNATURES_MAX + 1).map(NoteSignature::parse).collect();
        let signatures = signatures.filter(|all| all.len() <= SIGNATURES_MAX).ok_or(NoteRefused::Form)?;
        Ok(Note { text: note[..end].to_owned(), signatures })
    }

    /// By this key's name and id.
    pub(crate) fn of(&self, key: &Verifier) -> Option<&NoteSignature> {
        self.signatures.iter().find(|signature| signature.name == key.name && signature.id == key.id())
    }

    pub fn verify(&self, key: &Verifier) -> Result<(), NoteRefused> {
        let signature = self.of(key).ok_or(NoteRefused::Unsigned)?;
        key.check(self.text.as_bytes(), &signature.bytes).then_some(()).ok_or(NoteRefused::Signature)
    }

    /// Who claims to have signed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.name.as_str())
    }

    /// The same text with one more signature, which replaces an older one of the same key.
    pub(crate) fn add(&mut self, signature: NoteSignature) {
        self.signatures.retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|NoteSignature { name, id, bytes }| {
            writeln!(f, "\u{2014} {name} {}", BASE64_STANDARD.encode([id, &bytes[..]].concat()))
        })
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<NoteSignature> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = BASE64_STANDARD.decode(encoded).ok().filter(|_| is_name(name))?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        Some(NoteSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// A public key under a name. As text it is the vkey of the specification: `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    kind: u8,
    public: [u8; 32],
}

impl Verifier {
    /// Of a log: signs notes.
    pub fn log(name: &str, public: [u8; 32]) -> Result<Verifier, KeyRefused> {
        Verifier::new(name, ED25519_NOTE, public)
    }

    /// Of a witness: signs cosignatures/v1.
    pub fn witness(name: &str, public: [u8; 32]) -> Result<Verifier, KeyRefused> {
        Verifier::new(name, ED25519_COSIGNATURE, public)
    }

    fn new(name: &str, kind: u8, public: [u8; 32]) -> Result<Verifier, KeyRefused> {
        is_name(name).then(|| Verifier { name: name.to_owned(), kind, public }).ok_or(KeyRefused::Name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    pub fn is_witness(&self) -> bool {
        self.kind == ED25519_COSIGNATURE
    }

    /// First four bytes of SHA-256(name || LF || type || key).
    pub(crate) fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), &[b'\n', self.kind], &self.public].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    pub(crate) fn check(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64_STANDARD.encode([&[self.kind], &self.public[..]].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.id()))
    }
}

impl FromStr for Verifier {
    type Err = KeyRefused;

    fn from_str(text: &str) -> Result<Verifier, KeyRefused> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyRefused::Form);
        };
        let key = BASE64_STANDARD.decode(key).map_err(|_| KeyRefused::Form)?;
        let (kind, public) = match key.split_first() {
            Some((kind @ (&ED25519_NOTE | &ED25519_COSIGNATURE), public)) => (*kind, public),
            _ => return Err(KeyRefused::Form),
        };
        let verifier = Verifier::new(name, kind, public.try_into().map_err(|_| KeyRefused::Form)?)?;
        let is_its_hash = u32::from_str_radix(hash, 16) == Ok(u32::from_be_bytes(verifier.id()));
        is_its_hash.then_some(verifier).ok_or(KeyRefused::Hash)
    }
}

/// An Ed25519 key under a name. Has no Debug and never leaves memory from here.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    /// Of a log, from PKCS#8 (RFC 8410), with or without the public key inside.
    pub fn log(name: &str, pkcs8: &[u8]) -> Result<Signer, KeyRefused> {
        Signer::new(name, pkcs8, Verifier::log)
    }

    /// Of a witness.
    pub fn witness(name: &str, pkcs8: &[u8]) -> Result<Signer, KeyRefused> {
        Signer::new(name, pkcs8, Verifier::witness)
    }

    fn new(
        name: &str,
        pkcs8: &[u8],
        verifier: fn(&str, [u8; 32]) -> Result<Verifier, KeyRefused>,
    ) -> Result<Signer, KeyRefused> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| KeyRefused::Pkcs8)?;
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes");
        Ok(Signer { verifier: verifier(name, public)?, pair })
    }

    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    pub(crate) fn signature(&self, bytes: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.verifier.name.clone(), id: self.verifier.id(), bytes }
    }
}
