use crate::cbor::{CborError, Decoder, Encoder};
use crate::claims::Claims;
use crate::cose::{self, MessageRefused, Sign1};
use crate::suite::{self, ALG_A256GCM, CONTENT_COSE_KEY, CONTENT_ENCRYPT, SignatureAlgorithm, Suite, TAG_ENCRYPT};
use crate::thumbprint::sha256;
use crate::{Kid, SigningFailed, SigningKey, VerifyingKey};

/// Bytes of a KEY message at most.
pub const KEY_MESSAGE_MAX: usize = 64 * 1024;
/// Recipients of an epoch at most.
pub const RECIPIENTS_MAX: usize = 64;

/// `{1: A256GCM, 3: COSE_Key}`, the protected header of the COSE_Encrypt layer.
const CONTENT_PROTECTED: [u8; 6] = [0xa2, 0x01, 0x03, 0x03, 0x18, 0x65];

/// A KEY message that has the right form (wire.md section 3): nothing of it is verified or opened yet.
///
/// To open it: `is_signed_by` the gateway's key; find your role's key in `recipients`; HPKE-open (base mode, empty aad)
/// `wrapped` with `info()` to the 32 bytes of the layer's key; A256GCM-open `ciphertext` with that key, `iv` and
/// `aad()`; [`crate::ContentKey::parse`] the plaintext.
#[derive(Clone)]
pub struct KeyMessage<'a> {
    /// Content of the protected header; its SHA-256 is the epoch's id.
    pub protected: &'a [u8],
    pub signer: Kid,
    pub algorithm: SignatureAlgorithm,
    pub claims: Claims,
    pub signature: [u8; 64],
    pub iv: [u8; 12],
    /// The encrypted COSE_Key with its tag.
    pub ciphertext: &'a [u8],
    /// 1 to 64, ascending by kid.
    pub recipients: Vec<WrappedKey<'a>>,
    epoch_id: [u8; 32],
    sign1: Sign1<'a>,
}

/// The layer's key for one recipient.
#[derive(Clone, Copy)]
pub struct WrappedKey<'a> {
    pub protected: &'a [u8],
    pub kid: Kid,
    /// HPKE `enc`, as long as the suite says.
    pub encapsulated: &'a [u8],
    /// 32 bytes of key and 16 bytes of tag.
    pub wrapped: [u8; 48],
}

impl<'a> KeyMessage<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<KeyMessage<'a>, MessageRefused> {
        let sign1 = Sign1::parse(bytes, KEY_MESSAGE_MAX)?;
        let (algorithm, signer, claims) = decode_protected(sign1.protected)?;
        let suite = suite::built(claims.suite).filter(|suite| suite.signature == algorithm);
        let (iv, ciphertext, recipients) = decode_encrypt(sign1.payload, suite.ok_or(MessageRefused::Suite)?)?;
        let ascends = recipients.windows(2).all(|pair| pair[0].kid < pair[1].kid);
        if recipients.is_empty() || !ascends {
            return Err(MessageRefused::Recipients);
        }
        Ok(KeyMessage {
            protected: sign1.protected,
            signer,
            algorithm,
            claims,
            signature: sign1.signature,
            iv,
            ciphertext,
            recipients,
            epoch_id: sha256(sign1.protected),
            sign1,
        })
    }

    pub fn epoch_id(&self) -> &[u8; 32] {
        &self.epoch_id
    }

    /// The epoch's content key: the first 8 bytes of `epoch_id`.
    pub fn kid(&self) -> Kid {
        epoch_kid(&self.epoch_id)
    }

    pub fn to_be_signed(&self) -> Vec<u8> {
        self.sign1.to_be_signed()
    }

    /// Whether this Ed25519 key signed it. The caller has looked the key up by `signer`.
    pub fn is_signed_by(&self, public_key: &[u8; 32]) -> bool {
        self.is_signed_by_key(&VerifyingKey::ed25519(*public_key))
    }

    pub fn is_signed_by_key(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm && self.sign1.is_signed_by(key)
    }

    /// Additional data of `ciphertext`.
    pub fn aad(&self) -> Vec<u8> {
        key_aad(&self.epoch_id)
    }

    /// HPKE `info` for this recipient.
    pub fn info(&self, recipient: &WrappedKey<'_>) -> Vec<u8> {
        recipient_info(recipient.protected, &self.epoch_id)
    }
}

pub(crate) fn epoch_kid(epoch_id: &[u8; 32]) -> Kid {
    Kid(*epoch_id.first_chunk().expect("32 bytes have a first 8"))
}

pub(crate) fn key_aad(epoch_id: &[u8; 32]) -> Vec<u8> {
    cose::enc_structure("Encrypt", &CONTENT_PROTECTED, epoch_id)
}

