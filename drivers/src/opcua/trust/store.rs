use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Certificate, Thumbprint};

/// `{folder}/opcua`, where `folder` is the one of the site.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What a file in the store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Trusted,
    Issuer,
    Revocations,
    Rejected,
}

/// A file of the store.
#[derive(Clone, Debug)]
pub struct Listed {
    pub kind: Kind,
    pub path: PathBuf,
    /// `None`: a revocation list, or a file that cannot be read as a certificate.
    pub certificate: Option<Certificate>,
}

const REJECTED_MAX: usize = 20;
const REJECTED_BYTES_MAX: u64 = 256 << 10;
/// More files of one kind are not looked at.
const FILES_MAX: usize = 1000;
/// A revocation list of a large plant; certificates are far smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Kind::Trusted => "trusted",
            Kind::Issuer => "issuers",
            Kind::Revocations => "crl",
            Kind::Rejected => "rejected",
        }
    }
}

impl Store {
    /// `devices` is the site's folder. Nothing is created before something is stored.
    pub fn of(devices: &Path) -> Store {
        Store { folder: devices.join("opcua") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn list(&self, kind: Kind) -> Vec<Listed> {
        let read = |path: PathBuf| {
            let certificate = read_bounded(&path).ok().and_then(|bytes| Certificate::read(&bytes).ok());
            Listed { kind, path, certificate }
        };
        self.files(kind).into_iter().map(read).collect()
    }

    pub(crate) fn trusts(&self, certificate: &Certificate) -> bool {
        self.list(Kind::Trusted).iter().any(|listed| listed.certificate.as_ref() == Some(certificate))
    }

    pub(crate) fn issuers(&self) -> Vec<Certificate> {
        self.list(Kind::Issuer).into_iter().filter_map(|listed| listed.certificate).collect()
    }

    pub(crate) fn revocations(&self) -> Vec<Vec<u8>> {
        self.files(Kind::Revocations).iter().filter_map(|path| read_bounded(path).ok()).map(unarmoured).collect()
    }

    /// Stores bytes under the name of their thumbprint, which is returned.
    pub fn add(&self, kind: Kind, bytes: &[u8]) -> io::Result<Thumbprint> {
        let thumbprint = Thumbprint::sha256(bytes);
        let suffix = if kind == Kind::Revocations { "crl" } else { "der" };
        let folder = self.make(kind.folder())?;
        replace(&folder.join(format!("{thumbprint}.{suffix}")), bytes)?;
        Ok(thumbprint)
    }

    /// Keeps a stranger's certificate, so that somebody can look at it and trust it; the oldest ones make room.
    pub(crate) fn reject(&self, certificate: &Certificate) {
        let name = format!("{}.der", certificate.sha256());
        if self.files(Kind::Rejected).iter().any(|path| path.ends_with(&name)) {
            return;
        }
        self.make_room(certificate.der().len() as u64);
        if let Err(error) = self.add(Kind::Rejected, certificate.der()) {
            tracing::warn!(%error, folder = %self.folder.display(), "an unknown certificate cannot be kept");
        }
    }

    /// The certificate of this thumbprint, which is there no more; `None`: none had it.
    pub fn remove(&self, kind: Kind, thumbprint: &Thumbprint) -> io::Result<Option<Certificate>> {
        let is_meant = |listed: &Listed| {
            listed.certificate.as_ref().is_some_and(|certificate| thumbprint.is_of(certificate.der()))
        };
        let Some(listed) = self.list(kind).into_iter().find(is_meant) else { return Ok(None) };
        fs::remove_file(&listed.path)?;
        Ok(listed.certificate)
    }

    /// A folder of the store, made with mode 0700 if it is missing.
    pub(crate) fn make(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }

    fn files(&self, kind: Kind) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.folder.join(kind.folder())) else { return Vec::new() };
        let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let mut paths: Vec<_> =
            entries.flatten().filter(is_file).map(|entry| entry.path()).filter(|path| !is_draft(path)).take(FILES_MAX).collect();
        paths.sort();
        paths
    }

    fn make_room(&self, bytes: u64) {
        let entry = |path: PathBuf| {
            let about = fs::metadata(&path).ok()?;
            Some((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path))
        };
        let mut files: Vec<_> = self.files(Kind::Rejected).into_iter().filter_map(entry).collect();
        files.sort();
        let mut held: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut count = files.len();
        for (_, length, path) in files {
            if count < REJECTED_MAX && held.saturating_add(bytes) <= REJECTED_BYTES_MAX {
                break;
            }
            if fs::remove_file(path).is_ok() {
                (count, held) = (count - 1, held.saturating_sub(length));
            }
        }
    }
}

fn is_draft(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "draft")
}

/// After a crash the old file is there, or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large"));
    }
    Ok(bytes)
}

/// DER of what may be PEM.
fn unarmoured(bytes: Vec<u8>) -> Vec<u8> {
    match x509_parser::pem::parse_x509_pem(&bytes) {
        Ok((_, pem)) if bytes.starts_with(b"-----") => pem.contents,
        _ => bytes,
    }
}
