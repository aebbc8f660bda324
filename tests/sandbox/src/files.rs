//! Files of the authority: written whole or not at all, private ones readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// 0644: certificates, bundles, instructions.
    Everybody,
    /// 0600: private keys and what names them.
    Owner,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Readers::Everybody => 0o644,
            Readers::Owner => 0o600,
        }
    }
}

/// Replaces `path` in one step; a crash leaves the old file or the new one.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>, readers: Readers) -> Result<()> {
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let write_all = || -> std::io::Result<()> {
        // A left-over of a crash may have other permissions.
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&fresh)?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write_all().with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_for_its_owner_only_even_when_it_replaces_a_public_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write(&path, "old", Readers::Everybody).unwrap();
        write(&path, "new", Readers::Owner).unwrap();
        assert_eq!(read_text(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
