//! A gateway in a folder, and its command line.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lingate_sandbox::{Authority, GatewayIdentity, InitOptions};

/// A gateway with everything in its place.
pub struct Plant {
    pub home: tempfile::TempDir,
    pub identity: GatewayIdentity,
    pub authority: Authority,
}

impl Plant {
    pub fn new() -> Plant {
        let home = tempfile::tempdir().unwrap();
        let mut authority = authority(&home.path().join("sandbox"));
        let identity = authority.enroll_for_test("gw-1", "acme").unwrap();
        let plant = Plant { home, identity, authority };
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn configure(&self, dataset: &str, root_sha256: &str) {
        fs::write(self.path("lingate.toml"), self.described(dataset, root_sha256, "")).unwrap();
    }

    /// The configuration; `more` goes on behind its one point.
    pub fn described(&self, dataset: &str, root_sha256: &str, more: &str) -> String {
        let home = self.home.path().display();
        format!(
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
{more}
"#
        )
    }

    pub fn listen(&self, address: &str) {
        let text = fs::read_to_string(self.path("lingate.toml")).unwrap();
        fs::write(self.path("lingate.toml"), format!("{text}[health]\nlisten = \"{address}\"\n")).unwrap();
    }

    pub fn run(&self) -> Answer {
        lingate(&["run", "--once", "0", "--config", self.path("lingate.toml").to_str().unwrap()])
    }

    pub fn check(&self, options: &[&str]) -> Answer {
        lingate(&[&["check", "--config", self.path("lingate.toml").to_str().unwrap()], options].concat())
    }
}

pub fn authority(folder: &Path) -> Authority {
    let options = InitOptions {
        sandbox_id: "sandbox.test".to_owned(),
        broker_names: vec!["localhost".to_owned()],
        broker_port: 8883,
        ..InitOptions::default()
    };
    Authority::init(folder, &options).unwrap()
}

pub struct Answer {
    pub code: i32,
    pub told: String,
}

pub fn lingate(arguments: &[&str]) -> Answer {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_lingate")).args(arguments).env_remove("RUST_LOG").output().unwrap();
    let told = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    Answer { code: status.code().unwrap(), told }
}

impl Answer {
    #[track_caller]
    pub fn refuses(&self, words: &[&str]) {
        self.ends(78, words);
    }

    /// What was named is not what the sandbox signed.
    #[allow(dead_code, reason = "not every test binary names a bundle")]
    #[track_caller]
    pub fn does_not_verify(&self, words: &[&str]) {
        self.ends(65, words);
    }

    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.told);
        for word in words {
            assert!(self.told.contains(word), "{word:?} is not in:\n{}", self.told);
        }
    }

    #[track_caller]
    pub fn is_good(&self) {
        assert_eq!(self.code, 0, "{}", self.told);
    }
}
