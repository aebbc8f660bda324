#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! `lingate check` and `lingate enroll`, as a person in front of a terminal meets them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lingate_buffer::{Disk, RealDisk};
use lingate_sandbox::{Authority, GatewayIdentity, InitOptions, KeyChange};

/// A gateway with everything in its place.
struct Plant {
    home: tempfile::TempDir,
    identity: GatewayIdentity,
}

impl Plant {
    fn new() -> Plant {
        let home = tempfile::tempdir().unwrap();
        let mut authority = authority(&home.path().join("sandbox"));
        let identity = authority.enroll_for_test("gw-1", "acme").unwrap();
        let plant = Plant { home, identity };
        let identity = &plant.identity;
        fs::create_dir_all(plant.path("state/identity")).unwrap();
        fs::create_dir_all(plant.path("state/inbox")).unwrap();
        plant.write("state/identity/signing.pk8", &identity.signing_pkcs8, 0o600);
        plant.write("state/root.json", &identity.root_json, 0o644);
        plant.write("state/inbox/bundle.jws.json", &identity.bundle, 0o644);
        plant.write("ca.pem", identity.ca_pem.as_bytes(), 0o644);
        plant.write("gateway.pem", identity.chain_pem.as_bytes(), 0o644);
        plant.write("gateway.key", identity.tls_key_pem.as_bytes(), 0o600);
        plant.configure("ds-extr-07", &identity.root_sha256);
        plant
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn configure(&self, dataset: &str, root_sha256: &str) {
        let home = self.home.path().display();
        let text = format!(
            r#"
[gateway]
id = "gw-1"
tenant = "acme"
state_dir = "{home}/state"
[sandbox]
broker = "mqtts://localhost:8883"
ca = "{home}/ca.pem"
certificate = "{home}/gateway.pem"
key = "{home}/gateway.key"
root_sha256 = "{root_sha256}"
[buffer]
max_size = "1GiB"
[[dataset]]
id = "{dataset}"
purpose = "urn:lingate:purpose:remote-quality"
class = "general"
[[device]]
name = "extruder-7"
driver = "modbus-tcp"
every = "500ms"
equipment = "acme/hall-2/extruder-7"
address = "127.0.0.1:1"
[[device.point]]
name = "melt_temperature"
register = "holding:102"
type = "i16"
dataset = "{dataset}"
class = "general"
"#
        );
        fs::write(self.path("lingate.toml"), text).unwrap();
    }

    fn listen(&self, address: &str) {
        let text = fs::read_to_string(self.path("lingate.toml")).unwrap();
        fs::write(self.path("lingate.toml"), format!("{text}[health]\nlisten = \"{address}\"\n")).unwrap();
    }

    fn run(&self) -> Answer {
        lingate(&["run", "--once", "0", "--config", self.path("lingate.toml").to_str().unwrap()])
    }

    fn check(&self, options: &[&str]) -> Answer {
        lingate(&[&["check", "--config", self.path("lingate.toml").to_str().unwrap()], options].concat())
    }
}

fn authority(folder: &Path) -> Authority {
    let options = InitOptions {
        sandbox_id: "sandbox.test".to_owned(),
        broker_names: vec!["localhost".to_owned()],
        broker_port: 8883,
        ..InitOptions::default()
    };
    Authority::init(folder, &options).unwrap()
}

struct Answer {
    code: i32,
    told: String,
}

fn lingate(arguments: &[&str]) -> Answer {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_lingate")).args(arguments).env_remove("RUST_LOG").output().unwrap();
    let told = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    Answer { code: status.code().unwrap(), told }
}

impl Answer {
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        assert_eq!(self.code, 78, "{}", self.told);
        for word in words {
            assert!(self.told.contains(word), "{word:?} is not in:\n{}", self.told);
        }
    }

    #[track_caller]
    fn is_good(&self) {
        assert_eq!(self.code, 0, "{}", self.told);
    }
}

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
