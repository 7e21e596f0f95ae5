//! Changing attributes.

use super::{Change, Errno, Result, Tree, is_stored, regular, shown};
use crate::area::{Area, Caller};
use crate::attributes::{Attributes, Time};
use crate::nodes::{Name, NodeId};
use protocol::vfs::Quota;
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps, chmodat, fstatvfs, ftruncate};
use rustix::fs::{UTIME_NOW, UTIME_OMIT, utimensat};
use std::sync::Arc;

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// The present.
    Now,
    /// This one.
    At(Time),
}

/// What is to change; the owner never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permission, set-id and sticky bits.
    pub mode: Option<u16>,
    /// Bytes.
    pub size: Option<u64>,
    /// Last access.
    pub accessed: Option<NewTime>,
    /// Last change of content.
    pub modified: Option<NewTime>,
}

impl Tree {
    /// Changes attributes, size first.
    ///
    /// # Errors
    /// EROFS for what is published, ENOSPC past the quota, EPERM for what is append-only.
    pub fn change(&mut self, caller: Caller, id: NodeId, changes: Changes) -> Result<Attributes> {
        if !is_stored(id) {
            return Err(Errno::ROFS);
        }
        let area = self.nodes.get(id)?.area;
        if changes.mode.is_some() {
            self.allow(area, caller, Change::Attributes)?;
        }
        let times = (changes.accessed, changes.modified);
        if times != (None, None) {
            let touch = times == (Some(NewTime::Now), Some(NewTime::Now));
            self.allow(area, caller, if touch { Change::Touch } else { Change::Attributes })?;
        }
        if let Some(size) = changes.size {
            self.truncate(caller, id, area, size)?;
        }
        if let Some(mode) = changes.mode {
            self.set_mode(id, mode)?;
        }
        if times != (None, None) {
            self.set_times(id, times)?;
        }
        self.stat(id).map(|stat| shown(area, &stat))
    }

    fn truncate(&mut self, caller: Caller, id: NodeId, area: Area, size: u64) -> Result<()> {
        regular(self.nodes.get(id)?)?;
        let present = self.size_of(id)?;
        self.allow(area, caller, if size == present { Change::Append } else { Change::Rewrite })?;
        self.open_stored(id)?;
        self.account_mut(area)?.resize(present, size)?;
        let file = self.nodes.get(id)?.open.as_ref().map(|open| Arc::clone(&open.file)).ok_or(Errno::STALE)?;
        let outcome = ftruncate(&*file, size);
        if outcome.is_ok() {
            self.note_size(id, size);
        } else {
            self.account_mut(area)?.resize(size, present)?;
        }
        self.close_unused(id);
        outcome
    }

    fn set_mode(&mut self, id: NodeId, mode: u16) -> Result<()> {
        let mode = Mode::from_raw_mode(u32::from(mode & 0o7777));
        let node = self.nodes.get(id)?;
        if node.file_type == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        if let Some(open) = &node.open {
            return rustix::fs::fchmod(&*open.file, mode);
        }
        if node.file_type == FileType::RegularFile
            && let Some(orphan) = &node.orphan
        {
            return rustix::fs::fchmod(&*orphan.file, mode);
        }
        match self.place(id)? {
            // Nothing but this server changes names here, so nobody puts a link there meanwhile.
            Some(Name { parent, name }) => chmodat(&*self.directory(parent)?, &*name, mode, AtFlags::empty()),
            None => chmodat(&*self.directory(id)?, ".", mode, AtFlags::empty()),
        }
    }

    fn set_times(&mut self, id: NodeId, times: (Option<NewTime>, Option<NewTime>)) -> Result<()> {
        let time = |time| match time {
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            Some(NewTime::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            Some(NewTime::At(time)) => Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) },
        };
        let times = Timestamps { last_access: time(times.0), last_modification: time(times.1) };
        let node = self.nodes.get(id)?;
        if let Some(open) = &node.open {
            return rustix::fs::futimens(&*open.file, &times);
        }
        match self.place(id)? {
            Some(Name { parent, name }) => {
                utimensat(&*self.directory(parent)?, &*name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
            None => utimensat(&*self.directory(id)?, ".", &times, AtFlags::empty()),
        }
    }

    /// A name of a file; none for an area's root.
    fn place(&self, id: NodeId) -> Result<Option<Name>> {
        let node = self.nodes.get(id)?;
        match node.names.first() {
            Some(name) => Ok(Some(name.clone())),
            None if node.root => Ok(None),
            None => Err(Errno::NOENT),
        }
    }

    /// What may be held and is held where `id` lies, in bytes and files.
    ///
    /// # Errors
    /// ESTALE for an unknown node.
    pub fn usage(&mut self, id: NodeId) -> Result<(Quota, Quota)> {
        if !is_stored(id) {
            let nothing = Quota { bytes: 0, inodes: 0 };
            return Ok((nothing, nothing));
        }
        let area = self.nodes.get(id)?.area;
        self.area_usage(area)
    }

    /// The same for an area.
    ///
    /// # Errors
    /// ESTALE for one that this tree does not have.
    pub fn area_usage(&mut self, area: Area) -> Result<(Quota, Quota)> {
        if self.uncounted.remove(&area) {
            let counted = self.count(area)?;
            self.set_account(area, counted);
        }
        let account = self.account(area).ok_or(Errno::STALE)?;
        let (limit, mut used) = (account.limit(), account.used());
        if area == Area::Working
            && let Some(root) = self.area_root(area)
        {
            let tmpfs = fstatvfs(&*self.directory(root)?)?;
            used.bytes = tmpfs.f_blocks.saturating_sub(tmpfs.f_bfree).saturating_mul(tmpfs.f_frsize);
        }
        Ok((limit, used))
    }
}
