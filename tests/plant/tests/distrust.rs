//! Servers that are not who they should be, or offer less than they should: nothing is read from them and no password
//! goes out.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

#[path = "evil/bench.rs"]
#[allow(dead_code, reason = "the rows of hostile answers use the rest")]
mod bench;
#[path = "common/device.rs"]
mod device;

use std::fs;
use std::path::Path;

use bench::{evil_toml, site, state, wait};
use device::parse;
use lingate_drivers::LinkError;
use lingate_plant::opcua::{
    Connection, Evil, Identity, IdentityOptions, Machine, MachineKind, MachineOptions, MachineSpec, Users, machine_toml,
};
use opcua::types::{
    ApplicationDescription, ApplicationType, ByteString, EndpointDescription, MessageSecurityMode, UserTokenPolicy,
    UserTokenType,
};
use tempfile::TempDir;

const PASSWORD: &str = "correct-horse-battery";
const SECURE: &str = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256";

#[tokio::test]
async fn o15_a_server_that_offers_less_gets_no_password() {
    let folder = state();
    let password = write(&folder, "password", PASSWORD.as_bytes());
    let identity = identity(&folder, "server", &IdentityOptions::default());
    let settings = format!(
        "security = \"sign-and-encrypt\"\nserver_thumbprint = \"{}\"\nuser = \"lingate\"\npassword = {password:?}\n{}",
        identity.thumbprint().unwrap(),
        bench::HASTY
    );
    let offer = |mode, policy: &str, token: UserTokenPolicy| offered(&identity.der().unwrap(), mode, policy, token);
    let plain_password = UserTokenPolicy {
        policy_id: "password".into(),
        token_type: UserTokenType::UserName,
        security_policy_uri: Evil::POLICY_NONE.into(),
        ..UserTokenPolicy::default()
    };
    let (none, encrypt) = (MessageSecurityMode::None, MessageSecurityMode::SignAndEncrypt);
    let offers = [
        offer(none, Evil::POLICY_NONE, plain_password.clone()),
        offer(none, SECURE, plain_password.clone()),
        offer(MessageSecurityMode::Sign, SECURE, plain_password.clone()),
        offer(encrypt, Evil::POLICY_NONE, plain_password.clone()),
        offer(encrypt, SECURE, plain_password),
        offer(encrypt, SECURE, UserTokenPolicy::anonymous()),
    ];
    for endpoint in offers {
        let evil = Evil::start(3).await.unwrap();
        evil.offer(vec![endpoint.clone()]);
        let device = parse(&evil_toml(&evil.url(), &settings));
        let refused = device.connect(&site(&folder)).await;
        assert!(refused.is_err(), "{endpoint:?}");
        let seen = evil.seen();
        let has = |needle: &[u8]| seen.bytes.windows(needle.len()).any(|window| window == needle);
        assert!(seen.connections > 0 && !has(PASSWORD.as_bytes()) && !has(b"lingate\0"), "{endpoint:?}");
        assert_eq!(seen.requests.get(&467), None, "a session was activated at {endpoint:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o16_wrong_certificates_are_refused_and_never_trusted_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let right = identity(&folder, "right", &IdentityOptions::default());
    let twin = identity(&folder, "twin", &IdentityOptions::default());
    let expired = identity(&folder, "expired", &IdentityOptions { is_expired: true, ..IdentityOptions::default() });
    let other_uri = identity(
        &folder,
        "other-uri",
        &IdentityOptions { application_uri: "urn:somebody:else", ..IdentityOptions::default() },
    );
    let other_host =
        identity(&folder, "other-host", &IdentityOptions { hosts: &["plc-9.elsewhere"], ..IdentityOptions::default() });
    // (what the server shows, the application URI that it claims, what the plant trusts)
    let cases = [
        ("unknown", &right, None, None),
        ("same name, other key", &twin, None, Some(&right)),
        ("expired", &expired, None, Some(&expired)),
        ("wrong application URI", &other_uri, Some("urn:lingate:plant"), Some(&other_uri)),
        ("wrong host name", &other_host, None, Some(&other_host)),
    ];
    for (name, shown, uri, trusted) in cases {
        let shown = Identity {
            application_uri: uri.map_or_else(|| shown.application_uri.clone(), str::to_owned),
            ..shown.clone()
        };
        let machine = machine(shown).await;
        let thumbprint = trusted.map(|trusted| format!("server_thumbprint = \"{}\"", trusted.thumbprint().unwrap()));
        let toml = secure_toml(&machine, &thumbprint.unwrap_or_default());
        let state = state();
        for _ in 0..2 {
            let refused = parse(&toml).connect(&site(&state)).await.err();
            let Some(LinkError::Refused { what, hint }) = refused else { panic!("{name}: {refused:?}") };
            assert!(!what.is_empty() && !hint.is_empty(), "{name}");
            println!("O16 {name}: {what}; {hint}");
        }
        assert_eq!(machine.sessions(), (0, 0), "{name}");
        let store = state.path().join("opcua/trusted");
        assert_eq!(fs::read_dir(store).map_or(0, Iterator::count), 0, "{name}: trusted by itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_plant_trusts_lets_the_gateway_in() {
    let folder = tempfile::tempdir().unwrap();
    let right = identity(&folder, "right", &IdentityOptions::default());
    let machine = machine(right.clone()).await;
    let pinned = secure_toml(&machine, &format!("server_thumbprint = \"{}\"", right.thumbprint().unwrap()));
    let session = parse(&pinned).connect(&site(&state())).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(machine.sessions().0, 1);
    drop(session);
    let state = state();
    write(&state, "opcua/trusted/machine.der", &right.der().unwrap());
    let session = parse(&secure_toml(&machine, "")).connect(&site(&state)).await;
    assert!(session.is_ok(), "{:?}", session.err());
    drop(session);
    wait("its session is closed", || machine.sessions().0 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_certificate_is_refused_until_the_plant_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) =
        (identity(&folder, "old", &IdentityOptions::default()), identity(&folder, "new", &IdentityOptions::default()));
    let machine = machine(old.clone()).await;
    let state = state();
    write(&state, "opcua/trusted/old.der", &old.der().unwrap());
    let device = parse(&secure_toml(&machine, ""));
    assert!(device.connect(&site(&state)).await.is_ok());
    machine.restart_as(new.clone()).unwrap();
    let refused = device.connect(&site(&state)).await.err();
    assert!(matches!(refused, Some(LinkError::Refused { .. })), "{refused:?}");
    write(&state, "opcua/trusted/new.der", &new.der().unwrap());
    let back = device.connect(&site(&state)).await;
    assert!(back.is_ok(), "{:?}", back.err());
}

#[tokio::test]
async fn o17_strangers_fill_no_folder_and_leave_it_by_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let state = state();
    let long = "x".repeat(60);
    let names = ["..", "../../../../tmp/o17", "a/b", "line\nbreak", "\u{1b}[31m", &long, "CON", "."];
    let key = identity(&folder, "key", &IdentityOptions::default());
    for number in 0..40 {
        let name = names[number % names.len()];
        let stranger = key.again(
            &folder.path().join(number.to_string()),
            &IdentityOptions { common_name: name, ..IdentityOptions::default() },
        );
        let evil = Evil::start(1).await.unwrap();
        let der = stranger.unwrap().der().unwrap();
        evil.offer(vec![offered(&der, MessageSecurityMode::SignAndEncrypt, SECURE, UserTokenPolicy::anonymous())]);
        let settings = format!("security = \"sign-and-encrypt\"\n{}", bench::HASTY);
        let refused = parse(&evil_toml(&evil.url(), &settings)).connect(&site(&state)).await;
        assert!(matches!(refused, Err(LinkError::Refused { .. })), "{:?}", refused.err());
    }
    let rejected: Vec<_> = fs::read_dir(state.path().join("opcua/rejected")).unwrap().map(Result::unwrap).collect();
    let bytes: u64 = rejected.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!((1..=20).contains(&rejected.len()) && bytes <= 256 << 10, "{} files, {bytes} bytes", rejected.len());
    assert!(rejected.iter().all(|file| file.path().is_file()));
    assert!(!Path::new("/tmp/o17").exists());
}

fn offered(der: &[u8], mode: MessageSecurityMode, policy: &str, token: UserTokenPolicy) -> EndpointDescription {
    EndpointDescription {
        endpoint_url: "opc.tcp://127.0.0.1:4840".into(),
        server: ApplicationDescription {
            application_uri: "urn:lingate:plant".into(),
            application_type: ApplicationType::Server,
            ..ApplicationDescription::default()
        },
        server_certificate: ByteString::from(der.to_vec()),
        security_mode: mode,
        security_policy_uri: policy.into(),
        user_identity_tokens: Some(vec![token]),
        transport_profile_uri: "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary".into(),
        security_level: 255,
    }
}

fn identity(folder: &TempDir, name: &str, options: &IdentityOptions<'_>) -> Identity {
    Identity::create(&folder.path().join(name), options).unwrap()
}

async fn machine(identity: Identity) -> Machine {
    let spec = MachineSpec::new("reactor-1", MachineKind::Bioreactor);
    let options = MachineOptions {
        secure: true,
        insecure: false,
        identity: Some(identity),
        users: Users { anonymous: true, password: None, certificate: None },
        ..MachineOptions::default()
    };
    tokio::task::spawn_blocking(|| Machine::start(spec, options).unwrap()).await.unwrap()
}

fn secure_toml(machine: &Machine, more: &str) -> String {
    let settings = format!("security = \"sign-and-encrypt\"\nconnect_timeout = \"10s\"\n{more}");
    let url = machine.url();
    machine_toml(machine.spec(), &Connection { settings: &settings, ..Connection::new(&url, "ds") })
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}
