//! The one table of crypto suites and of the COSE numbers that they stand for (wire.md section 1).

/// X25519, HKDF-SHA256, AES-128-GCM wrap; A256GCM content; Ed25519 signature; SHA-256. The default.
pub const SUITE_X25519: u16 = 0x0001;
/// P-256, HKDF-SHA256, AES-256-GCM wrap; A256GCM content; ECDSA on P-256: for keys in TPM and HSM.
pub const SUITE_P256: u16 = 0x0002;
/// X-Wing (X25519 and ML-KEM-768 together) wrap; else as the default. Experimental.
pub const SUITE_XWING: u16 = 0x0011;
/// SM2, SM3 and SM4 in GB/T 35275 containers: the number is kept free for it.
pub const SUITE_SM: u16 = 0x0101;

/// COSE algorithm `HPKE-3-KE`. draft-ietf-cose-hpke-25 marks its numbers as assumed, not yet as assigned.
pub const ALG_HPKE_3_KE: i64 = 49;
/// COSE algorithm `HPKE-7-KE`.
pub const ALG_HPKE_7_KE: i64 = 53;
/// X-Wing with HKDF-SHA256 and AES-256-GCM has no assigned number. Private use (RFC 9054, 11.1): -65536 less the KEM's
/// HPKE number 0x647a.
pub const ALG_XWING_KE: i64 = -91_258;
/// COSE algorithm `A256GCM` (RFC 9053, 4.1).
pub const ALG_A256GCM: i64 = 3;
/// COSE algorithm `Ed25519`, fully specified (RFC 9864).
pub const ALG_ED25519: i64 = -19;
/// COSE algorithm `ESP256`: ECDSA on P-256 with SHA-256, fully specified (RFC 9864).
pub const ALG_ESP256: i64 = -9;
/// CoAP content format of COSE_Encrypt0 (RFC 9052, table 2).
pub(crate) const CONTENT_ENCRYPT0: i64 = 16;
/// CoAP content format of COSE_Encrypt.
pub(crate) const CONTENT_ENCRYPT: i64 = 96;
/// CoAP content format of plain CBOR (RFC 8949, 9.3).
pub(crate) const CONTENT_CBOR: i64 = 60;
/// CoAP content format of COSE_Key.
pub(crate) const CONTENT_COSE_KEY: i64 = 101;

pub(crate) const TAG_ENCRYPT0: u64 = 16;
pub(crate) const TAG_SIGN1: u64 = 18;
pub(crate) const TAG_ENCRYPT: u64 = 96;

/// What this build can do with a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    Supported,
    /// Built, and only used by a gateway whose configuration asks for it by name.
    Experimental,
    /// The number has its meaning, but no code: a bundle may list it, an epoch is never sealed with it.
    Reserved,
}

/// How a gateway signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    Ed25519,
    Esp256,
}

impl SignatureAlgorithm {
    pub const ALL: [SignatureAlgorithm; 2] = [SignatureAlgorithm::Ed25519, SignatureAlgorithm::Esp256];

    /// The COSE number.
    pub fn number(self) -> i64 {
        match self {
            SignatureAlgorithm::Ed25519 => ALG_ED25519,
            SignatureAlgorithm::Esp256 => ALG_ESP256,
        }
    }

    /// The JOSE name.
    pub fn name(self) -> &'static str {
        match self {
            SignatureAlgorithm::Ed25519 => "Ed25519",
            SignatureAlgorithm::Esp256 => "ESP256",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    pub id: u16,
    /// In the configuration.
    pub name: &'static str,
    /// JOSE name of the wrap, as the bundle's keys say it.
    pub wrap: &'static str,
    /// COSE number of the wrap.
    pub wrap_number: i64,
    /// `kty` and `crv` of a recipient's JWK; without a curve its key is in `pub`.
    pub kty: &'static str,
    pub crv: Option<&'static str>,
    pub signature: SignatureAlgorithm,
    /// A recipient's public key and what is encapsulated to it (HPKE `Npk` and `Nenc`).
    pub public_bytes: usize,
    pub encapsulated_bytes: usize,
    /// Randomness of one encapsulation.
    pub(crate) seed_bytes: usize,
    /// So many fit into a KEY message, 64 at most.
    pub recipients_max: usize,
    pub support: Support,
}

pub const SUITES: [Suite; 4] = [
    Suite {
        id: SUITE_X25519,
        name: "x25519",
        wrap: "HPKE-3-KE",
        wrap_number: ALG_HPKE_3_KE,
        kty: "OKP",
        crv: Some("X25519"),
        signature: SignatureAlgorithm::Ed25519,
        public_bytes: 32,
        encapsulated_bytes: 32,
        seed_bytes: 32,
        recipients_max: 64,
        support: Support::Supported,
    },
    Suite {
        id: SUITE_P256,
        name: "p256",
        wrap: "HPKE-7-KE",
        wrap_number: ALG_HPKE_7_KE,
        kty: "EC",
        crv: Some("P-256"),
        signature: SignatureAlgorithm::Esp256,
        public_bytes: 65,
        encapsulated_bytes: 65,
        seed_bytes: 32,
        recipients_max: 64,
        support: Support::Supported,
    },
    Suite {
        id: SUITE_XWING,
        name: "x-wing",
        wrap: "MLKEM768-X25519-KE",
        wrap_number: ALG_XWING_KE,
        kty: "AKP",
        crv: None,
        signature: SignatureAlgorithm::Ed25519,
        public_bytes: 1_216,
        encapsulated_bytes: 1_120,
        seed_bytes: 64,
        recipients_max: 48,
        support: Support::Experimental,
    },
    Suite {
        id: SUITE_SM,
        name: "sm",
        wrap: "GB/T 35275",
        wrap_number: 0,
        kty: "EC",
        crv: Some("SM2"),
        signature: SignatureAlgorithm::Esp256,
        public_bytes: 65,
        encapsulated_bytes: 0,
        seed_bytes: 0,
        recipients_max: 0,
        support: Support::Reserved,
    },
];

/// `None`: the number means nothing here.
pub fn suite(id: u16) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.id == id)
}

/// One that an epoch can be sealed with.
pub(crate) fn built(id: u16) -> Option<&'static Suite> {
    suite(id).filter(|suite| suite.support != Support::Reserved)
}

/// By the name of its wrap algorithm.
pub(crate) fn suite_by_wrap(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.wrap == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KEY_MESSAGE_MAX;

    #[test]
    fn a_key_message_has_room_for_the_recipients_of_every_suite() {
        for suite in SUITES.iter().filter(|suite| suite.support != Support::Reserved) {
            // Heads, protected header with algorithm and kid, wrapped key: 100 bytes around what is encapsulated.
            let recipients = suite.recipients_max * (suite.encapsulated_bytes + 100);
            assert!(recipients + 4_096 <= KEY_MESSAGE_MAX, "{}: {recipients}", suite.name);
        }
    }

    #[test]
    fn numbers_and_names_stand_for_one_suite_each() {
        for suite in &SUITES {
            let like = |other: &&Suite| other.id == suite.id || other.wrap == suite.wrap || other.name == suite.name;
            assert_eq!(SUITES.iter().filter(like).count(), 1, "{}", suite.name);
        }
    }
}
