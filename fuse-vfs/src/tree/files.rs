//! Content: opening, reading, writing, making durable.

use super::handles::{FileHandle, Handle, Held};
use super::{Change, Entry, Errno, Result, Tree, is_stored, regular};
use crate::area::{Area, Caller, Purpose};
use crate::nodes::{Name, NodeId, Open};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, SeekFrom, fallocate, fdatasync, fsync, openat, seek, statx};
use rustix::io::{ReadWriteFlags, pread, pwrite, pwritev2};
use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a handle may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// read(2).
    pub read: bool,
    /// write(2).
    pub write: bool,
    /// Each write is durable when it returns (O_SYNC, O_DSYNC).
    pub sync: bool,
}

/// Bytes that are copied at once: other requests of the mount wait meanwhile.
const MOST_COPIED: usize = 1 << 20;

/// How the kernel does the input and output of a handle.
#[derive(Debug)]
pub enum Io {
    /// Reads come here and are cached.
    Cached,
    /// Reads and writes come here, nothing is cached, and no shared mapping is possible.
    Direct,
    /// All goes to this file without us.
    Passthrough(Arc<OwnedFd>),
    /// Reads and writes come here, mappings are of this file.
    PassthroughMappings(Arc<OwnedFd>),
}

/// An answer to open(2).
#[derive(Debug)]
pub struct Opened {
    /// Names it from now on.
    pub handle: Handle,
    /// What it is of.
    pub node: NodeId,
    /// How it is read and written.
    pub io: Io,
}

impl Tree {
    /// Opens a file that exists.
    ///
    /// # Errors
    /// What the area's rules say; ENFILE when too many are open.
    pub fn open(&mut self, caller: Caller, node: NodeId, access: Access) -> Result<Opened> {
        self.have_room()?;
        if !is_stored(node) {
            return self.open_published(caller, node, access);
        }
        let known = self.nodes.get(node)?;
        regular(known)?;
        let area = known.area;
        if access.write {
            self.allow(area, caller, Change::Append)?;
        }
        self.open_stored(node)?;
        self.hand_out((caller, node), area, access)
    }

    /// Makes a file and opens it.
    ///
    /// # Errors
    /// As [`Tree::make`] and [`Tree::open`].
    pub fn create(
        &mut self,
        caller: Caller,
        (parent, name): (NodeId, &OsStr),
        mode: u16,
        access: Access,
    ) -> Result<(Entry, Opened)> {
        self.have_room()?;
        let (entry, file) = self.make_open(caller, parent, name, mode)?;
        let node = self.nodes.get_mut(entry.node)?;
        let area = node.area;
        node.open = Some(Open { file: Arc::new(file), handles: 0, size: 0 });
        Ok((entry, self.hand_out((caller, entry.node), area, access)?))
    }

    fn open_published(&mut self, caller: Caller, node: NodeId, access: Access) -> Result<Opened> {
        if access.write {
            return Err(Errno::ROFS);
        }
        let executable = self.published.attributes(node)?.mode & 0o111 != 0;
        let seen = self.published.bytes(node)?;
        let handle = self.handles.insert(Held::Published { node, seen }, self.is_guest(caller))?;
        // A program is mapped; a file that grows is not cached.
        Ok(Opened { handle, node, io: if executable { Io::Cached } else { Io::Direct } })
    }

    /// Whether this is somebody on the host who only looks at an agent's files.
    pub(super) fn is_guest(&self, caller: Caller) -> bool {
        self.purpose == Purpose::Agent && caller == Caller::Other
    }

    fn hand_out(&mut self, (caller, id): (Caller, NodeId), area: Area, access: Access) -> Result<Opened> {
        let file = Arc::clone(&self.nodes.get(id)?.open.as_ref().ok_or(Errno::STALE)?.file);
        let io = match (self.purpose, area, access.write) {
            // Another mount of the same store may be at work: nothing is cached.
            (Purpose::Inspect | Purpose::Restore, ..) => Io::Direct,
            // The size of the tmpfs bounds it, and its pages are the writer's.
            (_, Area::Working, _) => Io::Passthrough(file),
            // A mapping of the backing file could be written to.
            (_, Area::Episodic, true) => Io::Direct,
            (_, Area::Episodic, false) => Io::Cached,
            (_, Area::Semantic | Area::Procedural | Area::State, true) => Io::PassthroughMappings(file),
            (_, Area::Semantic | Area::Procedural | Area::State, false) => Io::Passthrough(file),
        };
        let is_guest = self.is_guest(caller);
        let handle = self.handles.insert(Held::File(FileHandle { node: id, access }), is_guest).inspect_err(|_| {
            self.close_unused(id);
        })?;
        if let Some(open) = &mut self.nodes.get_mut(id)?.open {
            open.handles += 1;
        }
        Ok(Opened { handle, node: id, io })
    }

