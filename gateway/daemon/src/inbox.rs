//! The sandbox's bundle: the one in force, and the ones that arrive in `inbox/`.
//!
//! `bundle/current.jws.json` is replaced durably before a bundle is used, and its version before that, so that nothing
//! older than what was ever in force can come back. What is refused goes to `inbox/rejected/` with a file that tells the
//! reason. What comes by the retained topic is put into the inbox first, and judged there by the same rules.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lingate_engine::Input;
use lingate_model::{Clock, GatewayId, UtcMicros};
use lingate_seal::{Bundle, BundleRefused, PreviousBundle, RootSet, VerifiedBundle};
use tokio::sync::{Mutex, mpsc};

use crate::accepted::{Accepted, bundle_path};
use crate::bundle_history::{self, Refusal};
use crate::fault::{Fault, Setting};
use crate::files;
use crate::heart::Message;
use crate::keys::Pinned;
use crate::supervise::Stop;
use crate::tls::cannot_read;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A file that fails while it is younger may still be on its way here.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The newest bundle that came by the topic and was not looked at yet.
pub(crate) type Offered = Arc<std::sync::Mutex<Option<Vec<u8>>>>;

/// What `/status` tells of the bundle that was refused last.
pub(crate) type Refused = Arc<std::sync::Mutex<Option<Refusal>>>;

pub(crate) struct Bundles {
    state_dir: PathBuf,
    gateway: GatewayId,
    pinned: Pinned,
    /// The bundle that was ever in force last, even if it has expired or its file is lost meanwhile.
    accepted: Option<Accepted>,
    current: Option<VerifiedBundle>,
    /// What was said of the files that stay in the inbox.
    told: BTreeMap<PathBuf, String>,
    /// The bytes that came last by the topic.
    offered: Option<[u8; 32]>,
}

/// What became of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In force from here on.
    Installed {
        version: u64,
    },
    Rejected {
        file: String,
        reason: String,
    },
    /// Not valid yet; it stays and is tried again. Found once.
    Waiting {
        file: String,
        reason: String,
    },
}

/// What would become of a file.
pub(crate) enum Verdict {
    Good(Box<VerifiedBundle>),
    /// Its time has not come.
    Later(Box<VerifiedBundle>, String),
    Refused(String),
}

/// Why a file does not come into force.
enum Unfit {
    NotYet(String),
    Refused(String),
}

impl From<BundleRefused> for Unfit {
    fn from(refused: BundleRefused) -> Unfit {
        match refused {
            BundleRefused::NotYetValid { .. } => Unfit::NotYet(refused.to_string()),
            refused => Unfit::Refused(refused.to_string()),
        }
    }
}

impl Bundles {
    /// Reads and verifies the stored bundle. A fault beside the bundles tells why nothing may be sealed, and a bundle in
    /// the inbox can mend it; a fault instead of them, why no bundle may be accepted at all.
    pub(crate) fn open(
        state_dir: &Path,
        pinned: Pinned,
        gateway: &GatewayId,
        utc: UtcMicros,
    ) -> Result<(Bundles, Option<Fault>), Fault> {
        let accepted = Accepted::load(state_dir, &pinned)?;
        let (state_dir, gateway) = (state_dir.to_owned(), gateway.clone());
        let mut bundles =
            Bundles { state_dir, gateway, pinned, accepted, current: None, told: BTreeMap::new(), offered: None };
        let fault = bundles.load(utc).err();
        Ok((bundles, fault))
    }

