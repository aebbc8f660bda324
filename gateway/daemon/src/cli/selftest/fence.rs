use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Finding;
use crate::cli::exit::Code;
use crate::fence::folders::Folders;
use crate::fence::{Barrier, calls, memory};

const AREA: &str = "fence";

/// Puts a thread behind the fence of `lingate run`, and tries from there what an intruder would.
pub(super) fn look() -> Vec<Finding> {
    let thread = std::thread::Builder::new().name("fence".to_owned()).spawn(try_out);
    let outcome = thread.map(std::thread::JoinHandle::join);
    outcome
        .ok()
        .and_then(Result::ok)
        .unwrap_or_else(|| vec![Finding::bad(AREA, Code::Internal, "it cannot be tried out", "tell who made lingate")])
}

fn try_out() -> Vec<Finding> {
    let memory = [memory::no_images(), memory::no_swap()];
    let files = Folders::default().close();
    let read = File::open("/etc/passwd").map(drop);
    let calls = calls::close(calls::Whose::Thread, false);
    let tried = attempts();
    let mut findings: Vec<Finding> = memory.iter().map(plain).collect();
    findings.push(judged(&files, &[("to read /etc/passwd", read)]));
    findings.push(judged(&calls, &tried));
    findings
}

fn attempts() -> Vec<(&'static str, io::Result<()>)> {
    let packets = socket(AddressFamily::PACKET, SocketType::RAW, None);
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None);
    let other = pidfd_open(Pid::INIT, PidfdFlags::empty());
    vec![
        ("to start a program", Command::new("/bin/true").spawn().map(drop)),
        ("to listen", std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
        ("to open a packet socket", packets.map(drop).map_err(io::Error::from)),
        ("to open a netlink socket", netlink.map(drop).map_err(io::Error::from)),
        ("to take hold of another process", other.map(drop).map_err(io::Error::from)),
        ("to change the root", std::os::unix::fs::chroot("/")),
        (
            "to make a link",
            symlink("/", "/tmp/lingate-selftest").inspect(|()| {
                let _ = std::fs::remove_file("/tmp/lingate-selftest");
            }),
        ),
    ]
}

fn plain(barrier: &Barrier) -> Finding {
    let said = format!("{}: {}", barrier.name, barrier.what);
    match barrier.in_force {
        true => Finding::good(AREA, said),
        false => Finding::warning(AREA, said, "`lingate run` works without it, and says so in log and status"),
    }
}

fn judged(barrier: &Barrier, tried: &[(&str, io::Result<()>)]) -> Finding {
    if !barrier.in_force {
        return plain(barrier);
    }
    let was_refused =
        |outcome: &io::Result<()>| matches!(outcome, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
    let through: Vec<&str> = tried.iter().filter(|(_, outcome)| !was_refused(outcome)).map(|(what, _)| *what).collect();
    let said = format!("{}: {}", barrier.name, barrier.what);
    match through.is_empty() {
        true => Finding::good(AREA, format!("{said}; refused: {}", names(tried))),
        false => {
            let hint =
                "the kernel does not do what it promised; rely on the unit's own fence, and tell who made lingate";
            Finding::bad(AREA, Code::Internal, format!("{said}; NOT refused: {}", through.join(", ")), hint)
        }
    }
}

fn names(tried: &[(&str, io::Result<()>)]) -> String {
    tried.iter().map(|(what, _)| *what).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn an_attempt_that_is_not_refused_is_told_by_its_name() {
        let barrier = Barrier { name: "files".to_owned(), in_force: true, what: "2 to read".to_owned() };
        let refused = || Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(judged(&barrier, &[("to read", refused())]).grade, Grade::Good);
        let found = judged(&barrier, &[("to read", refused()), ("to dig", Ok(()))]);
        assert_eq!(found.grade, Grade::Bad(Code::Internal));
        assert!(found.what.ends_with("NOT refused: to dig"), "{}", found.what);
        // Not there is not refused.
        assert_ne!(judged(&barrier, &[("to dig", Err(io::ErrorKind::NotFound.into()))]).grade, Grade::Good);
        let away = Barrier { in_force: false, ..barrier };
        assert_eq!(judged(&away, &[("to dig", Ok(()))]).grade, Grade::Warning);
    }
}