    /// Has the backing file of a node open.
    pub(super) fn open_stored(&mut self, id: NodeId) -> Result<()> {
        let node = self.nodes.get(id)?;
        if node.open.is_some() {
            return Ok(());
        }
        let file = match &node.orphan {
            Some(orphan) => Arc::clone(&orphan.file),
            None => {
                let Name { parent, name } = node.names.first().cloned().ok_or(Errno::NOENT)?;
                let directory = self.directory(parent)?;
                Arc::new(open_file(&directory, &name)?)
            }
        };
        let size = statx(&*file, "", AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::SIZE)?.stx_size;
        self.nodes.get_mut(id)?.open = Some(Open { file, handles: 0, size });
        Ok(())
    }

    /// Lets go of a backing file that no handle has open.
    pub(super) fn close_unused(&mut self, id: NodeId) {
        if let Ok(node) = self.nodes.get_mut(id)
            && node.open.as_ref().is_some_and(|open| open.handles == 0)
        {
            node.open = None;
        }
        self.nodes.drop_unneeded(id);
        self.settle();
    }

    /// ENFILE when this mount holds too many descriptors.
    pub(super) fn have_room(&self) -> Result<()> {
        self.handles.have_room(self.nodes.orphans())
    }

    /// A handle's end.
    pub fn release(&mut self, handle: Handle) {
        if let Some(Held::File(file)) = self.handles.remove(handle) {
            if let Ok(node) = self.nodes.get_mut(file.node)
                && let Some(open) = &mut node.open
            {
                open.handles = open.handles.saturating_sub(1);
            }
            self.close_unused(file.node);
        }
    }

