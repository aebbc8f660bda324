use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lingate_drivers::opcua::probe::ShownCertificate;
use lingate_drivers::opcua::trust::{Certificate, Kind, Listed, Store, Thumbprint};
use lingate_model::{Clock, UtcMicros};
use serde_json::json;

use crate::audit::spool;
use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;
use crate::clock::SystemClock;
use crate::files;
use crate::prepare::load;

#[derive(Subcommand)]
pub(crate) enum What {
    /// Trusted servers, authorities, revocation lists, and the strangers that wait for a decision
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Believe a certificate: a file, or the thumbprint of a stranger after it was compared with the one on the device
    Add {
        what: String,
        #[command(flatten)]
        place: Place,
        /// The file is the certificate of an authority: what it signed is believed, unless it is revoked
        #[arg(long, conflicts_with = "crl")]
        issuer: bool,
        /// The file is an authority's revocation list
        #[arg(long)]
        crl: bool,
    },
    /// Believe a certificate no longer, or forget a stranger
    Reject {
        thumbprint: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
pub(crate) struct Place {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Trusted, "trusted"),
    (Kind::Issuer, "issuer"),
    (Kind::Revocations, "revocations"),
    (Kind::Rejected, "waiting"),
];

impl What {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        match self {
            What::List { place } => {
                let (store, _) = place.store()?;
                let now = SystemClock::start().now().utc;
                print!("{}", if place.json { as_json(&store, now) } else { in_words(&store, now) });
            }
            What::Add { what, place, issuer, crl } => {
                let (store, owner) = place.store()?;
                let kind = match (issuer, crl) {
                    (true, _) => Kind::Issuer,
                    (_, true) => Kind::Revocations,
                    _ => Kind::Trusted,
                };
                let done = add(&store, kind, &what)?;
                tell(place.json, &done, json!({"done": done}));
                owner.give(store.folder())?;
                owner.note("trust add", &what);
            }
            What::Reject { thumbprint, place } => {
                let (store, owner) = place.store()?;
                let done = reject(&store, &parse(&thumbprint)?)?;
                tell(place.json, &done, json!({"done": done}));
                owner.give(store.folder())?;
                owner.note("trust reject", &thumbprint);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Place {
    fn store(&self) -> Result<(Store, Owner), Failed> {
        let plan = load(&self.config).map_err(|refused| Failed::refused(&self.config, &refused))?;
        let owner = fs::metadata(&plan.state_dir).map_err(|error| Failed::io("open", &plan.state_dir, &error))?;
        let devices = plan.state_dir.join("devices");
        Ok((Store::of(&devices), Owner { user: owner.uid(), group: owner.gid(), devices }))
    }
}

/// Who the state belongs to: what root puts there must be readable for the daemon.
struct Owner {
    user: u32,
    group: u32,
    devices: PathBuf,
}

impl Owner {
    /// Into the audit log, with who gave the order.
    fn note(&self, command: &str, what: &str) {
        let state_dir = self.devices.parent().unwrap_or(&self.devices);
        spool::operator(state_dir, SystemClock::start().now().utc, command, what);
    }

    fn give(&self, folder: &Path) -> Result<(), Failed> {
        if files::user() != Some(0) {
            return Ok(());
        }
        let mut open = vec![folder.to_owned()];
        let give = |path: &Path| {
            chown(path, Some(self.user), Some(self.group)).map_err(|error| Failed::io("give away", path, &error))
        };
        give(&self.devices)?;
        while let Some(path) = open.pop() {
            give(&path)?;
            let below = fs::read_dir(&path).into_iter().flatten().flatten();
            for entry in below {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    Ok(kind) if kind.is_file() => give(&entry.path())?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn add(store: &Store, kind: Kind, what: &str) -> Result<String, Failed> {
    let stored = |kind: Kind, bytes: &[u8]| {
        store.add(kind, bytes).map_err(|error| Failed::io("write into", store.folder(), &error))
    };
    if let Ok(thumbprint) = what.parse::<Thumbprint>() {
        if kind != Kind::Trusted {
            let what = "a stranger is trusted for itself; --issuer and --crl want a file of the authority";
            return Err(Failed::new(Code::Usage, what));
        }
        let waiting = store.list(Kind::Rejected).into_iter().filter_map(|listed| listed.certificate);
        let Some(stranger) = waiting.into_iter().find(|stranger| thumbprint.is_of(stranger.der())) else {
            let what = format!("no stranger has the thumbprint {thumbprint}; `lingate trust list` shows who waits");
            return Err(Failed::new(Code::Usage, what));
        };
        let added = stored(kind, stranger.der())?;
        let forgotten = store.remove(Kind::Rejected, &thumbprint);
        forgotten.map_err(|error| Failed::io("remove from", store.folder(), &error))?;
        return Ok(format!("{added} {} is trusted from the next connection on", stranger.subject()));
    }
    let path = Path::new(what);
    let bytes = files::read(path).map_err(|error| Failed::io("read", path, &error))?;
    if kind == Kind::Revocations {
        let added = stored(kind, &bytes)?;
        return Ok(format!("{added} is the revocation list from the next connection on"));
    }
    let certificate = Certificate::read(&bytes).map_err(|why| {
        Failed::new(Code::Usage, format!("{} is no certificate that can be used: {why}", path.display()))
    })?;
    if kind == Kind::Issuer && !certificate.is_authority() {
        let what = format!("{} is no authority; without --issuer it is trusted for itself", certificate.subject());
        return Err(Failed::new(Code::Usage, what));
    }
    let added = stored(kind, certificate.der())?;
    Ok(format!("{added} {} is trusted from the next connection on", certificate.subject()))
}

fn reject(store: &Store, thumbprint: &Thumbprint) -> Result<String, Failed> {
    for (kind, _) in KINDS {
        let removed =
            store.remove(kind, thumbprint).map_err(|error| Failed::io("remove from", store.folder(), &error))?;
        if let Some(certificate) = removed {
            return Ok(match kind {
                Kind::Rejected => {
                    format!("{} is forgotten; it comes again when its server is asked", certificate.subject())
                }
                _ => format!("{} is believed no longer, from the next connection on", certificate.subject()),
            });
        }
    }
    Err(Failed::new(Code::Usage, format!("nobody has the thumbprint {thumbprint}; `lingate trust list` shows all")))
}

fn parse(thumbprint: &str) -> Result<Thumbprint, Failed> {
    thumbprint.parse().map_err(|why| Failed::new(Code::Usage, format!("{thumbprint:?} {why}")))
}

fn listed(store: &Store) -> Vec<(&'static str, Listed)> {
    KINDS.iter().flat_map(|(kind, word)| store.list(*kind).into_iter().map(|listed| (*word, listed))).collect()
}

fn in_words(store: &Store, now: UtcMicros) -> String {
    let lines = listed(store).into_iter().map(|(word, listed)| match listed.certificate {
        Some(certificate) => {
            let days = certificate.days_left(now);
            format!("{word:<12} {}  {}  {days} days left\n", certificate.sha256(), certificate.subject())
        }
        None => format!("{word:<12} {}\n", listed.path.display()),
    });
    let lines: String = lines.collect();
    let own = lingate_drivers::opcua::own_certificate(store);
    let own = own.map(|(path, own)| {
        let days = own.days_left(now);
        format!("own          {}  {}  {days} days left  {}\n", own.sha256(), own.subject(), path.display())
    });
    let lines = lines + &own.unwrap_or_default();
    if lines.is_empty() { "nobody is trusted, and nobody waits\n".to_owned() } else { lines }
}

fn as_json(store: &Store, now: UtcMicros) -> String {
    let entries: Vec<_> = listed(store)
        .into_iter()
        .map(|(word, listed)| {
            let certificate = listed.certificate.map(|certificate| ShownCertificate::of(&certificate, now));
            json!({ "state": word, "path": listed.path, "certificate": certificate })
        })
        .collect();
    let own = lingate_drivers::opcua::own_certificate(store)
        .map(|(path, own)| json!({ "path": path, "certificate": ShownCertificate::of(&own, now) }));
    format!("{:#}\n", json!({ "certificates": entries, "own": own }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_no_authority_and_no_revocation_list_by_its_thumbprint() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::of(home.path());
        let thumbprint = Thumbprint::sha256(b"stranger").to_string();
        for (kind, expected) in [
            (Kind::Issuer, "want a file of the authority"),
            (Kind::Revocations, "want a file of the authority"),
            (Kind::Trusted, "no stranger has the thumbprint"),
        ] {
            let refused = add(&store, kind, &thumbprint).unwrap_err();
            assert!(refused.message.contains(expected), "{}", refused.message);
        }
        assert!(!store.folder().exists(), "nothing was stored");
    }
}
