//! Small calls that no library offers safely: keyrings, the loopback interface, securebits, Landlock's version.

use super::check;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Joins a new, empty session keyring (`KEYCTL_JOIN_SESSION_KEYRING`), so that the caller's keys are out of reach even
/// of a kernel interface that looks them up implicitly.
///
/// # Errors
/// As `keyctl(2)`; ENOSYS on a kernel without keys, where there is nothing to leave.
pub(crate) fn leave_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    let anonymous: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, anonymous) }).map(drop)
}

/// Brings the interface `lo` up (`SIOCSIFFLAGS`, netdevice(7)) in the network namespace of `socket`.
///
/// # Errors
/// As `ioctl(2)`.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `struct ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes_with_nul()) {
        *to = libc::c_char::try_from(*from).map_err(io::Error::other)?;
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    // SAFETY: the request is a whole `struct ifreq` with a NUL-ended name, as SIOCSIFFLAGS expects.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(libc::c_long::from(result)).map(drop)
}

/// The Landlock ABI of the running kernel; 0 when Landlock is absent or switched off.
#[must_use]
pub fn landlock_abi() -> u32 {
    const CREATE_RULESET_VERSION: libc::c_long = 1;
    let nothing: *const libc::c_void = std::ptr::null();
    // SAFETY: with this flag the call takes no attributes and only answers a number.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, CREATE_RULESET_VERSION) };
    u32::try_from(result).unwrap_or(0)
}

/// Gives the calling thread a table of descriptors of its own, a copy of the process's (`unshare(2)`, CLONE_FILES). In the
/// copy everything but the standard streams is close-on-exec: a flag that another thread sets later is not set in it. The
/// thread takes no signals any more: a handler that writes to a descriptor would write to another one here.
///
/// # Errors
/// As `pthread_sigmask(3)` and `unshare(2)`.
pub fn leave_descriptor_table() -> io::Result<()> {
    nix::sys::signal::SigSet::all().thread_block()?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES)?;
    close_on_exec_from(3)
}

/// What this process was started with besides the standard streams is not for what it executes.
///
/// # Errors
/// As `close_range(2)`.
pub fn close_inherited_on_exec() -> io::Result<()> {
    close_on_exec_from(3)
}

/// Closes every descriptor of a process that was just forked but `kept` and the standard streams. What owned them is in the
/// parent's frames, which this process never returns to.
///
/// # Errors
/// As `close_range(2)`.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept.into_iter().chain([u32::MAX]) {
        if first < number {
            // SAFETY: nothing in this process uses the closed descriptors; see above.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) })?;
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// Marks every descriptor from `first` on close-on-exec (`close_range(2)` with CLOSE_RANGE_CLOEXEC).
///
/// # Errors
/// As `close_range(2)`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: this changes a flag of descriptors and closes none.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check(result).map(drop)
}
