//! What KEY, DATA and receipts share: a COSE_Sign1 (RFC 9052) by a gateway's or a sandbox's key.

use crate::cbor::{CborError, Decoder, Encoder};
use crate::suite::{SignatureAlgorithm, TAG_SIGN1};
use crate::{Kid, SigningFailed, SigningKey, VerifyingKey};

/// Frame around the payload: tag, heads, protected header of the largest DATA and the signature.
const FRAME: usize = 128;

/// Why bytes are not a KEY or a DATA message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefused {
    #[error("the message {0}")]
    Cbor(#[from] CborError),
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("the sequence number is not in its shortest form")]
    SequenceNumber,
    #[error("the suite is not one that this build supports")]
    Suite,
    #[error("the key message has no recipient, too many or the same one twice")]
    Recipients,
}

/// COSE_Sign1, with references into the received bytes.
#[derive(Clone)]
pub(crate) struct Sign1<'a> {
    pub(crate) protected: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: [u8; 64],
}

impl<'a> Sign1<'a> {
    pub(crate) fn parse(bytes: &'a [u8], limit: usize) -> Result<Sign1<'a>, MessageRefused> {
        if bytes.len() > limit {
            return Err(MessageRefused::TooLong { length: bytes.len(), limit });
        }
        let mut cbor = Decoder::new(bytes);
        cbor.tag(TAG_SIGN1)?;
        cbor.array(4)?;
        let protected = cbor.bytes(limit)?;
        cbor.map(0)?;
        let sign1 = Sign1 { protected, payload: cbor.bytes(limit)?, signature: cbor.bytes_exactly()? };
        cbor.finish()?;
        Ok(sign1)
    }

    pub(crate) fn to_be_signed(&self) -> Vec<u8> {
        sig_structure(self.protected, self.payload)
    }

    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verifies(&self.to_be_signed(), &self.signature)
    }
}

/// The message's bytes.
pub(crate) fn sign1(protected: &[u8], payload: &[u8], signer: &SigningKey) -> Result<Vec<u8>, SigningFailed> {
    let signature = signer.try_sign(&sig_structure(protected, payload))?;
    let mut cbor = Encoder::with_capacity(FRAME + protected.len() + payload.len());
    cbor.tag(TAG_SIGN1).array(4).bytes(protected).map(0).bytes(payload).bytes(&signature);
    Ok(cbor.finish())
}

/// Sig_structure of RFC 9052, 4.4, with an empty external_aad.
fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut cbor = Encoder::with_capacity(32 + protected.len() + payload.len());
    cbor.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
    cbor.finish()
}

/// Enc_structure of RFC 9052, 5.3. `context` is "Encrypt" or "Encrypt0".
pub(crate) fn enc_structure(context: &str, protected: &[u8], epoch_id: &[u8; 32]) -> Vec<u8> {
    let mut cbor = Encoder::with_capacity(64 + protected.len());
    cbor.array(3).text(context).bytes(protected).bytes(epoch_id);
    cbor.finish()
}

/// The entries {1: algorithm, 3: content, 4: signer} that every protected header begins with.
pub(crate) fn decode_header(cbor: &mut Decoder<'_>, content: i64) -> Result<(SignatureAlgorithm, Kid), CborError> {
    cbor.exactly(1)?;
    let number = cbor.int()?;
    let algorithm = SignatureAlgorithm::ALL.into_iter().find(|algorithm| algorithm.number() == number);
    cbor.exactly(3)?;
    cbor.exactly(content)?;
    cbor.exactly(4)?;
    Ok((algorithm.ok_or(CborError::Unexpected)?, Kid(cbor.bytes_exactly()?)))
}

pub(crate) fn encode_header(cbor: &mut Encoder, content: i64, algorithm: SignatureAlgorithm, signer: Kid) {
    cbor.int(1).int(algorithm.number()).int(3).int(content).int(4).bytes(&signer.0);
}
