//! The sandbox's word about a gateway's audit log: that it saw one history of it and no other (C2SP tlog-cosignature/v1).
//!
//! ```text
//! gateways/<id>/audit/00000000000000001024.txt    a checkpoint of 1024 lines, signed by the gateway, cosigned here
//! gateways/<id>/audit/forked-<seconds>.txt        a checkpoint that does not continue the newest one: the evidence
//! gateways/<id>/audit/thinned.list                number of lines and root of cosigned checkpoints that are not kept
//! ```
//!
//! The newest checkpoint is on disk before its cosignature leaves.

mod link;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lingate_audit::{
    CHECKPOINT_MAX, Checkpoint, Cosignature, Hash, Note, Signer, Submission, Verifier, from_hex, hex, is_consistent,
};

use crate::authority::KnownGateway;
use crate::files::{self, Readers};
use crate::{Authority, keys};

pub(crate) use link::WitnessLink;

/// Older checkpoints say nothing that newer ones do not; one in so many is kept for its time.
const KEPT: usize = 10_000;
const EVIDENCE_MAX: usize = 64;
const THINNED: &str = "thinned.list";
/// Of the list of those that are not kept; the older half goes.
const THINNED_MAX: usize = 8 << 20;

/// What a submission led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    Cosigned {
        size: u64,
    },
    /// It continues from another checkpoint than the newest one, or is one that was cosigned before and came again: the
    /// gateway is told which the newest is.
    Behind,
    /// Signed by the gateway, and not the history that was cosigned before.
    Forked(String),
    /// Not from an enrolled gateway, or not signed by it.
    Refused(String),
}

/// An answer and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub topic: String,
    pub note: String,
}

/// What is known of one gateway's log.
#[derive(Clone, Debug)]
pub struct WitnessedLog {
    pub gateway: String,
    pub origin: String,
    /// Of the gateway's log, newest first, and then the sandbox's own.
    pub keys: Vec<Verifier>,
    pub newest: Option<(Checkpoint, Cosignature, Note)>,
    pub checkpoints: usize,
    /// Files that prove another history, with what was wrong.
    pub forks: Vec<(PathBuf, String)>,
}

pub struct Witness {
    folder: PathBuf,
    signer: Signer,
}

impl Authority {
    /// Cosigns with the key that signs receipts: the gateways know it from their bundle.
    pub fn witness(&self) -> Result<Witness> {
        let pem = files::read_text(&self.folder().join("receipt.key"))?;
        let signer = Signer::witness(self.sandbox_id(), &keys::ed25519_der_from_pem(&pem)?)?;
        Ok(Witness { folder: self.folder().to_owned(), signer })
    }

    /// What this sandbox vouched for, by gateway.
    pub fn witnessed(&self) -> Result<Vec<WitnessedLog>> {
        let witness = self.witness()?;
        self.known_gateways()?.iter().map(|known| witness.log(known)).collect()
    }
}

impl Witness {
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// Takes what came by a topic. `time`: seconds since 1970.
    pub fn take(&self, topic: &str, payload: &[u8], time: u64) -> Result<(Judged, Option<Reply>)> {
        let Some((tenant, gateway)) = parse(topic) else { return Ok((Judged::Refused("the topic".to_owned()), None)) };
        let known = Authority::open(&self.folder)?.known_gateways()?;
        let known = known.into_iter().find(|known| known.gateway == gateway && known.tenant == tenant);
        let Some(known) = known.filter(|known| known.revoked_at.is_none()) else {
            return Ok((Judged::Refused(format!("{gateway} is not enrolled")), None));
        };
        let log = self.log(&known)?;
        let judged = self.judge(&log, payload, time)?;
        let reply = match &judged {
            Judged::Refused(_) => None,
            _ => self.log(&known)?.newest.map(|(_, _, note)| note.to_string()),
        };
        Ok((judged, reply.map(|note| Reply { topic: format!("lingate/1/{tenant}/{gateway}/r"), note })))
    }

