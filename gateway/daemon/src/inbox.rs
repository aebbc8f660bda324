//! The sandbox's bundle: the one in force, and the ones that arrive in `inbox/`.
//!
//! `bundle/current.jws.json` is replaced durably before a bundle is used, so that after a crash nothing older than what
//! was ever in force can come back. What is refused goes to `inbox/rejected/` with a file that tells the reason.

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

use crate::fault::{Fault, Setting};
use crate::files;
use crate::heart::Message;
use crate::supervise::Stop;
use crate::tls::cannot_read;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A file that fails while it is younger may still be on its way here.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// Rejected files that are kept; the oldest go.
const REJECTED_KEPT: usize = 32;

pub(crate) struct Bundles {
    state_dir: PathBuf,
    gateway: GatewayId,
    roots: RootSet,
    current: Option<VerifiedBundle>,
    /// Of the bundle that was ever in force last, even if it has expired meanwhile.
    previous: Option<PreviousBundle>,
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
}

impl Bundles {
    /// Reads and verifies the stored bundle. A fault tells why nothing may be sealed.
    pub(crate) fn open(
        state_dir: &Path,
        roots: RootSet,
        gateway: &GatewayId,
        utc: UtcMicros,
    ) -> (Bundles, Option<Fault>) {
        let mut bundles =
            Bundles { state_dir: state_dir.to_owned(), gateway: gateway.clone(), roots, current: None, previous: None };
        let fault = bundles.load(utc).err();
        (bundles, fault)
    }

    fn load(&mut self, utc: UtcMicros) -> Result<(), Fault> {
        let path = self.current_path();
        let bytes = match files::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = format!("put the sandbox's bundle.jws.json into {}", self.inbox().display());
                return Err(Fault::warn(
                    Setting::StateDir,
                    "there is no sandbox bundle yet, so nothing may be sealed",
                    hint,
                ));
            }
            Err(error) => {
                let hint = "run lingate as the user who owns the state directory";
                return Err(Fault::refuse(Setting::StateDir, cannot_read("bundle", &path, &error), hint));
            }
        };
        // A bundle that time has passed over still tells which version must not come back, and the engine sees by itself
        // that nothing may be sealed for it.
        let verify = |utc| Bundle::verify(&bytes, &self.roots, None, &self.gateway, utc);
        let verified = verify(utc).or_else(|refused| match refused {
            BundleRefused::Expired { .. } | BundleRefused::NotYetValid { .. } => verify(valid_from(&bytes)),
            refused => Err(refused),
        });
        match verified {
            Ok(verified) => {
                self.take(verified);
                Ok(())
            }
            Err(refused) => Err(stored_bundle_refused(&path, &self.inbox(), &refused)),
        }
    }

    pub(crate) fn current(&self) -> Option<&VerifiedBundle> {
        self.current.as_ref()
    }

    /// Verifies what lies in the inbox without touching it: what `run` would install.
    pub(crate) fn look(&mut self, utc: UtcMicros) -> Vec<Found> {
        self.files().iter().filter_map(|path| self.judge(path, utc, false)).collect()
    }

    /// Installs or rejects what lies in the inbox, in the order of the file names.
    pub(crate) fn scan(&mut self, utc: UtcMicros) -> Vec<Found> {
        self.files().iter().filter_map(|path| self.judge(path, utc, true)).collect()
    }

    fn judge(&mut self, path: &Path, utc: UtcMicros, keep: bool) -> Option<Found> {
        let verdict = files::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
            let verified = Bundle::verify(&bytes, &self.roots, self.previous.as_ref(), &self.gateway, utc);
            verified.map(|verified| (bytes, verified)).map_err(|refused| refused.to_string())
        });
        match verdict {
            Ok((bytes, verified)) => self.install(path, &bytes, verified, keep),
            Err(_) if keep && is_young(path, utc) => None,
            Err(reason) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if keep {
                    self.reject(path, &file, &reason);
                }
                Some(Found::Rejected { file, reason })
            }
        }
    }

    /// Durable first, in force second: nothing is used that a crash could take back.
    fn install(&mut self, path: &Path, bytes: &[u8], verified: VerifiedBundle, keep: bool) -> Option<Found> {
        let again = self.current.as_ref().is_some_and(|current| current.sha256() == verified.sha256());
        if keep {
            let stored = if again { Ok(()) } else { self.store(bytes) };
            if let Err(error) = stored.and_then(|()| fs::remove_file(path)) {
                tracing::error!(%error, "a new sandbox bundle cannot be stored, so the old one stays in force; \
                                         check the state directory's space and owner");
                return None;
            }
        }
        let version = verified.version();
        self.take(verified);
        (!again).then_some(Found::Installed { version })
    }

    fn take(&mut self, verified: VerifiedBundle) {
        self.previous = Some(PreviousBundle { version: verified.version(), sha256: verified.sha256() });
        self.roots = verified.roots().clone();
        self.current = Some(verified);
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        files::directory(&self.state_dir.join("bundle"))?;
        files::replace(&self.current_path(), bytes)
    }

    fn reject(&self, path: &Path, file: &str, reason: &str) {
        let folder = self.inbox().join("rejected");
        let moved = files::directory(&folder)
            .and_then(|()| fs::rename(path, folder.join(file)))
            .and_then(|()| fs::write(folder.join(format!("{file}.reason.txt")), format!("{reason}\n")));
        if let Err(error) = moved {
            tracing::warn!(%error, file, "a refused bundle could not be moved out of the inbox");
        }
        forget_oldest(&folder);
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

    fn current_path(&self) -> PathBuf {
        self.state_dir.join("bundle/current.jws.json")
    }
}

