//! `clone3(2)` and `clone(2)` as a fork that says more: into a control group, into namespaces, with a pidfd.
//!
//! Only single-threaded programs may use these: the child is a copy of the one thread, so no lock of the allocator or
//! of the runtime can be held by a thread that is not there.

use super::{check, own};
use nix::sched::CloneFlags;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The new process.
    Child,
    /// The old one, with a close-on-exec pidfd of the child and the child's number in our PID namespace.
    Parent {
        /// The child.
        pidfd: OwnedFd,
        /// Its number.
        pid: i32,
    },
}

/// `clone3(2)`: forks into new namespaces and, from its first instruction, into `cgroup` (a version 2 directory).
///
/// # Errors
/// As `clone3(2)`.
pub(crate) fn fork_into(namespaces: CloneFlags, cgroup: BorrowedFd<'_>) -> io::Result<Side> {
    const CLONE_PIDFD: u64 = 0x1000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    let namespaces = u64::try_from(namespaces.bits()).map_err(io::Error::other)?;
    let arguments = Clone3Arguments {
        flags: namespaces | CLONE_PIDFD | CLONE_INTO_CGROUP,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        cgroup: u64::from(cgroup.as_raw_fd().unsigned_abs()),
        ..Clone3Arguments::default()
    };
    // SAFETY: the structure is as the kernel's `struct clone_args` and lives through the call; no stack and no shared
    // memory is asked for, so the child is a plain copy, like after fork(2).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<Clone3Arguments>()) };
    finish(check(result)?, pidfd)
}

/// `struct clone_args` of linux/sched.h, version 2.
#[repr(C)]
#[derive(Default)]
struct Clone3Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `clone(2)`: forks, with a pidfd, and into a new user namespace if `namespaces` says so. Unlike `clone3` its flags
/// can be filtered, so this is the call that PID 1 may still make under its own filter.
///
/// # Errors
/// As `clone(2)`.
pub(crate) fn fork(namespaces: CloneFlags) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    let flags = namespaces.bits() | libc::CLONE_PIDFD | libc::SIGCHLD;
    let no_stack: *const libc::c_void = std::ptr::null();
    // SAFETY: with a null stack and without CLONE_VM the child is a plain copy, like after fork(2); `pidfd` lives
    // through the call, and the parent's thread id slot is where CLONE_PIDFD puts the descriptor.
    let result = unsafe {
        libc::syscall(libc::SYS_clone, libc::c_long::from(flags), no_stack, &raw mut pidfd, no_stack, no_stack)
    };
    finish(check(result)?, pidfd)
}

fn finish(pid: libc::c_long, pidfd: libc::c_int) -> io::Result<Side> {
    if pid == 0 {
        return Ok(Side::Child);
    }
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: in the parent of a successful call with CLONE_PIDFD the kernel has stored a new descriptor there.
    let pidfd = unsafe { own(pidfd) };
    Ok(Side::Parent { pidfd, pid })
}

/// Ends this process at once, without destructors: the child of a fork must not run its parent's.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: `_exit(2)` has no preconditions.
    unsafe { libc::_exit(i32::from(status)) }
}
