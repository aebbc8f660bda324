use std::time::Duration;

use lingate_model::defect::{Defect, strikes};
use lingate_model::{Class, ClockState, DatasetId, Now, PurposeId};
use lingate_refine::{Batch, Minimized, StepCount};
use prost::Message as _;
use zeroize::Zeroizing;

use crate::catalogue::catalogue;
use crate::columns::{ColumnEncoder, Entry};
use crate::content_key::{ContentKey, encrypt};
use crate::plaintext::{BODY_MAX, Packer};
use crate::suite;
use crate::terms::{admit, claims, lifetime};
use crate::thumbprint::sha256;
use crate::wire::sealed::Message;
use crate::wrap::{WrapError, Wrapped, wrap};
use crate::{
    BATCH_READINGS_MAX, Claims, DATA_MESSAGE_MAX, Entropy, EntropyFailed, EpochTerms, GapRecord, Grant, Kid,
    RecordKind, Sealed, SigningFailed, SigningKey, WrappedKey, data_message, key_message, lineage, wire,
};
use lingate_audit::Tree;

/// Messages of an epoch at most, whatever the bundle says.
const MESSAGES_MAX: u64 = 1 << 20;
/// Catalogue, lineage, one batch and the close: fewer would be an epoch without readings.
const MESSAGES_MIN: u64 = 4;
/// Room that the envelope takes around a ciphertext.
const ENVELOPE_MAX: usize = 256;

/// CLAIMS -70008: the stream's epoch before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousEpoch {
    pub kid: Kid,
    /// Of its EpochClose, or of what was kept before it if the close was not.
    pub last_seq: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    #[error("recipient key {0} is not a usable key of the suite")]
    Recipient(Kid),
    #[error(
        "suite 0x{0:04x} is none that this gateway can seal with: its signing key or this build does not fit to it"
    )]
    Suite(u16),
    #[error("an epoch needs 1 to 64 recipients, each once; the grant has {0}")]
    Recipients(usize),
    #[error("the dataset's class is important and the bundle has no approval reference for it")]
    ApprovalMissing,
    #[error("the sandbox bundle does not list the dataset's minimization policy sha256:{0}")]
    PolicyNotApproved(String),
    #[error("the right to seal for this purpose has ended")]
    Expired,
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    #[error("the epoch has no sequence number left")]
    Exhausted,
    #[error("the catalogue has {points} points, the limit of one epoch is {limit}")]
    TooLarge { points: usize, limit: usize },
    #[error("the message would have {bytes} bytes, the limit is {limit}")]
    MessageTooLarge { bytes: usize, limit: usize },
    #[error("the batch has {readings} readings, the limit is {limit}")]
    TooManyReadings { readings: usize, limit: usize },
}

/// An open epoch: it holds the content key, only in memory, and wipes it when it ends.
pub struct Epoch {
    terms: EpochTerms,
    key: ContentKey,
    aad: Vec<u8>,
    next_seq: u64,
    ends_at: Duration,
    readings: u64,
    tree: Tree,
    previous_gap: Vec<u8>,
    columns: ColumnEncoder,
    packer: Packer,
    batch: wire::Batch,
    body: Vec<u8>,
}

impl Epoch {
    /// Draws a key and gives the messages that open the stream, in order: KEY, Catalogue (seq 0), Lineage (seq 1).
    ///
    /// Randomness is drawn in a fixed order - content key, base IV, cti, layer key, IV, then per recipient - so that
    /// the same entropy gives the same bytes.
    pub fn open(
        terms: EpochTerms,
        previous: Option<PreviousEpoch>,
        now: Now,
        signer: &SigningKey,
        entropy: &mut dyn Entropy,
    ) -> Result<(Epoch, Vec<Sealed>), SealError> {
        let policy = admit(&terms, signer.algorithm(), now)?;
        let (key, base_iv) = (draw_key(entropy)?, draw(entropy)?);
        let cti = draw(entropy)?;
        let catalogue =
            Message::Catalogue(catalogue(&terms.dataset, &terms.points, &terms.devices, terms.grant.ceiling));
        let document = lineage::document(&terms, &policy, &cti, now.utc);
        let claims = Claims {
            cti,
            policy_sha256: policy,
            catalogue_sha256: sha256(&encode(catalogue.clone())),
            previous,
            lineage_sha256: sha256(&document),
            ..claims(&terms, now)
        };
        let protected = key_message::encode_protected(signer, &claims);
        let epoch_id = sha256(&protected);
        let key = ContentKey { kid: key_message::epoch_kid(&epoch_id), base_iv, key };
        let message = seal_key(&protected, &epoch_id, &key, &terms.grant, signer, entropy)?;

        let mut epoch = Epoch::new(terms, key, &epoch_id, now);
        let lineage = Message::Lineage(wire::Lineage { media: lineage::MEDIA.to_owned(), document });
        let sealed = vec![
            epoch.sealed(RecordKind::Key, 0, 0, message),
            epoch.seal(RecordKind::Catalogue, catalogue, signer)?,
            epoch.seal(RecordKind::Lineage, lineage, signer)?,
        ];
        Ok((epoch, sealed))
    }

