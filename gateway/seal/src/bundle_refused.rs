use lingate_model::GatewayId;

use crate::Kid;

/// Why a bundle or a root file was refused: one variant per rule of wire.md section 7. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefused {
    #[error("the file has {bytes} bytes, a bundle has at most {limit}: ask the sandbox for one with fewer entries")]
    TooLarge { bytes: usize, limit: usize },
    #[error("this is not a lingate/1 bundle or root file: {0}; fetch the file from the sandbox again")]
    Malformed(String),
    #[error(
        "the root file's SHA-256 is {found}, the configuration says {expected}: compare the fingerprint with the \
         sandbox over the telephone, then correct the configuration or fetch the root file again"
    )]
    Fingerprint { expected: String, found: String },
    #[error("the bundle is signed by key {kid}, which no root names: ask the sandbox which root file it belongs to")]
    UnknownSigner { kid: String },
    #[error("the bundle's signature by key {kid} does not fit to its bytes: it was changed; fetch it again")]
    BadSignature { kid: Kid },
    #[error(
        "the bundle has {found} valid signatures of root version {root}, it needs {needed}: ask the sandbox to sign \
         it with more of its root keys"
    )]
    Threshold { root: u64, found: usize, needed: usize },
    #[error(
        "the bundle brings root version {found}, only {current} or {} can follow {current}: \
         install the bundles in between first",
        current.saturating_add(1)
    )]
    RootSkipped { current: u64, found: u64 },
    #[error(
        "the bundle brings other keys under the same root version {version}: do not use it, and tell the sandbox's \
         security contact"
    )]
    RootChangedInPlace { version: u64 },
    #[error("the bundle has version {found}, version {stored} is in use: ask the sandbox for the newest one")]
    Rollback { stored: u64, found: u64 },
    #[error(
        "the bundle has version {version} as the one in use, but other bytes: do not use it, and tell the sandbox's \
         security contact"
    )]
    SameVersionOtherBytes { version: u64 },
    #[error(
        "the bundle of version {version} does not follow the one in use (its `prev` names other bytes): do not use \
         it, and tell the sandbox's security contact"
    )]
    OtherPredecessor { version: u64 },
    #[error("the bundle is valid from {from}: check this machine's clock, or wait")]
    NotYetValid { from: String },
    #[error("the bundle was valid until {until}: ask the sandbox for a new one, or check this machine's clock")]
    Expired { until: String },
    #[error("the bundle is not for gateway {gateway}: check `gateway` in the configuration, or ask for this gateway's")]
    WrongAudience { gateway: GatewayId },
    #[error("the bundle names {kind} {id:?} twice: ask the sandbox for a corrected one")]
    Duplicate { kind: &'static str, id: String },
    #[error(
        "the bundle's {kind} {id:?} is not one that lingate/1 knows: update lingate, or ask for a corrected bundle"
    )]
    Unknown { kind: &'static str, id: String },
    #[error("in the bundle, {from} refers to {kind} {id:?}, which it does not contain: ask for a corrected one")]
    Unresolved { from: String, kind: &'static str, id: String },
    #[error("the bundle allows no crypto suite that this build has: update lingate, or ask for suite 1 (0x0001)")]
    NoSuite,
    #[error("the bundle's key {kid} is not the key that its name says: do not use it, and ask for a corrected one")]
    WrongKid { kid: String },
    #[error("the bundle asks for acknowledgement by {0:?}, lingate/1 knows \"broker\" and \"receipt\": update lingate")]
    Acknowledgement(String),
    #[error(
        "the bundle asks for acknowledgement by receipts and names no key (use \"sig\") to check them: ask for one"
    )]
    NoReceiptKey,
}

impl BundleRefused {
    pub(crate) fn malformed(what: impl std::fmt::Display) -> BundleRefused {
        BundleRefused::Malformed(what.to_string())
    }
}
