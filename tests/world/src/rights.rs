//! The sandbox's side of the rights, in virtual time: bundles signed by fixed keys, and the trust of a receiver.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

use lingate_model::{GatewayId, UtcMicros};
use lingate_sandbox::{Authority, InitOptions, Trust};
use lingate_seal::{Bundle, EpochReceipt, Receipt, RootSet, SigningKey, VerifiedBundle, jws};

use crate::Chance;
use crate::plan::DATASETS;

pub(crate) const GATEWAY: &str = "gw-0001";
pub(crate) const TENANT: &str = "acme";
pub(crate) const PURPOSE: &str = "urn:lingate:purpose:remote-quality";
const SANDBOX: &str = "sandbox.example";
const ROLE: &str = "role:oem-quality";
const ALIASES: [&str; 2] = ["p7", "o3"];
/// Bob's key pair of RFC 7748, section 6.1.
const ROLE_SECRET: [u8; 32] = [
    0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80, 0x0e, 0xe6, 0x6f, 0x3b, 0xb1,
    0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb,
];
const ROLE_PUBLIC: [u8; 32] = [
    0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43,
    0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f,
];

/// What a bundle grants.
#[derive(Clone, Debug)]
pub struct Rights {
    pub version: u64,
    /// By dataset of the plan: `None` is not listed, otherwise the class ceiling in words.
    pub ceilings: [Option<&'static str>; 2],
    pub valid_for: Duration,
    /// The purpose begins so long after the bundle.
    pub begins_after: Duration,
    pub epoch_seconds: u32,
    pub epoch_messages: u32,
    /// Records are freed by receipts and not by the broker.
    pub receipts: bool,
}

impl Rights {
    /// Everything that the plan has, for a day, in epochs of an hour.
    pub fn full(version: u64) -> Rights {
        Rights {
            version,
            ceilings: [Some("important"), Some("general")],
            valid_for: Duration::from_secs(86_400),
            begins_after: Duration::ZERO,
            epoch_seconds: 3_600,
            epoch_messages: 1 << 20,
            receipts: false,
        }
    }
}

/// Root keys and trust; made once, because its certificate authority takes real randomness. The keys that enter bundles
/// and messages are fixed, so that a story has the same bytes every time.
pub struct Sandbox {
    root: SigningKey,
    receipts: SigningKey,
    roots: RootSet,
    trust: Trust,
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let root = signing_key(1);
        let (key, fingerprint) = (root_json(&root), "root");
        let roots = RootSet::from_stored(key.to_string().as_bytes()).unwrap_or_else(|e| panic!("{fingerprint}: {e}"));
        Sandbox { root, receipts: signing_key(3), roots, trust: trust() }
    }

    pub fn trust(&self) -> Trust {
        self.trust.clone()
    }

    pub fn bundle(&self, rights: &Rights, utc: UtcMicros) -> VerifiedBundle {
        let payload = self.payload(rights, utc).to_string();
        let bytes = jws::sign_general(payload.as_bytes(), &[(&self.root.kid(), &self.root)]);
        let gateway: GatewayId = GATEWAY.parse().expect("a gateway id");
        Bundle::verify(&bytes, &self.roots, None, &gateway, utc).expect("the world signs what a gateway takes")
    }

    /// Signed by the key that the bundles name for it.
    pub fn receipt(&self, utc: UtcMicros, epochs: Vec<EpochReceipt>) -> Vec<u8> {
        let (issuer, gateway) = (SANDBOX.to_owned(), GATEWAY.to_owned());
        Receipt { issuer, gateway, issued_at: utc.seconds(), epochs }.sign(&self.receipts)
    }

    fn payload(&self, rights: &Rights, utc: UtcMicros) -> Value {
        let from = utc.seconds() - 300;
        let until = utc.seconds() + rights.valid_for.as_secs() as i64;
        let listed = DATASETS.iter().zip(ALIASES).zip(rights.ceilings);
        let datasets = listed.filter_map(|((id, alias), ceiling)| {
            let ceiling = ceiling?;
            Some(json!({"id": id, "alias": alias, "purposes": [PURPOSE], "roles": [ROLE], "class_ceiling": ceiling,
                "approval": (ceiling == "important").then_some("A-1"), "policy_sha256": []}))
        });
        json!({
            "spec": "lingate/1", "iss": SANDBOX, "aud": [GATEWAY], "version": rights.version, "iat": utc.seconds(),
            "nbf": from, "exp": until, "root": root_json(&self.root), "suites": [1],
            "keys": [key_entry(from, until), receipt_key_entry(&self.receipts, from, until)],
            "roles": [{"id": ROLE, "party": "urn:lingate:party:oem", "kids": [role_kid()]}],
            "purposes": [{"id": PURPOSE, "statement": "Quality.",
                "valid_from": rfc3339(from + rights.begins_after.as_secs() as i64), "valid_until": "2100-01-01T00:00:00Z"}],
            "datasets": datasets.collect::<Vec<_>>(),
            "rotation": {"epoch_s": rights.epoch_seconds, "epoch_msgs": rights.epoch_messages},
            "ack": if rights.receipts { "receipt" } else { "broker" },
        })
    }
}