    fn load(&mut self, utc: UtcMicros) -> Result<(), Fault> {
        let path = bundle_path(&self.state_dir);
        let bytes = match self.unfinished().map_or_else(|| files::read(&path), Ok) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.no_bundle()),
            Err(error) => {
                let hint = "run lingate as the user who owns the state directory";
                return Err(Fault::refuse(Setting::StateDir, cannot_read("bundle", &path, &error), hint));
            }
        };
        if !self.is_accepted(&bytes) {
            return Err(self.stored_refused(&path, "it is not the one that was accepted last"));
        }
        // A bundle that time has passed over still tells what must not come back, and the engine sees by itself that
        // nothing may be sealed for it.
        let verified = self.verify(&bytes, utc).or_else(|refused| match refused {
            BundleRefused::Expired { .. } | BundleRefused::NotYetValid { .. } => {
                self.verify(&bytes, valid_from(&bytes))
            }
            refused => Err(refused),
        });
        self.current = Some(verified.map_err(|refused| self.stored_refused(&path, &refused.to_string()))?);
        Ok(())
    }

    fn is_accepted(&self, bytes: &[u8]) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| accepted.bundle.sha256 == files::sha256(bytes))
    }

    /// The bundle that was accepted last, if a crash kept it from its place.
    fn unfinished(&self) -> Option<Vec<u8>> {
        let draft = files::draft(&bundle_path(&self.state_dir));
        files::read(&draft).ok().filter(|bytes| self.is_accepted(bytes))
    }

    fn finish(&self) {
        let path = bundle_path(&self.state_dir);
        if self.unfinished().is_some()
            && let Err(error) = files::rename(&files::draft(&path), &path)
        {
            tracing::warn!(%error, "the bundle in force could not be put into its place; it is tried again");
        }
    }

    fn verify(&self, bytes: &[u8], utc: UtcMicros) -> Result<VerifiedBundle, BundleRefused> {
        let previous = self.accepted.as_ref().map(|accepted| &accepted.bundle);
        Bundle::verify(bytes, self.roots_for(bytes), previous, &self.gateway, utc)
    }

    /// The bundle that was accepted last is judged as it was then.
    fn roots_for(&self, bytes: &[u8]) -> &RootSet {
        match &self.accepted {
            Some(accepted) if accepted.bundle.sha256 == files::sha256(bytes) => &accepted.judged_by,
            Some(accepted) => &accepted.roots,
            None => &self.pinned.roots,
        }
    }

    fn stored_refused(&self, path: &Path, reason: &str) -> Fault {
        let what = format!("the stored bundle {} is refused: {reason}", path.display());
        let hint = format!("ask the sandbox for its newest bundle and put it into {}", self.inbox().display());
        Fault::refuse(Setting::StateDir, what, hint)
    }

    fn no_bundle(&self) -> Fault {
        let what = match &self.accepted {
            Some(accepted) => format!("the sandbox bundle of version {} is gone", accepted.bundle.version),
            None => "there is no sandbox bundle yet".to_owned(),
        };
        let hint = format!("put the sandbox's newest bundle.jws.json into {}", self.inbox().display());
        Fault::warn(Setting::StateDir, format!("{what}, so nothing may be sealed"), hint)
    }

    pub(crate) fn current(&self) -> Option<&VerifiedBundle> {
        self.current.as_ref()
    }

    /// By the rules of the inbox, without touching anything.
    pub(crate) fn verdict(&self, bytes: &[u8], utc: UtcMicros) -> Verdict {
        let refused = match self.verify(bytes, utc) {
            Ok(bundle) => return Verdict::Good(Box::new(bundle)),
            Err(refused) => refused,
        };
        let later = matches!(refused, BundleRefused::NotYetValid { .. });
        match self.verify(bytes, valid_from(bytes)) {
            Ok(bundle) if later => Verdict::Later(Box::new(bundle), refused.to_string()),
            _ => Verdict::Refused(refused.to_string()),
        }
    }

    /// Verifies what lies in the inbox without touching it: what `run` would install.
    pub(crate) fn look(&mut self, utc: UtcMicros) -> Vec<Found> {
        self.files().iter().filter_map(|path| self.judge(path, utc, false)).collect()
    }

    /// Installs or rejects what lies in the inbox, in the order of the file names.
    pub(crate) fn scan(&mut self, utc: UtcMicros) -> Vec<Found> {
        self.finish();
        let files = self.files();
        self.told.retain(|path, _| files.contains(path));
        files.iter().filter_map(|path| self.judge(path, utc, true)).collect()
    }

    /// Into the inbox, under a name that says where it is from. The same bytes again are not looked at: the topic is
    /// retained, so they come with every connection.
    pub(crate) fn take_offered(&mut self, bytes: &[u8]) {
        let sha256 = files::sha256(bytes);
        if bytes.is_empty() || self.is_accepted(bytes) || self.offered.replace(sha256) == Some(sha256) {
            return;
        }
        let name = format!("topic-{}.json", &crate::software::hex(&sha256)[..16]);
        let put =
            files::directory(&self.inbox()).and_then(|()| files::replace_all(&[(self.inbox().join(name), bytes)]));
        if let Err(error) = put {
            self.offered = None;
            tracing::error!(%error, "a bundle from the broker cannot be put into the inbox; it is taken at the next connection");
        }
    }

    fn judge(&mut self, path: &Path, utc: UtcMicros, keep: bool) -> Option<Found> {
        let verdict = files::read(path)
            .map_err(|error| Unfit::Refused(error.to_string()))
            .and_then(|bytes| Ok((self.verify(&bytes, utc)?, bytes)));
        match verdict {
            Ok((verified, bytes)) => self.install(path, &bytes, verified, keep, utc),
            Err(Unfit::NotYet(reason)) => {
                self.is_new(path, &reason).then(|| Found::Waiting { file: file_name(path), reason })
            }
            Err(Unfit::Refused(_)) if keep && is_young(path, utc) => None,
            Err(Unfit::Refused(reason)) => {
                let file = file_name(path);
                let is_new = !keep || self.reject(path, &file, &reason, utc);
                is_new.then_some(Found::Rejected { file, reason })
            }
        }
    }

    /// `false`: these words were the last ones about this file.
    fn is_new(&mut self, path: &Path, words: &str) -> bool {
        self.told.insert(path.to_owned(), words.to_owned()).is_none_or(|last| last != words)
    }

    /// Durable first, in force second: nothing is used that a crash could take back.
    fn install(
        &mut self,
        path: &Path,
        bytes: &[u8],
        verified: VerifiedBundle,
        keep: bool,
        utc: UtcMicros,
    ) -> Option<Found> {
        let again = self.current.as_ref().is_some_and(|current| current.sha256() == verified.sha256());
        let accepted = self.accepted_by(bytes, &verified);
        if keep
            && !again
            && let Err(error) = accepted.store(&self.state_dir, bytes)
        {
            tracing::error!(%error, "a new sandbox bundle cannot be stored, so the old one stays in force; check the \
                                     state directory's space and owner");
            return None;
        }
        if keep {
            if !again {
                bundle_history::accepted(&self.state_dir, utc, &file_name(path), bytes, &verified);
            }
            self.clear(path);
        }
        let version = verified.version();
        (self.accepted, self.current) = (Some(accepted), Some(verified));
        (!again).then_some(Found::Installed { version })
    }

    /// A bundle that is stored is in force, also if its file cannot leave the inbox.
    fn clear(&mut self, path: &Path) {
        let Err(error) = files::remove(path) else { return };
        if error.kind() != io::ErrorKind::NotFound && self.is_new(path, "in force") {
            let file = path.display();
            tracing::warn!(%error, %file, "the bundle is stored, but its file cannot be removed; remove it by hand");
        }
    }

    fn accepted_by(&self, bytes: &[u8], verified: &VerifiedBundle) -> Accepted {
        Accepted {
            bundle: PreviousBundle { version: verified.version(), sha256: verified.sha256() },
            judged_by: self.roots_for(bytes).clone(),
            roots: verified.roots().clone(),
            root_sha256: self.pinned.sha256.clone(),
        }
    }

    /// `false`: it stays in the inbox, which was told before.
    fn reject(&mut self, path: &Path, file: &str, reason: &str, utc: UtcMicros) -> bool {
        let is_new = self.is_new(path, reason);
        let moved = bundle_history::rejected(&self.state_dir, utc, path, file, reason, is_new);
        let Err(error) = moved else {
            self.told.remove(path);
            return true;
        };
        if is_new {
            tracing::warn!(%error, file, "a refused bundle could not be moved out of the inbox");
        }
        is_new
    }

    /// `*.json` in the inbox, in the order of their names, at most 64 of them.
    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.inbox()) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .take(64)
            .collect();
        files.sort();
        files
    }

    fn inbox(&self) -> PathBuf {
        self.state_dir.join("inbox")
    }
}

