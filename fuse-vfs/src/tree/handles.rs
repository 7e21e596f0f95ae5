//! What open(2) gave out.

use super::listing::Listing;
use super::{Access, Errno, Result};
use crate::descriptors::{self, Descriptor};
use crate::nodes::NodeId;
use std::collections::HashMap;
use std::sync::Arc;

/// Descriptors that one mount's open files, open directories and files without a name may take here. Beyond, open(2) and
/// unlink(2) answer ENFILE.
const MOST: usize = 16 << 10;
/// Of them, what one mount may hold while all mounts together hold many.
const FEW: usize = 256;
/// Of them, what others on the host than root may hold in an agent's mount, so that its agent has the rest.
const MOST_GUESTS: usize = 256;
/// Published files that are open at a time: each may hold a version of its own in memory.
const MOST_PUBLISHED: usize = 256;

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

#[derive(Debug)]
struct Kept {
    held: Held,
    is_guest: bool,
    _descriptor: Descriptor,
}

/// All handles of a tree.
#[derive(Debug, Default)]
pub(super) struct Handles {
    held: HashMap<u64, Kept>,
    published: usize,
    guests: usize,
    next: u64,
}

impl Handles {
    /// ENFILE when a mount with so many orphans holds too many.
    pub(super) fn have_room(&self, orphans: usize) -> Result<()> {
        // Where the process itself may have few, a mount has at most a quarter of them: the others need theirs.
        let most = if descriptors::are_scarce() { FEW } else { MOST.min(descriptors::most() / 4) };
        if self.held.len() + orphans >= most { Err(Errno::NFILE) } else { Ok(()) }
    }

    /// ENFILE when all mounts together hold too many, or guests in this one.
    pub(super) fn insert(&mut self, held: Held, is_guest: bool) -> Result<Handle> {
        let published = usize::from(matches!(held, Held::Published { .. }));
        if (published > 0 && self.published >= MOST_PUBLISHED) || (is_guest && self.guests >= MOST_GUESTS) {
            return Err(Errno::NFILE);
        }
        let descriptor = Descriptor::take()?;
        self.next += 1;
        self.published += published;
        self.guests += usize::from(is_guest);
        self.held.insert(self.next, Kept { held, is_guest, _descriptor: descriptor });
        Ok(Handle(self.next))
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Result<&mut Held> {
        self.held.get_mut(&handle.0).map(|kept| &mut kept.held).ok_or(Errno::BADF)
    }

    pub(super) fn file(&self, handle: Handle) -> Result<FileHandle> {
        match self.held.get(&handle.0) {
            Some(Kept { held: Held::File(file), .. }) => Ok(*file),
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<Held> {
        let Kept { held, is_guest, .. } = self.held.remove(&handle.0)?;
        self.published -= usize::from(matches!(held, Held::Published { .. }));
        self.guests -= usize::from(is_guest);
        Some(held)
    }
}
