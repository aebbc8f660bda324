//! The files beside the lines: checkpoints, cosignatures, and the key that they are checked with.

use std::io;
use std::path::{Path, PathBuf};

use lingate_audit::{Note, Verifier};

use super::folder;
use crate::files;

pub(crate) fn checkpoint_path(state_dir: &Path) -> PathBuf {
    folder(state_dir).join("checkpoint")
}

/// The newest cosigned checkpoint that lies in this file.
pub(super) fn cosigned_path(state_dir: &Path, file: u64) -> PathBuf {
    folder(state_dir).join(format!("{file:08}.cosigned"))
}

pub(crate) fn key_path(state_dir: &Path) -> PathBuf {
    folder(state_dir).join("key.txt")
}

pub(super) fn write_key(state_dir: &Path, key: &Verifier) -> io::Result<()> {
    files::directory(&folder(state_dir))?;
    files::replace_all(&[(key_path(state_dir), format!("{key}\n").as_bytes())])
}

pub(super) fn write(path: PathBuf, note: &Note) -> io::Result<()> {
    files::replace_all(&[(path, note.to_string().as_bytes())])
}

pub(super) fn read(path: &Path) -> Option<Note> {
    Note::parse(&files::read(path).ok()?).ok()
}
