use lingate_model::{Class, UtcMicros};

use crate::cbor::{CborError, Decoder, Encoder};
use crate::{Kid, PreviousEpoch};

/// Longest text of a claim, in bytes.
const TEXT_MAX: usize = 512;
/// Entries of the map, `approval` included.
const ENTRIES: usize = 16;

/// CWT claims (RFC 8392) of an epoch: who sealed what for whom, under which policy. They are in the KEY message's
/// protected header, so `epoch_id` commits to every one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Gateway id.
    pub issuer: String,
    /// Dataset id.
    pub subject: String,
    /// Sandbox id.
    pub audience: String,
    /// Seconds since 1970: nothing was sealed later than this.
    pub expires: i64,
    /// Seconds since 1970, by the gateway's clock.
    pub issued_at: i64,
    pub cti: [u8; 16],
    pub suite: u16,
    pub purpose: String,
    pub purpose_statement_sha256: [u8; 32],
    pub policy_sha256: [u8; 32],
    pub bundle_version: u64,
    pub bundle_sha256: [u8; 32],
    pub class: Class,
    /// Over the decompressed body of the Catalogue message.
    pub catalogue_sha256: [u8; 32],
    /// The stream's epoch before this one; `None` at process start.
    pub previous: Option<PreviousEpoch>,
    /// Over `Lineage.document`.
    pub lineage_sha256: [u8; 32],
    /// Agreement id or approval reference; present if `class` is important.
    pub approval: Option<String>,
}

impl Claims {
    pub(crate) fn encode(&self, cbor: &mut Encoder) {
        cbor.map(ENTRIES - usize::from(self.approval.is_none()));
        cbor.int(1).text(&self.issuer).int(2).text(&self.subject).int(3).text(&self.audience);
        cbor.int(4).int(self.expires).int(6).int(self.issued_at).int(7).bytes(&self.cti);
        cbor.int(-70001).unsigned(self.suite.into());
        cbor.int(-70002).text(&self.purpose);
        cbor.int(-70003).bytes(&self.purpose_statement_sha256);
        cbor.int(-70004).bytes(&self.policy_sha256);
        cbor.int(-70005).array(2).unsigned(self.bundle_version).bytes(&self.bundle_sha256);
        cbor.int(-70006).unsigned(self.class as u64);
        cbor.int(-70007).bytes(&self.catalogue_sha256);
        match self.previous {
            Some(previous) => cbor.int(-70008).array(2).bytes(&previous.kid.0).unsigned(previous.last_seq),
            None => cbor.int(-70008).null(),
        };
        cbor.int(-70009).bytes(&self.lineage_sha256);
        if let Some(approval) = &self.approval {
            cbor.int(-70010).text(approval);
        }
    }

    pub(crate) fn decode(cbor: &mut Decoder<'_>) -> Result<Claims, CborError> {
        let entries = cbor.map_up_to(ENTRIES)?;
        if entries < ENTRIES - 1 {
            return Err(CborError::Unexpected);
        }
        let claims = Claims {
            issuer: text(cbor, 1)?,
            subject: text(cbor, 2)?,
            audience: text(cbor, 3)?,
            expires: int(cbor, 4)?,
            issued_at: int(cbor, 6)?,
            cti: bytes(cbor, 7)?,
            suite: u16::try_from(int(cbor, -70001)?).map_err(|_| CborError::TooLarge)?,
            purpose: text(cbor, -70002)?,
            purpose_statement_sha256: bytes(cbor, -70003)?,
            policy_sha256: bytes(cbor, -70004)?,
            bundle_version: pair(cbor, -70005)?.unsigned()?,
            bundle_sha256: cbor.bytes_exactly()?,
            class: class(int(cbor, -70006)?)?,
            catalogue_sha256: bytes(cbor, -70007)?,
            previous: previous(cbor)?,
            lineage_sha256: bytes(cbor, -70009)?,
            approval: (entries == ENTRIES).then(|| text(cbor, -70010)).transpose()?,
        };
        let is_approved = claims.class == Class::General || claims.approval.is_some();
        is_approved.then_some(claims).ok_or(CborError::Unexpected)
    }

    /// `issued_at` as the model's time.
    pub fn issued(&self) -> UtcMicros {
        UtcMicros(self.issued_at.saturating_mul(1_000_000))
    }
}

fn text(cbor: &mut Decoder<'_>, key: i64) -> Result<String, CborError> {
    cbor.exactly(key)?;
    cbor.text(TEXT_MAX).map(str::to_owned)
}

fn int(cbor: &mut Decoder<'_>, key: i64) -> Result<i64, CborError> {
    cbor.exactly(key)?;
    cbor.int()
}

fn bytes<const N: usize>(cbor: &mut Decoder<'_>, key: i64) -> Result<[u8; N], CborError> {
    cbor.exactly(key)?;
    cbor.bytes_exactly()
}

fn pair<'d, 'a>(cbor: &'d mut Decoder<'a>, key: i64) -> Result<&'d mut Decoder<'a>, CborError> {
    cbor.exactly(key)?;
    cbor.array(2)?;
    Ok(cbor)
}

fn class(number: i64) -> Result<Class, CborError> {
    match number {
        0 => Ok(Class::General),
        1 => Ok(Class::Important),
        _ => Err(CborError::Unexpected),
    }
}

fn previous(cbor: &mut Decoder<'_>) -> Result<Option<PreviousEpoch>, CborError> {
    cbor.exactly(-70008)?;
    if cbor.skip_null() {
        return Ok(None);
    }
    cbor.array(2)?;
    Ok(Some(PreviousEpoch { kid: Kid(cbor.bytes_exactly()?), last_seq: cbor.unsigned()? }))
}
