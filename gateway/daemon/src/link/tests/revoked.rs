//! Brokers whose certificate counts no more.

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, date_time_ymd};

use super::*;

impl World {
    /// As [`World::tls_files`], with a revocation list that is to be replaced `until`.
    fn tls_files_with_list(&self, signer: &World, revoked: &[&str], until: i32) -> TlsFiles {
        let mut files = self.tls_files(self);
        files.crl = Some(self.file("crl.pem", &signer.revocation_list(revoked, until)));
        files
    }

    /// The serial numbers of these names; in force since 2020, the next one comes in the year `until`.
    fn revocation_list(&self, revoked: &[&str], until: i32) -> String {
        let entry = |name: &&str| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.ca).unwrap().pem().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_broker_is_believed_no_more_and_one_without_a_fresh_list_neither() {
    let (world, stranger, elsewhere) = (World::new(), World::new(), World::named("another authority"));
    let port = broker(world.server("localhost"), vec![], vec![]).await;
    let cases = [
        (&world, &["localhost"][..], 2090, "it was revoked"),
        (&world, &[], 2021, "is overdue"),
        (&stranger, &[], 2090, "was not signed by the CA of sandbox.ca"),
        (&elsewhere, &[], 2090, "has no revocation list of its issuer"),
    ];
    for (signer, revoked, until, words) in cases {
        let files = world.tls_files_with_list(signer, revoked, until);
        let reason = Bench::start(files, &[port]).down().await;
        assert!(reason.contains(words), "{words:?} is not in {reason:?}");
    }
    // Somebody brings another list while it waits.
    let mut bench = Bench::start(world.tls_files_with_list(&world, &["localhost"], 2090), &[port]);
    bench.down().await;
    world.file("crl.pem", &world.revocation_list(&["another.example"], 2090));
    bench.up().await;
}

#[test]
fn a_revocation_list_that_is_none_is_a_fault_and_an_overdue_one_a_warning() {
    let world = World::new();
    let now = SystemClock::start().now().utc;
    let load = |files: &TlsFiles| files.load(now);
    let files = world.tls_files_with_list(&world, &[], 2021);
    let warnings = load(&files).map(|material| material.warnings).unwrap();
    assert!(warnings.len() == 1 && warnings[0].what.contains("was to be replaced by 2021-01-01"), "{warnings:?}");
    for (bytes, words) in [("", "holds no revocation list"), ("\x30\x03", "holds something that is no revocation list")]
    {
        world.file("crl.pem", bytes);
        let faults = load(&files).map(|_| ()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].to_string().contains(words), "{faults:?}");
        assert!(faults[0].to_string().starts_with("sandbox.crl: "), "{faults:?}");
    }
    std::fs::remove_file(world.home.path().join("crl.pem")).unwrap();
    assert!(load(&files).map(|_| ()).unwrap_err()[0].what.contains("cannot be read"));
}
