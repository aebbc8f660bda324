//! Reading and writing the few files of the gateway's identity, with bounds and modes.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use lingate_config::Credential;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// No certificate, key, root or bundle that lingate accepts is larger.
pub(crate) const LARGEST: u64 = 1 << 20;

/// All bytes of a regular file of at most [`LARGEST`] bytes.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, LARGEST)
}

/// All bytes of a regular file of at most `most` bytes.
pub(crate) fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // O_NONBLOCK of Linux: the opening of a pipe would wait for somebody who writes into it.
    let file = OpenOptions::new().read(true).custom_flags(0o4000).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The file of a credential: `credential:NAME` is one in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
pub(crate) fn credential_path(credential: &Credential) -> Result<PathBuf, String> {
    match credential {
        Credential::File(path) => Ok(path.clone()),
        Credential::Systemd(name) => match env::var_os("CREDENTIALS_DIRECTORY") {
            Some(directory) => Ok(PathBuf::from(directory).join(name)),
            None => Err(format!(
                "credential {name:?} is not there, because CREDENTIALS_DIRECTORY is not set: it comes from systemd, with \
                 LoadCredential={name}:/path in the unit"
            )),
        },
    }
}

/// The bytes of a device's secret, or what stands in the way and what to do.
pub(crate) fn secret(credential: &Credential) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = credential_path(credential)?;
    if let Ok(Some(why)) = exposed(&path, 0o077, false) {
        return Err(format!("{} {why}: chmod 600 it", path.display()));
    }
    read(&path).map(Zeroizing::new).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// Why a file that holds a secret must not be used, if so.
pub(crate) fn exposed(path: &Path, forbidden: u32, own: bool) -> io::Result<Option<String>> {
    let entry = if own { fs::symlink_metadata(path)? } else { fs::metadata(path)? };
    if own && entry.is_symlink() {
        return Ok(Some("is a symbolic link".to_owned()));
    }
    let mode = entry.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Ok(Some(format!("has mode {mode:04o}, so others than its owner may use it")));
    }
    // Root looks on behalf of the daemon's user, to whom the folder belongs.
    let (uid, who) = match heir(path)? {
        Some((uid, _)) => (uid, "to whom its folder belongs"),
        None => (user().unwrap_or(entry.uid()), "who runs this"),
    };
    if own && entry.uid() != uid {
        return Ok(Some(format!("belongs to user {} and not to {uid}, {who}", entry.uid())));
    }
    Ok(None)
}

/// To whom something new at `path` has to belong: what root puts into somebody's folder is theirs, because the daemon,
/// which is not root, has to read it. `None`: to whoever makes it.
fn heir(path: &Path) -> io::Result<Option<(u32, u32)>> {
    if user() != Some(0) {
        return Ok(None);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(folder)?;
    Ok((owner.uid() != 0).then_some((owner.uid(), owner.gid())))
}

/// The number of the user who runs this.
pub(crate) fn user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|process| process.uid())
}

/// Creates a file with mode 0600 that did not exist, and syncs it. Never overwrites.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    before(Call::Write(path))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some((user, group)) = heir(path)? {
        fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(bytes)?;
    before(Call::Sync(path))?;
    sync(&file)?;
    sync_parent(path)
}

/// Replaces files durably and in this order: after a crash each is the old or the new one, and none is new before the
/// ones ahead of it are. All new bytes are on disk before the first is replaced, so that a full disk changes nothing.
pub(crate) fn replace_all(files: &[(PathBuf, &[u8])]) -> io::Result<()> {
    for (path, bytes) in files {
        write_draft(path, bytes)?;
    }
    for (path, _) in files {
        rename(&draft(path), path)?;
    }
    Ok(())
}

/// Durable, if both are in one folder.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    before(Call::Rename(from, to))?;
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Durable. That it was not there is an error like every other.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    before(Call::Remove(path))?;
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Where the new bytes of a file are until they replace it.
/// Behind the whole name: files that differ in their extensions have drafts of their own, and no stranger's file is one.
pub(crate) fn draft(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".draft");
    PathBuf::from(name)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match remove(&draft(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_secret(&draft(path), bytes),
    }
}

