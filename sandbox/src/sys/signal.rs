//! Signals: sending them by number, and the dispositions of a process that is about to execute a program.

use super::check;
use nix::sys::signal::{SigSet, Signal};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sets every signal to its default action and unblocks all of them; the Rust runtime ignores SIGPIPE, and PID 1 blocks
/// what it reads from a signalfd, and a program must inherit neither (`execve(2)` keeps both).
///
/// # Errors
/// As `sigprocmask(2)`.
pub(crate) fn reset_all() -> io::Result<()> {
    // `struct sigaction` of the kernel (not of libc, whose wrapper refuses 32 and 33): handler SIG_DFL, no flags, no
    // restorer, an empty mask.
    const DEFAULT: [u64; 4] = [0; 4];
    const SET_SIZE: usize = 8;
    let nothing: *mut libc::c_void = std::ptr::null_mut();
    for signal in (1..=64).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP)) {
        // SAFETY: the structure is whole and lives through the call; the default action needs no handler.
        let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), nothing, SET_SIZE) };
        check(result)?;
    }
    SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// The signals that a daemon is told to end by.
const ORDERS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR2];

/// From now on the signals that a daemon is told to end by do not reach this thread, nor those that it starts. Where all hold
/// them they wait, also through `execve(2)`.
///
/// # Errors
/// As `pthread_sigmask(3)`.
pub fn hold_orders() -> io::Result<()> {
    ORDERS.into_iter().collect::<SigSet>().thread_block().map_err(io::Error::from)
}

/// They reach this thread again, and so do those that have waited.
///
/// # Errors
/// As `pthread_sigmask(3)`.
pub fn take_orders() -> io::Result<()> {
    ORDERS.into_iter().collect::<SigSet>().thread_unblock().map_err(io::Error::from)
}

/// Has SIGTERM wait for this process, every thread of which must hold it.
///
/// # Errors
/// As `kill(2)`.
pub fn leave_termination() -> io::Result<()> {
    nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGTERM).map_err(io::Error::from)
}

/// Sends a signal by number to the process of a pidfd (`pidfd_send_signal(2)`), real-time signals too.
///
/// # Errors
/// As the call; ESRCH when the process has ended.
pub fn send_signal(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    let no_information: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: without information the kernel fills in a plain signal; no memory is touched.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), number, no_information, 0) };
    check(result).map(drop)
}

/// Asks for SIGKILL when the parent dies (`PR_SET_PDEATHSIG`). Credential changes clear it, so it comes after them.
///
/// # Errors
/// As `prctl(2)`.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: this option takes a signal number and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    check(libc::c_long::from(result)).map(drop)
}
