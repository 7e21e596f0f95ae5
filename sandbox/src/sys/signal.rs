//! Signal dispositions of a process that is about to execute a program.

use super::check;
use std::io;

/// Sets every signal to its default action and unblocks all of them; the Rust runtime ignores SIGPIPE, and PID 1 blocks
/// what it reads from a signalfd, and a program must inherit neither (`execve(2)` keeps both).
///
/// # Errors
/// As `sigprocmask(2)`.
pub fn reset_all() -> io::Result<()> {
    for signal in 1..=64 {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP | 32 | 33) {
            continue;
        }
        // SAFETY: SIG_DFL is a valid disposition for every signal that is not KILL or STOP.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// Asks for SIGKILL when the parent dies (`PR_SET_PDEATHSIG`). Credential changes clear it, so it comes after them.
///
/// # Errors
/// As `prctl(2)`.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: this option takes a signal number and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    check(libc::c_long::from(result)).map(drop)
}
