//! Finding and making names.

use super::{Change, Entry, Errno, Result, Tree, WANTED, is_lasting, is_stored, shown};
use crate::area::{Area, Caller};
use crate::attributes::Attributes;
use crate::nodes::{Name, NodeId};
use crate::quota::of_directory;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, StatxFlags, linkat, mkdirat, mknodat, openat, readlinkat, statx, symlinkat,
};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

/// Longest text of a symbolic link in memory, in bytes: tmpfs keeps it within the inode (SHORT_SYMLINK_LEN in mm/shmem.c). A
/// longer one takes a page, which would be the server's and not the agent's.
const LONGEST_IN_MEMORY: usize = 127;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub enum NewFile<'a> {
    /// A regular file that nobody opens yet.
    Regular(u16),
    /// A directory with these permission bits.
    Directory(u16),
    /// A symbolic link with this text.
    Symlink(&'a OsStr),
    /// A FIFO or a socket with these permission bits; the kernel itself carries what goes through them.
    Special(FileType, u16),
}

impl Tree {
    /// Finds a name.
    ///
    /// # Errors
    /// ENOENT when it does not exist.
    pub fn lookup(&mut self, parent: NodeId, name: &OsStr) -> Result<Entry> {
        if !is_stored(parent) {
            return self.lookup_published(parent, name);
        }
        let area = self.nodes.get(parent)?.area;
        let directory = self.directory(parent)?;
        let stat = statx(&*directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)?;
        if let Some(known) = self.nodes.with_ino(area, stat.stx_ino)
            && self.is_expired(known)
        {
            self.remove_name(area, parent, name, AtFlags::empty())?;
            return Err(Errno::NOENT);
        }
        let id = self.learn(parent, name, area, &stat);
        Ok(self.entry(id, area, &stat))
    }

    fn lookup_published(&mut self, parent: NodeId, name: &OsStr) -> Result<Entry> {
        let node = match name.as_bytes() {
            b"." => parent,
            b".." => self.published.parent(parent)?,
            _ => self.published.lookup(parent, name)?,
        };
        if is_stored(node) {
            self.nodes.remember(node);
        }
        Ok(Entry { node, attributes: self.attributes(node)?, stable: is_lasting(node) })
    }

    /// What `node` is.
    ///
    /// # Errors
    /// ESTALE and ENOENT when it is gone.
    pub fn attributes(&mut self, node: NodeId) -> Result<Attributes> {
        if !is_stored(node) {
            return self.published.attributes(node);
        }
        let area = self.nodes.get(node)?.area;
        self.stat(node).map(|stat| shown(area, &stat))
    }

    /// Makes a file.
    ///
    /// # Errors
    /// EEXIST, what the area's rules say, and what the quota says.
    pub fn make(&mut self, caller: Caller, parent: NodeId, name: &OsStr, what: NewFile<'_>) -> Result<Entry> {
        let change = if matches!(what, NewFile::Special(..)) { Change::Special } else { Change::Create };
        let area = self.area_for(parent, name, caller, change)?;
        if let NewFile::Symlink(text) = what
            && area == Area::Working
            && text.len() > LONGEST_IN_MEMORY
        {
            return Err(Errno::NAMETOOLONG);
        }
        let directory = self.directory(parent)?;
        self.account_mut(area)?.add(0)?;
        let made = self.growing(area, &[&directory], |_| {
            make_at(&directory, name, what)?;
            statx(&*directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)
        });
        let stat = self.made(area, made)?;
        let id = self.learn(parent, name, area, &stat);
        Ok(self.entry(id, area, &stat))
    }

    /// Makes a regular file and its first open descriptor.
    pub(super) fn make_open(
        &mut self,
        caller: Caller,
        parent: NodeId,
        name: &OsStr,
        mode: u16,
    ) -> Result<(Entry, OwnedFd)> {
        let area = self.area_for(parent, name, caller, Change::Create)?;
        let directory = self.directory(parent)?;
        self.account_mut(area)?.add(0)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = self.growing(area, &[&directory], |_| {
            let file = openat(&*directory, name, flags, Mode::from_raw_mode(u32::from(mode)))?;
            Ok((statx(&file, "", AtFlags::EMPTY_PATH, WANTED)?, file))
        });
        let (stat, file) = self.made(area, made)?;
        let id = self.learn(parent, name, area, &stat);
        Ok((self.entry(id, area, &stat), file))
    }