    fn judge(&self, log: &WitnessedLog, payload: &[u8], time: u64) -> Result<Judged> {
        let submission = match Submission::parse(payload) {
            Ok(submission) => submission,
            Err(refused) => return Ok(Judged::Refused(refused.to_string())),
        };
        let signed = log.keys.iter().filter(|key| !key.is_witness());
        let checkpoint = signed.filter_map(|key| Checkpoint::verify(&submission.note, key).ok()).next();
        let Some(checkpoint) = checkpoint else {
            return Ok(Judged::Refused("no key of this gateway signed the checkpoint".to_owned()));
        };
        let (size, root) = (checkpoint.size, checkpoint.root);
        let (old, old_root) = log.newest.as_ref().map_or((0, [0; 32]), |(newest, _, _)| (newest.size, newest.root));
        let fork = if size < old {
            match self.cosigned_root(&log.gateway, size)? {
                Some(known) if known == root => return Ok(Judged::Behind),
                Some(_) => Some(format!("two different histories of {size} lines")),
                None => Some(format!("it has {size} lines and had {old}: it was cut, or restored from a backup")),
            }
        } else if size == old && old > 0 {
            (root != old_root).then(|| format!("two different histories of {size} lines"))
        } else if submission.old != old {
            return Ok(Judged::Behind);
        } else {
            let continues = is_consistent((old, &old_root), (size, &root), &submission.proof);
            (!continues).then(|| format!("its {size} lines do not begin with the {old} that were cosigned"))
        };
        match fork {
            Some(why) => self.keep_evidence(log, &submission, &why, time),
            None => self.cosign(log, submission.note, size, time),
        }
    }

    fn cosign(&self, log: &WitnessedLog, mut note: Note, size: u64, time: u64) -> Result<Judged> {
        Cosignature::add(&mut note, &self.signer, time);
        let folder = self.folder_of(&log.gateway);
        files::create_folder(&folder)?;
        files::write(&folder.join(file_of(size)), note.to_string(), Readers::Everybody)?;
        self.thin_out(&folder, KEPT)?;
        Ok(Judged::Cosigned { size })
    }

    fn keep_evidence(&self, log: &WitnessedLog, submission: &Submission, why: &str, time: u64) -> Result<Judged> {
        let folder = self.folder_of(&log.gateway);
        if log.forks.len() < EVIDENCE_MAX && !log.forks.iter().any(|(_, known)| known == why) {
            let text = format!("{why}\n{}", submission.encode());
            files::write(&folder.join(format!("forked-{time:020}.txt")), text, Readers::Everybody)?;
        }
        Ok(Judged::Forked(why.to_owned()))
    }

    fn log(&self, known: &KnownGateway) -> Result<WitnessedLog> {
        let origin = format!("lingate/{}/{}/audit", known.tenant, known.gateway);
        let folder = self.folder_of(&known.gateway);
        let mut keys = Vec::new();
        for jwk in &known.audit_keys {
            let public = jwk.verifying_key()?.as_ed25519().context("an audit key is Ed25519")?;
            keys.push(Verifier::log(&origin, public)?);
        }
        keys.push(self.signer.verifier().clone());
        let names = names(&folder)?;
        let sizes: Vec<&String> =
            names.iter().filter(|name| name.bytes().take(20).all(|b| b.is_ascii_digit())).collect();
        let newest = sizes.last().map(|name| self.read(&folder.join(name))).transpose()?;
        let forks = names.iter().filter(|name| name.starts_with("forked-")).map(|name| evidence(&folder.join(name)));
        Ok(WitnessedLog {
            gateway: known.gateway.clone(),
            origin,
            keys,
            checkpoints: sizes.len(),
            newest,
            forks: forks.collect::<Result<_>>()?,
        })
    }

