use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lingate_audit::{Event, Kind, Signer};
use lingate_config::{Credential, KeyPlace, Plan, TokenKey};
use lingate_model::Clock;
use lingate_seal::suite::suite;
use lingate_seal::{SignatureAlgorithm, SigningKey, VerifyingKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use zeroize::Zeroizing;

use crate::audit::{self, spool};
use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::prepare::load;
use crate::token::{Token, Unusable};
use crate::{files, keys, software};

/// Makes what is missing and never overwrites: a second call with the same keys writes the same request again.
pub(crate) fn enroll(config: &Path, output: &Path, json: bool) -> Result<ExitCode, Failed> {
    let plan = load(config).map_err(|refused| Failed::refused(config, &refused))?;
    let state = &plan.state_dir;
    for directory in [state.clone(), state.join("identity"), state.join("inbox"), state.join("veto")] {
        files::directory(&directory).map_err(|error| Failed::io("create", &directory, &error))?;
    }
    let signing_key = signing_key(&plan)?;
    let csr = match &plan.sandbox.key {
        KeyPlace::File(_) => request(&plan, &tls_key(&tls_key_path(&plan))?)?,
        KeyPlace::Token(place) => request(&plan, &in_token(place, SignatureAlgorithm::Esp256)?)?,
    };
    let origin = audit::origin(&plan.tenant, &plan.gateway);
    let audit_key = keys::audit_key(state, &origin).map_err(|error| Failed::new(Code::Io, error))?;
    let enrolment = enrolment(&plan, &signing_key, &audit_key, &csr)?;
    write_new(output, &enrolment).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failed::new(Code::Io, format!("{} exists; move it away or give another --output", output.display()))
        }
        _ => Failed::io("write", output, &error),
    })?;
    let event = Event::new(Kind::Enroll).text("kid", signing_key.kid().to_string());
    let event = event.text("audit_key", audit_key.verifier().to_string()).text("software", software::name());
    spool::put(state, SystemClock::start().now().utc, &event);
    let value = json!({"request": output, "signing_key": signing_key.kid().to_string(),
        "audit_key": audit_key.verifier().to_string()});
    tell(json, &next_steps(&plan, &tls_key_path(&plan), output), value);
    Ok(ExitCode::SUCCESS)
}

/// Of the kind that the preferred suite signs with.
fn signing_key(plan: &Plan) -> Result<SigningKey, Failed> {
    let preferred = plan.sandbox.suites.first().and_then(|id| suite(*id)).map(|suite| suite.signature);
    let preferred = preferred.unwrap_or(SignatureAlgorithm::Ed25519);
    if let Some(place) = &plan.sandbox.signing_key {
        return Ok(in_token(place, preferred)?.into_signing_key());
    }
    let path = keys::signing_key_path(&plan.state_dir);
    if fs::symlink_metadata(&path).is_err() {
        let pkcs8 = match preferred {
            SignatureAlgorithm::Esp256 => SigningKey::generate_p256_pkcs8(),
            SignatureAlgorithm::Ed25519 => SigningKey::generate_pkcs8(&mut SystemEntropy::new()),
        };
        let pkcs8 = pkcs8.map_err(|_| Failed::new(Code::Unavailable, "the system gave no randomness"))?;
        files::create_secret(&path, &pkcs8).map_err(|error| Failed::io("create", &path, &error))?;
    }
    keys::signing_key(&plan.state_dir, None).map_err(|fault| Failed::new(Code::Configuration, fault.to_string()))
}

/// The key of that label, which is made if it is missing.
fn in_token(place: &TokenKey, algorithm: SignatureAlgorithm) -> Result<Token, Failed> {
    let unavailable = |unusable: Unusable| Failed::new(Code::Unavailable, unusable.why);
    match Token::open(place).map_err(unavailable)? {
        Some(token) => Ok(token),
        None => Token::generate(place, algorithm).map_err(unavailable),
    }
}

/// A credential is installed by plant IT; until then the key lies beside the signing key.
fn tls_key_path(plan: &Plan) -> PathBuf {
    match &plan.sandbox.key {
        KeyPlace::File(Credential::File(path)) => path.clone(),
        _ => plan.state_dir.join("identity/tls.key"),
    }
}

/// The PKCS#10 request.
fn request(plan: &Plan, key: &impl rcgen::SigningKey) -> Result<String, Failed> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, plan.gateway.as_str());
    let unusable =
        |error: rcgen::Error| Failed::new(Code::Internal, format!("the certificate request failed: {error}"));
    parameters.serialize_request(key).map_err(unusable)?.pem().map_err(unusable)
}

