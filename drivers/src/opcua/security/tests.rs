#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use opcua::types::{EndpointDescription, UserTokenPolicy, UserTokenType};

use super::*;
use crate::opcua::address::Address;
use crate::opcua::discovery::choose;
use crate::opcua::identity::{Identity, Secrets};
use crate::settings::DeTable;

fn take(text: &str) -> (Security, Vec<String>) {
    let file = DeTable::parse(text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let security = Security::take(&mut table);
    Identity::take(&mut table, &security);
    (security, table.finish().into_iter().map(|problem| format!("{}: {}", problem.path, problem.what)).collect())
}

#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let (security, problems) = take(text);
    match expected {
        Ok(words) => {
            assert!(problems.is_empty(), "{text}: {problems:?}");
            assert_eq!(security.in_words(), words);
        }
        Err(problem) => assert!(problems.iter().any(|said| said.starts_with(problem)), "{text}: {problems:?}"),
    }
}

#[test]
fn reading_without_protection_needs_the_sentence() {
    let sentence = format!("accept_plain_text = \"{PLAIN_TEXT_SENTENCE}\"");
    check("", Ok("Basic256Sha256, SignAndEncrypt"));
    check("security = \"sign\"\npolicy = \"Aes256_Sha256_RsaPss\"", Ok("Aes256_Sha256_RsaPss, Sign"));
    check("security = \"none\"", Err("security: is \"none\" without the sentence"));
    check("security = \"none\"\naccept_plain_text = \"yes\"", Err("accept_plain_text: is not the sentence"));
    check(&format!("security = \"none\"\n{sentence}"), Ok("none (as the configuration says)"));
    check(&sentence, Err("accept_plain_text: belongs to security = \"none\""));
    check(&format!("security = \"none\"\n{sentence}\npolicy = \"Basic256Sha256\""), Err("policy: means nothing"));
}

#[test]
fn no_secret_is_shown_without_protection() {
    let none = format!("security = \"none\"\naccept_plain_text = \"{PLAIN_TEXT_SENTENCE}\"\n");
    check(&format!("{none}user = \"u\"\npassword = \"credential:p\""), Err("user: cannot be used with security"));
    check(&format!("{none}user_certificate = \"/c\"\nuser_key = \"/k\""), Err("user_certificate: cannot be used"));
    check("user = \"u\"", Err("user: needs \"password\""));
    check("user = \"u\"\npassword = \"hunter2\"", Err("password: is neither credential:NAME nor a path"));
    let (_, problems) = take("user = \"u\"\npassword = \"hunter2\"");
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[test]
fn a_legacy_policy_ends_with_its_day() {
    let text = "legacy_exception = { policy = \"Basic256\", reason = \"melt pump of 2012\", until = \"2027-06-30\" }";
    check(text, Ok("Basic256, SignAndEncrypt (legacy, until 2027-06-30)"));
    let (security, _) = take(text);
    let last_day = UtcMicros(1_814_313_600_000_000);
    assert!(security.allowed_at(last_day).is_ok());
    assert!(security.allowed_at(UtcMicros(last_day.0 + 86_400_000_000)).is_err());
    check("policy = \"Basic256\"", Err("policy: is \"Basic256\""));
    check("legacy_exception = { policy = \"Basic256\", until = \"2027-06-30\" }", Err("legacy_exception.reason"));
    check("legacy_exception = { policy = \"Basic256\", reason = \"r\", until = \"soon\" }", Err("legacy_exception.until"));
}

fn offered(policy: SecurityPolicy, mode: MessageSecurityMode, level: u8) -> EndpointDescription {
    EndpointDescription {
        security_policy_uri: policy.to_uri().into(),
        security_mode: mode,
        security_level: level,
        endpoint_url: "opc.tcp://elsewhere:4840".into(),
        ..EndpointDescription::default()
    }
}

#[test]
fn less_than_what_is_configured_is_refused_whatever_the_server_prefers() {
    let (security, _) = take("");
    let address = Address::parse("opc.tcp://here:4840").unwrap();
    let none = offered(SecurityPolicy::None, MessageSecurityMode::None, 255);
    let sign = offered(SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign, 254);
    let other = offered(SecurityPolicy::Aes256Sha256RsaPss, MessageSecurityMode::SignAndEncrypt, 253);
    let right = offered(SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt, 0);
    let lesser = vec![none.clone(), sign, other];
    let refused = choose(lesser.clone(), &security, &address).unwrap_err().to_string();
    assert!(refused.contains("does not offer Basic256Sha256, SignAndEncrypt"), "{refused}");
    let chosen = choose([lesser, vec![right]].concat(), &security, &address).unwrap();
    assert_eq!(chosen.security_level, 0);
    assert_eq!(chosen.endpoint_url.as_ref(), "opc.tcp://here:4840", "not where the server sends us");
    assert!(choose(vec![none], &Security::NONE, &address).is_ok());
}

fn user(policy: &str) -> EndpointDescription {
    let policy = UserTokenPolicy {
        policy_id: "name".into(),
        token_type: UserTokenType::UserName,
        security_policy_uri: policy.into(),
        ..UserTokenPolicy::anonymous()
    };
    EndpointDescription { user_identity_tokens: Some(vec![policy]), ..EndpointDescription::default() }
}

#[test]
fn a_password_is_encrypted_by_the_channel_or_by_itself() {
    let password = || Secrets::Password { user: "u".to_owned(), password: String::from("p").into() };
    let none = SecurityPolicy::None.to_uri();
    let (encrypted, _) = take("");
    let (signed, _) = take("security = \"sign\"");
    assert!(password().policy_among(&user(none), &encrypted).is_ok());
    assert!(password().policy_among(&user(none), &signed).is_err(), "it would be readable");
    assert!(password().policy_among(&user(""), &signed).is_ok(), "the channel's policy encrypts it");
    assert!(password().policy_among(&user(SecurityPolicy::Basic128Rsa15.to_uri()), &encrypted).is_err());
    assert!(password().policy_among(&user("urn:nonsense"), &encrypted).is_err());
    assert!(password().policy_among(&user(none), &Security::NONE).is_err());
}
