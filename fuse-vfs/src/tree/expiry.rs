//! Files of `working` that expire: `user.agentos.ttl` holds the seconds from when it was set.
//!
//! Such a file's node is pinned, so that every name which it is given is known; one that it had before and nobody has
//! looked up since goes when it is looked up.

use super::xattrs::{EXPIRES, TTL};
use super::{Errno, Result, Tree, WANTED, uptime};
use crate::area::Area;
use crate::nodes::{Name, NodeId};
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags, fgetxattr, fsetxattr, openat, statx};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Longest life in seconds, a century: larger numbers are mistakes.
const LONGEST: u64 = 100 * 366 * 24 * 3600;

/// A name that went because its file expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its directory.
    pub parent: NodeId,
    /// Its file.
    pub node: NodeId,
    /// Itself.
    pub name: OsString,
}

/// A file that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    path: Vec<Arc<OsStr>>,
    expires: u64,
}

impl Tree {
    /// Has a file go after so many seconds.
    pub(super) fn set_ttl(&mut self, id: NodeId, value: &[u8]) -> Result<()> {
        let node = self.nodes.get(id)?;
        if node.file_type != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        // Nothing is left to go.
        if node.names.is_empty() {
            return Err(Errno::NOENT);
        }
        let seconds = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seconds = seconds.filter(|seconds| *seconds <= LONGEST).ok_or(Errno::INVAL)?;
        let expires = uptime().saturating_add(seconds.saturating_mul(1_000_000_000));
        let file = self.file_for_xattrs(id, Errno::PERM)?;
        fsetxattr(&*file, EXPIRES, expires.to_string().as_bytes(), XattrFlags::empty())?;
        fsetxattr(&*file, OsStr::from_bytes(TTL), value, XattrFlags::empty())?;
        self.expire_at(id, expires);
        Ok(())
    }

    fn expire_at(&mut self, id: NodeId, expires: u64) {
        self.stop_expiring(id);
        if let Ok(node) = self.nodes.get_mut(id) {
            node.expires = Some(expires);
            self.expiring.insert((expires, id));
        }
    }

    /// Lets a file live on.
    pub(super) fn stop_expiring(&mut self, id: NodeId) {
        if let Ok(node) = self.nodes.get_mut(id)
            && let Some(expires) = node.expires.take()
        {
            self.expiring.remove(&(expires, id));
            self.nodes.drop_unneeded(id);
            self.settle();
        }
    }

    pub(super) fn is_expired(&self, id: NodeId) -> bool {
        let expires = self.nodes.get(id).ok().and_then(|node| node.expires);
        expires.is_some_and(|expires| expires <= uptime())
    }

    /// When the next file expires, in nanoseconds of CLOCK_BOOTTIME.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiring.first().map(|(expires, _)| *expires)
    }

    /// Takes the names of up to `most` files that have expired away.
    pub fn expire(&mut self, most: usize) -> Vec<Expired> {
        let now = uptime();
        let due: Vec<NodeId> =
            self.expiring.iter().take_while(|(expires, _)| *expires <= now).take(most).map(|(_, id)| *id).collect();
        let mut expired = Vec::new();
        for id in due {
            for (parent, name) in self.nodes.names(id) {
                if self.remove_name(Area::Working, parent, &name, AtFlags::empty()).is_ok() {
                    expired.push(Expired { parent, node: id, name });
                }
            }
            // A name that is not known: the file is out of sight, and goes when somebody looks it up.
            if let Ok(node) = self.nodes.get_mut(id)
                && let Some(expires) = node.expires
            {
                self.expiring.remove(&(expires, id));
            }
        }
        expired
    }

    /// Finds what an earlier server was to let expire. For a tree apart ([`Tree::to_count`]): it looks at every file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn find_expiring(&mut self) -> Result<Vec<Expiring>> {
        let mut expiring = Vec::new();
        self.walk(Area::Working, |tree, found| {
            if found.file_type() == FileType::RegularFile
                && let Some(expires) = expiry_of(found.directory, &found.name.name)?
            {
                let (mut path, mut at) = (vec![found.name.name.clone()], found.name.parent);
                while let Some(Name { parent, name }) = tree.nodes.get(at)?.names.first().cloned() {
                    path.push(name);
                    at = parent;
                }
                path.reverse();
                expiring.push(Expiring { path, expires });
            }
            Ok(())
        })?;
        Ok(expiring)
    }

    /// Has a file expire that was found apart. One that is gone has done so.
    ///
    /// # Errors
    /// What the file system says.
    pub fn expect_expiry(&mut self, Expiring { path, expires }: &Expiring) -> Result<()> {
        let Some(mut at) = self.area_root(Area::Working) else { return Ok(()) };
        let mut passed = Vec::new();
        for name in path {
            let directory = self.directory(at)?;
            let stat = match statx(&*directory, &**name, AtFlags::SYMLINK_NOFOLLOW, WANTED) {
                Err(Errno::NOENT) => return Ok(()),
                other => other?,
            };
            let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
            at = self.nodes.learn(Name::new(at, name), (Area::Working, stat.stx_ino), kind);
            passed.push(at);
        }
        self.expire_at(at, *expires);
        passed.into_iter().rev().for_each(|id| self.drop_unneeded(id));
        Ok(())
    }
}

fn expiry_of(directory: &OwnedFd, name: &OsStr) -> Result<Option<u64>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?;
    let mut value = Vec::with_capacity(32);
    match fgetxattr(&file, EXPIRES, spare_capacity(&mut value)) {
        Ok(_) => Ok(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok())),
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error),
    }
}
