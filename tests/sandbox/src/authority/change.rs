//! Changes of keys and rights. Each gives every gateway its next bundle, so that an older one cannot stay in force.

use anyhow::{Context, Result, bail, ensure};

use lingate_model::GatewayId;

use super::roots::RootKeys;
use super::{Authority, Issued, KnownGateway, Revoked, RevokedCertificate};
use crate::clock;
use crate::enroll::Enrolment;
use crate::files::{self, Readers};
use crate::keys::hex;
use crate::mosquitto;
use crate::pki::serial_of;
use crate::policy::Policy;
use crate::policy_file::PolicyFile;

pub use crate::policy_file::{DatasetChange, PurposeChange};

const DAY_SECONDS: i64 = 86_400;

/// Whose TLS certificate the authority makes with a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Broker,
    Receiver,
}

impl RevokedCertificate {
    fn serial(&self) -> Result<Vec<u8>> {
        let digits = self.serial.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
        let bytes: Result<_, _> = digits.map(|pair| u8::from_str_radix(pair, 16)).collect();
        bytes.with_context(|| format!("sandbox.json: serial number {:?}", self.serial))
    }
}

impl Authority {
    /// Signs every gateway's bundle anew: after an edit of `policy.toml`, or before the old one ends.
    pub fn renew(&mut self) -> Result<Vec<Issued>> {
        self.sign_all(None)
    }

    /// A new key for a role; the old one stays a recipient for `overlap_days`.
    pub fn rotate_role(&mut self, role: &str, overlap_days: u32) -> Result<Vec<Issued>> {
        self.expect_role(role)?;
        self.replace_role_keys(role, clock::unix_seconds() + i64::from(overlap_days) * DAY_SECONDS)?;
        self.sign_all(None)
    }

    /// Another root: `count` new keys, `threshold` of which must sign. This once, the bundles carry the signatures of
    /// both roots.
    pub fn rotate_root(&mut self, count: usize, threshold: usize) -> Result<Vec<Issued>> {
        let next = RootKeys::generate(self.roots.version() + 1, count, threshold)?;
        next.write(&self.folder)?;
        self.write(&format!("root-{}.json", self.roots.version()), self.root_json()?, Readers::Everybody)?;
        let before = std::mem::replace(&mut self.roots, next);
        self.state.root = self.roots.names();
        self.write("root.json", self.roots.file(), Readers::Everybody)?;
        self.write_state()?;
        self.sign_all(Some(&before))
    }

    /// Nothing is sealed to this role key any more, from the next bundle on. If it is its role's current key, the role
    /// gets a new one. What was sealed to it before stays readable with it.
    pub fn revoke_role_key(&mut self, kid: &str, reason: &str) -> Result<Vec<Issued>> {
        let mut owner = None;
        for role in self.policy()?.roles {
            let keys = self.role_keys_of(&role.id)?;
            if let Some(key) = keys.iter().find(|key| key.kid().to_string() == kid) {
                owner = Some((role.id, key.ends.is_none()));
            }
        }
        let (role, is_current) = owner.with_context(|| format!("no role has a key {kid:?}: see roles/*.jwk"))?;
        self.note_revoked(kid, reason)?;
        if is_current {
            self.replace_role_keys(&role, clock::unix_seconds())?;
        }
        self.sign_all(None)
    }

    /// Nothing that this gateway signed is taken any more, it gets a bundle that grants nothing, the broker's access list
    /// shuts it out, and its certificates are on the revocation list. It comes back by enrolling with a new signing key.
    pub fn revoke_gateway(&mut self, gateway: &str, reason: &str) -> Result<Issued> {
        let mut known = self.expect_gateway(gateway)?;
        ensure!(known.revoked_at.is_none(), "{gateway} is revoked already");
        let kids: Vec<String> = known.keys.iter().map(|key| key.kid.clone()).collect();
        kids.iter().try_for_each(|kid| self.note_revoked(kid, reason))?;
        known.revoked_at = Some(clock::now_in_words());
        self.revoke_certificates(&mut known)?;
        let issued = self.sign_again(known, None)?;
        self.write_access_list()?;
        Ok(issued)
    }

    fn revoke_certificates(&mut self, known: &mut KnownGateway) -> Result<()> {
        let newest = files::read_text(&self.gateway_folder(&known.gateway).join("gateway.pem"))?;
        let mut serials = std::mem::take(&mut known.certificates);
        serials.push(hex(&serial_of(&newest)?));
        serials.sort();
        serials.dedup();
        let at_unix = clock::unix_seconds();
        let revoked = serials.into_iter().map(|serial| RevokedCertificate { serial, at_unix });
        self.state.revoked_certificates.extend(revoked);
        self.write_state()?;
        self.write_revocation_list()
    }