/// Recipient_structure of draft-ietf-cose-hpke-25, 3.1.2: it binds the wrap to the layer below and to the epoch.
pub(crate) fn recipient_info(recipient_protected: &[u8], extra: &[u8]) -> Vec<u8> {
    recipient_structure(ALG_A256GCM, recipient_protected, extra)
}

/// `next_layer`: the algorithm that the wrapped key is for.
pub(crate) fn recipient_structure(next_layer: i64, recipient_protected: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut cbor = Encoder::with_capacity(80);
    cbor.array(4).text("HPKE Recipient").int(next_layer).bytes(recipient_protected).bytes(extra);
    cbor.finish()
}

pub(crate) fn recipient_protected(suite: &Suite, kid: Kid) -> Vec<u8> {
    let mut cbor = Encoder::with_capacity(24);
    cbor.map(2).int(1).int(suite.wrap_number).int(4).bytes(&kid.0);
    cbor.finish()
}

/// Content of the protected header, which the epoch's id is the hash of.
pub(crate) fn encode_protected(signer: &SigningKey, claims: &Claims) -> Vec<u8> {
    let mut cbor = Encoder::with_capacity(512);
    cbor.map(4);
    cose::encode_header(&mut cbor, CONTENT_ENCRYPT, signer.algorithm(), signer.kid());
    cbor.int(15);
    claims.encode(&mut cbor);
    cbor.finish()
}

pub(crate) fn encode(
    protected: &[u8],
    iv: &[u8; 12],
    ciphertext: &[u8],
    recipients: &[WrappedKey<'_>],
    signer: &SigningKey,
) -> Result<Vec<u8>, SigningFailed> {
    let mut cbor = Encoder::with_capacity(
        128 + ciphertext.len() + recipients.iter().map(|it| it.encapsulated.len() + 100).sum::<usize>(),
    );
    cbor.tag(TAG_ENCRYPT).array(4).bytes(&CONTENT_PROTECTED).map(1).int(5).bytes(iv).bytes(ciphertext);
    cbor.array(recipients.len());
    for recipient in recipients {
        cbor.array(3).bytes(recipient.protected).map(1).int(-4).bytes(recipient.encapsulated);
        cbor.bytes(&recipient.wrapped);
    }
    cose::sign1(protected, &cbor.finish(), signer)
}

fn decode_protected(bytes: &[u8]) -> Result<(SignatureAlgorithm, Kid, Claims), CborError> {
    let mut cbor = Decoder::new(bytes);
    cbor.map(4)?;
    let (algorithm, signer) = cose::decode_header(&mut cbor, CONTENT_ENCRYPT)?;
    cbor.exactly(15)?;
    let claims = Claims::decode(&mut cbor)?;
    cbor.finish()?;
    Ok((algorithm, signer, claims))
}

type Encrypt<'a> = ([u8; 12], &'a [u8], Vec<WrappedKey<'a>>);

fn decode_encrypt<'a>(bytes: &'a [u8], suite: &Suite) -> Result<Encrypt<'a>, MessageRefused> {
    let mut cbor = Decoder::new(bytes);
    cbor.tag(TAG_ENCRYPT)?;
    cbor.array(4)?;
    decode_content_protected(cbor.bytes(16)?)?;
    cbor.map(1)?;
    cbor.exactly(5)?;
    let iv = cbor.bytes_exactly()?;
    let ciphertext = cbor.bytes(256)?;
    let count = cbor.array_up_to(RECIPIENTS_MAX)?;
    let recipients = (0..count).map(|_| decode_recipient(&mut cbor, suite)).collect::<Result<_, _>>()?;
    cbor.finish()?;
    Ok((iv, ciphertext, recipients))
}

fn decode_content_protected(bytes: &[u8]) -> Result<(), CborError> {
    let mut cbor = Decoder::new(bytes);
    cbor.map(2)?;
    for (key, value) in [(1, ALG_A256GCM), (3, CONTENT_COSE_KEY)] {
        cbor.exactly(key)?;
        cbor.exactly(value)?;
    }
    cbor.finish()
}

fn decode_recipient<'a>(cbor: &mut Decoder<'a>, suite: &Suite) -> Result<WrappedKey<'a>, CborError> {
    cbor.array(3)?;
    let protected = cbor.bytes(64)?;
    cbor.map(1)?;
    cbor.exactly(-4)?;
    let encapsulated = cbor.bytes(suite.encapsulated_bytes)?;
    if encapsulated.len() != suite.encapsulated_bytes {
        return Err(CborError::Unexpected);
    }
    let wrapped = cbor.bytes_exactly()?;
    let mut header = Decoder::new(protected);
    header.map(2)?;
    header.exactly(1)?;
    header.exactly(suite.wrap_number)?;
    header.exactly(4)?;
    let kid = Kid(header.bytes_exactly()?);
    header.finish()?;
    Ok(WrappedKey { protected, kid, encapsulated, wrapped })
}