    fn new(terms: EpochTerms, key: ContentKey, epoch_id: &[u8; 32], now: Now) -> Epoch {
        Epoch {
            key,
            aad: data_message::data_aad(epoch_id),
            next_seq: 0,
            ends_at: now.monotonic.saturating_add(lifetime(&terms.grant, now)),
            readings: 0,
            tree: Tree::default(),
            previous_gap: Vec::new(),
            columns: ColumnEncoder::new(terms.points.iter().map(|point| &**point)),
            packer: Packer::new(terms.dataset.padding),
            batch: wire::Batch::default(),
            body: Vec::new(),
            terms,
        }
    }

    pub fn kid(&self) -> Kid {
        self.key.kid
    }

    pub fn dataset(&self) -> &DatasetId {
        &self.terms.dataset.id
    }

    pub fn purpose(&self) -> &PurposeId {
        &self.terms.grant.purpose
    }

    pub fn class(&self) -> Class {
        self.terms.grant.ceiling
    }

    /// Age (monotonic) or number of messages is at the bundle's limit: close it and open another.
    pub fn is_spent(&self, now: Now) -> bool {
        now.monotonic >= self.ends_at || self.next_seq + 1 >= self.messages_max()
    }

    /// When `is_spent` becomes true by age.
    pub fn ends_at(&self) -> Duration {
        self.ends_at
    }

    pub fn seal_batch(&mut self, batch: &Batch, signer: &SigningKey) -> Result<Sealed, SealError> {
        let readings = batch.readings().len();
        if readings > BATCH_READINGS_MAX {
            return Err(SealError::TooManyReadings { readings, limit: BATCH_READINGS_MAX });
        }
        let mut encoded = std::mem::take(&mut self.batch);
        self.columns.encode(batch.readings().iter().map(entry), batch.context(), &mut encoded);
        encoded.clock = clock(batch.clock()) as i32;
        encoded.steps.clear();
        encoded.steps.extend(batch.steps().iter().map(step_count));
        let message = Message::Batch(encoded);
        self.seal_counted(RecordKind::Batch, message, readings as u32, signer)
    }

    pub fn seal_gap(&mut self, gap: &GapRecord, signer: &SigningKey) -> Result<Sealed, SealError> {
        let message = Message::Gap(gap.to_wire(self.previous_gap.clone()));
        let sealed = self.seal(RecordKind::Gap, message, signer)?;
        self.previous_gap = sha256(&self.body).to_vec();
        Ok(sealed)
    }

    /// The last message of the epoch: count, readings and RFC 9162 root over the DATA digests. The epoch ends also
    /// without it, if it cannot be signed.
    pub fn close(mut self, signer: &SigningKey) -> (Result<Sealed, SealError>, PreviousEpoch) {
        let (kid, seq) = (self.kid(), self.next_seq);
        let close = wire::EpochClose { last_seq: seq, readings: self.readings, data_root: self.tree.root().to_vec() };
        match self.seal_message(Message::Close(close), signer) {
            Ok((_, bytes)) => {
                let sealed = self.sealed(RecordKind::EpochClose, seq, 0, bytes);
                (Ok(sealed), PreviousEpoch { kid, last_seq: seq })
            }
            Err(error) => (Err(error), PreviousEpoch { kid, last_seq: seq.saturating_sub(1) }),
        }
    }

    fn messages_max(&self) -> u64 {
        u64::from(self.terms.grant.epoch_messages).clamp(MESSAGES_MIN, MESSAGES_MAX)
    }

    fn seal(&mut self, kind: RecordKind, message: Message, signer: &SigningKey) -> Result<Sealed, SealError> {
        self.seal_counted(kind, message, 0, signer)
    }

