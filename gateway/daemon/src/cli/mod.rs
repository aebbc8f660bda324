//! The command line: `lingate COMMAND`.

mod audit;
mod browse;
mod buffer;
mod bundle;
mod check;
mod diag;
pub(crate) mod door;
mod enroll;
pub(crate) mod exit;
mod import;
mod ledger;
mod lineage;
mod opcua;
mod pipe;
mod plan;
mod preview;
mod probe;
mod profile;
pub(crate) mod progress;
mod reload;
mod run;
pub(crate) mod sample;
mod sbom;
mod schema;
mod selftest;
mod shell;
mod status;
mod told;
mod top;
mod trust;
mod veto;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Edge telemetry gateway: reads machines, minimizes, seals for a trusted sandbox, and delivers.
#[derive(Parser)]
#[command(name = "lingate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The daemon
    Run {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// End by itself after so many seconds, and when the broker has what was read (at most 30 s later)
        #[arg(long, value_name = "SECONDS")]
        once: Option<u64>,
    },
    /// Takes the files anew without a restart: checks them, shows what differs, asks the daemon, and tells what happened.
    /// Only devices that changed are touched; a file that is wrong changes nothing. The same as SIGHUP
    Reload(reload::Reload),
    /// Everything that `run` would refuse, and everything that keeps data from being sealed; offline
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Fail only for what `run` refuses: an expired certificate or a bundle that does not grant a dataset is told,
        /// but must not keep the daemon from storing what it reads
        #[arg(long)]
        start: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// What leaves the plant and what does not, and why: every point with dataset, purpose, class, recipients, steps and
    /// expected volume; offline, on the terminal or as a page to sign
    Plan(Box<plan::Plan>),
    /// Reads the devices and shows, side by side, what was read and what would leave; sends nothing, stores nothing
    Preview(preview::Preview),
    /// A complete, commented configuration for a driver; without one, the list of drivers
    Sample {
        driver: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// The JSON Schema of the configuration: VS Code, Neovim and others complete and check with it (taplo)
    ///
    /// Write it to a file and name it in the first line of lingate.toml: #:schema ./lingate.schema.json
    Schema,
    /// What a device tells of itself; changes nothing
    Probe {
        #[command(subcommand)]
        what: probe::What,
    },
    /// Ready-made device tables of common Modbus devices, to paste and to label; without a name, the list
    Profile {
        name: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Device tables out of a register list (CSV), Telegraf's configuration or Neuron's export
    Import {
        file: PathBuf,
        #[arg(long, value_parser = ["auto", "csv", "telegraf", "neuron"], default_value = "auto")]
        from: String,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// The address space of an OPC UA server, as a tree or as device tables with every point denied until labelled
    Browse(browse::Browse),
    /// Certificates of OPC UA servers: which are believed. None is by itself
    Trust {
        #[command(subcommand)]
        what: trust::What,
    },
    /// Is data arriving at the sandbox? Asks the running daemon
    ///
    /// Exit code 0: data arrives, even if a device is missing (the first line says which). Exit code 69: no data arrives,
    /// or no daemon answers. `/ready` of the health endpoint is another question and does not include the broker, by
    /// design: a gateway that keeps readings until the broker is back does its work.
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
        /// Finds the health endpoint in this configuration; without this and --url: http://127.0.0.1:9273
        #[arg(long, value_name = "FILE", conflicts_with = "url")]
        config: Option<PathBuf>,
        /// `http://127.0.0.1:9273` or `unix:/run/lingate/health.sock`
        #[arg(long)]
        url: Option<String>,
    },
    /// The running daemon, live in the terminal: devices, rates, buffer, link, and what stands in the way
    Top(top::Top),
    /// The sandbox's bundle: what it allows, whether a file is one, and how it gets in
    Bundle {
        #[command(subcommand)]
        command: bundle::BundleCommand,
    },
    /// The plant's veto over datasets and recipients; works without network and sandbox
    Veto {
        #[command(subcommand)]
        command: veto::VetoCommand,
    },
    /// Destroys what was read for a dataset and has not been delivered
    Purge {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[arg(long, value_name = "ID")]
        dataset: String,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// What lies on disk: looks at it, also while the daemon runs
    Buffer {
        #[command(subcommand)]
        what: buffer::What,
    },
    /// What was sealed for whom: records and bytes per day, dataset, purpose and recipient
    Ledger {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// What happened, in an order that nobody can change afterwards; offline
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Where what was sealed came from, and under which rights: points, steps, policies, epochs; offline
    Lineage {
        #[command(subcommand)]
        command: lineage::LineageCommand,
    },
    /// Makes the gateway's keys and `enroll.json`, which the sandbox needs to issue certificate and bundle
    Enroll {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[arg(long, value_name = "FILE", default_value = "enroll.json")]
        output: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Is this machine fit for the work? Cryptography against known answers on this CPU, the disk's syncs, randomness,
    /// clock, and who may read the keys
    ///
    /// Without --config and --state only what needs no files. Exit code 0, or that of the gravest finding: 70
    /// cryptography or randomness, 77 permissions, 74 disk. A clock that nobody synchronises is a warning.
    Selftest(selftest::Selftest),
    /// A file for whoever helps: configuration, status, metrics, buffer, audit log and journal, without secret and
    /// process value
    Diag(diag::Diag),
    /// What this program was linked from, as CycloneDX JSON; with a NAME: is that crate in it, and in which version?
    ///
    /// Exit code 1: it is not in it.
    Sbom {
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// For programs; without a NAME it is JSON anyway
        #[arg(long)]
        json: bool,
    },
    /// Completion for a shell, on standard output
    Completions { shell: clap_complete::Shell },
    /// Manual pages, one for each command, into a folder; without one: the first page on standard output
    Man {
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// Reads the process's arguments and does what they say.
pub fn main() -> ExitCode {
    pipe::end_quietly();
    // Told by `run` alone, which does it again.
    crate::fence::memory::no_images();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    let outcome = match arguments.command {
        Command::Run { config, once } => run::run(&config, once),
        Command::Reload(reload) => reload.run(),
        Command::Check { config, start, json } => check::check(&config, start, json),
        Command::Plan(plan) => plan.run(),
        Command::Preview(preview) => preview.run(),
        Command::Sample { driver, json } => sample::sample(driver.as_deref(), json),
        Command::Schema => schema::schema(),
        Command::Probe { what } => what.run(),
        Command::Profile { name, json } => profile::profile(name.as_deref(), json),
        Command::Import { file, from, json } => import::import(&file, &from, json),
        Command::Browse(browse) => browse.run(),
        Command::Trust { what } => what.run(),
        Command::Status { json, config, url } => status::status(json, config.as_deref(), url.as_deref()),
        Command::Bundle { command } => bundle::bundle(&command),
        Command::Veto { command } => veto::veto(&command),
        Command::Purge { config, dataset, json } => veto::purge(&config, &dataset, json),
        Command::Buffer { what } => what.run(),
        Command::Ledger { config, json } => ledger::ledger(&config, json),
        Command::Audit { command } => command.run(),
        Command::Lineage { command } => command.run(),
        Command::Enroll { config, output, json } => enroll::enroll(&config, &output, json),
        Command::Selftest(selftest) => selftest.run(),
        Command::Diag(diag) => diag.run(),
        Command::Sbom { name, json } => sbom::sbom(name.as_deref(), json),
        Command::Top(top) => top.run(),
        Command::Completions { shell } => shell::completions(Arguments::command(), shell),
        Command::Man { folder } => shell::man(Arguments::command(), folder.as_deref()),
    };
    outcome.unwrap_or_else(|failed| failed.tell())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_readme_is_one() {
        for readme in [include_str!("../../../../README.md"), include_str!("../../../../README.zh-CN.md")] {
            let lines = readme.lines().filter(|line| line.starts_with("lingate ") && line.contains("--config "));
            let commands: Vec<_> = lines.map(|line| line.split(['#', '&']).next().unwrap_or_default()).collect();
            assert!(commands.len() >= 8, "{commands:?}");
            for command in commands {
                if let Err(error) = Arguments::try_parse_from(command.split_whitespace()) {
                    panic!("{command}: {error}");
                }
            }
        }
    }

    /// Their output is a file for another program, or they go on until they are stopped.
    const WITHOUT_JSON: [&str; 6] = ["run", "top", "completions", "man", "schema", "reload"];

    #[test]
    fn every_command_that_prints_speaks_json() {
        let (mut open, mut leaves) = (vec![Arguments::command()], 0);
        while let Some(command) = open.pop() {
            open.extend(command.get_subcommands().cloned());
            if command.has_subcommands() || WITHOUT_JSON.contains(&command.get_name()) {
                continue;
            }
            leaves += 1;
            let speaks = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
            assert!(speaks, "{} has no --json", command.get_name());
        }
        assert!(leaves > 25, "{leaves}");
    }

    #[test]
    fn every_shell_gets_its_completion_and_every_command_its_page() {
        use clap::ValueEnum;
        Arguments::command().debug_assert();
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "lingate", &mut text);
            assert!(String::from_utf8(text).unwrap().contains("selftest"), "{shell}");
        }
        let folder = tempfile::tempdir().unwrap();
        shell::man(Arguments::command(), Some(folder.path())).unwrap();
        for page in ["lingate.1", "lingate-run.1", "lingate-buffer-quarantine-retry.1"] {
            assert!(folder.path().join(page).exists(), "{page}");
        }
    }
}
