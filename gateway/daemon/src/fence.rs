//! What the process may do, given up before the first byte from outside is read. Whoever takes over a task of lingate
//! finds no program to start, no file beside its own, no new kind of socket and no memory image.
//!
//! ```text
//!  memory  ──▶ files, keys, token are read ──▶ files ──▶ threads, buffer, health socket ──▶ system calls ──▶ the plant
//!  prctl, mlockall                             Landlock                                     seccomp, all threads
//! ```
//!
//! A barrier that the kernel does not have is told and not insisted upon: the gateway of an old machine reads on, as it
//! always did.

pub(crate) mod calls;
pub(crate) mod folders;
pub(crate) mod memory;

use serde::{Deserialize, Serialize};

/// One part of the fence, and whether it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Barrier {
    pub(crate) name: String,
    pub(crate) in_force: bool,
    /// What it allows, or why it does not stand.
    pub(crate) what: String,
}

impl Barrier {
    fn stands(name: &str, what: impl Into<String>) -> Barrier {
        Barrier { name: name.to_owned(), in_force: true, what: what.into() }
    }

    fn lacks(name: &str, why: impl Into<String>) -> Barrier {
        Barrier { name: name.to_owned(), in_force: false, what: why.into() }
    }

    fn of<E: std::fmt::Display>(name: &str, outcome: Result<String, E>) -> Barrier {
        match outcome {
            Ok(what) => Barrier::stands(name, what),
            Err(why) => Barrier::lacks(name, why.to_string()),
        }
    }
}

/// One line of the log each.
pub(crate) fn tell(barriers: &[Barrier]) {
    for Barrier { name, in_force, what } in barriers {
        match in_force {
            true => tracing::info!("fence: {name}: {what}"),
            false => tracing::warn!("fence: {name} is not in force: {what}"),
        }
    }
}
