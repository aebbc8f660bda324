//! Landlock: the process opens what its configuration names, and nothing else of this machine. It starts no program.
//!
//! Folders and not files: certificates, keys and configuration are replaced by new files with the old names. A reload
//! that names a file elsewhere needs a restart, because what was given up does not come back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, path_beneath_rules,
};
use lingate_config::{HealthListen, KeyPlace, Plan};
use lingate_drivers::Opens;

use super::Barrier;
use crate::files::credential_path;

const NAME: &str = "files";
/// Names of hosts and their servers, time of the last synchronisation, libraries that look names up. No secret of another
/// program is among them that its mode does not keep from lingate's user.
const OF_THE_SYSTEM: [&str; 7] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/run/systemd", "/run/resolvconf"];
/// Kernel 6.10. What an older one does not know of it is left out, down to 5.19.
const KNOWN: ABI = ABI::V5;

/// What the process may open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folders {
    reads: BTreeSet<PathBuf>,
    writes: BTreeSet<PathBuf>,
    ports: BTreeSet<PathBuf>,
    /// The manufacturer's library opens files that only it knows.
    has_token: bool,
    health: Option<u16>,
}

impl Folders {
    pub(crate) fn of(config: &Path, plan: &Plan) -> Folders {
        let mut folders = Folders { reads: OF_THE_SYSTEM.map(PathBuf::from).into(), ..Folders::default() };
        // The log of exports, and status, tell which program runs.
        folders.reads.extend(std::env::current_exe());
        folders.read(config);
        folders.read(&plan.sandbox.ca);
        folders.read(&plan.sandbox.certificate);
        plan.sandbox.crl.iter().for_each(|path| folders.read(path));
        match &plan.sandbox.key {
            KeyPlace::File(credential) => credential_path(credential).iter().for_each(|path| folders.read(path)),
            KeyPlace::Token(_) => folders.has_token = true,
        }
        folders.has_token |= plan.sandbox.signing_key.is_some();
        folders.writes.insert(plan.state_dir.clone());
        match &plan.health {
            HealthListen::Tcp(address) => folders.health = Some(address.port()),
            HealthListen::Unix(socket) => folders.writes.extend(parent(socket)),
        }
        plan.devices.iter().flat_map(|plan| plan.device.opens()).for_each(|opens| folders.open(&opens));
        folders
    }

    pub(crate) fn has_token(&self) -> bool {
        self.has_token
    }

    /// Its folder, and where it leads.
    fn read(&mut self, file: &Path) {
        self.reads.extend(parent(file));
        self.reads.extend(file.canonicalize().ok().as_deref().and_then(parent));
    }

    fn open(&mut self, opens: &Opens) {
        match opens {
            Opens::File(path) => self.read(path),
            Opens::Secret(credential) => credential_path(credential).iter().for_each(|path| self.read(path)),
            // A port that is unplugged and plugged in has a new node, perhaps with another name.
            Opens::Port(path) => {
                self.read(path);
                let there = path.canonicalize().ok();
                self.ports.extend(there.as_deref().and_then(parent));
                self.ports.extend(path.starts_with("/dev").then(|| "/dev".into()));
            }
        }
    }

    /// What another configuration needs and this fence does not hold.
    pub(crate) fn missing(&self, other: &Folders) -> Vec<PathBuf> {
        let within = |held: &BTreeSet<PathBuf>, path: &Path| held.iter().any(|held| path.starts_with(held));
        let readable = |path: &Path| [&self.reads, &self.writes, &self.ports].iter().any(|held| within(held, path));
        let reads = other.reads.iter().filter(|path| !readable(path));
        let ports = other.ports.iter().filter(|path| !within(&self.ports, path));
        if self.has_token { Vec::new() } else { reads.chain(ports).cloned().collect() }
    }

