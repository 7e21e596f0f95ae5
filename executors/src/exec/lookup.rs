//! Finding and opening what is to be executed.

use crate::descriptors::{real_path, same_file};
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, accessat, fstat, openat2};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A regular file that may be executed, open as a mere path.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: OwnedFd,
    /// Where it is, links resolved.
    pub(super) path: PathBuf,
}

/// As execvp(3) does: in `search` when `name` has no `/`, else from `directory` on.
pub(super) fn look_up(name: &str, search: &[String], directory: impl AsFd) -> Outcome<Found> {
    if name.contains('/') {
        return open(Path::new(name), directory);
    }
    let mut denied = None;
    for place in search.iter().filter(|place| place.starts_with('/')) {
        match open(&Path::new(place).join(name), CWD) {
            Ok(found) => return Ok(found),
            // Another directory may have one that can be executed.
            Err(refusal) if refusal.reason == RefusalReason::NotFound => {}
            Err(refusal) => denied = denied.or(Some(refusal)),
        }
    }
    Err(denied.unwrap_or_else(|| Refusal::new(RefusalReason::NotFound, format!("there is no program {name:?}"))))
}

/// Opens a program or an interpreter. Links are followed, but not those that the kernel makes for open descriptors.
pub(super) fn open(path: &Path, directory: impl AsFd) -> Outcome<Found> {
    let failed = |errno| Refusal::errno(errno, &format!("open program {path:?}"));
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(directory, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map_err(failed)?;
    let status = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Refusal::new(RefusalReason::WrongType, format!("program {path:?} is no regular file")));
    }
    let real = real_path(&file)?;
    // In memory only, removed, or in another tree: there is no path that a rule could be about.
    if status.st_nlink == 0 || !real.is_absolute() {
        return Err(Refusal::new(RefusalReason::PathEscapes, format!("program {path:?} is at no path ({real:?})")));
    }
    match accessat(CWD, same_file(&file), Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(Found { file, path: real }),
        Err(Errno::NOENT) => Err(failed(Errno::ACCESS)),
        Err(errno) => Err(failed(errno)),
    }
}
