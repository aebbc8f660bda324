#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! A power cut before the nth call of this thread: from there on every call fails and changes nothing.
//!
//! [`Power::back`] gives the disk as it is found afterwards: with everything that was called, or without all that no
//! sync had made durable.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Call;

thread_local! {
    static POWER: RefCell<Option<Power>> = const { RefCell::new(None) };
}

#[derive(Default)]
pub(crate) struct Power {
    calls_left: usize,
    is_cut: bool,
    /// What a cut undoes, the newest last.
    volatile: Vec<Volatile>,
}

enum Volatile {
    /// A file's bytes: half of them were written.
    Bytes(PathBuf),
    /// An entry of a folder: what there was under the name before.
    Entry {
        path: PathBuf,
        was: Option<Vec<u8>>,
    },
    Folder(PathBuf),
}

/// What a cut leaves of calls that no sync followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Everything,
    OnlyDurable,
}

impl Power {
    /// For the calls of this thread.
    pub(crate) fn cut_after(calls: usize) {
        POWER.set(Some(Power { calls_left: calls, ..Power::default() }));
    }

    /// `false`: there were fewer calls, and nothing was cut.
    pub(crate) fn back(found: Found) -> bool {
        let power = POWER.take().unwrap();
        if found == Found::OnlyDurable {
            power.volatile.into_iter().rev().for_each(Volatile::undo);
        }
        power.is_cut
    }

    fn call(&mut self, call: Call<'_>) -> io::Result<()> {
        if self.is_cut || self.calls_left == 0 {
            self.is_cut = true;
            return Err(io::Error::other("the power is cut"));
        }
        self.calls_left -= 1;
        match call {
            Call::Write(path) => {
                self.entry(path);
                self.volatile.push(Volatile::Bytes(path.to_owned()));
            }
            Call::Sync(path) => self.volatile.retain(|it| !matches!(it, Volatile::Bytes(of) if of == path)),
            Call::Rename(from, to) => {
                self.entry(to);
                self.entry(from);
            }
            Call::Remove(path) => self.entry(path),
            Call::MakeDirectory(path) => self.volatile.push(Volatile::Folder(path.to_owned())),
            Call::SyncParent(path) => self.volatile.retain(|it| it.is_bytes() || it.path().parent() != path.parent()),
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) {
        self.volatile.push(Volatile::Entry { path: path.to_owned(), was: fs::read(path).ok() });
    }
}

impl Volatile {
    fn path(&self) -> &Path {
        match self {
            Volatile::Bytes(path) | Volatile::Folder(path) | Volatile::Entry { path, .. } => path,
        }
    }

    fn is_bytes(&self) -> bool {
        matches!(self, Volatile::Bytes(_))
    }

    fn undo(self) {
        match self {
            Volatile::Bytes(path) => {
                let Ok(bytes) = fs::read(&path) else { return };
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            }
            Volatile::Entry { path, was: Some(bytes) } => fs::write(path, bytes).unwrap(),
            Volatile::Entry { path, was: None } => drop(fs::remove_file(path)),
            Volatile::Folder(path) => drop(fs::remove_dir_all(path)),
        }
    }
}

pub(super) fn before(call: Call<'_>) -> io::Result<()> {
    POWER.with_borrow_mut(|power| power.as_mut().map_or(Ok(()), |power| power.call(call)))
}

#[test]
fn a_cut_takes_what_no_sync_made_durable() {
    let home = tempfile::tempdir().unwrap();
    let (path, bytes) = (home.path().join("file.json"), b"12345678");
    for found in [Found::Everything, Found::OnlyDurable] {
        super::replace_all(&[(path.clone(), b"old")]).unwrap();
        let mut seen = Vec::new();
        for calls in 0.. {
            Power::cut_after(calls);
            let replaced = super::replace_all(&[(path.clone(), bytes)]);
            let is_cut = Power::back(found);
            assert_eq!(replaced.is_err(), is_cut);
            let content = fs::read(&path).unwrap();
            assert!(content == b"old" || content == bytes, "{content:?}");
            assert!(is_cut || content == bytes, "what was replaced is there");
            seen.push(content);
            if !is_cut {
                break;
            }
            super::replace_all(&[(path.clone(), b"old")]).unwrap();
        }
        assert!(seen.len() > 4 && seen.contains(&b"old".to_vec()), "{seen:?}");
    }
}
