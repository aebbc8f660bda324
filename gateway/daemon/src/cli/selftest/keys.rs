use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::cli::exit::Code;
use crate::files;
use crate::words::plural;

const AREA: &str = "permissions";
/// Beside the keys lie what everybody may know.
const PUBLIC: [&str; 2] = ["json", "txt"];
const FILES_MAX: usize = 1_000;

pub(super) fn look(state: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    if files::user() == Some(0) {
        let hint = "the unit's user is lingate; as root every defect is the whole machine's: `runuser -u lingate -- lingate selftest ...`";
        findings.push(Finding::warning(AREA, "this runs as root", hint));
    }
    match fs::symlink_metadata(state) {
        Err(error) => findings.push(unreadable(state, &error)),
        Ok(folder) => {
            findings.push(folder_mode(state, folder.mode() & 0o7777));
            findings.extend(secrets(&state.join("identity")));
        }
    }
    findings
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let code = if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::Io };
    let hint = "run this as lingate's user, after `lingate enroll`";
    Finding::bad(AREA, code, format!("{} cannot be read: {error}", path.display()), hint)
}

fn folder_mode(state: &Path, mode: u32) -> Finding {
    let shown = state.display();
    match mode & 0o077 {
        0 => Finding::good(AREA, format!("{shown} is open to its owner alone (mode {mode:04o})")),
        _ => {
            let what = format!("{shown} has mode {mode:04o}, so others may look into it");
            Finding::bad(AREA, Code::Permission, what, format!("chmod 700 {shown}"))
        }
    }
}

fn secrets(identity: &Path) -> Vec<Finding> {
    let entries = match fs::read_dir(identity) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::warning(AREA, "there are no keys yet", "`lingate enroll` makes them")];
        }
        Err(error) => return vec![unreadable(identity, &error)],
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).take(FILES_MAX).collect();
    paths.retain(|path| path.is_file() || path.is_symlink());
    paths.retain(|path| path.extension().is_none_or(|ending| !PUBLIC.iter().any(|public| ending == *public)));
    paths.sort();
    // As root every file belongs to somebody else.
    let own = files::user() != Some(0);
    let bad: Vec<Finding> = paths.iter().filter_map(|path| secret(path, own)).collect();
    match bad.is_empty() {
        true => vec![Finding::good(AREA, format!("{} for their owner alone", plural(paths.len(), "key file")))],
        false => bad,
    }
}

fn secret(path: &Path, own: bool) -> Option<Finding> {
    match files::exposed(path, 0o077, own) {
        Ok(None) => None,
        Ok(Some(why)) => {
            let what = format!("{} {why}", path.display());
            let hint = format!("chmod 600 {0}; if others could read it, enrol anew", path.display());
            Some(Finding::bad(AREA, Code::Permission, what, hint))
        }
        Err(error) => Some(unreadable(path, &error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Grade;
    use super::*;

    #[test]
    fn a_key_or_a_state_that_others_may_read_is_bad() {
        let state = tempfile::tempdir().unwrap();
        let identity = state.path().join("identity");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(state.path(), 0o700);
        fs::create_dir(&identity).unwrap();
        let key = identity.join("signing.key");
        fs::write(&key, "secret").unwrap();
        fs::write(identity.join("root.json"), "public").unwrap();
        mode(&key, 0o600);
        let grades = |path| look(path).into_iter().map(|found| found.grade).filter(|grade| *grade != Grade::Warning);
        assert!(grades(state.path()).all(|grade| grade == Grade::Good));
        mode(&key, 0o640);
        assert_eq!(grades(state.path()).collect::<Vec<_>>(), [Grade::Good, Grade::Bad(Code::Permission)]);
        mode(&key, 0o600);
        mode(state.path(), 0o755);
        assert_eq!(grades(state.path()).collect::<Vec<_>>(), [Grade::Bad(Code::Permission), Grade::Good]);
        assert_eq!(grades(&state.path().join("none")).collect::<Vec<_>>(), [Grade::Bad(Code::Io)]);
    }
}
