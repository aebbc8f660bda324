mod modbus;
mod show;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use lingate_drivers::opcua::probe::{About, Probe, ShownCertificate, probe};

use crate::cli::exit::{Code, Failed};
use crate::cli::opcua::{Reach, wait_for};

#[derive(Subcommand)]
pub(crate) enum What {
    /// Endpoints, certificate and, if a session can be had, limits and clock of an OPC UA server
    ///
    /// Without --config it trusts nothing and shows what the server offers to everybody.
    Opcua {
        #[command(flatten)]
        reach: Reach,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// One read of a Modbus device, in all types and orders side by side; or who is there (--scan, --identify)
    ///
    /// lingate probe modbus 10.0.4.17 --unit 3 --register holding:102
    Modbus(Box<modbus::Options>),
}

impl What {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        match self {
            What::Opcua { reach, json } => opcua(&reach, json),
            What::Modbus(options) => modbus::probe(&options),
        }
    }
}

fn opcua(reach: &Reach, json: bool) -> Result<ExitCode, Failed> {
    let (tool, place) = reach.tool()?;
    let found = wait_for(probe(&tool, &place.site))?;
    if json {
        let json =
            serde_json::to_string_pretty(&found).map_err(|error| Failed::new(Code::Internal, error.to_string()))?;
        println!("{json}");
    } else {
        print!("{}", in_words(&found));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(probe: &Probe) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n  application  {} ({})", probe.address, probe.application, probe.application_uri);
    if !probe.product_uri.is_empty() {
        let _ = writeln!(text, "  product      {}", probe.product_uri);
    }
    text.push_str("  offers\n");
    for offered in &probe.endpoints {
        let weak = if offered.is_weak { "   weak" } else { "" };
        let _ = writeln!(text, "    {:<40} users: {}{weak}", offered.security, offered.users.join(", "));
        let _ = writeln!(text, "      {}", offered.url);
    }
    match &probe.certificate {
        Some(certificate) => text.push_str(&of_certificate(certificate)),
        None => text.push_str("  certificate  none\n"),
    }
    match (&probe.session, &probe.no_session) {
        (Some(about), _) => text.push_str(&of_session(about)),
        (None, Some(why)) => {
            let _ = writeln!(text, "  no session   {why}");
        }
        (None, None) => {}
    }
    text
}

fn of_certificate(certificate: &ShownCertificate) -> String {
    let ShownCertificate { subject, issuer, sha256, sha1, hosts, application_uri, key_bits, .. } = certificate;
    let days = match certificate.days_left {
        days if days < 0 => format!("over for {} days", days.unsigned_abs()),
        days => format!("{days} days left"),
    };
    let sha1_signed = if certificate.is_signed_with_sha1 { ", signed with SHA-1" } else { "" };
    format!(
        "  certificate  {subject}\n    issuer     {issuer}\n    SHA-256    {sha256}\n    SHA-1      {sha1}\n    \
         for        {hosts}; {application_uri}\n    key        RSA {key_bits}{sha1_signed}\n    validity   {days}\n"
    )
}

fn of_session(about: &About) -> String {
    let mut text = format!("  software     {} {} {}\n", about.vendor, about.product, about.version);
    if let Some(skew) = about.clock_skew_ms {
        let _ = writeln!(text, "  clock        {skew} ms from here");
    }
    if let Some(level) = about.service_level {
        let _ = writeln!(text, "  service      level {level}");
    }
    for (name, limit) in &about.limits {
        let _ = writeln!(text, "  limit        {limit} {name}");
    }
    for namespace in &about.namespaces {
        let _ = writeln!(text, "  namespace    {namespace}");
    }
    text
}