/// Looks into the inbox until told to stop. The bundles outlive a restart of this task.
pub(crate) async fn watch(
    bundles: Arc<Mutex<Bundles>>,
    heart: mpsc::Sender<Message>,
    clock: Arc<dyn Clock>,
    mut stop: Stop,
) {
    while stop.pause(LOOK_EVERY).await {
        let (bundles, utc) = (bundles.clone(), clock.now().utc);
        let looked = tokio::task::spawn_blocking(move || {
            let mut bundles = bundles.blocking_lock();
            let found = bundles.scan(utc);
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
    }
}

fn stored_bundle_refused(path: &Path, inbox: &Path, refused: &BundleRefused) -> Fault {
    let what = format!("the stored bundle {} is refused: {refused}", path.display());
    let hint = format!("ask the sandbox for a current bundle and put it into {}", inbox.display());
    Fault::refuse(Setting::StateDir, what, hint)
}

/// `nbf` of a stored bundle, whose signatures are verified with it afterwards; 0 if there is none.
fn valid_from(bytes: &[u8]) -> UtcMicros {
    let seconds = || {
        let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(document["payload"].as_str()?).ok()?;
        serde_json::from_slice::<serde_json::Value>(&payload).ok()?["nbf"].as_i64()
    };
    UtcMicros(seconds().unwrap_or(0).saturating_mul(1_000_000))
}

fn is_young(path: &Path, utc: UtcMicros) -> bool {
    let Ok(modified) = fs::metadata(path).and_then(|file| file.modified()) else { return false };
    let now = Duration::from_micros(u64::try_from(utc.0).unwrap_or(0));
    let written = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(written).is_some_and(|age| age < SETTLED_AFTER)
}

fn forget_oldest(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(2 * REJECTED_KEPT);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::Clock;
    use lingate_sandbox::{Authority, InitOptions};

    use super::*;
    use crate::clock::SystemClock;
    use crate::keys;

    struct World {
        home: tempfile::TempDir,
        authority: Authority,
        root_sha256: String,
    }

    impl World {
        fn new() -> World {
            let home = tempfile::tempdir().unwrap();
            let options = InitOptions {
                sandbox_id: "sandbox.test".to_owned(),
                broker_names: vec!["localhost".to_owned()],
                broker_port: 8883,
                policy: None,
            };
            let authority = Authority::init(&home.path().join("sandbox"), &options).unwrap();
            fs::create_dir_all(home.path().join("state/inbox")).unwrap();
            fs::write(home.path().join("state/root.json"), authority.root_json().unwrap()).unwrap();
            let root_sha256 = authority.root_sha256().unwrap();
            World { home, authority, root_sha256 }
        }

        /// The next version.
        fn issue(&mut self) -> Vec<u8> {
            self.authority.enroll_for_test("gw-1", "acme").unwrap().bundle
        }

        /// Dropped an hour ago.
        fn drop_file(&self, name: &str, bytes: &[u8]) {
            let path = self.path(&format!("inbox/{name}"));
            fs::write(&path, bytes).unwrap();
            let old = fs::metadata(&path).unwrap().modified().unwrap() - Duration::from_secs(3600);
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.home.path().join("state").join(name)
        }

        fn open(&self, utc: UtcMicros) -> (Bundles, Option<Fault>) {
            let state_dir = self.home.path().join("state");
            let roots = keys::roots(&state_dir, &self.root_sha256).unwrap();
            Bundles::open(&state_dir, roots, &"gw-1".parse().unwrap(), utc)
        }
    }

    fn today() -> UtcMicros {
        SystemClock::start().now().utc
    }

    fn in_ten_years() -> UtcMicros {
        UtcMicros(today().0 + 10 * 365 * 86_400_000_000)
    }

    #[test]
    fn an_accepted_bundle_is_on_disk_before_it_is_in_force_and_leaves_the_inbox() {
        let mut world = World::new();
        let bundle = world.issue();
        world.drop_file("bundle.jws.json", &bundle);
        let (mut bundles, fault) = world.open(today());
        assert!(fault.unwrap().what.contains("no sandbox bundle yet"));
        assert_eq!(bundles.scan(today()), [Found::Installed { version: 1 }]);
        assert_eq!(fs::read(world.path("bundle/current.jws.json")).unwrap(), bundle);
        assert!(!world.path("inbox/bundle.jws.json").exists());
        assert_eq!(world.open(today()).0.current().unwrap().version(), 1);
    }

    #[test]
    fn an_older_bundle_never_comes_back_even_after_the_newer_one_expired() {
        let mut world = World::new();
        let (first, second) = (world.issue(), world.issue());
        world.drop_file("b.json", &second);
        world.open(today()).0.scan(today());
        for utc in [today(), in_ten_years()] {
            world.drop_file("a.json", &first);
            let (mut bundles, fault) = world.open(utc);
            assert_eq!(fault, None);
            assert!(matches!(&bundles.scan(utc)[..], [Found::Rejected { file, .. }] if file == "a.json"));
            assert_eq!(bundles.current().unwrap().version(), 2);
        }
        assert!(world.path("inbox/rejected/a.json.reason.txt").exists());
    }

    #[test]
    fn a_file_that_is_still_being_copied_is_left_alone() {
        let mut world = World::new();
        let bundle = world.issue();
        fs::write(world.path("inbox/half.json"), &bundle[..bundle.len() / 2]).unwrap();
        let (mut bundles, _) = world.open(today());
        assert_eq!(bundles.scan(today()), []);
        fs::write(world.path("inbox/half.json"), &bundle).unwrap();
        assert_eq!(bundles.scan(today()), [Found::Installed { version: 1 }]);
    }

    #[test]
    fn the_same_bundle_again_changes_nothing() {
        let mut world = World::new();
        let bundle = world.issue();
        let (mut bundles, _) = world.open(today());
        world.drop_file("a.json", &bundle);
        bundles.scan(today());
        world.drop_file("b.json", &bundle);
        assert_eq!(bundles.scan(today()), []);
        assert!(!world.path("inbox/b.json").exists() && !world.path("inbox/rejected").exists());
    }

    #[test]
    fn rejected_files_do_not_pile_up() {
        let world = World::new();
        let (mut bundles, _) = world.open(today());
        for number in 0..3 * REJECTED_KEPT {
            world.drop_file(&format!("{number}.json"), b"{}");
            bundles.scan(today());
        }
        let kept = fs::read_dir(world.path("inbox/rejected")).unwrap().count();
        assert!(kept <= 2 * REJECTED_KEPT, "{kept} files");
    }
}
