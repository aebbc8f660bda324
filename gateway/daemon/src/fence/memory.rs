//! No image of the memory for anybody, on no disk: it holds keys and readings.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use super::Barrier;

/// Neither core files nor the sight of other users' programs (ptrace(2), /proc/PID/mem, environ). For every command: most
/// of them see a key.
pub(crate) fn no_images() -> Barrier {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // The first one counts: what is not dumpable leaves no core, whatever the limit is.
    let kept = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, none);
    Barrier::of("memory images", kept.map(|()| "no core files, not to be traced by its own user".to_owned()))
}

/// Nothing of the memory goes to swap. Only where the limit is lifted: below one, the kernel would refuse the program its
/// next page. Only pages that are used anyway are locked, so that it costs no memory.
pub(crate) fn no_swap() -> Barrier {
    const NAME: &str = "memory in swap";
    if getrlimit(Resource::Memlock).current.is_some() {
        return Barrier::lacks(
            NAME,
            "keys may reach the swap space; lift the limit (LimitMEMLOCK=infinity), or use none",
        );
    }
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    Barrier::of(NAME, locked.map(|()| "all pages are locked".to_owned()))
}
