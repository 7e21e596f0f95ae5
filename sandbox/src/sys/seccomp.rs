//! `seccomp(2)`: loads a filter. Our own call, because FLAG_LOG is what makes the kernel record denials.

use super::check;
use std::io;

/// Whether what the filter refuses is written to the kernel's audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logging {
    /// SECCOMP_FILTER_FLAG_LOG.
    Logged,
    /// Only kills are.
    Quiet,
}

/// Loads a filter for this thread and everything it starts. It can never be taken off.
///
/// # Errors
/// As `seccomp(2)`; EACCES without no_new_privs, `InvalidInput` for a program that is too long.
pub(crate) fn load(program: &[seccompiler::sock_filter], logging: Logging) -> io::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let header = Header { length, program: program.as_ptr() };
    let flags = match logging {
        Logging::Logged => libc::SECCOMP_FILTER_FLAG_LOG,
        Logging::Quiet => 0,
    };
    // SAFETY: the header is the kernel's `struct sock_fprog`, and the program it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) };
    check(result).map(drop)
}

/// `struct sock_fprog` of linux/filter.h.
#[repr(C)]
struct Header {
    length: libc::c_ushort,
    program: *const seccompiler::sock_filter,
}
