//! Each request of the kernel.

use super::words::{access, errno, how_to_set, kind, new_file, new_time, permissions};
use super::{Adapter, Way, lock};
use crate::area::Purpose;
use crate::nodes::NodeId;
use crate::tree::{Changes, Handle, NewFile};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{FallocateFlags, RenameFlags as OurRenameFlags, SeekFrom};
use rustix::io::Errno as Error;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

/// Longest write request in bytes; a mount's buffer keeps the most that it ever held.
const LONGEST_WRITE: u32 = 256 << 10;
/// Backing file systems may be stacked once (an overlay), and none upon ours.
const STACKED: u32 = 2;
/// lseek(2).
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

fn answer(reply: ReplyEmpty, outcome: Result<(), Error>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

/// getxattr(2)'s two questions: how long, and what.
fn answer_xattr(reply: ReplyXattr, size: u32, value: Result<Vec<u8>, Error>) {
    match value {
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() <= size as usize => reply.data(&value),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(error) => reply.error(errno(error)),
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let refused = |_| io::Error::from(io::ErrorKind::InvalidInput);
        config.set_max_write(LONGEST_WRITE).map_err(refused)?;
        for wanted in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_ASYNC_DIO,
        ] {
            // The kernel maps ids only where it checks modes itself, which it does for agents.
            let possible = wanted != InitFlags::FUSE_ALLOW_IDMAP || lock(&self.tree).purpose() == Purpose::Agent;
            if possible && config.capabilities().contains(wanted) {
                config.add_capabilities(wanted).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
            }
        }
        if self.terms.idmapped {
            config.add_capabilities(InitFlags::FUSE_ALLOW_IDMAP).map_err(|_| {
                io::Error::new(io::ErrorKind::Unsupported, "this kernel has no idmapped FUSE mounts (Linux 6.12)")
            })?;
        }
        if self.terms.passthrough {
            config.set_max_stack_depth(STACKED).map_err(refused)?;
            config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this kernel has no FUSE passthrough (CONFIG_FUSE_PASSTHROUGH)",
                )
            })?;
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let entry = lock(&self.tree).lookup(NodeId(parent.0), name);
        self.reply_entry(reply, entry);
    }

    fn forget(&self, _: &Request, node: INodeNo, count: u64) {
        lock(&self.tree).forget(NodeId(node.0), count);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = lock(&self.tree).attributes(NodeId(node.0));
        self.reply_attr(reply, node, attributes);
    }

    fn setattr(
        &self,
        request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if uid.is_some_and(|uid| uid != self.terms.uid) || gid.is_some_and(|gid| gid != self.terms.gid) {
            return reply.error(Errno::EPERM);
        }
        let changes =
            Changes { mode: mode.map(permissions), size, accessed: atime.map(new_time), modified: mtime.map(new_time) };
        let attributes = lock(&self.tree).change(self.caller(request), NodeId(node.0), changes);
        self.reply_attr(reply, node, attributes);
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        match lock(&self.tree).read_link(NodeId(node.0)) {
            Ok(text) => reply.data(text.as_bytes()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, _: u32, reply: ReplyEntry) {
        self.make(request, parent, name, new_file(mode), reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        self.make(request, parent, name, NewFile::Directory(permissions(mode)), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(request, parent, name, NewFile::Symlink(target.as_os_str()), reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, lock(&self.tree).unlink(self.caller(request), NodeId(parent.0), name));
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, lock(&self.tree).remove_directory(self.caller(request), NodeId(parent.0), name));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((NodeId(parent.0), name), (NodeId(new_parent.0), new_name));
        let flags = OurRenameFlags::from_bits_retain(flags.bits());
        answer(reply, lock(&self.tree).rename(self.caller(request), from, to, flags));
    }

    fn link(&self, request: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let entry = lock(&self.tree).link(self.caller(request), NodeId(node.0), NodeId(parent.0), name);
        self.reply_entry(reply, entry);
    }

    fn open(&self, request: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = lock(&self.tree).open(self.caller(request), NodeId(node.0), access(flags));
        match opened {
            Ok(opened) => {
                let handle = FileHandle(opened.handle.0);
                match self.way(&opened, |file| reply.open_backing(file)) {
                    Way::Plain(flags) => reply.opened(handle, flags),
                    Way::Backed(flags, id) => reply.opened_passthrough(handle, flags, &id),
                }
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let place = (NodeId(parent.0), name);
        let created = lock(&self.tree).create(self.caller(request), place, permissions(mode), access(OpenFlags(flags)));
        match created {
            Ok((entry, opened)) => {
                let (handle, attr) = (FileHandle(opened.handle.0), self.attr(&entry.attributes));
                // fuser has one time for the name and the attributes.
                match self.way(&opened, |file| reply.open_backing(file)) {
                    Way::Plain(flags) => reply.created(&super::ATTRIBUTES, &attr, Generation(0), handle, flags),
                    Way::Backed(flags, id) => {
                        reply.created_passthrough(&super::ATTRIBUTES, &attr, Generation(0), handle, flags, &id);
                    }
                }
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match lock(&self.tree).read(Handle(handle.0), offset, size as usize) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match lock(&self.tree).write(self.caller(request), Handle(handle.0), offset, data) {
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.release_backing(NodeId(node.0), Handle(handle.0));
        lock(&self.tree).release(Handle(handle.0));
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, data_only: bool, reply: ReplyEmpty) {
        self.sync(handle.0, data_only, reply);
    }

    fn opendir(&self, request: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match lock(&self.tree).open_directory(self.caller(request), NodeId(node.0)) {
            Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = lock(&self.tree).list(Handle(handle.0), offset, |entry| {
            !reply.add(INodeNo(entry.ino), entry.next, kind(entry.file_type), entry.name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        lock(&self.tree).release(Handle(handle.0));
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, data_only: bool, reply: ReplyEmpty) {
        self.sync(handle.0, data_only, reply);
    }

    fn statfs(&self, _: &Request, node: INodeNo, reply: ReplyStatfs) {
        const BLOCK: u64 = crate::quota::BLOCK;
        match lock(&self.tree).usage(NodeId(node.0)) {
            Ok((limit, used)) => {
                let (blocks, free) = (limit.bytes / BLOCK, limit.bytes.saturating_sub(used.bytes) / BLOCK);
                let files = limit.inodes.saturating_sub(used.inodes);
                reply.statfs(blocks, free, free, limit.inodes, files, 4096, 255, 4096);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let caller = self.caller(request);
        let set = lock(&self.tree).set_xattr(caller, NodeId(node.0), (name, value), how_to_set(flags));
        if set.is_ok() {
            self.expiry.look();
        }
        answer(reply, set);
    }

    fn getxattr(&self, _: &Request, node: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer_xattr(reply, size, lock(&self.tree).xattr(NodeId(node.0), name));
    }

    fn listxattr(&self, _: &Request, node: INodeNo, size: u32, reply: ReplyXattr) {
        answer_xattr(reply, size, lock(&self.tree).xattrs(NodeId(node.0)));
    }

    fn removexattr(&self, request: &Request, node: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, lock(&self.tree).remove_xattr(self.caller(request), NodeId(node.0), name));
    }

    fn fallocate(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let caller = self.caller(request);
        answer(reply, lock(&self.tree).allocate(caller, Handle(handle.0), flags, (offset, length)));
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _: INodeNo,
        from: FileHandle,
        from_offset: u64,
        _: INodeNo,
        to: FileHandle,
        to_offset: u64,
        length: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = ((Handle(from.0), from_offset), (Handle(to.0), to_offset));
        match lock(&self.tree).copy(self.caller(request), from, to, length) {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn lseek(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let to = match (whence, u64::try_from(offset)) {
            (SEEK_DATA, Ok(offset)) => SeekFrom::Data(offset),
            (SEEK_HOLE, Ok(offset)) => SeekFrom::Hole(offset),
            (_, Err(_)) => return reply.error(Errno::ENXIO),
            _ => return reply.error(Errno::EINVAL),
        };
        match lock(&self.tree).seek(Handle(handle.0), to) {
            Ok(position) => reply.offset(position.cast_signed()),
            Err(error) => reply.error(errno(error)),
        }
    }
}
