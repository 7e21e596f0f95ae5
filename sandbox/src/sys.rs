//! The only unsafe code of the workspace: one system call a wrapper, typed arguments, `io::Result`.
//!
//! What `rustix` and `nix` offer safely is not repeated here.
#![allow(unsafe_code, reason = "this folder is the address of unsafe code; every block names its invariant")]

pub(crate) mod clone;
pub(crate) mod kernel;
pub(crate) mod mount;
pub(crate) mod mounts;
pub(crate) mod seccomp;
pub(crate) mod signal;

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// Turns the result of `syscall(2)` into a value or `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes ownership of a descriptor that the kernel has just given us.
///
/// # Safety
/// `fd` is open and nothing else owns it.
#[expect(clippy::disallowed_methods, reason = "here descriptors become owned")]
unsafe fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller upholds exactly this.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
