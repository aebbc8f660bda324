use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use lingate_sandbox::{Authority, BrokerAddress, DatasetChange, Issued, PurposeChange, Server, publish_bundles};
use serde_json::json;

/// Where the new bundles go, and how they are told of.
#[derive(Args)]
pub(crate) struct Outlet {
    /// Also publish the bundles, retained, on the gateways' topics
    #[arg(long, requires = "broker")]
    publish: bool,
    /// mqtts://HOST:PORT, for --publish
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Renew {
    /// The authority's folder
    dir: PathBuf,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub(crate) struct Rotate {
    /// The authority's folder
    dir: PathBuf,
    /// Give this role a new key
    #[arg(long, group = "what")]
    role: Option<String>,
    /// The role's old key stays a recipient for so long
    #[arg(long, default_value_t = 7, value_name = "DAYS", requires = "role")]
    overlap_days: u32,
    /// New certificate: "broker", "receiver", or the id of a gateway (for the key that it enrolled with)
    #[arg(long, group = "what", value_name = "WHOSE")]
    tls: Option<String>,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub(crate) struct Revoke {
    /// The authority's folder
    dir: PathBuf,
    /// The kid of a role's key, 16 hex digits: nothing is sealed to it any more
    #[arg(long, group = "what", value_name = "KID")]
    role_key: Option<String>,
    /// The id of a gateway: nothing that it signed is taken any more, and it may publish nothing
    #[arg(long, group = "what", value_name = "ID")]
    gateway: Option<String>,
    /// Why, for the bundle and the plants' audit logs
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Args)]
pub(crate) struct Grant {
    /// The authority's folder
    dir: PathBuf,
    /// The dataset; it is added if the policy does not have it
    dataset: String,
    /// Let this role open it; repeat for more
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Whose a role is that the policy does not have yet
    #[arg(long, value_name = "URN")]
    party: Option<String>,
    /// Take it from this role
    #[arg(long = "without-role", value_name = "ROLE")]
    without_roles: Vec<String>,
    /// Grant it for this purpose; repeat for more
    #[arg(long = "purpose", value_name = "URI")]
    purposes: Vec<String>,
    /// No longer for this purpose
    #[arg(long = "without-purpose", value_name = "URI")]
    without_purposes: Vec<String>,
    /// Class ceiling: "general", or "important", which needs an approval
    #[arg(long)]
    class: Option<String>,
    /// Reference of the security assessment
    #[arg(long)]
    approval: Option<String>,
    /// Approve a minimization policy, as `lingate plan` names it; with one, no other is sealed. Repeat for more
    #[arg(long = "policy", value_name = "sha256:HASH")]
    policies: Vec<String>,
    /// It is no longer approved
    #[arg(long = "without-policy", value_name = "sha256:HASH")]
    without_policies: Vec<String>,
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<u32>,
    /// Its name in topics [default for a new one: random]
    #[arg(long)]
    alias: Option<String>,
    /// Withdraw the dataset altogether
    #[arg(long, conflicts_with_all = ["roles", "purposes", "class", "approval", "alias"])]
    withdraw: bool,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Args)]
pub(crate) struct Purpose {
    /// The authority's folder
    dir: PathBuf,
    /// URI of the purpose; it is added if the policy does not have it
    id: String,
    /// What the data may be used for; its hash is sealed into every epoch
    #[arg(long)]
    statement: Option<String>,
    /// Such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// Take it from every dataset; nothing is sealed for it any more
    #[arg(long, conflicts_with_all = ["statement", "valid_from", "valid_until"])]
    withdraw: bool,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Args)]
pub(crate) struct Root {
    /// The authority's folder
    dir: PathBuf,
    /// Number of new root keys
    #[arg(long, default_value_t = 1, value_name = "N")]
    keys: usize,
    /// Signatures that gateways demand from then on [default: all]
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
    #[command(flatten)]
    outlet: Outlet,
}

impl Renew {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        let issued = authority.renew()?;
        report(&authority, "signed the policy anew", &issued, &self.outlet)
    }
}

impl Rotate {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        if let Some(role) = &self.role {
            let issued = authority.rotate_role(role, self.overlap_days)?;
            let kid = authority.role_key(role)?.kid();
            let said = format!("{role} has key {kid}; the old one ends in {} days", self.overlap_days);
            return report(&authority, &said, &issued, &self.outlet);
        }
        let server = match self.tls.as_deref() {
            Some("broker") => Server::Broker,
            Some("receiver") => Server::Receiver,
            Some(gateway) => {
                let issued = authority.renew_certificate(gateway)?;
                let said = "new certificate, the bundle is unchanged; replace gateway.pem at the plant:\n            \
                            a running gateway takes it within seconds";
                return report(&authority, said, &[issued], &self.outlet);
            }
            None => bail!("say --role or --tls"),
        };
        authority.renew_server(server)?;
        report(&authority, "new certificate and key: restart its user, or let it read them again", &[], &self.outlet)
    }
}

