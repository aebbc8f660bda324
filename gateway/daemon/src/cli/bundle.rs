use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use lingate_config::Plan;
use lingate_model::{Clock, UtcMicros};
use lingate_seal::VerifiedBundle;
use serde_json::{Value, json};

use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;
use crate::clock::SystemClock;
use crate::fault::Fault;
use crate::inbox::{Bundles, Verdict};
use crate::prepare::load;
use crate::software::hex;
use crate::tls::show_time;
use crate::{files, keys};

const DAY: i64 = 86_400_000_000;

#[derive(Subcommand)]
pub(crate) enum BundleCommand {
    /// The bundle in force: its days left, and who may read what for which purpose
    Show {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Whether `run` would take this file, and otherwise why not; offline, changes nothing
    Verify {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        bundle: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Verifies the file and puts it into the inbox whole; a running daemon takes it within seconds
    Install {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        bundle: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn bundle(command: &BundleCommand) -> Result<ExitCode, Failed> {
    let utc = SystemClock::start().now().utc;
    match command {
        BundleCommand::Show { config, json } => {
            let (_, bundles) = open(config, utc)?;
            let missing = || Failed::new(Code::Unavailable, "there is no sandbox bundle yet, or it cannot be used");
            print(bundles.current().ok_or_else(missing)?, utc, *json);
        }
        BundleCommand::Verify { config, bundle, json } => {
            let (_, bundles) = open(config, utc)?;
            print(&judge(&bundles, &read(bundle)?, bundle, utc)?.0, utc, *json);
        }
        BundleCommand::Install { config, bundle, json } => {
            let (plan, bundles) = open(config, utc)?;
            let bytes = read(bundle)?;
            let (verified, told) = judge(&bundles, &bytes, bundle, utc)?;
            if bundles.current().is_some_and(|current| current.sha256() == verified.sha256()) {
                let words = format!("Version {} is in force already.", verified.version());
                tell(*json, &words, json!({"version": verified.version(), "installed": false, "in_force": true}));
                return Ok(ExitCode::SUCCESS);
            }
            install(&plan, &verified, &bytes)?;
            let words = format!("{told} A running daemon takes it within seconds; a stopped one when it starts.");
            tell(*json, &words, json!({"version": verified.version(), "installed": true, "in_force": false}));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(config: &Path, utc: UtcMicros) -> Result<(Plan, Bundles), Failed> {
    let plan = load(config).map_err(|refused| Failed::refused(config, &refused))?;
    let failed = |fault: Fault| Failed::new(Code::Configuration, format!("{}\n  = hint: {}", fault.what, fault.hint));
    let pinned = keys::pinned(&plan.state_dir, &plan.sandbox.root_sha256).map_err(failed)?;
    let (bundles, fault) = Bundles::open(&plan.state_dir, pinned, &plan.gateway, utc).map_err(failed)?;
    if let Some(fault) = fault {
        eprintln!("{}", fault.what);
    }
    Ok((plan, bundles))
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    files::read(path).map_err(|error| Failed::io("read", path, &error))
}

/// The bundle, and what becomes of it in words.
fn judge(bundles: &Bundles, bytes: &[u8], path: &Path, utc: UtcMicros) -> Result<(VerifiedBundle, String), Failed> {
    match bundles.verdict(bytes, utc) {
        Verdict::Good(bundle) => {
            let told = format!("Version {} is good.", bundle.version());
            Ok((*bundle, told))
        }
        Verdict::Later(bundle, reason) => {
            let told = format!("Version {} waits in the inbox: {reason}.", bundle.version());
            Ok((*bundle, told))
        }
        Verdict::Refused(reason) => Err(Failed::new(Code::Data, format!("{} is refused: {reason}", path.display()))),
    }
}

/// Under a name of its own.
fn install(plan: &Plan, verified: &VerifiedBundle, bytes: &[u8]) -> Result<(), Failed> {
    let inbox = plan.state_dir.join("inbox");
    let path = inbox.join(format!("installed-{:010}-{}.json", verified.version(), &hex(&verified.sha256())[..16]));
    let put = || {
        files::directory(&inbox)?;
        files::replace_all(&[(path.clone(), bytes)])
    };
    put().map_err(|error| Failed::io("put the bundle to", &path, &error))
}

fn print(bundle: &VerifiedBundle, utc: UtcMicros, json: bool) {
    match json {
        true => println!("{}", in_json(bundle, utc)),
        false => print!("{}", in_words(bundle, utc)),
    }
}

fn days_left(utc: UtcMicros, end: UtcMicros) -> i64 {
    end.0.saturating_sub(utc.0).div_euclid(DAY)
}

fn until(utc: UtcMicros, end: UtcMicros) -> String {
    match days_left(utc, end) {
        days @ 0.. => format!("until {}, {days} days left", show_time(end)),
        _ => format!("ENDED at {}", show_time(end)),
    }
}

fn in_words(bundle: &VerifiedBundle, utc: UtcMicros) -> String {
    let summary = bundle.summary();
    let mut text = format!(
        "version {} of {}, root {}, {}\n",
        bundle.version(),
        bundle.sandbox(),
        bundle.roots().version(),
        until(utc, bundle.expires())
    );
    for dataset in &summary.datasets {
        let approval = dataset.approval.as_ref().map_or(String::new(), |approval| format!(" by approval {approval}"));
        text += &format!("dataset {}: up to class {:?}{approval}\n", dataset.id, dataset.ceiling).to_lowercase();
        text += &format!("  for {}\n  read by {}\n", dataset.purposes.join(", "), dataset.roles.join(", "));
    }
    for (purpose, end) in &summary.purposes {
        text += &format!("purpose {purpose}: {}\n", until(utc, *end));
    }
    for role in &summary.roles {
        text += &format!("{}, party {}\n", role.id, role.party);
        for (kid, end) in &role.keys {
            text += &format!("  key {kid} {}\n", until(utc, *end));
        }
    }
    summary.revoked.iter().for_each(|kid| text += &format!("revoked key {kid}\n"));
    text
}

fn in_json(bundle: &VerifiedBundle, utc: UtcMicros) -> Value {
    let summary = bundle.summary();
    let end = |end: UtcMicros| json!({"until": show_time(end), "days_left": days_left(utc, end)});
    let datasets = summary.datasets.iter().map(|dataset| {
        json!({"id": dataset.id, "purposes": dataset.purposes, "roles": dataset.roles,
            "class_ceiling": format!("{:?}", dataset.ceiling).to_lowercase(), "approval": dataset.approval})
    });
    let purposes = summary.purposes.iter().map(|(id, until)| json!({"id": id, "valid": end(*until)}));
    let roles = summary.roles.iter().map(|role| {
        let keys = role.keys.iter().map(|(kid, until)| json!({"kid": kid.to_string(), "valid": end(*until)}));
        json!({"id": role.id, "party": role.party, "keys": keys.collect::<Vec<_>>()})
    });
    json!({"version": bundle.version(), "sha256": hex(&bundle.sha256()), "sandbox": bundle.sandbox(),
        "root_version": bundle.roots().version(), "valid": end(bundle.expires()),
        "datasets": datasets.collect::<Vec<_>>(), "purposes": purposes.collect::<Vec<_>>(),
        "roles": roles.collect::<Vec<_>>(),
        "revoked": summary.revoked.iter().map(ToString::to_string).collect::<Vec<_>>()})
}
