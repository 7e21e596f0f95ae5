//! Extended attributes: those of users, on regular files and directories, as xattr(7) has it.

use super::{Change, Errno, Result, Tree, is_stored};
use crate::area::Caller;
use crate::nodes::{Name, NodeId};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, openat};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Longest value in bytes (XATTR_SIZE_MAX).
const LONGEST: usize = 64 << 10;
/// Bytes that the names and values of one file's attributes may take together: about what ext4 has room for.
const MOST_BYTES: usize = 4096;
/// Names of ours; only the time to live may be set, and only in `working`.
const OURS: &[u8] = b"user.agentos.";
/// Seconds until a file goes.
pub(super) const TTL: &[u8] = b"user.agentos.ttl";
/// When it goes, in nanoseconds of CLOCK_BOOTTIME: what a server that takes over finds.
pub(super) const EXPIRES: &str = "user.agentos.expires";

/// Whether an attribute must be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowToSet {
    /// Either.
    Any,
    /// EEXIST when it is there.
    Create,
    /// ENODATA when it is not.
    Replace,
}

impl Tree {
    /// Sets an attribute.
    ///
    /// # Errors
    /// EOPNOTSUPP for other than user attributes, EPERM where xattr(7) or the area's rules forbid them.
    pub fn set_xattr(
        &mut self,
        caller: Caller,
        id: NodeId,
        (name, value): (&OsStr, &[u8]),
        how: HowToSet,
    ) -> Result<()> {
        self.allow_xattr(caller, id, name)?;
        if name.as_bytes() == TTL {
            return self.set_ttl(id, value);
        }
        let file = self.file_for_xattrs(id, Errno::PERM)?;
        let flags = match how {
            HowToSet::Any => XattrFlags::empty(),
            HowToSet::Create => XattrFlags::CREATE,
            HowToSet::Replace => XattrFlags::REPLACE,
        };
        // What a file counts besides its content has to hold them, on file systems too that have no bound of their own.
        if held_besides(&file, name)? + name.len() + value.len() > MOST_BYTES {
            return Err(Errno::NOSPC);
        }
        fsetxattr(&*file, name, value, flags)
    }

    /// Takes an attribute away.
    ///
    /// # Errors
    /// ENODATA when it is not there, and as [`Tree::set_xattr`].
    pub fn remove_xattr(&mut self, caller: Caller, id: NodeId, name: &OsStr) -> Result<()> {
        self.allow_xattr(caller, id, name)?;
        let file = self.file_for_xattrs(id, Errno::PERM)?;
        fremovexattr(&*file, name)?;
        if name.as_bytes() == TTL {
            fremovexattr(&*file, EXPIRES)?;
            self.stop_expiring(id);
        }
        Ok(())
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// ENODATA when it is not there, EOPNOTSUPP for other than user attributes.
    pub fn xattr(&mut self, id: NodeId, name: &OsStr) -> Result<Vec<u8>> {
        if !name.as_bytes().starts_with(b"user.") {
            return Err(Errno::OPNOTSUPP);
        }
        if !is_stored(id) {
            return Err(Errno::NODATA);
        }
        let file = self.file_for_xattrs(id, Errno::NODATA)?;
        let mut value = Vec::with_capacity(LONGEST);
        fgetxattr(&*file, name, spare_capacity(&mut value))?;
        Ok(value)
    }

    /// The names of all attributes, each ended by a NUL.
    ///
    /// # Errors
    /// What the disk says.
    pub fn xattrs(&mut self, id: NodeId) -> Result<Vec<u8>> {
        if !is_stored(id) {
            return Ok(Vec::new());
        }
        let file = match self.file_for_xattrs(id, Errno::NODATA) {
            Ok(file) => file,
            Err(Errno::NODATA) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::with_capacity(LONGEST);
        flistxattr(&*file, spare_capacity(&mut names))?;
        let mut ours = Vec::with_capacity(names.len());
        // A security module of the host may have attributes of its own on the backing file.
        for name in names.split_inclusive(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
            ours.extend_from_slice(name);
        }
        Ok(ours)
    }

    fn allow_xattr(&self, caller: Caller, id: NodeId, name: &OsStr) -> Result<()> {
        if !name.as_bytes().starts_with(b"user.") {
            return Err(Errno::OPNOTSUPP);
        }
        if !is_stored(id) {
            return Err(Errno::ROFS);
        }
        let area = self.nodes.get(id)?.area;
        self.allow(area, caller, Change::Attributes)?;
        let ours = name.as_bytes().starts_with(OURS);
        if ours && (name.as_bytes() != TTL || area != crate::area::Area::Working) { Err(Errno::PERM) } else { Ok(()) }
    }

    /// The backing file; `unable` for what can have none.
    pub(super) fn file_for_xattrs(&mut self, id: NodeId, unable: Errno) -> Result<Arc<OwnedFd>> {
        let node = self.nodes.get(id)?;
        let kind = node.file_type;
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Err(unable);
        }
        if let Some(open) = &node.open {
            return Ok(Arc::clone(&open.file));
        }
        if kind == FileType::Directory {
            let directory = self.directory(id)?;
            return openat(&*directory, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Arc::new);
        }
        if let Some(orphan) = &node.orphan {
            return Ok(Arc::clone(&orphan.file));
        }
        let Name { parent, name } = node.names.first().cloned().ok_or(Errno::NOENT)?;
        let directory = self.directory(parent)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&*directory, &*name, flags, Mode::empty()).map(Arc::new)
    }
}

/// Bytes that a file's other attributes take, names and values.
fn held_besides(file: &OwnedFd, name: &OsStr) -> Result<usize> {
    let mut names = Vec::with_capacity(LONGEST);
    flistxattr(file, spare_capacity(&mut names))?;
    let mut held = 0;
    for other in names.split(|byte| *byte == 0).filter(|other| other.starts_with(b"user.") && *other != name.as_bytes())
    {
        let mut value = Vec::with_capacity(LONGEST);
        held += other.len() + fgetxattr(file, OsStr::from_bytes(other), spare_capacity(&mut value))?;
    }
    Ok(held)
}
