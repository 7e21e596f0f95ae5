//! What open(2) gave out.

use super::listing::Listing;
use super::{Access, Errno, Result};
use crate::nodes::NodeId;
use std::collections::HashMap;
use std::sync::Arc;

/// Handles of one mount; each open file and directory costs this process at most one descriptor, and a thousand mounts
/// together fit into `fs.nr_open` in practice. Beyond, open(2) answers ENFILE.
const MOST: usize = 16 << 10;

/// The number of an open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) u64);

/// One of them.
#[derive(Debug)]
pub(super) enum Held {
    /// A regular file beneath an area.
    File(FileHandle),
    /// A published file, as it was when its reading began.
    Published {
        /// Which.
        node: NodeId,
        /// What it held then.
        seen: Arc<[u8]>,
    },
    /// A directory.
    Directory(Listing),
}

/// How a regular file was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileHandle {
    pub(super) node: NodeId,
    pub(super) access: Access,
}

/// All handles of a tree.
#[derive(Debug, Default)]
pub(super) struct Handles {
    held: HashMap<u64, Held>,
    next: u64,
}

impl Handles {
    /// ENFILE when one more would be too many.
    pub(super) fn have_room(&self) -> Result<()> {
        if self.held.len() >= MOST { Err(Errno::NFILE) } else { Ok(()) }
    }

    pub(super) fn insert(&mut self, held: Held) -> Handle {
        self.next += 1;
        self.held.insert(self.next, held);
        Handle(self.next)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Result<&mut Held> {
        self.held.get_mut(&handle.0).ok_or(Errno::BADF)
    }

    pub(super) fn file(&self, handle: Handle) -> Result<FileHandle> {
        match self.held.get(&handle.0) {
            Some(Held::File(file)) => Ok(*file),
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<Held> {
        self.held.remove(&handle.0)
    }
}