    /// Changes names in directories of `area`, and counts what these have grown by.
    pub(super) fn growing<T>(
        &mut self,
        area: Area,
        directories: &[&OwnedFd],
        change: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if !self.account(area).ok_or(Errno::STALE)?.counts_bytes() {
            return change(self);
        }
        let sizes = || -> Result<Vec<u64>> { directories.iter().map(|directory| size_of(directory)).collect() };
        let before = sizes()?;
        let changed = change(self);
        let after = sizes()?;
        let account = self.account_mut(area)?;
        before.into_iter().zip(after).for_each(|(before, after)| account.grew(before, after));
        changed
    }

    /// Counts a file out again that could not be made.
    fn made<T>(&mut self, area: Area, made: Result<T>) -> Result<T> {
        if made.is_err()
            && let Ok(account) = self.account_mut(area)
        {
            account.remove(0);
        }
        made
    }

    /// Gives a file a further name.
    ///
    /// # Errors
    /// EXDEV between areas, EPERM for a directory, and what the area's rules say.
    pub fn link(&mut self, caller: Caller, node: NodeId, parent: NodeId, name: &OsStr) -> Result<Entry> {
        let area = self.area_for(parent, name, caller, Change::Link)?;
        if !is_stored(node) || self.nodes.get(node)?.area != area {
            return Err(Errno::XDEV);
        }
        if self.nodes.get(node)?.file_type == FileType::Directory {
            return Err(Errno::PERM);
        }
        let Name { parent: from, name: old } = self.nodes.get(node)?.names.first().cloned().ok_or(Errno::NOENT)?;
        let (source, target) = (self.directory(from)?, self.directory(parent)?);
        // A name counts as a file does: it takes room in its directory, and there is no other bound on names.
        self.account_mut(area)?.add(0)?;
        let made = self.growing(area, &[&target], |_| {
            linkat(&*source, &*old, &*target, name, AtFlags::empty())?;
            statx(&*target, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)
        });
        let stat = self.made(area, made)?;
        let id = self.learn(parent, name, area, &stat);
        Ok(self.entry(id, area, &stat))
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// EINVAL when it is none.
    pub fn read_link(&mut self, node: NodeId) -> Result<OsString> {
        if !is_stored(node) {
            return Err(Errno::INVAL);
        }
        let read = |directory: &OwnedFd, name: &OsStr| {
            readlinkat(directory, name, Vec::new()).map(|text| OsString::from_vec(text.into_bytes()))
        };
        if let Some(held) = self.nodes.get(node)?.orphan.as_ref().map(|orphan| Arc::clone(&orphan.file)) {
            return read(&held, OsStr::new(""));
        }
        let Name { parent, name } = self.nodes.get(node)?.names.first().cloned().ok_or(Errno::NOENT)?;
        let directory = self.directory(parent)?;
        read(&directory, &name)
    }
}

/// What a directory counts besides itself.
pub(super) fn size_of(directory: &OwnedFd) -> Result<u64> {
    statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE).map(|stat| of_directory(stat.stx_size))
}

fn make_at(directory: &OwnedFd, name: &OsStr, what: NewFile<'_>) -> Result<()> {
    let bits = |mode: u16| Mode::from_raw_mode(u32::from(mode));
    match what {
        NewFile::Regular(mode) => mknodat(directory, name, FileType::RegularFile, bits(mode), 0),
        NewFile::Directory(mode) => mkdirat(directory, name, bits(mode)),
        NewFile::Symlink(text) => symlinkat(text, directory, name),
        NewFile::Special(kind @ (FileType::Fifo | FileType::Socket), mode) => {
            mknodat(directory, name, kind, bits(mode), 0)
        }
        NewFile::Special(..) => Err(Errno::PERM),
    }
}
