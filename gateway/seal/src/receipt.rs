use lingate_model::{GatewayId, UtcMicros};

use crate::cbor::{CborError, Decoder, Encoder};
use crate::cose::{self, MessageRefused, Sign1};
use crate::suite::{CONTENT_CBOR, SignatureAlgorithm};
use crate::{Kid, SigningKey, VerifiedBundle, VerifyingKey};

/// Bytes of a receipt message at most.
pub const RECEIPT_MAX: usize = 64 * 1024;
/// Epochs of one receipt at most.
pub const RECEIPT_EPOCHS_MAX: usize = 64;
/// Ranges of one epoch at most.
pub const RECEIPT_RANGES_MAX: usize = 64;
/// Longest name, in bytes.
const NAME_MAX: usize = 256;
/// First item of the body, so that another form can follow.
const FORM: u64 = 1;

/// What the sandbox keeps of a gateway's records (wire.md section 6). Facts only grow: a receipt that comes late,
/// twice or out of order says nothing that is no longer true. The keys that may sign one stand in the bundle's `keys`
/// with `"kty":"OKP","crv":"Ed25519","alg":"Ed25519","use":"sig"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The sandbox's id, as the bundle's `iss`.
    pub issuer: String,
    /// The gateway that it is for.
    pub gateway: String,
    /// Seconds since 1970, by the sandbox's clock.
    pub issued_at: i64,
    /// 1 to 64, ascending by kid.
    pub epochs: Vec<EpochReceipt>,
}

/// The epoch's KEY is stored, and of its records those below `next` and in `beyond`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochReceipt {
    pub kid: Kid,
    /// Every record with a lower number is stored durably, or a stored gap record declares it lost.
    pub next: u64,
    /// Stored although something before is missing: (first, last), ascending, apart from each other, above `next`.
    pub beyond: Vec<(u64, u64)>,
}

impl Receipt {
    /// The message, signed by a receipt key of the sandbox.
    pub fn sign(&self, signer: &SigningKey) -> Vec<u8> {
        let mut protected = Encoder::with_capacity(24);
        protected.map(3);
        cose::encode_header(&mut protected, CONTENT_CBOR, signer.algorithm(), signer.kid());
        let mut body = Encoder::with_capacity(256);
        body.array(5).unsigned(FORM).text(&self.issuer).text(&self.gateway).int(self.issued_at);
        body.array(self.epochs.len());
        self.epochs.iter().for_each(|epoch| epoch.encode(&mut body));
        cose::sign1(&protected.finish(), &body.finish(), signer).expect("a receipt key is in memory")
    }
}

impl EpochReceipt {
    fn encode(&self, cbor: &mut Encoder) {
        cbor.array(3).bytes(&self.kid.0).unsigned(self.next).array(self.beyond.len());
        for (first, last) in &self.beyond {
            cbor.array(2).unsigned(*first).unsigned(*last);
        }
    }

    fn decode(cbor: &mut Decoder<'_>) -> Result<EpochReceipt, CborError> {
        cbor.array(3)?;
        let (kid, next) = (Kid(cbor.bytes_exactly()?), cbor.unsigned()?);
        let count = cbor.array_up_to(RECEIPT_RANGES_MAX)?;
        let mut beyond = Vec::with_capacity(count);
        let mut free = next;
        for _ in 0..count {
            cbor.array(2)?;
            let (first, last) = (cbor.unsigned()?, cbor.unsigned()?);
            // What touches the part before it would have been counted into it.
            if first <= free || last < first {
                return Err(CborError::Unexpected);
            }
            free = last.checked_add(1).ok_or(CborError::TooLarge)?;
            beyond.push((first, last));
        }
        Ok(EpochReceipt { kid, next, beyond })
    }

    /// Whether the record with this number need not be sent again.
    pub fn covers(&self, seq: u64) -> bool {
        seq < self.next || self.beyond.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
}

/// A receipt message that has the right form: whose it is, is still open.
pub struct ReceiptMessage<'a> {
    pub signer: Kid,
    pub algorithm: SignatureAlgorithm,
    pub receipt: Receipt,
    sign1: Sign1<'a>,
}

impl<'a> ReceiptMessage<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<ReceiptMessage<'a>, MessageRefused> {
        let sign1 = Sign1::parse(bytes, RECEIPT_MAX)?;
        let mut header = Decoder::new(sign1.protected);
        header.map(3)?;
        let (algorithm, signer) = cose::decode_header(&mut header, CONTENT_CBOR)?;
        header.finish()?;
        let receipt = decode_body(sign1.payload)?;
        let ascends = receipt.epochs.windows(2).all(|pair| pair[0].kid < pair[1].kid);
        if receipt.epochs.is_empty() || !ascends {
            return Err(CborError::Unexpected.into());
        }
        Ok(ReceiptMessage { signer, algorithm, receipt, sign1 })
    }

    /// Whether this Ed25519 key signed it. The caller has looked the key up by `signer`.
    pub fn is_signed_by(&self, public_key: &[u8; 32]) -> bool {
        self.is_signed_by_key(&VerifyingKey::ed25519(*public_key))
    }

    pub fn is_signed_by_key(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm && self.sign1.is_signed_by(key)
    }
}

