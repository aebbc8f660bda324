//! The calls by what they are for. `.ci/calls` counts which of them are made, over whole test programs.

use libc::c_long;
use seccompiler::SeccompRule;

use super::argument;
use crate::clock;

/// Whatever their arguments are.
const PLAIN: &[&[c_long]] = &[FILES, MEMORY, NETWORK, WAITING, THREADS, OLDER, clock::CALLS];

const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_statx,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_unlinkat,
    // Serial ports and sockets.
    libc::SYS_ioctl,
];

/// Without `mremap`: the C library copies where it is refused.
const MEMORY: &[c_long] = &[libc::SYS_munmap, libc::SYS_madvise, libc::SYS_brk];

/// Sockets of known kinds are made and connected; nothing begins to listen.
const NETWORK: &[c_long] = &[
    libc::SYS_connect,
    // Modbus over UDP.
    libc::SYS_bind,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    // Looking names up.
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

const WAITING: &[c_long] =
    &[libc::SYS_epoll_ctl, libc::SYS_futex, libc::SYS_restart_syscall, libc::SYS_getrandom, libc::SYS_sched_yield];

const THREADS: &[c_long] = &[
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_uname,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // A panic within a panic: abort(3).
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_readlink,
];

#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    // renameat (asm-generic/unistd.h), which the library does not name.
    38,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_readlinkat,
];

/// With 32 bits many calls are there twice, for large files and for times after 2038.
#[cfg(target_arch = "arm")]
const OLDER: &[c_long] = &[
    libc::SYS_fstat64,
    libc::SYS_fstatat64,
    libc::SYS_fcntl64,
    libc::SYS__llseek,
    libc::SYS_ftruncate64,
    // ppoll_time64 and futex_time64 (asm-generic/unistd.h), which the library does not name.
    414,
    422,
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_readlink,
    libc::SYS_send,
    libc::SYS_recv,
    libc::SYS_sigreturn,
];

#[cfg(target_arch = "arm")]
const MAP: c_long = libc::SYS_mmap2;
#[cfg(not(target_arch = "arm"))]
const MAP: c_long = libc::SYS_mmap;

/// By number, with what is allowed of the arguments; nothing said: everything.
pub(super) fn allowed() -> impl Iterator<Item = (c_long, Vec<SeccompRule>)> {
    let plain = PLAIN.iter().flat_map(|calls| calls.iter()).map(|call| (*call, Vec::new()));
    plain.chain([
        (libc::SYS_socket, families()),
        (libc::SYS_fcntl, Vec::new()),
        (MAP, not_writable_and_executable()),
        (libc::SYS_mprotect, not_writable_and_executable()),
        (libc::SYS_clone, vec![argument(0, libc::CLONE_THREAD as u32, libc::CLONE_THREAD as u32)]),
        (libc::SYS_prctl, vec![argument(0, u32::MAX, libc::PR_SET_NAME as u32)]),
    ])
}

fn families() -> Vec<SeccompRule> {
    [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(|family| argument(0, u32::MAX, family as u32)).into()
}

fn not_writable_and_executable() -> Vec<SeccompRule> {
    let (write, execute) = (libc::PROT_WRITE as u32, libc::PROT_EXEC as u32);
    [0, write, execute].map(|allowed| argument(2, write | execute, allowed)).into()
}

/// Programs, other processes, privileges, the kernel itself.
pub(super) const FORBIDDEN: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
];