    /// For this thread and those that it starts.
    pub(crate) fn close(&self) -> Barrier {
        match self.restrict() {
            Ok(RulesetStatus::NotEnforced) => {
                Barrier::lacks(NAME, "this kernel has no Landlock, or one before 5.19, or it was not started with it")
            }
            Ok(_) if self.has_token => Barrier::stands(NAME, "all, for the PKCS#11 library; no program can be started"),
            Ok(_) => {
                let (reads, writes) = (self.reads.len(), self.writes.len() + self.ports.len());
                let folders = format!("{reads} to read, {writes} to write; no program can be started");
                Barrier::stands(NAME, folders)
            }
            Err(error) => Barrier::lacks(NAME, error.to_string()),
        }
    }

    fn restrict(&self) -> Result<RulesetStatus, RulesetError> {
        let writes = AccessFs::from_all(KNOWN) & !never();
        let reads = AccessFs::from_read(KNOWN) & !never();
        let ports = reads | AccessFs::WriteFile | AccessFs::IoctlDev;
        let root: &[&str] = if self.has_token { &["/"] } else { &[] };
        let ruleset = Ruleset::default()
            // Without it no file could be moved from folder to folder, which the inbox does.
            .set_compatibility(CompatLevel::SoftRequirement)
            .handle_access(AccessFs::Refer)?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::BindTcp)?
            .create()?
            .add_rules(path_beneath_rules(&self.reads, reads))?
            .add_rules(path_beneath_rules(&self.ports, ports))?
            .add_rules(path_beneath_rules(&self.writes, writes))?
            .add_rules(path_beneath_rules(root, writes | AccessFs::IoctlDev))?
            .add_rules(self.health.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp))))?;
        Ok(ruleset.restrict_self()?.ruleset)
    }
}

/// Nothing of lingate does this anywhere.
fn never() -> BitFlags<AccessFs> {
    AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym
        | AccessFs::IoctlDev
}

fn parent(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::fs;

    use super::*;

    fn folders(reads: &Path, writes: &Path) -> Folders {
        Folders { reads: [reads.into()].into(), writes: [writes.into()].into(), ..Folders::default() }
    }

    /// In a thread of its own: what it gives up does not come back.
    fn behind<T: Send + 'static>(folders: Folders, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let thread = std::thread::spawn(move || folders.close().in_force.then(look));
        thread.join().unwrap()
    }

    #[test]
    fn a_file_outside_of_the_folders_is_not_opened_and_no_program_started() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (config, state) = (home.path().join("etc"), home.path().join("state"));
        for folder in [&config, &state] {
            fs::create_dir(folder).unwrap();
        }
        let other = elsewhere.path().join("secret");
        for file in [&config.join("lingate.toml"), &other] {
            fs::write(file, "bytes").unwrap();
        }
        let seen = behind(folders(&config, &state), move || {
            assert_eq!(fs::read(config.join("lingate.toml")).unwrap(), b"bytes");
            fs::write(state.join("a"), "b").unwrap();
            fs::create_dir(state.join("rejected")).unwrap();
            fs::rename(state.join("a"), state.join("rejected/a")).unwrap();
            let denied = [
                fs::read(&other).map(drop),
                fs::read_dir("/").map(drop),
                fs::write(config.join("lingate.toml"), "mine"),
                fs::rename(state.join("rejected/a"), other),
                std::os::unix::fs::symlink("/etc/passwd", state.join("link")),
                std::process::Command::new("/bin/true").spawn().map(drop),
            ];
            denied.map(|outcome| outcome.map_err(|error| error.kind()))
        });
        // A kernel without Landlock has nothing to show.
        if let Some(seen) = seen {
            assert_eq!(seen, [Err(std::io::ErrorKind::PermissionDenied); 6]);
        }
    }

    #[test]
    fn what_a_reload_names_elsewhere_is_missed() {
        let held = folders(Path::new("/etc/lingate"), Path::new("/var/lib/lingate"));
        let needs = |path: &str| held.missing(&folders(Path::new(path), Path::new("/var/lib/lingate"))).len();
        assert_eq!(["/etc/lingate/device", "/var/lib/lingate/x", "/etc", "/opt"].map(needs), [0, 0, 1, 1]);
        let port = Folders { ports: ["/dev".into()].into(), ..held.clone() };
        assert_eq!(held.missing(&port), [PathBuf::from("/dev")]);
        assert!(Folders { has_token: true, ..held }.missing(&port).is_empty());
    }
}
