//! Going through all files of an area, when a tree begins.

use super::names::size_of;
use super::{Errno, Part, Result, Tree, WANTED};
use crate::area::{Area, Purpose};
use crate::nodes::{Name, NodeId};
use crate::quota::{Account, of_directory};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Statx, openat, statx};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

/// One file on the way.
pub(super) struct Found<'a> {
    pub(super) directory: &'a OwnedFd,
    pub(super) name: Name,
    pub(super) stat: Statx,
}

impl Found<'_> {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(u32::from(self.stat.stx_mode))
    }
}

impl Tree {
    /// Visits everything beneath an area. Not recursive, and with few descriptors: an agent may have made it deep.
    pub(super) fn walk(
        &mut self,
        area: Area,
        mut visit: impl FnMut(&mut Self, &Found<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(root) = self.area_root(area) else { return Ok(()) };
        let (mut open, mut seen) = (vec![root], Vec::new());
        let looking = self.purpose == Purpose::Inspect;
        while let Some(parent) = open.pop() {
            // While it is only looked at, an agent may be changing it.
            let vanished = |error: &Errno| *error == Errno::NOENT && looking;
            let directory = match self.directory(parent) {
                Err(error) if vanished(&error) => continue,
                other => other?,
            };
            for name in entries(&directory)? {
                let stat = match statx(&*directory, &name, AtFlags::SYMLINK_NOFOLLOW, WANTED) {
                    Err(error) if vanished(&error) => continue,
                    other => other?,
                };
                let found = Found { directory: &directory, name: Name::new(parent, &name), stat };
                visit(self, &found)?;
                if found.file_type() == FileType::Directory {
                    let id = self.nodes.learn(found.name, (area, stat.stx_ino), FileType::Directory);
                    open.push(id);
                    seen.push(id);
                }
            }
        }
        for id in seen.into_iter().rev() {
            self.drop_unneeded(id);
        }
        Ok(())
    }

    pub(super) fn drop_unneeded(&mut self, id: NodeId) {
        self.nodes.drop_unneeded(id);
        if !self.nodes.contains(id) {
            self.directories.close(id);
        }
    }

    /// Leaves the counting of areas until somebody asks for it.
    pub fn count_when_asked(&mut self, areas: impl IntoIterator<Item = Area>) {
        self.uncounted.extend(areas);
    }

    /// A tree of its own on one part, in which [`Tree::count`] keeps nobody waiting for this one.
    ///
    /// # Errors
    /// ESTALE for a part that this tree does not have.
    pub fn to_count(&mut self, area: Area) -> Result<Self> {
        let root = self.area_root(area).ok_or(Errno::STALE)?;
        let directory = self.directory(root)?.try_clone().map_err(|_| Errno::MFILE)?;
        let account = self.account(area).ok_or(Errno::STALE)?.emptied();
        Self::new(Purpose::Inspect, vec![Part { area, directory, account }])
    }

    /// Counts what an area holds: reads every inode once.
    ///
    /// # Errors
    /// What the disk says.
    pub fn count(&mut self, area: Area) -> Result<Account> {
        let mut linked = HashSet::new();
        let mut account = self.account(area).ok_or(Errno::STALE)?.emptied();
        self.walk(area, |_, found| {
            let file_type = found.file_type();
            account.found(match file_type {
                FileType::Directory => of_directory(found.stat.stx_size),
                FileType::RegularFile if found.stat.stx_nlink <= 1 || linked.insert(found.stat.stx_ino) => {
                    found.stat.stx_size
                }
                _ => 0,
            });
            Ok(())
        })?;
        if let Some(root) = self.area_root(area) {
            account.grew(0, size_of(&*self.directory(root)?)?);
        }
        Ok(account)
    }

    /// What was counted, before anything is changed through this tree.
    pub fn set_account(&mut self, area: Area, account: Account) {
        self.accounts.insert(area, account);
    }
}

/// The names in a directory, without `.` and `..`.
fn entries(directory: &OwnedFd) -> Result<Vec<OsString>> {
    let directory = openat(directory, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
    let mut raw = RawDir::new(&directory, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = raw.next() {
        let entry: std::result::Result<_, Errno> = entry;
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}
