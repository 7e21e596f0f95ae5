//! Every name in a tree, a directory before what is in it, names bytewise.
//!
//! However deep an agent has nested its directories, few are open at a time: those farthest up are closed, and opened
//! again through `..` of the one below, which must then be the one that it was.

use super::path::TreePath;
use super::tree::{self, Tree};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::vec;

/// Directories that are open at a time.
const OPEN: usize = 64;

/// A name that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where.
    pub(crate) path: TreePath,
    /// The name in its directory.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub(crate) stat: Stat,
}

impl Found {
    /// Its type.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Why the walk cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub(crate) struct WalkError {
    path: TreePath,
    source: Errno,
}

/// Where a walk stands.
#[derive(Debug)]
pub(crate) struct Walk {
    levels: Vec<Level>,
    /// The directory that was found last, which comes next.
    below: Option<(TreePath, Vec<u8>)>,
}

#[derive(Debug)]
struct Level {
    path: TreePath,
    /// Closed while the walk is far below.
    directory: Option<OwnedFd>,
    /// Device and inode.
    identity: (u64, u64),
    names: vec::IntoIter<Vec<u8>>,
}

impl Level {
    fn new(path: TreePath, directory: OwnedFd) -> Result<Self, WalkError> {
        let read = || Ok((fstat(&directory)?, tree::names(&directory)?));
        let (stat, names) = read().map_err(|source| WalkError { path: path.clone(), source })?;
        let identity = (stat.st_dev, stat.st_ino);
        Ok(Self { path, directory: Some(directory), identity, names: names.into_iter() })
    }
}

impl Walk {
    /// Over everything beneath a directory.
    pub(crate) fn new(tree: &Tree, path: TreePath) -> Result<Self, WalkError> {
        let directory = tree.directory(&path).map_err(|source| WalkError { path: path.clone(), source })?;
        Ok(Self { levels: vec![Level::new(path, directory)?], below: None })
    }

    /// The next name. What vanishes while an agent goes on working is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, WalkError> {
        self.descend()?;
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.next() else {
                self.ascend()?;
                continue;
            };
            let path = level.path.join(&name);
            let Some(directory) = &level.directory else { continue };
            match tree::look(directory, &name) {
                Ok(stat) => {
                    let found = Found { path, name, stat };
                    if found.kind() == FileType::Directory {
                        self.below = Some((found.path.clone(), found.name.clone()));
                    }
                    return Ok(Some(found));
                }
                Err(Errno::NOENT) => {}
                Err(source) => return Err(WalkError { path, source }),
            }
        }
    }

    /// Does not go into the directory that was found last.
    pub(crate) fn pass_over(&mut self) {
        self.below = None;
    }

    /// The directory in which the last name was found; none before the first.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.levels.last()?.directory.as_ref().map(|directory| directory.as_fd())
    }

    fn descend(&mut self) -> Result<(), WalkError> {
        let (Some((path, name)), Some(parent)) = (self.below.take(), self.directory()) else { return Ok(()) };
        match tree::beneath(parent, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(directory) => self.levels.push(Level::new(path, directory)?),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(source) => return Err(WalkError { path, source }),
        }
        if let Some(above) = self.levels.len().checked_sub(OPEN + 1) {
            self.levels[above].directory = None;
        }
        Ok(())
    }

    /// Leaves the deepest directory, and has the one above open.
    fn ascend(&mut self) -> Result<(), WalkError> {
        let Some(left) = self.levels.pop() else { return Ok(()) };
        let (Some(level), Some(below)) = (self.levels.last_mut(), &left.directory) else { return Ok(()) };
        if level.directory.is_some() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let reopened = openat(below, "..", flags, Mode::empty()).and_then(|directory| {
            let stat = fstat(&directory)?;
            // It was moved away meanwhile: nothing of where it is now is shown.
            if (stat.st_dev, stat.st_ino) == level.identity { Ok(directory) } else { Err(Errno::STALE) }
        });
        level.directory = Some(reopened.map_err(|source| WalkError { path: level.path.clone(), source })?);
        Ok(())
    }
}
