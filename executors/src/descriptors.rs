//! What an open descriptor is: its real path, its bytes, which file it is, and the same file opened for more.
//!
//! Paths by `/proc/self/fd`, which the kernel keeps: a path that was resolved once is not resolved again.

use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use rustix::fs::{CWD, Mode, OFlags, Stat, openat, readlinkat};
use rustix::io::{Errno, pread};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Largest single read.
const CHUNK: usize = 1 << 20;

/// The name under which the kernel opens the same file, whatever stands at its path by now.
pub(crate) fn same_file(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

/// Where the file is, links resolved.
pub(crate) fn real_path(descriptor: impl AsFd) -> Outcome<PathBuf> {
    let link = readlinkat(CWD, same_file(descriptor), Vec::new());
    let path = link.map_err(|errno| Refusal::errno(errno, "find out a real path (is /proc mounted?)"))?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// A path for a report.
pub(crate) fn shown(path: PathBuf) -> Outcome<String> {
    path.into_os_string().into_string().map_err(|path| {
        Refusal::new(RefusalReason::BadParameter, format!("{path:?} leads to a name that is not UTF-8"))
    })
}

/// Opens what is open as a mere path. The caller has seen that it is a regular file, so nothing waits and nothing is set off.
pub(crate) fn reopen(descriptor: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(CWD, same_file(descriptor), flags, Mode::empty())
}

/// Bytes from `offset` on, at most `most`; fewer where the file ends.
pub(crate) fn bytes(descriptor: impl AsFd, offset: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let mut found = Vec::new();
    let mut chunk = vec![0; most.min(CHUNK)];
    while found.len() < most {
        let wanted = chunk.len().min(most - found.len());
        let at = offset.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
        match pread(&descriptor, chunk.get_mut(..wanted).unwrap_or_default(), at) {
            Ok(0) => break,
            Ok(count) => found.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// Which file it is and when it was last changed; nobody but root can set a file's `ctime` back.
pub(crate) fn identity(status: &Stat) -> String {
    let Stat { st_dev, st_ino, st_size, st_mtime, st_mtime_nsec, st_ctime, st_ctime_nsec, .. } = status;
    format!("{st_dev}:{st_ino}:{st_size}:{st_mtime}.{st_mtime_nsec}:{st_ctime}.{st_ctime_nsec}")
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