    /// Up to `length` bytes from `offset` on; fewer at the end.
    ///
    /// # Errors
    /// EBADF for a handle that may not read, and what the disk says.
    pub fn read(&mut self, handle: Handle, offset: u64, length: usize) -> Result<Vec<u8>> {
        if let Held::Published { node, seen } = self.handles.get_mut(handle)? {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            if start >= seen.len() {
                // What was read to its end goes on with what there is now, as for a log that grows.
                *seen = self.published.bytes(*node)?;
            }
            let end = start.saturating_add(length).min(seen.len());
            return Ok(seen.get(start..end).unwrap_or_default().to_vec());
        }
        let file = self.backing(handle)?;
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match pread(&*file, rest, offset.saturating_add(filled as u64))? {
                0 => break,
                read => filled += read,
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }

    /// Writes at `offset`, which for O_APPEND the kernel makes the file's size; how much was written.
    ///
    /// # Errors
    /// ENOSPC past the quota, EPERM before the end of an append-only file.
    pub fn write(&mut self, caller: Caller, handle: Handle, offset: u64, data: &[u8]) -> Result<usize> {
        let FileHandle { node: id, access } = self.handles.file(handle)?;
        if !access.write {
            return Err(Errno::BADF);
        }
        let node = self.nodes.get(id)?;
        let (area, open) = (node.area, node.open.as_ref().ok_or(Errno::STALE)?);
        let (file, size) = (Arc::clone(&open.file), open.size);
        self.allow(area, caller, if offset == size { Change::Append } else { Change::Rewrite })?;
        let wanted = offset.checked_add(data.len() as u64).ok_or(Errno::FBIG)?;
        let account = self.account_mut(area)?;
        let end = if wanted > size { account.room(size, wanted) } else { wanted };
        let data = end.checked_sub(offset).and_then(|fits| data.get(..usize::try_from(fits).ok()?));
        let data = data.filter(|fits| !fits.is_empty() || wanted == offset).ok_or(Errno::NOSPC)?;
        account.resize(size, size.max(end))?;
        let written = write_at(&file, data, offset, access.sync);
        let reached = written.map_or(size, |written| size.max(offset + written as u64));
        self.account_mut(area)?.resize(size.max(end), reached)?;
        if let Some(open) = &mut self.nodes.get_mut(id)?.open {
            open.size = reached;
        }
        written
    }

    /// copy_file_range(2). The kernel's own way, for who refuses, reads from the page cache of our inode, which does not see
    /// what is written through a mapping of the backing file.
    ///
    /// # Errors
    /// As [`Tree::read`] and [`Tree::write`]; EOPNOTSUPP into memory, whose pages are to be the writer's.
    pub fn copy(&mut self, caller: Caller, from: (Handle, u64), to: (Handle, u64), length: u64) -> Result<usize> {
        let target = self.nodes.get(self.handles.file(to.0)?.node)?.area;
        if target == Area::Working {
            return Err(Errno::OPNOTSUPP);
        }
        let length = usize::try_from(length).map_or(MOST_COPIED, |length| length.min(MOST_COPIED));
        let data = self.read(from.0, from.1, length)?;
        if data.is_empty() { Ok(0) } else { self.write(caller, to.0, to.1, &data) }
    }

    fn backing(&self, handle: Handle) -> Result<Arc<OwnedFd>> {
        let file = self.handles.file(handle)?;
        let open = self.nodes.get(file.node)?.open.as_ref().ok_or(Errno::STALE)?;
        Ok(Arc::clone(&open.file))
    }

    /// What [`Tree::sync_file`] needs, so that the wait for the disk happens without the tree.
    ///
    /// # Errors
    /// EBADF for an unknown handle.
    pub fn to_sync(&mut self, handle: Handle) -> Result<Option<Arc<OwnedFd>>> {
        match self.handles.get_mut(handle)? {
            Held::Published { .. } => Ok(None),
            Held::Directory(listing) => Ok(listing.descriptor()),
            Held::File(_) => self.backing(handle).map(Some),
        }
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync_file(file: &OwnedFd, data_only: bool) -> Result<()> {
        if data_only { fdatasync(file) } else { fsync(file) }
    }

    /// fallocate(2): holes, zeroes, and room up to the present end.
    ///
    /// # Errors
    /// EOPNOTSUPP for what would take room that is not counted by the file's size, or not as the agent's memory.
    pub fn allocate(
        &mut self,
        caller: Caller,
        handle: Handle,
        flags: FallocateFlags,
        (offset, length): (u64, u64),
    ) -> Result<()> {
        let FileHandle { node: id, access } = self.handles.file(handle)?;
        if !access.write {
            return Err(Errno::BADF);
        }
        let node = self.nodes.get(id)?;
        let area = node.area;
        let file = Arc::clone(&node.open.as_ref().ok_or(Errno::STALE)?.file);
        self.allow(area, caller, Change::Rewrite)?;
        let size = self.size_of(id)?;
        let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
        let punches = flags.contains(FallocateFlags::PUNCH_HOLE);
        let grows = end > size && !punches;
        if (grows && flags.contains(FallocateFlags::KEEP_SIZE)) || (area == Area::Working && !punches) {
            return Err(Errno::OPNOTSUPP);
        }
        let reached = if grows { end } else { size };
        self.account_mut(area)?.resize(size, reached)?;
        let outcome = fallocate(&*file, flags, offset, length);
        // On a full disk ext4 keeps what it could get.
        let reached_then = match outcome {
            Ok(()) => reached,
            Err(_) => statx(&*file, "", AtFlags::EMPTY_PATH, super::WANTED)?.stx_size,
        };
        self.account_mut(area)?.resize(reached, reached_then)?;
        self.note_size(id, reached_then);
        outcome
    }

    /// SEEK_HOLE and SEEK_DATA.
    ///
    /// # Errors
    /// ENXIO behind the end.
    pub fn seek(&mut self, handle: Handle, to: SeekFrom) -> Result<u64> {
        seek(&*self.backing(handle)?, to)
    }

    /// The size that a file has now.
    pub(super) fn size_of(&mut self, id: NodeId) -> Result<u64> {
        let node = self.nodes.get(id)?;
        match &node.open {
            Some(open) if node.area != Area::Working => Ok(open.size),
            _ => Ok(self.stat(id)?.stx_size),
        }
    }

    pub(super) fn note_size(&mut self, id: NodeId, size: u64) {
        if let Ok(node) = self.nodes.get_mut(id)
            && let Some(open) = &mut node.open
        {
            open.size = size;
        }
    }
}

/// Without waiting for whoever has the other end of a FIFO that took the file's place.
fn open_file(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

fn write_at(file: &OwnedFd, data: &[u8], offset: u64, sync: bool) -> Result<usize> {
    let mut written = 0;
    while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(written as u64);
        let outcome = match sync {
            true => pwritev2(file, &[IoSlice::new(rest)], at, ReadWriteFlags::SYNC),
            false => pwrite(file, rest, at),
        };
        match outcome {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if written == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(written)
}
