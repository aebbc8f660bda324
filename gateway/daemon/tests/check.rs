#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! `lingate check` and `lingate enroll`, as a person in front of a terminal meets them.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use common::{Plant, authority, lingate};
use lingate_buffer::{Disk, RealDisk};
use lingate_sandbox::KeyChange;

#[test]
fn a_complete_gateway_is_good_and_checking_changes_nothing() {
    let plant = Plant::new();
    plant.check(&[]).is_good();
    assert!(plant.path("state/inbox/bundle.jws.json").exists());
    assert!(!plant.path("state/bundle").exists());
}

#[test]
fn all_problems_come_at_once_each_with_its_place() {
    let plant = Plant::new();
    fs::remove_file(plant.path("ca.pem")).unwrap();
    plant.write("gateway.key", plant.identity.tls_key_pem.as_bytes(), 0o644);
    plant.write("state/identity/signing.pk8", &plant.identity.signing_pkcs8, 0o640);
    let answer = plant.check(&[]);
    answer.refuses(&["ca.pem cannot be read", "has mode 0644", "has mode 0640", "3 problems"]);
    answer.refuses(&["lingate.toml:5:", "lingate.toml:8:", "lingate.toml:10:", "hint:"]);
}

#[test]
fn a_wrong_fingerprint_is_refused() {
    let plant = Plant::new();
    plant.configure("ds-extr-07", &"ab".repeat(32));
    plant.check(&[]).refuses(&["sandbox.root_sha256", "telephone"]);
}

#[test]
fn a_foreign_key_is_refused() {
    let plant = Plant::new();
    plant.write("gateway.key", Plant::new().identity.tls_key_pem.as_bytes(), 0o600);
    plant.check(&[]).refuses(&["sandbox.key", "does not belong to the certificate"]);
}

#[test]
fn an_unreadable_certificate_is_refused() {
    let plant = Plant::new();
    plant.write("gateway.pem", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", 0o644);
    plant.check(&[]).refuses(&["sandbox.certificate"]);
}

#[test]
fn a_stored_bundle_with_a_flipped_bit_is_refused_by_check_and_run() {
    let plant = Plant::new();
    fs::remove_file(plant.path("state/inbox/bundle.jws.json")).unwrap();
    fs::create_dir(plant.path("state/bundle")).unwrap();
    let mut bundle = plant.identity.bundle.clone();
    let middle = bundle.len() / 2;
    bundle[middle] = if bundle[middle] == b'A' { b'B' } else { b'A' };
    plant.write("state/bundle/current.jws.json", &bundle, 0o600);
    plant.check(&["--start"]).refuses(&["accepted.json cannot be read", "an older one could come back"]);
    let roots: serde_json::Value = serde_json::from_slice(&plant.identity.root_json).unwrap();
    let accepted = serde_json::json!({"version": 1, "sha256": "ab".repeat(32), "judged_by": roots, "roots": roots,
        "root_sha256": plant.identity.root_sha256});
    plant.write("state/bundle/accepted.json", accepted.to_string().as_bytes(), 0o600);
    plant.check(&["--start"]).refuses(&["current.jws.json is refused", "inbox"]);
    lingate(&["run", "--config", plant.path("lingate.toml").to_str().unwrap()]).refuses(&["is refused"]);
}

#[test]
fn a_flipped_bundle_in_the_inbox_is_told_and_a_missing_one_too() {
    let plant = Plant::new();
    let mut bundle = plant.identity.bundle.clone();
    let middle = bundle.len() / 2;
    bundle[middle] = if bundle[middle] == b'A' { b'B' } else { b'A' };
    plant.write("state/inbox/bundle.jws.json", &bundle, 0o644);
    plant.check(&[]).refuses(&["inbox/bundle.jws.json is refused", "there is no sandbox bundle yet"]);
    plant.check(&["--start"]).is_good();
}

#[test]
fn a_dataset_that_the_bundle_does_not_grant_is_told_but_does_not_keep_the_daemon_from_starting() {
    let plant = Plant::new();
    plant.configure("ds-unknown", &plant.identity.root_sha256);
    plant.check(&[]).refuses(&["does not list dataset ds-unknown", "lingate.toml:15:"]);
    plant.check(&["--start"]).is_good();
}

#[test]
fn what_enroll_writes_the_sandbox_accepts_and_check_is_good_afterwards() {
    let plant = Plant::new();
    let mut authority = authority(&plant.path("second-sandbox"));
    for made in ["state/identity/signing.pk8", "gateway.key"] {
        fs::remove_file(plant.path(made)).unwrap();
    }
    let (config, output) = (plant.path("lingate.toml"), plant.path("enroll.json"));
    let enroll = ["enroll", "--config", config.to_str().unwrap(), "--output", output.to_str().unwrap()];
    lingate(&enroll).is_good();
    let issued = authority.issue(&fs::read(&output).unwrap(), KeyChange::Refuse).unwrap();
    plant.write("gateway.pem", issued.chain_pem.as_bytes(), 0o644);
    plant.write("ca.pem", authority.ca_pem().as_bytes(), 0o644);
    plant.write("state/root.json", &authority.root_json().unwrap(), 0o644);
    plant.write("state/inbox/bundle.jws.json", &issued.bundle, 0o644);
    plant.configure("ds-extr-07", &authority.root_sha256().unwrap());
    plant.check(&[]).is_good();

    let key = fs::read(plant.path("gateway.key")).unwrap();
    assert_eq!(lingate(&enroll).code, 74, "enroll.json is never overwritten");
    assert_eq!(fs::read(plant.path("gateway.key")).unwrap(), key, "a key is never overwritten");
}

#[test]
fn a_second_daemon_ends_at_the_buffers_lock_and_leaves_the_first_its_socket() {
    let plant = Plant::new();
    let socket = plant.path("health.sock");
    plant.listen(&format!("unix:{}", socket.display()));
    let _first = UnixListener::bind(&socket).unwrap();
    let inode = fs::metadata(&socket).unwrap().ino();
    let mut disk = RealDisk::open(&plant.path("state/buffer")).unwrap();
    disk.lock().unwrap();
    let answer = plant.run();
    assert_eq!(answer.code, 74, "{}", answer.told);
    assert!(answer.told.contains("no other lingate uses it"), "{}", answer.told);
    assert_eq!(fs::metadata(&socket).unwrap().ino(), inode);
}

#[test]
fn a_start_that_fails_at_a_taken_port_leaves_the_buffer_as_it_was() {
    let plant = Plant::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    plant.listen(&taken.local_addr().unwrap().to_string());
    for _ in 0..2 {
        let answer = plant.run();
        assert_eq!(answer.code, 69, "{}", answer.told);
        assert!(answer.told.contains("clean=true"), "{}", answer.told);
    }
}

#[test]
fn exit_codes_follow_sysexits() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["sample"], 0),
        (&["sample", "modbus-tcp"], 0),
        (&["sample", "steam"], 64),
        (&["no-such-command"], 64),
        (&["check"], 64),
        (&["check", "--config", "/nonexistent/lingate.toml"], 78),
        (&["run", "--config", "/nonexistent/lingate.toml"], 78),
        (&["status", "--url", "unix:/nonexistent/health.sock"], 69),
        (&["status", "--url", "ftp://x"], 64),
    ] {
        let answer = lingate(arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.told);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_lingate")).args(["sample", "opcua"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(141), ""));
}
