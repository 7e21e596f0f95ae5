//! The daemon's own directories: made with their modes, and held by one daemon at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a lock is waited for, and between two looks.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// A step failed.
    #[error("cannot {attempt} {}", path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("another agentosd (pid {pid}) uses {}; stop it, or give this one directories of its own: --state-dir, --run-dir", path.display())]
    InUse {
        /// The other's process id, as it wrote it down.
        pid: String,
        /// The directory.
        path: PathBuf,
    },
}

/// A directory that no other daemon uses while this lives.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its canonical path.
    pub(crate) path: PathBuf,
    /// The lock ends when this closes, also by a crash.
    _lock: File,
}

/// A daemon that was killed while it started a program leaves its lock to that process for the moment until it executes.
fn lock_soon(lock: &File) -> rustix::io::Result<()> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            locked => return locked,
        }
    }
}

/// Makes the directory with exactly this mode if it is absent, and locks it.
pub(crate) fn hold(path: &Path, mode: u32) -> Result<Held, DirectoryError> {
    let fail = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| DirectoryError::Io { attempt, path, source }
    };
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(fail("create the directory", path))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail("set the mode of", path))?;
    let path = path.canonicalize().map_err(fail("resolve", path))?;
    let file = path.join("agentosd.lock");
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&file)
        .map_err(fail("open", &file))?;
    match lock_soon(&lock) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            lock.read_to_string(&mut pid).map_err(fail("read", &file))?;
            return Err(DirectoryError::InUse { pid: pid.trim().to_owned(), path });
        }
        Err(error) => return Err(fail("lock", &file)(error.into())),
    }
    lock.set_len(0).map_err(fail("write", &file))?;
    writeln!(lock, "{}", std::process::id()).map_err(fail("write", &file))?;
    Ok(Held { path, _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_daemon() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        let held = hold(&path, 0o700).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        let error = hold(&path, 0o700).unwrap_err().to_string();
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        drop(held);
        assert!(hold(&path, 0o700).is_ok());
    }
}
