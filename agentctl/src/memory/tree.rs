//! A tree of files behind the descriptor of its root.
//!
//! Every name is looked up beneath a directory that is open (openat2(2) with RESOLVE_BENEATH), and no symbolic link is
//! followed: what an agent put there, or an archive, leads nowhere else.

use super::path::TreePath;
use crate::tar::Time;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, openat2, readlinkat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
/// Bytes of a path that are looked up at once; the kernel takes 4095.
const STEP: usize = 2048;

/// An open tree.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// From the descriptor of its root.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Opens a directory to read its names, or to look up names in it.
    pub(crate) fn directory(&self, path: &TreePath) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// What is at a path.
    pub(crate) fn stat(&self, path: &TreePath) -> Result<Stat, Errno> {
        let found = self.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        statat(&found, "", AtFlags::EMPTY_PATH)
    }

    /// Opens a path.
    pub(crate) fn open(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut at: Option<OwnedFd> = None;
        let mut rest = path.as_bytes();
        while rest.len() > STEP {
            // A name has at most 255 bytes.
            let slash = rest[..STEP].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let next = beneath(at.as_ref().unwrap_or(&self.root), &rest[..slash], OFlags::PATH | OFlags::DIRECTORY)?;
            at = Some(next);
            rest = &rest[slash + 1..];
        }
        let rest = if rest.is_empty() { b"." } else { rest };
        beneath(at.as_ref().unwrap_or(&self.root), rest, flags)
    }

    /// Writes what is in memory only to where the tree is kept.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        // The tree's own pages first: only then has what is below it everything to write. syncfs(2) does not go through
        // FUSE, sync(2) needs no right and reaches every file system.
        rustix::fs::syncfs(self.directory(&TreePath::default())?)?;
        rustix::fs::sync();
        Ok(())
    }
}

/// Opens a name, or a path, beneath a directory.
pub(crate) fn beneath(directory: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    // A FIFO must not make us wait for its other end; with O_PATH nothing does.
    let waiting = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = flags | OFlags::CLOEXEC | waiting;
    openat2(directory, name, flags, Mode::empty(), BENEATH)
}

/// A regular file, to be read.
pub(crate) fn content(directory: BorrowedFd<'_>, name: &[u8]) -> Result<File, Errno> {
    let file = beneath(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOCTTY)?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        _ => Err(Errno::INVAL),
    }
}

/// What a name in a directory is; no link is followed.
pub(crate) fn look(directory: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Where a symbolic link points.
pub(crate) fn target(directory: impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    Ok(readlinkat(directory, name, Vec::new())?.into_bytes())
}

/// The names in a directory, bytewise.
pub(crate) fn names(directory: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// When the content last changed.
pub(crate) fn mtime(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// For utimensat(2).
pub(crate) fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}
