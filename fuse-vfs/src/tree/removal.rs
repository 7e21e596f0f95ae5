//! Taking names away and moving them.

use super::{Change, Errno, Result, Tree, WANTED, is_stored};
use crate::area::{Area, Caller};
use crate::descriptors::Descriptor;
use crate::directories::DIRECTORY;
use crate::nodes::{Name, Node, NodeId, Orphan};
use crate::published::is_name;
use crate::quota::of_directory;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Statx, openat, renameat_with, statx, unlinkat};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A name that is about to go, and what holds its file then.
struct Going {
    name: Name,
    stat: Statx,
    node: Option<NodeId>,
    held: Option<Orphan>,
}

impl Tree {
    /// Takes the name of anything but a directory away.
    ///
    /// # Errors
    /// ENOENT, EISDIR, and what the area's rules say.
    pub fn unlink(&mut self, caller: Caller, parent: NodeId, name: &OsStr) -> Result<()> {
        let area = self.area_for(parent, name, caller, Change::Rename)?;
        self.remove_name(area, parent, name, AtFlags::empty())
    }

    /// Takes an empty directory away.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ENOTEMPTY, and what the area's rules say.
    pub fn remove_directory(&mut self, caller: Caller, parent: NodeId, name: &OsStr) -> Result<()> {
        let area = self.area_for(parent, name, caller, Change::Rename)?;
        self.remove_name(area, parent, name, AtFlags::REMOVEDIR)
    }

    pub(super) fn remove_name(&mut self, area: Area, parent: NodeId, name: &OsStr, flags: AtFlags) -> Result<()> {
        let directory = self.directory(parent)?;
        let going = self.going(area, parent, name)?;
        self.growing(area, &[&directory], |_| unlinkat(&*directory, name, flags))?;
        self.gone(area, going);
        Ok(())
    }

    /// Gives a file another name, in one step.
    ///
    /// # Errors
    /// EXDEV between areas, EINVAL for unknown flags, and what the area's rules say.
    pub fn rename(
        &mut self,
        caller: Caller,
        (parent, name): (NodeId, &OsStr),
        (new_parent, new_name): (NodeId, &OsStr),
        flags: RenameFlags,
    ) -> Result<()> {
        let area = self.area_for(parent, name, caller, Change::Rename)?;
        if !is_name(new_name) || !(RenameFlags::NOREPLACE | RenameFlags::EXCHANGE).contains(flags) {
            return Err(Errno::INVAL);
        }
        if !is_stored(new_parent) || self.nodes.get(new_parent)?.area != area {
            return Err(Errno::XDEV);
        }
        let (from, to) = (self.directory(parent)?, self.directory(new_parent)?);
        let stat = statx(&*from, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let replaced = match self.going(area, new_parent, new_name) {
            Ok(going) => Some(going),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        if replaced.is_none() && self.account(area).is_some_and(|account| account.is_exceeded()) {
            return Err(Errno::NOSPC);
        }
        let both = [&*from, &*to];
        let directories = if parent == new_parent { &both[..1] } else { &both };
        self.growing(area, directories, |_| renameat_with(&*from, name, &*to, new_name, flags))?;
        let (old, new) = (Name::new(parent, name), Name::new(new_parent, new_name));
        if exchange {
            self.nodes.exchange(old, new);
            return Ok(());
        }
        // Two names of one file: rename(2) does nothing, and both stay.
        if replaced.as_ref().is_some_and(|replaced| replaced.stat.stx_ino == stat.stx_ino) {
            return Ok(());
        }
        if let Some(replaced) = replaced {
            self.gone(area, replaced);
        }
        self.nodes.rename(&old, new);
        Ok(())
    }

    /// Looks at what a name leads to before it goes. A file that the kernel knows is held when this is its last name.
    fn going(&mut self, area: Area, parent: NodeId, name: &OsStr) -> Result<Going> {
        let directory = self.directory(parent)?;
        let stat = statx(&*directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)?;
        let node = self.nodes.with_ino(area, stat.stx_ino);
        let is_directory = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory;
        let last = is_directory || stat.stx_nlink <= 1;
        let held = match node {
            Some(id) if last => {
                let of_directory = if is_directory { of_directory(stat.stx_size) } else { 0 };
                Some(self.hold(id, (&directory, name), of_directory)?)
            }
            _ => None,
        };
        Ok(Going { name: Name::new(parent, name), stat, node, held })
    }

    fn hold(&mut self, id: NodeId, (directory, name): (&OwnedFd, &OsStr), of_directory: u64) -> Result<Orphan> {
        self.have_room()?;
        let _descriptor = Descriptor::take()?;
        let node = self.nodes.get(id)?;
        if let Some(open) = &node.open {
            return Ok(Orphan { file: Arc::clone(&open.file), of_directory, _descriptor });
        }
        let flags = match node.file_type {
            FileType::Directory => DIRECTORY,
            FileType::RegularFile => OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            _ => OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        };
        let file = Arc::new(openat(directory, name, flags, Mode::empty())?);
        Ok(Orphan { file, of_directory, _descriptor })
    }

    /// Counts a name out. A file that was known when its last one went counts until the kernel has forgotten it.
    fn gone(&mut self, area: Area, going: Going) {
        let Going { name, stat, node, held } = going;
        let file_type = FileType::from_raw_mode(u32::from(stat.stx_mode));
        let last = file_type == FileType::Directory || stat.stx_nlink <= 1;
        let kept = held.is_some();
        if let (Some(id), Some(orphan)) = (node, held) {
            self.directories.close(id);
            self.nodes.keep_orphan(id, orphan);
            self.stop_expiring(id);
        }
        self.nodes.unname(&name);
        if !kept {
            self.count_out(
                area,
                match file_type {
                    FileType::Directory => of_directory(stat.stx_size),
                    FileType::RegularFile if last => stat.stx_size,
                    _ => 0,
                },
            );
        }
        self.settle();
    }

    /// Counts out what has no name and is forgotten.
    pub(super) fn settle(&mut self) {
        for node in self.nodes.take_gone() {
            self.count_out_orphan(&node);
        }
    }

    /// Counts out what has no name, before the tree ends and the kernel's last words are lost.
    pub fn count_out_orphans(&mut self) {
        for node in self.nodes.take_orphans() {
            self.count_out_orphan(&node);
        }
    }

    fn count_out_orphan(&mut self, node: &Node) {
        let Some(orphan) = &node.orphan else { return };
        let size = match node.file_type {
            FileType::RegularFile => {
                statx(&*orphan.file, "", AtFlags::EMPTY_PATH, WANTED).map_or(0, |stat| stat.stx_size)
            }
            _ => orphan.of_directory,
        };
        self.count_out(node.area, size);
    }

    fn count_out(&mut self, area: Area, size: u64) {
        if let Ok(account) = self.account_mut(area) {
            account.remove(size);
        }
    }
}
