//! Why a message was not taken. Counted by reason; those that a signed message should never give raise an alarm.

use lingate_seal::{BatchRefused, MessageRefused, PlaintextRefused};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the topic is not one of the protocol")]
    Topic,
    #[error("not a KEY or DATA message: {0}")]
    Malformed(#[from] MessageRefused),
    #[error("signed by a key that no enrolled gateway has")]
    UnknownSigner,
    #[error("signed by the key of a gateway that was revoked")]
    RevokedSigner,
    #[error("the signature is wrong")]
    Signature,
    #[error("the signer does not own this topic")]
    ForeignTopic,
    #[error("the KEY is for another sandbox")]
    Audience,
    #[error("the KEY names another gateway as its issuer")]
    Issuer,
    #[error("the sandbox knows no dataset with this alias")]
    UnknownAlias,
    #[error("the KEY's dataset does not belong to this alias")]
    Dataset,
    #[error("the purpose is not granted for this dataset")]
    Purpose,
    #[error("the class is above the dataset's ceiling")]
    Class,
    #[error("the KEY's epoch ends before it begins, or lasts longer than a day")]
    Lifetime,
    #[error("the KEY has no recipient entry for this role")]
    NotForUs,
    #[error("the KEY does not open with this role's key")]
    Wrap,
    #[error("two different KEYs for one epoch")]
    SecondKey,
    #[error("the epoch's KEY was refused")]
    RefusedEpoch,
    #[error("too many records wait for their KEY or catalogue")]
    HoldFull,
    #[error("signed by another gateway than the epoch's KEY")]
    ForeignSigner,
    #[error("one sequence number with two different contents: a cloned gateway")]
    Clone,
    #[error("the record does not open with the epoch's key")]
    Ciphertext,
    #[error("the record's content is broken: {0}")]
    Plaintext(#[from] PlaintextRefused),
    #[error("a record of this kind has no place at this sequence number")]
    OutOfPlace,
    #[error("the catalogue is not the one that the KEY promises")]
    Catalogue,
    #[error("the lineage is not the one that the KEY promises")]
    Lineage,
    #[error("the batch is broken: {0}")]
    Batch(#[from] BatchRefused),
    #[error("a gap record without range or cause")]
    Gap,
    #[error("the end of the epoch does not agree with its records")]
    Close,
    #[error(
        "the gateway goes on from a place that it had passed before: its disk is an old copy, or there are two of it"
    )]
    WentBack,
}

impl Rejected {
    /// A short name for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejected::Topic => "topic",
            Rejected::Malformed(_) => "malformed",
            Rejected::UnknownSigner => "unknown signer",
            Rejected::RevokedSigner => "revoked signer",
            Rejected::Signature => "signature",
            Rejected::ForeignTopic => "foreign topic",
            Rejected::Audience => "audience",
            Rejected::Issuer => "issuer",
            Rejected::UnknownAlias => "unknown alias",
            Rejected::Dataset => "dataset",
            Rejected::Purpose => "purpose",
            Rejected::Class => "class",
            Rejected::Lifetime => "lifetime",
            Rejected::NotForUs => "not for us",
            Rejected::Wrap => "wrap",
            Rejected::SecondKey => "second key",
            Rejected::RefusedEpoch => "refused epoch",
            Rejected::HoldFull => "hold full",
            Rejected::ForeignSigner => "foreign signer",
            Rejected::Clone => "clone",
            Rejected::Ciphertext => "ciphertext",
            Rejected::Plaintext(_) => "plaintext",
            Rejected::OutOfPlace => "out of place",
            Rejected::Catalogue => "catalogue",
            Rejected::Lineage => "lineage",
            Rejected::Batch(_) => "batch",
            Rejected::Gap => "gap",
            Rejected::Close => "close",
            Rejected::WentBack => "went back",
        }
    }

    /// A known gateway signed something that an honest one never would: an operator must look. What a stranger
    /// can cause at will is only counted.
    pub fn is_alarm(&self) -> bool {
        !matches!(
            self,
            Rejected::Topic
                | Rejected::Malformed(_)
                | Rejected::UnknownSigner
                | Rejected::RevokedSigner
                | Rejected::Signature
                | Rejected::UnknownAlias
                | Rejected::NotForUs
                | Rejected::RefusedEpoch
                | Rejected::HoldFull
        )
    }
}
