//! A copy of the drivers' folder, which vanishes with its owner: certificates are believed as the gateway believes them,
//! and what a driver writes is written nowhere.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::files;

/// Levels below the folder, and files in all of it.
const DEPTH: usize = 6;
const FILES_MAX: usize = 10_000;
const NAME: &str = "lingate-preview-";

pub(crate) struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Of a folder that may be missing.
    pub(crate) fn of(folder: &Path) -> io::Result<Copy> {
        let temporary = std::env::temp_dir();
        sweep(&temporary);
        let copy = temporary.join(format!("{NAME}{}", std::process::id()));
        // One that is there already may be somebody else's.
        DirBuilder::new().mode(0o700).create(&copy)?;
        let copy = Copy { folder: copy };
        let mut files = FILES_MAX;
        match fs::symlink_metadata(folder) {
            Ok(_) => copy_all(folder, &copy.folder, DEPTH, &mut files)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(copy)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes what previews of this user left that were killed or lost their power.
fn sweep(temporary: &Path) {
    let is_left = |path: &Path| {
        let process = path.file_name()?.to_str()?.strip_prefix(NAME)?.parse::<u32>().ok()?;
        let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir)?;
        let is_ours = Some(found.uid()) == files::user();
        (is_ours && !Path::new(&format!("/proc/{process}")).exists()).then_some(())
    };
    let entries = fs::read_dir(temporary).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.filter(|path| is_left(path).is_some()).for_each(|path| drop(fs::remove_dir_all(path)));
}

/// Plain files and folders; nothing is followed.
fn copy_all(from: &Path, to: &Path, depth: usize, files: &mut usize) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        *files = files.checked_sub(1).ok_or_else(|| io::Error::other("it holds too many files"))?;
        if kind.is_dir() && depth > 0 {
            DirBuilder::new().mode(0o700).create(&target)?;
            copy_all(&entry.path(), &target, depth - 1, files)?;
        } else if kind.is_file() {
            files::create_secret(&target, &files::read(&entry.path())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_the_files_and_vanishes() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("opcua/own")).unwrap();
        fs::write(home.path().join("opcua/own/cert.der"), b"certificate").unwrap();
        let copy = Copy::of(home.path()).unwrap();
        let folder = copy.folder().to_owned();
        assert_eq!(fs::read(folder.join("opcua/own/cert.der")).unwrap(), b"certificate");
        drop(copy);
        assert!(!folder.exists());
        assert!(Copy::of(&home.path().join("missing")).is_ok());
    }

    #[test]
    fn what_a_killed_preview_left_is_removed_and_a_living_ones_is_not() {
        let home = tempfile::tempdir().unwrap();
        // No process has a number that high (Linux: at most 2^22).
        let names = [format!("{NAME}4294967295"), format!("{NAME}{}", std::process::id()), "others".to_owned()];
        names.iter().for_each(|name| fs::create_dir(home.path().join(name)).unwrap());
        fs::write(home.path().join(&names[0]).join("key.pem"), b"key").unwrap();
        sweep(home.path());
        assert_eq!(names.map(|name| home.path().join(name).exists()), [false, true, true]);
    }
}
