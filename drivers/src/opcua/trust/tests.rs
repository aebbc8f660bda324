#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use lingate_model::UtcMicros;
use opcua::crypto::{PrivateKey, X509, X509Data};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::*;

const URI: &str = "urn:acme:etch-3";
const DAY: i64 = 86_400_000_000;
/// 2026-07-01
const NOW: i64 = 20_635 * DAY;

/// One RSA key for all certificates: making it takes longer than all the rest.
fn rsa() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| pair(&PrivateKey::new(2048).unwrap()))
}

fn pair(key: &PrivateKey) -> KeyPair {
    let der = key.to_der().unwrap();
    KeyPair::from_pkcs8_der_and_sign_algo(&der.as_bytes().to_vec().into(), &PKCS_RSA_SHA256).unwrap()
}

fn server() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "etch-3");
    params.subject_alt_names = vec![
        SanType::URI(URI.try_into().unwrap()),
        SanType::DnsName("etch-3.fab.example".try_into().unwrap()),
        SanType::IpAddress([10, 0, 4, 30].into()),
    ];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params
}

fn self_signed(params: &CertificateParams) -> Vec<u8> {
    params.self_signed(rsa()).unwrap().der().to_vec()
}

/// A plant's authority with its revocation list.
struct Authority(Issuer<'static, KeyPair>, Vec<u8>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority(Issuer::new(params, key), der)
    }

    fn sign(&self, serial: u64) -> Vec<u8> {
        let mut params = server();
        params.serial_number = Some(SerialNumber::from(serial));
        params.signed_by(rsa(), &self.0).unwrap().der().to_vec()
    }

    fn revoking(&self, serial: u64, next_year: i32) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(next_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().der().to_vec()
    }
}

/// A store that vanishes with its test.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lingate-trust-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Home(std::env::temp_dir().join(name))
    }

    fn store(&self) -> Store {
        Store::of(&self.0)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(utc: i64, clock: ClockState) -> Now {
    Now { monotonic: Default::default(), utc: UtcMicros(utc), clock }
}

fn question(der: &[u8]) -> Question<'_> {
    let (host, now) = ("10.0.4.30", at(NOW, ClockState::Synced));
    Question { der, host, application_uri: URI, policy: SecurityPolicy::Basic256Sha256, now }
}

fn pinning(der: &[u8], tolerate: &[Fault]) -> Rules {
    Rules { thumbprint: Some(Thumbprint::sha256(der)), server_uri: None, tolerate: tolerate.to_vec() }
}

#[track_caller]
fn refused(judged: Result<(), LinkError>, expected: &str) {
    match judged {
        Err(LinkError::Refused { what, hint }) => assert!(what.contains(expected), "{what}; {hint}"),
        other => panic!("{other:?} instead of: {expected}"),
    }
}

#[test]
fn a_stranger_is_refused_and_kept_until_somebody_trusts_it() {
    let home = Home::new();
    let der = self_signed(&server());
    let rules = Rules::default();
    for _ in 0..3 {
        refused(rules.judge(&question(&der), &home.store()), "is not trusted");
    }
    let waiting = home.store().list(Kind::Rejected);
    assert_eq!(waiting.len(), 1);
    let thumbprint = waiting[0].certificate.as_ref().unwrap().sha256();
    home.store().remove(Kind::Rejected, &thumbprint).unwrap().unwrap();
    home.store().add(Kind::Trusted, &der).unwrap();
    assert!(rules.judge(&question(&der), &home.store()).is_ok());
    assert!(home.store().list(Kind::Rejected).is_empty());
    home.store().remove(Kind::Trusted, &thumbprint).unwrap().unwrap();
    refused(rules.judge(&question(&der), &home.store()), "is not trusted");
}

#[test]
fn a_pinned_certificate_is_the_only_one_that_is_believed() {
    let home = Home::new();
    let der = self_signed(&server());
    assert!(pinning(&der, &[]).judge(&question(&der), &home.store()).is_ok());
    let by_sha1 = Rules { thumbprint: Some(Thumbprint::sha1(&der)), ..Rules::default() };
    assert!(by_sha1.judge(&question(&der), &home.store()).is_ok());
    // Of the same name, and even trusted by the store.
    let mut other = server();
    other.not_after = date_time_ymd(2027, 2, 1);
    let other = self_signed(&other);
    home.store().add(Kind::Trusted, &other).unwrap();
    refused(pinning(&der, &[]).judge(&question(&other), &home.store()), "server_thumbprint is");
}

