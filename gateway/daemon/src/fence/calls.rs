//! seccomp: the system calls that the daemon makes between its start and its end, and no other.
//!
//! A call that is not on the list fails with EPERM and does not kill, as in the unit. A C library of next year may try a
//! newer call first; a gateway that the kernel kills for it would never start again, and one that is told no goes on with
//! the older call. To whoever took the process over it is the same: there is no way to a program or to another socket.
//!
//! With a PKCS#11 token the manufacturer's library runs in this process, whose calls nobody can list. Then what no token
//! needs is forbidden, and everything else allowed.

mod list;

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

use super::Barrier;

const NAME: &str = "system calls";
const ENOSYS: u32 = libc::ENOSYS as u32;
const EPERM: u32 = libc::EPERM as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Of all threads that there are and will be.
    Process,
    /// Of this thread and those that it starts: to try it out.
    Thread,
}

/// What may be called from here on. Nothing takes it back.
pub(crate) fn close(whose: Whose, has_token: bool) -> Barrier {
    let closed = if has_token { forbid(whose) } else { allow(whose) };
    Barrier::of(NAME, closed)
}

fn allow(whose: Whose) -> Result<String, seccompiler::Error> {
    let mut rules: Rules = list::allowed().collect();
    let count = rules.len();
    // So that the answer of the other filter counts.
    rules.insert(libc::SYS_clone3, Vec::new());
    let filter = program(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow)?;
    // First: nothing more can be installed behind the list.
    apply(whose, &unknown()?)?;
    apply(whose, &filter)?;
    Ok(format!("{count} allowed, every other fails with EPERM"))
}

fn forbid(whose: Whose) -> Result<String, seccompiler::Error> {
    let rules: Rules = list::FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    let count = rules.len();
    apply(whose, &program(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM))?)?;
    Ok(format!("{count} forbidden, and all others allowed for the PKCS#11 library"))
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// `clone3` hides from a filter what it starts; a C library that hears that it does not exist takes `clone`.
fn unknown() -> Result<BpfProgram, BackendError> {
    let rules = [(libc::SYS_clone3, Vec::new())].into_iter().collect();
    program(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS))
}

fn apply(whose: Whose, program: &BpfProgram) -> Result<(), seccompiler::Error> {
    match whose {
        Whose::Process => apply_filter_all_threads(program),
        Whose::Thread => apply_filter(program),
    }
}

#[allow(clippy::useless_conversion, reason = "numbers of calls have 32 bits on a machine with 32 bits")]
fn program(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, BackendError> {
    let rules = rules.into_iter().map(|(call, rules)| (i64::from(call), rules)).collect();
    let program = SeccompFilter::new(rules, otherwise, listed, ARCH)?.try_into()?;
    Ok(on_this_machine(program))
}

#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;
#[cfg(not(target_arch = "aarch64"))]
const ARCH: TargetArch = TargetArch::x86_64;

/// The library knows no ARM of 32 bits. Its programs differ between machines in one number: the one that the second
/// instruction compares with the caller's architecture (AUDIT_ARCH_ARM in linux/audit.h: EM_ARM, little-endian).
fn on_this_machine(mut program: BpfProgram) -> BpfProgram {
    const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
    const AUDIT_ARCH_ARM: u32 = 0x4000_0028;
    if cfg!(target_arch = "arm") {
        let instruction = &mut program[1];
        assert_eq!(instruction.k, AUDIT_ARCH_X86_64, "a filter begins with the architecture");
        instruction.k = AUDIT_ARCH_ARM;
    }
    program
}

/// The bits `mask` of an argument, counted from 0, are `value`.
fn argument(number: u8, mask: u32, value: u32) -> SeccompRule {
    let is = SeccompCmpOp::MaskedEq(mask.into());
    let condition = SeccompCondition::new(number, SeccompCmpArgLen::Dword, is, value.into());
    SeccompRule::new(vec![condition.expect("a call has six arguments")]).expect("it has a condition")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_list_is_short_and_nothing_on_it_starts_a_program_or_looks_into_another() {
        let rules: Rules = list::allowed().collect();
        assert!(rules.len() <= 60, "{} system calls", rules.len());
        for call in list::FORBIDDEN {
            assert!(!rules.contains_key(call), "{call} is allowed and forbidden");
        }
        for call in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_bpf, libc::SYS_io_uring_setup] {
            assert!(list::FORBIDDEN.contains(&call) && !rules.contains_key(&call), "{call}");
        }
    }

    #[test]
    fn a_filter_begins_with_the_architecture_where_the_library_does_not_know_it() {
        let program = program(Rules::new(), SeccompAction::Allow, SeccompAction::Errno(EPERM)).unwrap();
        let expected = if cfg!(target_arch = "aarch64") { 0xC000_00B7 } else { 0xC000_003E };
        assert!(cfg!(target_arch = "arm") || program[1].k == expected, "{:#x}", program[1].k);
    }

    #[test]
    fn a_thread_behind_the_list_starts_threads_and_no_programs() {
        let thread = std::thread::spawn(|| {
            let barrier = close(Whose::Thread, false);
            assert!(barrier.in_force, "{}", barrier.what);
            let program = Command::new("/bin/true").spawn().map(drop).map_err(|error| error.kind());
            let link = std::os::unix::fs::symlink("/", "/nowhere/link").map_err(|error| error.kind());
            let listening = std::net::TcpListener::bind("127.0.0.1:0").map(drop).map_err(|error| error.kind());
            let thread =
                std::thread::Builder::new().name("another".to_owned()).spawn(|| 7).map(|it| it.join().unwrap());
            ([program, link, listening], thread.unwrap())
        });
        let (denied, started) = thread.join().unwrap();
        assert_eq!(denied, [Err(ErrorKind::PermissionDenied); 3]);
        assert_eq!(started, 7);
    }

    #[test]
    fn beside_a_token_no_program_is_started_either() {
        let thread = std::thread::spawn(|| {
            assert!(close(Whose::Thread, true).in_force);
            let listening = std::net::TcpListener::bind("127.0.0.1:0").is_ok();
            (Command::new("/bin/true").spawn().map(drop).map_err(|error| error.kind()), listening)
        });
        assert_eq!(thread.join().unwrap(), (Err(ErrorKind::PermissionDenied), true));
    }
}
