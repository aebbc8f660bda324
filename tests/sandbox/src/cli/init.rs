use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use lingate_sandbox::{Authority, InitOptions, KeyChange};

use super::change::{Outlet, report};

#[derive(Args)]
pub(crate) struct Init {
    /// Where; must not exist yet, or be empty
    dir: PathBuf,
    #[arg(long, default_value = "sandbox.example")]
    sandbox_id: String,
    /// Name under which gateways reach the broker; repeat for more
    #[arg(long = "broker-name", default_value = "localhost")]
    broker_names: Vec<String>,
    #[arg(long, default_value_t = 8883)]
    port: u16,
    /// Address on which mosquitto.conf has the broker listen [default: every one]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::IpAddr>,
    /// Number of root keys
    #[arg(long, default_value_t = 1, value_name = "N")]
    root_keys: usize,
    /// Root signatures that a gateway demands [default: all of them]
    #[arg(long, value_name = "N")]
    root_threshold: Option<usize>,
    /// File to take as policy.toml: roles, parties, purposes, datasets [default: a sample]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Move an existing DIR aside, with all keys in it, and begin anew
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
pub(crate) struct Issue {
    dir: PathBuf,
    /// What `lingate enroll` wrote
    enroll: PathBuf,
    /// The plant has confirmed that this known gateway has a new signing key
    #[arg(long)]
    new_key: bool,
    #[command(flatten)]
    outlet: Outlet,
}

pub(crate) fn init(args: Init) -> Result<()> {
    let policy = args.policy.as_deref().map(std::fs::read_to_string).transpose().context("--policy")?;
    if args.force && args.dir.exists() {
        println!("moved the old authority to {}", move_aside(&args.dir)?.display());
    }
    let options = InitOptions {
        sandbox_id: args.sandbox_id,
        broker_names: args.broker_names,
        broker_port: args.port,
        broker_listen: args.listen,
        policy,
        root_keys: args.root_keys,
        root_threshold: args.root_threshold.unwrap_or(args.root_keys),
    };
    let authority = Authority::init(&args.dir, &options)?;
    let folder = authority.folder().display();
    println!("authority   {folder}");
    println!("root keys   {}, {} must sign", options.root_keys, options.root_threshold);
    println!("            sha256 {}", authority.root_sha256()?);
    println!("            give this fingerprint to plant IT over a second channel");
    println!("policy      {folder}/policy.toml: edit it before you issue");
    println!("broker      mosquitto -c {folder}/mosquitto.conf");
    Ok(())
}

/// Next to the old place, under the first free name.
fn move_aside(dir: &Path) -> Result<PathBuf> {
    let name = dir.file_name().context("DIR needs a name")?.to_string_lossy().into_owned();
    let free = (1..1000).map(|n| dir.with_file_name(format!("{name}.old-{n}"))).find(|path| !path.exists());
    let free = free.context("too many old authorities beside DIR")?;
    std::fs::rename(dir, &free).with_context(|| format!("cannot move {}", dir.display()))?;
    Ok(free)
}

pub(crate) fn issue(args: &Issue) -> Result<()> {
    let enroll = std::fs::read(&args.enroll).with_context(|| args.enroll.display().to_string())?;
    let change = if args.new_key { KeyChange::Accept } else { KeyChange::Refuse };
    let mut authority = Authority::open(&args.dir)?;
    let issued = authority.issue(&enroll, change)?;
    report(&authority, "issued certificate and bundle", &[issued], &args.outlet)
}
