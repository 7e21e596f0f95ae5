//! The cache, and the file system of one file that puts it before a loop device.

use super::SECTOR;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The file's name.
pub(super) const NAME: &str = "disk";
const FILE: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(3600);

/// What the disk holds.
#[derive(Debug)]
struct State {
    /// As the next power-on finds it.
    stable: Vec<u8>,
    /// As it is read now.
    present: Vec<u8>,
    /// Written and not flushed: where, and which bytes.
    unflushed: Vec<(usize, Vec<u8>)>,
    power: Power,
}

#[derive(Debug, PartialEq, Eq)]
enum Power {
    On,
    Off,
}

/// Shared between the server's thread and the test.
#[derive(Clone, Debug)]
pub(super) struct Cache(Arc<Mutex<State>>);

impl Cache {
    pub(super) fn new(image: Vec<u8>) -> Self {
        let present = image.clone();
        Self(Arc::new(Mutex::new(State { stable: image, present, unflushed: Vec::new(), power: Power::On })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the power is off.
    fn powered(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state();
        if state.power == Power::On { Ok(state) } else { Err(Errno::EIO) }
    }

    fn size(&self) -> u64 {
        self.state().present.len() as u64
    }

    fn write(&self, at: u64, data: &[u8]) -> Result<u32, Errno> {
        let mut state = self.powered()?;
        let at = usize::try_from(at).map_err(|_| Errno::EINVAL)?;
        let end = at + data.len();
        state.present.get_mut(at..end).ok_or(Errno::ENOSPC)?.copy_from_slice(data);
        state.unflushed.push((at, data.to_vec()));
        u32::try_from(data.len()).map_err(|_| Errno::EINVAL)
    }

    fn read(&self, at: u64, length: u32) -> Result<Vec<u8>, Errno> {
        let state = self.powered()?;
        let at = usize::try_from(at).map_err(|_| Errno::EINVAL)?.min(state.present.len());
        let end = at.saturating_add(length as usize).min(state.present.len());
        Ok(state.present[at..end].to_vec())
    }

    fn flush(&self) -> Result<(), Errno> {
        let mut state = self.powered()?;
        let unflushed = std::mem::take(&mut state.unflushed);
        for (at, data) in unflushed {
            state.stable[at..at + data.len()].copy_from_slice(&data);
        }
        Ok(())
    }

    /// See [`super::Disk::cut`].
    pub(super) fn cut(&self, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let mut state = self.state();
        state.power = Power::Off;
        let mut image = std::mem::take(&mut state.stable);
        for (at, data) in std::mem::take(&mut state.unflushed) {
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                let at = at + index * SECTOR;
                if survives() {
                    image[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        image
    }
}

/// The file system.
pub(super) struct Served(pub(super) Cache);

impl Served {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let directory = inode == INodeNo::ROOT;
        let size = if directory { 0 } else { self.0.size() };
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: if directory { FileType::Directory } else { FileType::RegularFile },
            perm: if directory { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&FOREVER, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(inode));
    }

    // Nothing is cached above: each write is seen when it is made.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.read(offset, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.write(offset, data) {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.0.flush() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}
