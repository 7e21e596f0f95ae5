//! Taking names away and moving them.

use super::{Change, Errno, Result, Tree, WANTED, is_stored};
use crate::area::{Area, Caller};
use crate::directories::DIRECTORY;
use crate::nodes::{Name, NodeId};
use crate::published::is_name;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Statx, openat, renameat_with, statx, unlinkat};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A name that is about to go, and what holds its file then.
struct Going {
    name: Name,
    stat: Statx,
    node: Option<NodeId>,
    held: Option<Arc<OwnedFd>>,
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
        unlinkat(&*directory, name, flags)?;
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
        renameat_with(&*from, name, &*to, new_name, flags)?;
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
            Some(id) if last => self.hold(id, &directory, name)?,
            _ => None,
        };
        Ok(Going { name: Name::new(parent, name), stat, node, held })
    }

    fn hold(&mut self, id: NodeId, directory: &OwnedFd, name: &OsStr) -> Result<Option<Arc<OwnedFd>>> {
        let node = self.nodes.get(id)?;
        if let Some(open) = &node.open {
            return Ok(Some(Arc::clone(&open.file)));
        }
        let flags = match node.file_type {
            FileType::Directory => DIRECTORY,
            FileType::RegularFile => OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            _ => OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        };
        openat(directory, name, flags, Mode::empty()).map(|held| Some(Arc::new(held)))
    }

    /// Counts a file out whose name has gone, unless another name or a handle keeps it.
    fn gone(&mut self, area: Area, going: Going) {
        let Going { name, stat, node, held } = going;
        let file_type = FileType::from_raw_mode(u32::from(stat.stx_mode));
        let last = file_type == FileType::Directory || stat.stx_nlink <= 1;
        let mut kept = false;
        if let Some(id) = node.filter(|_| last) {
            self.directories.close(id);
            self.stop_expiring(id);
            if let Ok(node) = self.nodes.get_mut(id) {
                kept = node.open.is_some();
                node.orphan = held;
            }
        }
        self.nodes.unname(&name);
        if last && !kept {
            let size = if file_type == FileType::RegularFile { stat.stx_size } else { 0 };
            if let Ok(account) = self.account_mut(area) {
                account.remove(size);
            }
        }
    }
}