    pub(super) fn write_revocation_list(&self) -> Result<()> {
        let entry = |revoked: &RevokedCertificate| Ok((revoked.serial()?, revoked.at_unix));
        let revoked: Vec<_> = self.state.revoked_certificates.iter().map(entry).collect::<Result<_>>()?;
        let list = self.ca.revocation_list(&revoked, super::AUTHORITY_DAYS)?;
        self.write("revoked.crl", list, Readers::Everybody)
    }

    /// Adds a dataset or changes what is granted for it.
    pub fn grant(&mut self, change: &DatasetChange) -> Result<Vec<Issued>> {
        self.edit_policy(|file| file.change_dataset(change))
    }

    pub fn withdraw_dataset(&mut self, dataset: &str) -> Result<Vec<Issued>> {
        self.edit_policy(|file| file.remove_dataset(dataset))
    }

    /// Adds a purpose, or changes its statement or validity.
    pub fn set_purpose(&mut self, change: &PurposeChange) -> Result<Vec<Issued>> {
        self.edit_policy(|file| file.change_purpose(change))
    }

    /// Takes a purpose away from every dataset.
    pub fn withdraw_purpose(&mut self, purpose: &str) -> Result<Vec<Issued>> {
        self.edit_policy(|file| file.remove_purpose(purpose))
    }

    /// A new certificate for the key that the gateway enrolled with; its bundle stays.
    pub fn renew_certificate(&mut self, gateway: &str) -> Result<Issued> {
        let mut known = self.expect_gateway(gateway)?;
        ensure!(known.revoked_at.is_none(), "{gateway} is revoked: it must enrol with a new signing key");
        let folder = self.gateway_folder(gateway);
        let enrolment = Enrolment::verify(files::read_text(&folder.join("enroll.json"))?.as_bytes())?;
        let days = self.policy()?.certificate.valid_days;
        let chain_pem = self.ca.client_for_request(gateway, &enrolment.request, days)?;
        known.certificates.push(hex(&serial_of(&chain_pem)?));
        self.remember(&known)?;
        files::write(&folder.join("gateway.pem"), &chain_pem, Readers::Everybody)?;
        Ok(Issued {
            gateway: enrolment.gateway,
            tenant: enrolment.tenant,
            chain_pem,
            bundle_version: known.bundle_version,
            bundle: std::fs::read(folder.join("bundle.jws.json"))?,
            folder,
        })
    }

    /// A new key and certificate for the broker or the receiver. Who uses them reads them when it connects or starts.
    pub fn renew_server(&mut self, server: Server) -> Result<()> {
        match server {
            Server::Broker => self.write_broker_leaf(),
            Server::Receiver => {
                self.write_leaf("receiver", &self.ca.client(mosquitto::RECEIVER, super::AUTHORITY_DAYS)?)
            }
        }
    }

    fn edit_policy(&mut self, edit: impl FnOnce(&mut PolicyFile) -> Result<()>) -> Result<Vec<Issued>> {
        let mut file = PolicyFile::parse(&files::read_text(&self.folder.join("policy.toml"))?)?;
        edit(&mut file)?;
        let text = file.text();
        Policy::parse(&text)?;
        self.write("policy.toml", text, Readers::Everybody)?;
        self.sign_all(None)
    }

    fn sign_all(&self, before: Option<&RootKeys>) -> Result<Vec<Issued>> {
        self.known_gateways()?.into_iter().map(|known| self.sign_again(known, before)).collect()
    }

    fn sign_again(&self, known: KnownGateway, before: Option<&RootKeys>) -> Result<Issued> {
        let chain_pem = files::read_text(&self.gateway_folder(&known.gateway).join("gateway.pem"))?;
        self.sign_bundle(known, &chain_pem, before)
    }

    fn note_revoked(&mut self, kid: &str, reason: &str) -> Result<()> {
        if self.state.revoked.iter().any(|revoked| revoked.kid == kid) {
            bail!("key {kid} is revoked already");
        }
        let at = clock::now_in_words();
        self.state.revoked.push(Revoked { kid: kid.to_owned(), at, reason: reason.to_owned() });
        self.write_state()
    }

    /// After a revocation, and after a revoked gateway has enrolled anew.
    pub(super) fn write_access_list(&self) -> Result<()> {
        let known = self.known_gateways()?;
        let shut_out: Vec<&str> =
            known.iter().filter(|known| known.revoked_at.is_some()).map(|known| known.gateway.as_str()).collect();
        self.write("acl", mosquitto::access_list(&shut_out), Readers::Everybody)
    }

    fn expect_gateway(&self, gateway: &str) -> Result<KnownGateway> {
        let id: GatewayId = gateway.parse().context("gateway")?;
        self.known_gateway(&id)?.with_context(|| format!("no gateway {gateway:?} was ever enrolled here"))
    }

    fn expect_role(&self, role: &str) -> Result<()> {
        let roles = self.policy()?.roles;
        let known: Vec<&str> = roles.iter().map(|role| role.id.as_str()).collect();
        ensure!(known.contains(&role), "policy.toml has no role {role:?}, it has {}", known.join(", "));
        Ok(())
    }
}
