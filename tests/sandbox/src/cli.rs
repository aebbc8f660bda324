//! The command line: one file per family of commands.

mod audit;
mod change;
mod export;
mod init;
mod lineage;
mod receive;
mod report;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The other side of lingate: certificate authority, keys, rights and receiver of a reference sandbox.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a certificate authority, root and role keys, a policy and a mosquitto configuration
    Init(init::Init),
    /// Sign certificate and bundle for a gateway's enrolment file
    Issue(init::Issue),
    /// Sign every gateway's bundle anew: after an edit of policy.toml, or before the old one ends
    Renew(change::Renew),
    /// Replace a role's key (with an overlap) or a TLS certificate
    Rotate(change::Rotate),
    /// Take back a role key or a gateway
    Revoke(change::Revoke),
    /// Grant a dataset to roles and purposes, change its terms, or withdraw it
    Grant(change::Grant),
    /// Add a purpose, change its validity, or withdraw it
    Purpose(change::Purpose),
    /// Replace the root keys: the next bundles are signed by the old and the new ones
    Root(change::Root),
    /// Verify, open and store what gateways publish
    Receive(receive::Receive),
    /// What this sandbox vouched for of the gateways' audit logs, and whether one of them was forked
    Audit(audit::Audit),
    /// Write the opened data to a Parquet file, for DuckDB or pandas
    Export(export::Export),
    /// From one opened value back to device, address, steps, policy, bundle and software: which hash proves each hop
    Lineage(lineage::Lineage),
    /// Completeness per dataset: received, duplicates, holes, gaps, order
    Report(report::ReportArgs),
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Init(args) => init::init(args),
        Command::Issue(args) => init::issue(&args),
        Command::Renew(args) => args.run(),
        Command::Rotate(args) => args.run(),
        Command::Revoke(args) => args.run(),
        Command::Grant(args) => args.run(),
        Command::Purpose(args) => args.run(),
        Command::Root(args) => args.run(),
        Command::Receive(args) => tokio::runtime::Runtime::new()?.block_on(receive::receive(args)),
        Command::Audit(args) => args.run(),
        Command::Export(args) => export::export(&args),
        Command::Lineage(args) => args.run(),
        Command::Report(args) => report::report(&args),
    }
}