    /// Of a checkpoint that was cosigned when it was the newest.
    fn cosigned_root(&self, gateway: &str, size: u64) -> Result<Option<Hash>> {
        let folder = self.folder_of(gateway);
        let path = folder.join(file_of(size));
        if path.exists() {
            return Ok(Some(self.read(&path)?.0.root));
        }
        let list = fs::read_to_string(folder.join(THINNED)).unwrap_or_default();
        let of_size = |line: &str| line.strip_prefix(&format!("{size} ")).and_then(from_hex);
        Ok(list.lines().find_map(of_size))
    }

    fn read(&self, path: &Path) -> Result<(Checkpoint, Cosignature, Note)> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let note = Note::parse(&bytes).with_context(|| path.display().to_string())?;
        let cosignature = Cosignature::verify(&note, self.signer.verifier());
        let cosignature = cosignature.with_context(|| format!("{}: our own cosignature", path.display()))?;
        Ok((Checkpoint::of(&note)?, cosignature, note))
    }

    /// The older half loses every second one; its root stays known.
    fn thin_out(&self, folder: &Path, kept: usize) -> Result<()> {
        let names = names(folder)?;
        let sizes: Vec<&String> = names.iter().filter(|name| !name.starts_with("forked-")).collect();
        if sizes.len() <= kept {
            return Ok(());
        }
        let thinned = || sizes[..kept / 2].iter().skip(1).step_by(2).map(|name| folder.join(name));
        let mut list = fs::read_to_string(folder.join(THINNED)).unwrap_or_default();
        for path in thinned() {
            let (checkpoint, _, _) = self.read(&path)?;
            list += &format!("{} {}\n", checkpoint.size, hex(&checkpoint.root));
        }
        if list.len() > THINNED_MAX {
            list = list.split_off(list[..list.len() / 2].rfind('\n').map_or(0, |at| at + 1));
        }
        files::write(&folder.join(THINNED), list, Readers::Everybody)?;
        thinned().try_for_each(fs::remove_file).map_err(Into::into)
    }

    fn folder_of(&self, gateway: &str) -> PathBuf {
        self.folder.join("gateways").join(gateway).join("audit")
    }
}

fn file_of(size: u64) -> String {
    format!("{size:020}.txt")
}

/// Tenant and gateway of `lingate/1/{tenant}/{gateway}/a`.
fn parse(topic: &str) -> Option<(&str, &str)> {
    let (tenant, gateway) = topic.strip_prefix("lingate/1/")?.strip_suffix("/a")?.split_once('/')?;
    (!gateway.contains('/')).then_some((tenant, gateway))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".txt")).collect();
    names.sort();
    Ok(names)
}

fn evidence(path: &Path) -> Result<(PathBuf, String)> {
    let text = files::read_text(path)?;
    Ok((path.to_owned(), text.lines().next().unwrap_or_default().to_owned()))
}

/// A submission is never larger.
pub(crate) const SUBMISSION_MAX: usize = CHECKPOINT_MAX;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::InitOptions;

    #[test]
    fn what_was_cosigned_is_known_also_when_it_is_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let mut authority = Authority::init(&home.path().join("sandbox"), &InitOptions::default()).unwrap();
        let gateway = authority.enroll_for_test("gw-0001", "acme").unwrap();
        let (witness, origin) = (authority.witness().unwrap(), "lingate/acme/gw-0001/audit".to_owned());
        let signer = Signer::log(&origin, &gateway.audit_pkcs8).unwrap();
        let log = || authority.witnessed().unwrap().remove(0);
        let root = |size: u64| [size as u8; 32];
        for size in 1..=9 {
            let note = Checkpoint { origin: origin.clone(), size, root: root(size) }.sign(&signer);
            witness.cosign(&log(), note, size, 1).unwrap();
        }
        let folder = witness.folder_of("gw-0001");
        witness.thin_out(&folder, 8).unwrap();
        assert_eq!(log().checkpoints, 7);
        for size in 1..=9 {
            assert_eq!(witness.cosigned_root("gw-0001", size).unwrap(), Some(root(size)));
        }
        assert_eq!(witness.cosigned_root("gw-0001", 10).unwrap(), None);
    }
}