    /// The last number is kept for the close.
    fn seal_counted(
        &mut self,
        kind: RecordKind,
        message: Message,
        readings: u32,
        signer: &SigningKey,
    ) -> Result<Sealed, SealError> {
        if self.next_seq + 1 >= MESSAGES_MAX {
            return Err(SealError::Exhausted);
        }
        let (message, bytes) = self.seal_message(message, signer)?;
        if let Message::Batch(batch) = message {
            self.batch = batch;
        }
        let seq = self.next_seq;
        self.next_seq += u64::from(!strikes(Defect::NonceReuse, 9));
        self.readings += u64::from(readings);
        self.tree.push(&sha256(&bytes));
        Ok(self.sealed(kind, seq, readings, bytes))
    }

    /// Body, plaintext, ciphertext, message. Gives the message's memory back. Uses the number of `next_seq`, which the
    /// caller never uses again once the bytes have left.
    fn seal_message(&mut self, message: Message, signer: &SigningKey) -> Result<(Message, Vec<u8>), SealError> {
        let sealed = wire::Sealed { message: Some(message) };
        let bytes = sealed.encoded_len();
        if bytes > BODY_MAX {
            return Err(SealError::MessageTooLarge { bytes, limit: BODY_MAX });
        }
        self.body.clear();
        sealed.encode(&mut self.body).expect("a vector grows");
        let mut text = self.packer.pack(&self.body);
        if text.len() + ENVELOPE_MAX > DATA_MESSAGE_MAX {
            return Err(SealError::MessageTooLarge { bytes: text.len(), limit: DATA_MESSAGE_MAX - ENVELOPE_MAX });
        }
        encrypt(&self.key.key, self.key.nonce(self.next_seq), &self.aad, &mut text);
        let bytes = data_message::encode(self.key.kid, self.next_seq, &text, signer)?;
        Ok((sealed.message.expect("it was put there"), bytes))
    }

    fn sealed(&self, kind: RecordKind, seq: u64, readings: u32, bytes: Vec<u8>) -> Sealed {
        Sealed { kind, alias: self.terms.grant.alias.clone(), kid: self.kid(), seq, readings, bytes: bytes.into() }
    }
}

fn seal_key(
    protected: &[u8],
    epoch_id: &[u8; 32],
    key: &ContentKey,
    grant: &Grant,
    signer: &SigningKey,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, SealError> {
    let (layer_key, iv) = (draw_key(entropy)?, draw(entropy)?);
    // With room for the tag, so that the key is encrypted where it lies.
    let mut ciphertext = key.encode();
    encrypt(&layer_key, iv, &key_message::key_aad(epoch_id), &mut ciphertext);
    let suite = suite::built(grant.suite).ok_or(SealError::Suite(grant.suite))?;
    let mut sealed: Vec<(Vec<u8>, Wrapped)> = Vec::with_capacity(grant.recipients.len());
    for recipient in &grant.recipients {
        let protected = key_message::recipient_protected(suite, recipient.kid);
        let info = key_message::recipient_info(&protected, epoch_id);
        let wrapped = wrap(suite, &recipient.public, &info, &layer_key, entropy).map_err(|error| match error {
            WrapError::Entropy(error) => SealError::Entropy(error),
            WrapError::PublicKey => SealError::Recipient(recipient.kid),
        })?;
        sealed.push((protected, wrapped));
    }
    let wrapped: Vec<WrappedKey<'_>> = grant
        .recipients
        .iter()
        .zip(&sealed)
        .map(|(recipient, (protected, sealed))| WrappedKey {
            protected,
            kid: recipient.kid,
            encapsulated: &sealed.encapsulated,
            wrapped: sealed.wrapped,
        })
        .collect();
    Ok(key_message::encode(protected, &iv, &ciphertext, &wrapped, signer)?)
}

fn draw<const N: usize>(entropy: &mut dyn Entropy) -> Result<[u8; N], EntropyFailed> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

fn draw_key(entropy: &mut dyn Entropy) -> Result<Zeroizing<[u8; 32]>, EntropyFailed> {
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill(&mut *key)?;
    Ok(key)
}

fn encode(message: Message) -> Vec<u8> {
    wire::Sealed { message: Some(message) }.encode_to_vec()
}

fn entry(reading: &Minimized) -> Entry<'_> {
    Entry { alias: reading.alias(), stamp: reading.stamp(), value: reading.value(), status: reading.status() }
}

fn step_count(count: &StepCount) -> wire::StepCount {
    wire::StepCount { step: count.step as u32, seen: count.seen, kept: count.kept }
}

fn clock(state: ClockState) -> wire::ClockState {
    match state {
        ClockState::Synced => wire::ClockState::Synced,
        ClockState::Holdover => wire::ClockState::Holdover,
        ClockState::Unsynced => wire::ClockState::Unsynced,
    }
}
