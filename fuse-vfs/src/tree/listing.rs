//! Directories: opening and listing them.
//!
//! A stored directory is listed by the backing file system, whose cookies stay good while entries come and go. The
//! cookies 1 and 2 of the kernel are `.` and `..`, as the backing file system gives them too.

use super::handles::{Handle, Held};
use super::{Errno, Result, Tree, is_stored};
use crate::area::{Area, Caller};
use crate::nodes::NodeId;
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, openat, seek};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Bytes read at once from the backing directory.
const BUFFER: usize = 32 << 10;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its inode number.
    pub ino: u64,
    /// Where the next one is.
    pub next: u64,
    /// What it is.
    pub file_type: FileType,
    /// Its name.
    pub name: &'a OsStr,
}

/// An open directory.
#[derive(Debug)]
pub(super) enum Listing {
    Published(Vec<(OsString, NodeId)>),
    Stored { directory: Arc<OwnedFd>, area: Area, at: u64 },
}

impl Listing {
    /// What fsync(2) of it needs.
    pub(super) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        match self {
            Self::Published(_) => None,
            Self::Stored { directory, .. } => Some(Arc::clone(directory)),
        }
    }
}

impl Tree {
    /// Opens a directory.
    ///
    /// # Errors
    /// ENOTDIR, and ENFILE when too many are open.
    pub fn open_directory(&mut self, caller: Caller, node: NodeId) -> Result<Handle> {
        self.have_room()?;
        let listing = if is_stored(node) {
            let area = self.nodes.get(node)?.area;
            let place = self.directory(node)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = Arc::new(openat(&*place, ".", flags, Mode::empty())?);
            Listing::Stored { directory, area, at: 0 }
        } else {
            let parent = self.published.parent(node)?;
            let mut entries = vec![(OsString::from("."), node), (OsString::from(".."), parent)];
            entries.extend(self.published.entries(node)?);
            Listing::Published(entries)
        };
        self.handles.insert(Held::Directory(listing), self.is_guest(caller))
    }

    /// Gives the entries from `offset` on to `take` until it says that it is full (false).
    ///
    /// # Errors
    /// EBADF for what is no open directory, and what the disk says.
    pub fn list(&mut self, handle: Handle, offset: u64, mut take: impl FnMut(Listed<'_>) -> bool) -> Result<()> {
        let entries = match self.handles.get_mut(handle)? {
            Held::Directory(Listing::Published(entries)) => entries.clone(),
            Held::Directory(Listing::Stored { directory, area, at }) => {
                if *at != offset {
                    seek(&**directory, SeekFrom::Start(offset))?;
                    *at = offset;
                }
                return list_stored(directory, *area, at, take);
            }
            _ => return Err(Errno::BADF),
        };
        for (index, (name, node)) in entries.iter().enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let attributes = self.attributes(*node)?;
            let next = index as u64 + 1;
            if !take(Listed { ino: attributes.ino, next, file_type: attributes.file_type, name }) {
                break;
            }
        }
        Ok(())
    }
}

fn list_stored(directory: &OwnedFd, area: Area, at: &mut u64, mut take: impl FnMut(Listed<'_>) -> bool) -> Result<()> {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut position = *at;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let listed = Listed {
            ino: NodeId::of(area, entry.ino()).0,
            next: entry.next_entry_cookie(),
            file_type: entry.file_type(),
            name: OsStr::from_bytes(entry.file_name().to_bytes()),
        };
        if !take(listed) {
            // The kernel asks again from here; the descriptor stands further on.
            seek(directory, SeekFrom::Start(position))?;
            break;
        }
        position = entry.next_entry_cookie();
    }
    *at = position;
    Ok(())
}

impl Tree {
    /// The root of an area, by its name: what the areas are listed under.
    #[must_use]
    pub fn area_root(&self, area: Area) -> Option<NodeId> {
        self.directories.root(area)
    }
}