/// The gateway's key is the same in every world: worlds never meet.
pub(crate) fn gateway_key() -> SigningKey {
    signing_key(2)
}

fn signing_key(seed: u64) -> SigningKey {
    let der = SigningKey::generate_pkcs8(&mut Chance::new(seed)).expect("chance never fails");
    SigningKey::from_pkcs8(&der).expect("a key that was made here")
}

fn role_kid() -> String {
    lingate_seal::x25519_kid(&ROLE_PUBLIC).to_string()
}

fn key_entry(from: i64, until: i64) -> Value {
    json!({"kty": "OKP", "crv": "X25519", "kid": role_kid(), "alg": "HPKE-3-KE", "use": "enc",
        "x": BASE64URL.encode(ROLE_PUBLIC), "nbf": from, "exp": until})
}

fn receipt_key_entry(key: &SigningKey, from: i64, until: i64) -> Value {
    let mut entry = signing_jwk(key);
    for (name, value) in [("alg", json!("Ed25519")), ("use", json!("sig")), ("nbf", json!(from)), ("exp", json!(until))]
    {
        entry[name] = value;
    }
    entry
}

fn signing_jwk(key: &SigningKey) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": key.kid().to_string(), "x": BASE64URL.encode(key.public_key())})
}

fn root_json(root: &SigningKey) -> Value {
    json!({"version": 1, "threshold": 1, "keys": [signing_jwk(root)]})
}

/// The receiver's trust comes from an authority folder in which the random keys are replaced by the fixed ones.
fn trust() -> Trust {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("sandbox");
    let options = InitOptions { sandbox_id: SANDBOX.to_owned(), policy: Some(policy()), ..InitOptions::default() };
    let authority = Authority::init(&folder, &options).expect("a new authority");
    let role = json!({"kty": "OKP", "crv": "X25519", "kid": role_kid(), "x": BASE64URL.encode(ROLE_PUBLIC),
        "d": BASE64URL.encode(ROLE_SECRET)});
    let known = json!({"gateway": GATEWAY, "tenant": TENANT, "keys": [signing_jwk(&gateway_key())],
        "software": {"version": "1", "sha256": "0".repeat(64)}, "bundle_version": 1, "bundle_sha256": "0".repeat(64)});
    let write = |name: &str, value: &Value| {
        std::fs::create_dir_all(folder.join(name).parent().expect("a folder")).expect("a folder");
        std::fs::write(folder.join(name), value.to_string()).expect("a file of the authority");
    };
    write("roles/oem-quality.jwk", &role);
    write(&format!("gateways/{GATEWAY}/gateway.json"), &known);
    std::fs::create_dir_all(folder.join(format!("gateways/{GATEWAY}/history"))).expect("a folder");
    authority.trust(ROLE).expect("the folder is complete")
}

fn policy() -> String {
    let dataset = |at: usize, ceiling: &str, approval: &str| {
        let (id, alias) = (DATASETS[at], ALIASES[at]);
        format!(
            "[[dataset]]\nid = \"{id}\"\nalias = \"{alias}\"\npurposes = [\"{PURPOSE}\"]\nroles = [\"{ROLE}\"]\n\
             class_ceiling = \"{ceiling}\"\n{approval}retention_days = 1\n"
        )
    };
    format!(
        "[bundle]\nvalid_days = 1\nepoch_seconds = 3600\nepoch_messages = 1048576\n[certificate]\nvalid_days = 1\n\
         [[purpose]]\nid = \"{PURPOSE}\"\nstatement = \"Quality.\"\nvalid_from = \"2020-01-01T00:00:00Z\"\n\
         valid_until = \"2100-01-01T00:00:00Z\"\n[[role]]\nid = \"{ROLE}\"\nparty = \"urn:lingate:party:oem\"\n{}{}",
        dataset(0, "important", "approval = \"A-1\"\n"),
        dataset(1, "general", "")
    )
}

/// Of a time on the day on which the world begins, 2026-03-01.
fn rfc3339(seconds: i64) -> String {
    let second = seconds.rem_euclid(86_400);
    format!("2026-03-01T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}
