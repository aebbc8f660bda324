use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use lingate_config::Plan;
use lingate_drivers::settings::nearest;
use lingate_model::{Clock, DatasetId};
use lingate_seal::Veto;
use serde_json::{Value, json};

use crate::audit::spool;
use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;
use crate::clock::SystemClock;
use crate::inbox::Bundles;
use crate::keys;
use crate::prepare::load;
use crate::veto::{self, Order};

#[derive(Subcommand)]
pub(crate) enum VetoCommand {
    /// What is forbidden, and whether it was destroyed where it waited
    List(Where),
    /// Nothing is sealed for it from now on, and what waits is destroyed and declared lost
    Add(Change),
    /// Sealing goes on, as far as the bundle allows it
    Remove(Change),
}

#[derive(clap::Args)]
pub(crate) struct Where {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Change {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    what: What,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// A dataset of the configuration
    #[arg(long, value_name = "ID")]
    dataset: Option<String>,
    /// A role (role:oem-quality), a party (urn:...) or a key (16 hex digits)
    #[arg(long, value_name = "NAME")]
    recipient: Option<String>,
    /// All of it
    #[arg(long)]
    everything: bool,
}

/// Works on the folder `veto/`, without the daemon; a running one follows within seconds.
pub(crate) fn veto(command: &VetoCommand) -> Result<ExitCode, Failed> {
    match command {
        VetoCommand::List(at) => {
            let plan = plan_of(&at.config)?;
            tell(at.json, &list(&plan), in_json(&plan));
        }
        VetoCommand::Add(Change { at, what }) => {
            let plan = plan_of(&at.config)?;
            put(&plan, &order(&plan, what)?, "veto add")?;
            let warning = what.recipient.as_ref().and_then(|name| unknown(&plan, name));
            let mut words =
                "Forbidden. A running daemon follows within seconds; a stopped one when it starts.".to_owned();
            warning.iter().for_each(|warning| words.push_str(&format!("\n{warning}")));
            tell(at.json, &words, json!({"forbidden": true, "warning": warning}));
        }
        VetoCommand::Remove(Change { at, what }) => {
            let plan = plan_of(&at.config)?;
            let order = stray(&plan, what).map_or_else(|| order(&plan, what), Ok)?;
            note(&plan, "veto remove", &order);
            let removed = veto::remove(&plan.state_dir, &order)
                .map_err(|error| Failed::io("remove the veto in", &veto::folder(&plan.state_dir), &error))?;
            let words =
                if removed { "Allowed again, as far as the bundle allows it." } else { "It was not forbidden." };
            tell(at.json, words, json!({"removed": removed}));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A veto works without a bundle, so this is only a word of warning.
fn unknown(plan: &Plan, name: &str) -> Option<String> {
    let utc = SystemClock::start().now().utc;
    let bundles = keys::pinned(&plan.state_dir, &plan.sandbox.root_sha256)
        .and_then(|pinned| Bundles::open(&plan.state_dir, pinned, &plan.gateway, utc));
    let Some(names) = bundles.ok().and_then(|(bundles, _)| Some(bundles.current()?.recipient_names())) else {
        let nobody = "No bundle is in force here, so nobody can say yet whether it knows this name; an unknown one forbids nothing.";
        return Some(nobody.to_owned());
    };
    if names.iter().any(|known| known == name) {
        return None;
    }
    Some(match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!(
            "WARNING: the bundle in force knows no recipient {name:?}, so this forbids nothing yet; did you mean {near:?}?"
        ),
        None => format!(
            "WARNING: the bundle in force knows no recipient {name:?}, so this forbids nothing yet; it knows {}",
            names.join(", ")
        ),
    })
}

fn plan_of(config: &Path) -> Result<Plan, Failed> {
    load(config).map_err(|refused| Failed::refused(config, &refused))
}

/// Asks for what was read for a dataset so far to be destroyed.
pub(crate) fn purge(config: &Path, dataset: &str, json: bool) -> Result<ExitCode, Failed> {
    let plan = plan_of(config)?;
    put(&plan, &Order::Purge(known(&plan, dataset)?), "purge")?;
    let words = format!(
        "A running daemon destroys within seconds what waits of {dataset}, and declares it lost; a stopped one when it \
         starts. Reading goes on; to end that as well: lingate veto add --config {} --dataset {dataset}",
        config.display()
    );
    tell(json, &words, json!({"asked": true, "dataset": dataset}));
    Ok(ExitCode::SUCCESS)
}

/// Into the audit log, with who gave it.
fn note(plan: &Plan, command: &str, order: &Order) {
    spool::operator(&plan.state_dir, SystemClock::start().now().utc, command, &order.file_name());
}

fn put(plan: &Plan, order: &Order, command: &str) -> Result<(), Failed> {
    note(plan, command, order);
    if veto::folder(&plan.state_dir).join(order.file_name()).exists() {
        return Ok(());
    }
    veto::write(&plan.state_dir, order, "")
        .map_err(|error| Failed::io("write the veto into", &veto::folder(&plan.state_dir), &error))
}

fn order(plan: &Plan, what: &What) -> Result<Order, Failed> {
    match (&what.dataset, &what.recipient) {
        (Some(id), _) => known(plan, id).map(Order::Dataset),
        (_, Some(name)) => {
            let order = Order::Recipient(name.clone());
            let is_whole = Order::parse(&order.file_name()).as_ref() == Some(&order);
            is_whole
                .then_some(order)
                .ok_or_else(|| Failed::new(Code::Usage, format!("{name:?} is no recipient's name")))
        }
        _ => Ok(Order::Everything),
    }
}

/// A veto that somebody wrote by hand for a dataset that does not exist: it can be taken away all the same.
fn stray(plan: &Plan, what: &What) -> Option<Order> {
    let order = Order::Dataset(what.dataset.as_ref()?.parse().ok()?);
    veto::folder(&plan.state_dir).join(order.file_name()).exists().then_some(order)
}

/// A veto of a dataset that does not exist would forbid nothing and look as if it did.
fn known(plan: &Plan, id: &str) -> Result<DatasetId, Failed> {
    let datasets = plan.export.datasets.iter().map(|dataset| &dataset.id);
    datasets.clone().find(|known| known.as_str() == id).cloned().ok_or_else(|| {
        let hint = match nearest(id, datasets.clone().map(DatasetId::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", datasets.map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        Failed::new(Code::Usage, format!("there is no dataset {id:?} in the configuration; {hint}"))
    })
}

fn in_json(plan: &Plan) -> Value {
    let said = veto::read(&plan.state_dir);
    json!({"forbids": !said.veto.is_empty(), "words": veto::in_words(&said.veto), "misunderstood": said.misunderstood,
        "carried_out": said.carried_out == Veto { unclear: false, ..said.veto.clone() },
        "purges": said.purges.iter().map(ToString::to_string).collect::<Vec<_>>()})
}

fn list(plan: &Plan) -> String {
    let said = veto::read(&plan.state_dir);
    let mut text = format!("{}\n", veto::in_words(&said.veto));
    said.misunderstood.iter().for_each(|why| {
        text.push_str(&format!(
            "{why}, so nothing is sealed or sent until it is corrected or removed; nothing is destroyed\n"
        ));
    });
    let clear = Veto { unclear: false, ..said.veto.clone() };
    if !clear.is_empty() {
        let done = if said.carried_out == clear { "destroyed" } else { "not yet destroyed: is the daemon running?" };
        text.push_str(&format!("what waited of it: {done}\n"));
    }
    let unknown = said.veto.datasets.iter().chain(&said.purges).filter_map(|id| known(plan, id.as_str()).err());
    unknown.for_each(|failed| text.push_str(&format!("WARNING: it forbids nothing: {}\n", failed.message)));
    said.purges.iter().for_each(|id| text.push_str(&format!("asked for: purge of {id}\n")));
    text
}