/// Looks into the inbox until told to stop. The bundles outlive a restart of this task.
pub(crate) async fn watch(
    bundles: Arc<Mutex<Bundles>>,
    offered: Offered,
    refused: Refused,
    heart: mpsc::Sender<Message>,
    clock: Arc<dyn Clock>,
    mut stop: Stop,
) {
    while stop.pause(LOOK_EVERY).await {
        let (bundles, refused, utc) = (bundles.clone(), refused.clone(), clock.now().utc);
        let offer = offered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let looked = tokio::task::spawn_blocking(move || {
            let mut bundles = bundles.blocking_lock();
            offer.iter().for_each(|bytes| bundles.take_offered(bytes));
            let found = bundles.scan(utc);
            let standing = bundle_history::standing_refusal(&bundles.state_dir);
            *refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = standing;
            let installed = found.iter().any(|found| matches!(found, Found::Installed { .. }));
            (found, bundles.current().filter(|_| installed).cloned())
        });
        let (found, bundle) = looked.await.expect("scanning the inbox does not panic");
        found.iter().for_each(tell);
        if let Some(bundle) = bundle
            && heart.send(Message::Input(Input::Bundle(Box::new(bundle)))).await.is_err()
        {
            return;
        }
    }
}

pub(crate) fn tell(found: &Found) {
    match found {
        Found::Installed { version } => tracing::info!(version, "a new sandbox bundle is in force"),
        Found::Rejected { file, reason } => tracing::error!(
            file,
            reason,
            "a bundle in the inbox is refused and moved to inbox/rejected; the bundle in force stays"
        ),
        Found::Waiting { file, reason } => {
            tracing::warn!(
                file,
                reason,
                "a bundle in the inbox is not in force yet; it stays there and is tried again"
            );
        }
    }
}

/// `nbf` of a stored bundle, whose signatures are verified with it afterwards; 0 if there is none.
pub(crate) fn valid_from(bytes: &[u8]) -> UtcMicros {
    let seconds = || {
        let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(document["payload"].as_str()?).ok()?;
        serde_json::from_slice::<serde_json::Value>(&payload).ok()?["nbf"].as_i64()
    };
    UtcMicros(seconds().unwrap_or(0).saturating_mul(1_000_000))
}

/// When the sandbox signed the bundle that was accepted last; it was verified then.
pub(crate) fn signed(state_dir: &Path) -> Option<UtcMicros> {
    files::read(&bundle_path(state_dir)).ok().map(|bytes| valid_from(&bytes))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_young(path: &Path, utc: UtcMicros) -> bool {
    let Ok(modified) = fs::metadata(path).and_then(|file| file.modified()) else { return false };
    let now = Duration::from_micros(u64::try_from(utc.0).unwrap_or(0));
    let written = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(written).is_some_and(|age| age < SETTLED_AFTER)
}

#[cfg(test)]
mod tests;