/// A directory with mode 0700, made if it is missing, and then durable.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        directory(parent)?;
    }
    before(Call::MakeDirectory(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
        Ok(()) => {
            if let Some((user, group)) = heir(path)? {
                lchown(path, Some(user), Some(group))?;
            }
        }
    }
    sync_parent(path)
}

/// Makes the entries of its folder durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    before(Call::SyncParent(path))?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync(&File::open(parent)?),
        None => sync(&File::open(".")?),
    }
}

/// Tests cut the power by other means, a thousand times.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

/// What changes the disk, or makes a change durable.
#[derive(Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look at it"))]
enum Call<'a> {
    Write(&'a Path),
    Sync(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    MakeDirectory(&'a Path),
    SyncParent(&'a Path),
}

/// Called before each of them, so that a test can cut the power there.
#[cfg(not(test))]
fn before(_: Call<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use crash::before;

/// Power cuts for tests: after any call, with and without what was not yet durable.
#[cfg(test)]
pub(crate) mod crash;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_secret_is_created_once_and_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("signing.pk8");
        create_secret(&path, b"first").unwrap();
        assert_eq!(create_secret(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(exposed(&path, 0o077, true).unwrap(), None);
    }

    #[test]
    fn a_secret_that_others_may_read_or_that_is_a_link_is_exposed() {
        let home = tempfile::tempdir().unwrap();
        let (path, link) = (home.path().join("key"), home.path().join("link"));
        create_secret(&path, b"key").unwrap();
        symlink(&path, &link).unwrap();
        assert_eq!(exposed(&link, 0o077, true).unwrap().unwrap(), "is a symbolic link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(exposed(&path, 0o077, true).unwrap().unwrap().contains("mode 0644"));
    }

    #[test]
    fn what_root_puts_into_somebodys_folder_is_theirs() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        directory(&state).unwrap();
        if lchown(&state, Some(65_534), Some(65_534)).is_err() {
            // Only root gives away; for everybody else there is nothing to see.
            assert!(heir(&state.join("new")).unwrap().is_none());
            return;
        }
        let order = state.join("veto/everything");
        directory(order.parent().unwrap()).unwrap();
        replace_all(&[(order.clone(), b"")]).unwrap();
        create_secret(&state.join("key"), b"key").unwrap();
        for made in [order.parent().unwrap(), &order, &state.join("key")] {
            assert_eq!(fs::metadata(made).unwrap().uid(), 65_534, "{}", made.display());
        }
        assert_eq!(exposed(&state.join("key"), 0o077, true).unwrap(), None);
        lchown(state.join("key"), Some(0), Some(0)).unwrap();
        assert!(exposed(&state.join("key"), 0o077, true).unwrap().unwrap().contains("to whom its folder belongs"));
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("large");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(read(home.path()).is_err());
    }

    #[test]
    fn a_replaced_file_leaves_no_draft() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("current.jws.json");
        replace_all(&[(path.clone(), b"one")]).unwrap();
        replace_all(&[(path.clone(), b"two")]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        let own = home.path().join("report.draft");
        fs::write(&own, b"a person's").unwrap();
        replace_all(&[(home.path().join("report.bin"), b"one")]).unwrap();
        assert_eq!(fs::read(&own).unwrap(), b"a person's");
    }

    #[test]
    fn of_several_files_none_is_replaced_if_one_cannot_be_written() {
        let home = tempfile::tempdir().unwrap();
        let (first, second) = (home.path().join("accepted.json"), home.path().join("current.jws.json"));
        replace_all(&[(first.clone(), b"one"), (second.clone(), b"one")]).unwrap();
        fs::create_dir(draft(&second)).unwrap();
        assert!(replace_all(&[(first.clone(), b"two"), (second.clone(), b"two")]).is_err());
        assert_eq!((fs::read(&first).unwrap(), fs::read(&second).unwrap()), (b"one".to_vec(), b"one".to_vec()));
    }
}
