//! The one table of crypto suites and of the COSE numbers that they stand for (wire.md section 1).

/// X25519, HKDF-SHA256, AES-128-GCM wrap; A256GCM content; Ed25519 signature; SHA-256. The only one that is built.
pub const SUITE_X25519: u16 = 0x0001;

/// COSE algorithm `HPKE-3-KE`. draft-ietf-cose-hpke-25 marks the number as assumed, not yet as assigned.
pub const ALG_HPKE_3_KE: i64 = 49;
/// COSE algorithm `A256GCM` (RFC 9053, 4.1).
pub const ALG_A256GCM: i64 = 3;
/// COSE algorithm `Ed25519`, fully specified (RFC 9864).
pub const ALG_ED25519: i64 = -19;
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
    /// The number has its meaning, but no code: a bundle may list it, an epoch is never sealed with it.
    Reserved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    pub id: u16,
    pub name: &'static str,
    /// JOSE name of the wrap, as the bundle's keys say it.
    pub wrap: &'static str,
    pub support: Support,
}

pub const SUITES: [Suite; 4] = [
    Suite { id: SUITE_X25519, name: "X25519 / A256GCM / Ed25519", wrap: "HPKE-3-KE", support: Support::Supported },
    Suite { id: 0x0002, name: "P-256 / A256GCM / ESP256", wrap: "HPKE-7-KE", support: Support::Reserved },
    Suite { id: 0x0011, name: "X-Wing / A256GCM / Ed25519", wrap: "MLKEM768-X25519-KE", support: Support::Reserved },
    Suite { id: 0x0101, name: "SM2 / SM4-GCM / SM3", wrap: "GB/T 35275", support: Support::Reserved },
];

/// `None`: the number means nothing here.
pub fn suite(id: u16) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.id == id)
}

/// By the name of its wrap algorithm.
pub(crate) fn suite_by_wrap(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.wrap == name)
}