fn tls_key(path: &Path) -> Result<KeyPair, Failed> {
    let unusable =
        |error: rcgen::Error| Failed::new(Code::Configuration, format!("the TLS key {}: {error}", path.display()));
    match files::read(path).map(Zeroizing::new) {
        Ok(pem) => {
            let pem = std::str::from_utf8(&pem).map_err(|_| {
                Failed::new(Code::Configuration, format!("{} is not a private key in PEM form", path.display()))
            })?;
            KeyPair::from_pem(pem).map_err(unusable)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unusable)?;
            let pem = Zeroizing::new(key.serialize_pem());
            files::create_secret(path, pem.as_bytes()).map_err(|error| Failed::io("create", path, &error))?;
            Ok(key)
        }
        Err(error) => Err(Failed::io("read", path, &error)),
    }
}

/// `enroll.json`: JWS General JSON (RFC 7515), signed by the key that it asks for (wire.md section 7).
fn enrolment(plan: &Plan, key: &SigningKey, audit_key: &Signer, csr: &str) -> Result<String, Failed> {
    let kid = key.kid().to_string();
    let payload = json!({
        "spec": "lingate/1",
        "gateway": plan.gateway.as_str(),
        "tenant": plan.tenant.as_str(),
        "jwk": key.verifying_key().to_jwk(),
        "audit": VerifyingKey::ed25519(*audit_key.verifier().public()).to_jwk(),
        "csr": csr,
        "software": {"version": env!("CARGO_PKG_VERSION"), "sha256": software::sha256()},
        "iat": SystemClock::start().now().utc.seconds(),
    });
    let payload = base64url(payload.to_string().as_bytes());
    let protected = base64url(json!({"alg": key.algorithm().name(), "kid": kid}).to_string().as_bytes());
    let signed = key.try_sign(format!("{protected}.{payload}").as_bytes());
    let signature = base64url(&signed.map_err(|error| Failed::new(Code::Unavailable, error.to_string()))?);
    let jws = json!({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]});
    Ok(format!("{jws:#}\n"))
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn next_steps(plan: &Plan, tls_key: &Path, output: &Path) -> String {
    let state = plan.state_dir.display();
    let credential = match &plan.sandbox.key {
        KeyPlace::File(Credential::Systemd(name)) => {
            format!("2. Give the TLS key to systemd: LoadCredential={name}:{} in the unit.\n", tls_key.display())
        }
        KeyPlace::File(Credential::File(path)) => format!("2. The TLS key stays where it is: {}.\n", path.display()),
        KeyPlace::Token(place) => format!("2. The TLS key stays in the token {:?}.\n", place.token),
    };
    let keys = match &plan.sandbox.signing_key {
        None => format!("The keys in {state}/identity never leave this machine."),
        Some(place) => format!("The signing key {:?} never leaves the token {:?}.", place.object, place.token),
    };
    format!(
        "{output} is ready; it holds no secret.\n\n\
         1. Carry {output} to the sandbox operator, who answers with a certificate, the CA, root.json and a bundle.\n\
         {credential}\
         3. Put the certificate to {certificate}, the CA to {ca},\n   \
            root.json to {state}/root.json and the bundle into {state}/inbox/.\n\
         4. Ask the operator by telephone for the fingerprint of root.json, and write it into sandbox.root_sha256.\n\
         5. lingate check --config FILE\n\n\
         {keys}\n{owner}",
        owner = owner(&plan.state_dir, tls_key, files::user()),
        output = output.display(),
        certificate = plan.sandbox.certificate.display(),
        ca = plan.sandbox.ca.display(),
    )
}

/// What root has to do so that the daemon, which does not run as root, can read what root made.
fn owner(state_dir: &Path, tls_key: &Path, user: Option<u32>) -> String {
    let (state, key) = (state_dir.display(), tls_key.display());
    if user != Some(0) {
        return "Run the daemon as the user who ran this.\n".to_owned();
    }
    let is_theirs = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.uid() != 0);
    if is_theirs(state_dir) && tls_key.parent().is_some_and(is_theirs) {
        return "What root made in their folders belongs to the daemon's user.\n".to_owned();
    }
    let elsewhere = match tls_key.starts_with(state_dir) {
        true => String::new(),
        false => format!("   chown root:lingate {key}\n   chmod 640 {key}\n"),
    };
    format!(
        "This ran as root. When everything is in its place, give it to the daemon's user:\n   \
            chown -R lingate: {state}\n   chmod 700 {state}\n{elsewhere}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_told_to_give_away_what_it_made() {
        let state = Path::new("/var/lib/lingate");
        let told = owner(state, Path::new("/etc/lingate/gateway.key"), Some(0));
        for line in
            ["chown -R lingate: /var/lib/lingate", "chmod 700 /var/lib/lingate", "chmod 640 /etc/lingate/gateway.key"]
        {
            assert!(told.contains(line), "{told}");
        }
        assert!(!owner(state, &state.join("identity/tls.key"), Some(0)).contains("640"));
        assert!(!owner(state, Path::new("/etc/lingate/gateway.key"), Some(998)).contains("chown"));
    }
}