/// Why a receipt frees nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptRefused {
    #[error("a receipt is none: {0}")]
    Form(#[from] MessageRefused),
    #[error("a receipt is signed by key {0}, which the bundle does not name for receipts, or not at this time")]
    Signer(Kid),
    #[error("a receipt's signature by key {0} does not fit to its bytes")]
    Signature(Kid),
    #[error("a receipt is of another sandbox")]
    Issuer,
    #[error("a receipt is for another gateway")]
    Gateway,
}

impl Receipt {
    /// The receipt, if a key that this bundle names for it signed it for this gateway.
    pub fn verify(
        bytes: &[u8],
        bundle: &VerifiedBundle,
        gateway: &GatewayId,
        utc: UtcMicros,
    ) -> Result<Receipt, ReceiptRefused> {
        let message = ReceiptMessage::parse(bytes)?;
        let key = bundle.receipt_key(message.signer, utc).ok_or(ReceiptRefused::Signer(message.signer))?;
        if !message.is_signed_by_key(key) {
            return Err(ReceiptRefused::Signature(message.signer));
        }
        if message.receipt.issuer != bundle.sandbox() {
            return Err(ReceiptRefused::Issuer);
        }
        match message.receipt.gateway == gateway.as_str() {
            true => Ok(message.receipt),
            false => Err(ReceiptRefused::Gateway),
        }
    }
}

fn decode_body(bytes: &[u8]) -> Result<Receipt, CborError> {
    let mut cbor = Decoder::new(bytes);
    cbor.array(5)?;
    if cbor.unsigned()? != FORM {
        return Err(CborError::Unexpected);
    }
    let issuer = cbor.text(NAME_MAX)?.to_owned();
    let gateway = cbor.text(NAME_MAX)?.to_owned();
    let issued_at = cbor.int()?;
    let count = cbor.array_up_to(RECEIPT_EPOCHS_MAX)?;
    let epochs = (0..count).map(|_| EpochReceipt::decode(&mut cbor)).collect::<Result<_, _>>()?;
    cbor.finish()?;
    Ok(Receipt { issuer, gateway, issued_at, epochs })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::{Entropy, EntropyFailed};

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Fixed(seed)).unwrap()).unwrap()
    }

    fn receipt() -> Receipt {
        let first = EpochReceipt { kid: Kid([1; 8]), next: 0, beyond: vec![] };
        let second = EpochReceipt { kid: Kid([2; 8]), next: 7, beyond: vec![(9, 9), (20, 1 << 19)] };
        let (issuer, gateway) = ("sandbox.example".to_owned(), "gw-0001".to_owned());
        Receipt { issuer, gateway, issued_at: 1_795_400_000, epochs: vec![first, second] }
    }

    fn refused(change: impl FnOnce(&mut Receipt)) -> MessageRefused {
        let mut changed = receipt();
        change(&mut changed);
        let bytes = changed.sign(&key(1));
        ReceiptMessage::parse(&bytes).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_receipt_says_the_same_on_the_other_side() {
        let bytes = receipt().sign(&key(1));
        let message = ReceiptMessage::parse(&bytes).unwrap();
        assert_eq!((message.signer, &message.receipt), (key(1).kid(), &receipt()));
        assert!(message.is_signed_by(&key(1).public_key()) && !message.is_signed_by(&key(2).public_key()));
        let second = &message.receipt.epochs[1];
        let covered: Vec<u64> = (0..22).filter(|seq| second.covers(*seq)).collect();
        assert_eq!(covered, [0, 1, 2, 3, 4, 5, 6, 9, 20, 21]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_receipt_is_noticed() {
        let bytes = receipt().sign(&key(1));
        let opens = |bytes: &[u8]| ReceiptMessage::parse(bytes).is_ok_and(|m| m.is_signed_by(&key(1).public_key()));
        assert!(opens(&bytes));
        for at in 0..bytes.len() {
            assert!(!opens(&bytes[..at]), "cut at {at}");
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                assert!(!opens(&broken), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_out_of_order_empty_or_beyond_its_bound_is_refused() {
        refused(|r| r.epochs.clear());
        refused(|r| r.epochs.reverse());
        refused(|r| r.epochs[0].kid = r.epochs[1].kid);
        refused(|r| r.epochs[1].beyond.reverse());
        refused(|r| r.epochs[1].beyond[0] = (7, 8));
        refused(|r| r.epochs[1].beyond[0] = (9, 8));
        refused(|r| r.epochs[1].beyond[1] = (10, 12));
        refused(|r| r.epochs[1].beyond[1].1 = u64::MAX);
        refused(|r| r.epochs[0].beyond = (0..65).map(|n| (2 * n + 1, 2 * n + 1)).collect());
        refused(|r| r.epochs = (0..65).map(|n| EpochReceipt { kid: Kid([n; 8]), next: 0, beyond: vec![] }).collect());
        refused(|r| r.gateway = "x".repeat(257));
        refused(|r| r.gateway = "x".repeat(RECEIPT_MAX));
    }
}
