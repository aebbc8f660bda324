use crate::cbor::{CborError, Decoder, Encoder};
use crate::cose::{self, MessageRefused, Sign1};
use crate::suite::{CONTENT_ENCRYPT0, SignatureAlgorithm, TAG_ENCRYPT0};
use crate::{Kid, SigningFailed, SigningKey, VerifyingKey};

/// Bytes of a DATA message at most.
pub const DATA_MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// `{1: A256GCM}`, the protected header of the COSE_Encrypt0 layer.
const CONTENT_PROTECTED: [u8; 3] = [0xa1, 0x01, 0x03];

/// A DATA message that has the right form (wire.md section 4): nothing of it is verified or opened yet.
///
/// To open it: `is_signed_by` the KEY's signer; A256GCM-open `ciphertext` with the epoch's key,
/// [`crate::ContentKey::nonce`] of `seq` and `aad(epoch_id)`; [`crate::unpack`] the plaintext to a `wire::Sealed`.
#[derive(Clone)]
pub struct DataMessage<'a> {
    pub signer: Kid,
    pub algorithm: SignatureAlgorithm,
    pub signature: [u8; 64],
    /// The epoch's content key.
    pub kid: Kid,
    /// Partial IV.
    pub seq: u64,
    pub ciphertext: &'a [u8],
    sign1: Sign1<'a>,
}

impl<'a> DataMessage<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<DataMessage<'a>, MessageRefused> {
        let sign1 = Sign1::parse(bytes, DATA_MESSAGE_MAX)?;
        let (algorithm, signer) = decode_protected(sign1.protected)?;
        let mut cbor = Decoder::new(sign1.payload);
        cbor.tag(TAG_ENCRYPT0)?;
        cbor.array(3)?;
        if cbor.bytes(16)? != CONTENT_PROTECTED {
            return Err(CborError::Unexpected.into());
        }
        cbor.map(2)?;
        cbor.exactly(4)?;
        let kid = Kid(cbor.bytes_exactly()?);
        cbor.exactly(6)?;
        let seq = decode_partial_iv(cbor.bytes(8)?)?;
        let ciphertext = cbor.bytes(DATA_MESSAGE_MAX)?;
        cbor.finish()?;
        Ok(DataMessage { signer, algorithm, signature: sign1.signature, kid, seq, ciphertext, sign1 })
    }

    pub fn to_be_signed(&self) -> Vec<u8> {
        self.sign1.to_be_signed()
    }

    /// Whether this Ed25519 key signed it.
    pub fn is_signed_by(&self, public_key: &[u8; 32]) -> bool {
        self.is_signed_by_key(&VerifyingKey::ed25519(*public_key))
    }

    pub fn is_signed_by_key(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm && self.sign1.is_signed_by(key)
    }

    /// Additional data of `ciphertext`.
    pub fn aad(&self, epoch_id: &[u8; 32]) -> Vec<u8> {
        data_aad(epoch_id)
    }
}

pub(crate) fn data_aad(epoch_id: &[u8; 32]) -> Vec<u8> {
    cose::enc_structure("Encrypt0", &CONTENT_PROTECTED, epoch_id)
}

pub(crate) fn encode(kid: Kid, seq: u64, ciphertext: &[u8], signer: &SigningKey) -> Result<Vec<u8>, SigningFailed> {
    let mut protected = Encoder::with_capacity(24);
    protected.map(3);
    cose::encode_header(&mut protected, CONTENT_ENCRYPT0, signer.algorithm(), signer.kid());
    let mut cbor = Encoder::with_capacity(64 + ciphertext.len());
    cbor.tag(TAG_ENCRYPT0).array(3).bytes(&CONTENT_PROTECTED);
    cbor.map(2).int(4).bytes(&kid.0).int(6).bytes(partial_iv(&seq.to_be_bytes()));
    cbor.bytes(ciphertext);
    cose::sign1(&protected.finish(), &cbor.finish(), signer)
}

fn decode_protected(bytes: &[u8]) -> Result<(SignatureAlgorithm, Kid), CborError> {
    let mut cbor = Decoder::new(bytes);
    cbor.map(3)?;
    let signer = cose::decode_header(&mut cbor, CONTENT_ENCRYPT0)?;
    cbor.finish()?;
    Ok(signer)
}

/// Without leading zeros; zero itself is one byte.
fn partial_iv(big_endian: &[u8; 8]) -> &[u8] {
    let zeros = big_endian.iter().take(7).take_while(|byte| **byte == 0).count();
    &big_endian[zeros..]
}

fn decode_partial_iv(bytes: &[u8]) -> Result<u64, MessageRefused> {
    match bytes {
        [] => Err(MessageRefused::SequenceNumber),
        [0, _, ..] => Err(MessageRefused::SequenceNumber),
        _ => Ok(bytes.iter().fold(0, |seq, byte| seq << 8 | u64::from(*byte))),
    }
}