impl Revoke {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        let (said, issued) = match (&self.role_key, &self.gateway) {
            (Some(kid), _) => (format!("revoked role key {kid}"), authority.revoke_role_key(kid, &self.reason)?),
            (None, Some(gateway)) => {
                let issued = authority.revoke_gateway(gateway, &self.reason)?;
                (
                    format!(
                        "revoked {gateway} and its certificates (revoked.crl); restart mosquitto, so that it reads list and \
                     rights and cuts the connection that may stand"
                    ),
                    vec![issued],
                )
            }
            (None, None) => bail!("say --role-key or --gateway"),
        };
        report(&authority, &said, &issued, &self.outlet)
    }
}

impl Grant {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        let id = &self.dataset;
        if self.withdraw {
            let issued = authority.withdraw_dataset(id)?;
            return report(&authority, &format!("withdrew dataset {id}"), &issued, &self.outlet);
        }
        let issued = authority.grant(&DatasetChange {
            id: id.clone(),
            alias: self.alias.clone(),
            add_roles: self.roles.clone(),
            remove_roles: self.without_roles.clone(),
            add_purposes: self.purposes.clone(),
            remove_purposes: self.without_purposes.clone(),
            class_ceiling: self.class.clone(),
            approval: self.approval.clone(),
            add_policies: self.policies.clone(),
            remove_policies: self.without_policies.clone(),
            retention_days: self.retention_days,
            party: self.party.clone(),
        })?;
        let policy = authority.policy()?;
        let Some(dataset) = policy.dataset(id) else { bail!("policy.toml has lost dataset {id}") };
        let (roles, purposes) = (dataset.roles.join(", "), dataset.purposes.join(", "));
        let approved = match dataset.policies.len() {
            0 => String::new(),
            count => format!(", {count} approved policies"),
        };
        let said =
            format!("dataset {id}, up to class {}, for {roles}, for {purposes}{approved}", dataset.class_ceiling);
        report(&authority, &said, &issued, &self.outlet)
    }
}

impl Purpose {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        if self.withdraw {
            let issued = authority.withdraw_purpose(&self.id)?;
            return report(&authority, &format!("withdrew purpose {}", self.id), &issued, &self.outlet);
        }
        let issued = authority.set_purpose(&PurposeChange {
            id: self.id.clone(),
            statement: self.statement.clone(),
            valid_from: self.valid_from.clone(),
            valid_until: self.valid_until.clone(),
        })?;
        let said = format!("purpose {}; `grant --purpose` gives it to a dataset", self.id);
        report(&authority, &said, &issued, &self.outlet)
    }
}

impl Root {
    pub(crate) fn run(&self) -> Result<()> {
        let mut authority = Authority::open(&self.dir)?;
        let issued = authority.rotate_root(self.keys, self.threshold.unwrap_or(self.keys))?;
        let (version, fingerprint) = (authority.root_version(), authority.root_sha256()?);
        let said = format!(
            "root version {version}, sha256 {fingerprint} for plants that enrol from now on\n            \
             every gateway must take this bundle before a later one: its history keeps it"
        );
        report(&authority, &said, &issued, &self.outlet)
    }
}

/// Publishes if that is wanted, and says what was done.
pub(crate) fn report(authority: &Authority, said: &str, issued: &[Issued], outlet: &Outlet) -> Result<()> {
    if outlet.publish && !issued.is_empty() {
        let url = outlet.broker.as_deref().unwrap_or_default();
        let broker: BrokerAddress = url.parse().map_err(anyhow::Error::msg)?;
        tokio::runtime::Runtime::new()?.block_on(publish_bundles(authority, &broker, issued))?;
    }
    if outlet.json {
        let bundle = |issued: &Issued| {
            json!({"gateway": issued.gateway.as_str(), "tenant": issued.tenant.as_str(),
                "version": issued.bundle_version, "folder": issued.folder, "topic": issued.topic()})
        };
        let bundles: Vec<_> = issued.iter().map(bundle).collect();
        println!("{}", json!({"done": said, "bundles": bundles, "published": outlet.publish}));
        return Ok(());
    }
    println!("done        {said}");
    for issued in issued {
        println!("gateway     {} of {}: bundle version {}", issued.gateway, issued.tenant, issued.bundle_version);
        println!("            {}: send it to the plant, NEXT-STEPS.txt says what for", issued.folder.display());
    }
    match (outlet.publish, issued.is_empty()) {
        (true, false) => println!("published   retained, on every gateway's topic"),
        (false, false) => println!("not published: --publish --broker URL does it, a file in the inbox is as good"),
        (_, true) => println!("bundles     none: no gateway is enrolled, or none is concerned"),
    }
    Ok(())
}