#[test]
fn a_certificate_of_another_host_or_application_or_time_is_refused() {
    let home = Home::new();
    let der = self_signed(&server());
    let check = |question: &Question<'_>, expected: &str| {
        refused(pinning(&der, &[]).judge(question, &home.store()), expected);
    };
    check(&Question { host: "10.0.4.31", ..question(&der) }, "not for 10.0.4.31");
    check(&Question { application_uri: "urn:acme:other", ..question(&der) }, "not for urn:acme:other");
    check(&Question { now: at(NOW + 365 * DAY, ClockState::Synced), ..question(&der) }, "ended on 2027-01-01");
    check(&Question { now: at(NOW - 365 * DAY, ClockState::Synced), ..question(&der) }, "begins only on 2026-01-01");
    let unset = Question { now: at(0, ClockState::Unsynced), ..question(&der) };
    assert!(pinning(&der, &[]).judge(&unset, &home.store()).is_ok(), "a gateway that does not know the time");
    let expecting = Rules { server_uri: Some("urn:acme:etch-4".to_owned()), ..pinning(&der, &[]) };
    refused(expecting.judge(&question(&der), &home.store()), "not for urn:acme:etch-4");
}

#[test]
fn what_is_too_weak_is_refused_even_if_it_is_pinned() {
    let home = Home::new();
    let wanted = X509Data {
        key_size: 1024,
        common_name: "etch-3".to_owned(),
        organization: String::new(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(URI, Some(vec!["10.0.4.30".to_owned()]), false, false, false),
        certificate_duration_days: 100,
    };
    let der = X509::cert_and_pkey(&wanted).unwrap().0.to_der().unwrap();
    refused(pinning(&der, &[]).judge(&question(&der), &home.store()), "a key of 1024 bits");
    let der = include_bytes!("sha1.der");
    refused(pinning(der, &[]).judge(&question(der), &home.store()), "signed with SHA-1");
    refused(pinning(b"x", &[]).judge(&question(b"x"), &home.store()), "it is not X.509");
}

#[test]
fn faults_are_tolerated_only_in_a_certificate_that_is_believed_by_itself() {
    let home = Home::new();
    let authority = Authority::new("plant");
    let der = authority.sign(1);
    let elsewhere = Question { host: "192.168.0.1", ..question(&der) };
    let tolerant = Rules { tolerate: vec![Fault::Hostname], ..Rules::default() };
    home.store().add(Kind::Issuer, &authority.1).unwrap();
    home.store().add(Kind::Revocations, &authority.revoking(9, 2027)).unwrap();
    refused(tolerant.judge(&elsewhere, &home.store()), "not for 192.168.0.1");
    assert!(pinning(&der, &[Fault::Hostname]).judge(&elsewhere, &home.store()).is_ok());
    home.store().add(Kind::Trusted, &der).unwrap();
    assert!(tolerant.judge(&elsewhere, &home.store()).is_ok());
    refused(Rules::default().judge(&elsewhere, &home.store()), "not for 192.168.0.1");
}

#[test]
fn an_authority_vouches_only_with_a_fresh_revocation_list() {
    let home = Home::new();
    let (authority, stranger) = (Authority::new("plant"), Authority::new("elsewhere"));
    let der = authority.sign(7);
    let judge = || Rules::default().judge(&question(&der), &home.store());
    home.store().add(Kind::Issuer, &stranger.1).unwrap();
    refused(judge(), "is not trusted");
    home.store().add(Kind::Issuer, &authority.1).unwrap();
    refused(judge(), "revocation list is not in crl/");
    let too_old = authority.revoking(1, 2026);
    let too_old = home.store().add(Kind::Revocations, &too_old).unwrap();
    refused(judge(), "revocation list is too old");
    std::fs::remove_file(home.0.join(format!("opcua/crl/{too_old}.crl"))).unwrap();
    let fresh = home.store().add(Kind::Revocations, &authority.revoking(1, 2027)).unwrap();
    assert!(judge().is_ok());
    std::fs::remove_file(home.0.join(format!("opcua/crl/{fresh}.crl"))).unwrap();
    home.store().add(Kind::Revocations, &authority.revoking(7, 2027)).unwrap();
    refused(judge(), "has revoked it");
}

#[test]
fn strangers_without_end_fill_nothing() {
    let home = Home::new();
    for serial in 0..60_u64 {
        let mut params = server();
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name.push(DnType::OrganizationName, "../../\u{1b}[31m".repeat(200));
        refused(Rules::default().judge(&question(&self_signed(&params)), &home.store()), "is not trusted");
    }
    let files: Vec<_> = std::fs::read_dir(home.0.join("opcua/rejected")).unwrap().map(Result::unwrap).collect();
    assert!(files.len() <= 20, "{}", files.len());
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 256 << 10, "{bytes}");
    let is_plain = |name: &str| name.strip_suffix(".der").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(files.iter().all(|file| is_plain(&file.file_name().to_string_lossy())));
    assert_eq!(std::fs::read_dir(home.0.join("opcua")).unwrap().count(), 1);
}
