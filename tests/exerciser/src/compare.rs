//! A side: a directory and what is open in it, in which calls are made.

use crate::act::{Act, Name, SLOTS};
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, accessat,
    chmodat, copy_file_range, fallocate, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat, fsync, ftruncate,
    linkat, mkdirat, mknodat, openat, readlinkat, renameat_with, seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, Result, pread, pwrite, write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A directory and what is open in it.
#[derive(Debug)]
pub(crate) struct Side {
    root: OwnedFd,
    open: Vec<Option<OwnedFd>>,
}

impl Side {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let root = openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, open: (0..SLOTS).map(|_| None).collect() })
    }

    /// Makes the call. What it answered, as text; nothing where Linux leaves the answer to the file system.
    pub(crate) fn perform(&mut self, act: &Act) -> Result<String> {
        match act {
            Act::Open { slot, name, flags } => {
                let opened = openat(&self.root, name.path(), *flags, Mode::from_bits_truncate(0o640));
                self.open[*slot] = None;
                self.open[*slot] = Some(opened?);
                self.stat_open(*slot)
            }
            Act::Close { slot } => {
                self.open[*slot] = None;
                Ok(String::new())
            }
            Act::StatOpen { slot } => self.stat_open(*slot),
            Act::Write { .. } | Act::WriteOn { .. } | Act::Read { .. } | Act::Copy { .. } => self.on_content(act),
            Act::Resize { .. } | Act::Punch { .. } | Act::Allocate { .. } | Act::Sync { .. } => self.on_size(act),
            Act::Data { slot, from } => self.data(*slot, *from),
            Act::Hole { slot, from } => self.hole(*slot, *from),
            Act::SetXattr { .. } | Act::GetXattr { .. } | Act::RemoveXattr { .. } | Act::ListXattr { .. } => {
                self.on_attribute(act)
            }
            _ => self.on_name(act),
        }
    }

    fn slot(&self, slot: usize) -> Result<&OwnedFd> {
        self.open[slot].as_ref().ok_or(Errno::BADF)
    }

    fn stat_open(&self, slot: usize) -> Result<String> {
        Ok(shown(&fstat(self.slot(slot)?)?))
    }

    fn on_content(&self, act: &Act) -> Result<String> {
        Ok(match act {
            Act::Write { slot, at, length, byte } => pwrite(self.slot(*slot)?, &vec![*byte; *length], *at)?.to_string(),
            Act::WriteOn { slot, length, byte } => write(self.slot(*slot)?, &vec![*byte; *length])?.to_string(),
            Act::Read { slot, at, length } => {
                let mut buffer = vec![0; *length];
                let count = pread(self.slot(*slot)?, &mut buffer[..], *at)?;
                format!("{count} bytes, sum {}", sum(&buffer[..count]))
            }
            Act::Copy { from, to, read_at, write_at, length } => {
                let (mut read_at, mut write_at, mut done) = (*read_at, *write_at, 0);
                // It may copy less than it was asked for.
                while done < *length {
                    let (from, to) = (self.slot(*from)?, self.slot(*to)?);
                    match copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length - done)? {
                        0 => break,
                        count => done += count,
                    }
                }
                done.to_string()
            }
            _ => String::new(),
        })
    }

    fn on_size(&self, act: &Act) -> Result<String> {
        match act {
            Act::Resize { slot, to } => ftruncate(self.slot(*slot)?, *to),
            Act::Punch { slot, at, length } => {
                let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(self.slot(*slot)?, mode, *at, *length)
            }
            Act::Allocate { slot, mode, at, length } => fallocate(self.slot(*slot)?, *mode, *at, *length),
            Act::Sync { slot } => fsync(self.slot(*slot)?),
            _ => Ok(()),
        }
        .map(|()| String::new())
    }

    /// Where holes are is the file system's choice; what it skips must be zeros, and there must be data where it says so.
    fn data(&self, slot: usize, from: u64) -> Result<String> {
        let file = self.regular(slot)?;
        let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        let found = seek(file, SeekFrom::Data(from));
        // Where the data begins may differ, and where the next write begins must not, whatever fails below.
        seek(file, SeekFrom::Start(0))?;
        let skipped_to = match found {
            Ok(found) => found,
            Err(Errno::NXIO) => size.max(from),
            Err(error) => return Err(error),
        };
        let mut skipped = vec![0; usize::try_from(skipped_to.saturating_sub(from)).unwrap_or(0)];
        let count = pread(file, &mut skipped[..], from)?;
        Ok(format!("zeros skipped: {}", skipped[..count].iter().all(|byte| *byte == 0)))
    }

    fn hole(&self, slot: usize, from: u64) -> Result<String> {
        let file = self.regular(slot)?;
        let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        let found = seek(file, SeekFrom::Hole(from));
        seek(file, SeekFrom::Start(0))?;
        Ok(format!("within the file: {}", (from..=size).contains(&found?)))
    }

    fn regular(&self, slot: usize) -> Result<&OwnedFd> {
        let file = self.slot(slot)?;
        let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
        if kind == FileType::RegularFile { Ok(file) } else { Err(Errno::BADF) }
    }

    fn on_attribute(&self, act: &Act) -> Result<String> {
        let mut space = vec![0; 4096];
        Ok(match act {
            Act::SetXattr { slot, name, length, flags } => {
                fsetxattr(self.slot(*slot)?, *name, &vec![7; *length], *flags)?;
                String::new()
            }
            Act::GetXattr { slot, name } => fgetxattr(self.slot(*slot)?, *name, &mut space[..])?.to_string(),
            Act::RemoveXattr { slot, name } => {
                fremovexattr(self.slot(*slot)?, *name)?;
                String::new()
            }
            Act::ListXattr { slot } => {
                let count = flistxattr(self.slot(*slot)?, &mut space[..])?;
                let mut names: Vec<_> = space[..count].split(|byte| *byte == 0).collect();
                names.sort_unstable();
                format!("{names:?}")
            }
            _ => String::new(),
        })
    }

    fn on_name(&self, act: &Act) -> Result<String> {
        let root = &self.root;
        let none = String::new();
        match act {
            Act::Stat { name, flags } => Ok(shown(&statat(root, name.path(), *flags)?)),
            Act::Mode { name, mode } => {
                chmodat(root, name.path(), Mode::from_raw_mode(*mode), AtFlags::empty())?;
                Ok(shown(&statat(root, name.path(), AtFlags::empty())?))
            }
            Act::Times { name, nanoseconds } => self.times(name, *nanoseconds),
            Act::Mkdir { name, mode } => mkdirat(root, name.path(), Mode::from_raw_mode(*mode)).map(|()| none),
            Act::Fifo { name } => {
                mknodat(root, name.path(), FileType::Fifo, Mode::from_raw_mode(0o600), 0).map(|()| none)
            }
            Act::Unlink { name, flags } => unlinkat(root, name.path(), *flags).map(|()| none),
            Act::Rename { from, to, flags } => renameat_with(root, from.path(), root, to.path(), *flags).map(|()| none),
            Act::Link { from, to } => linkat(root, from.path(), root, to.path(), AtFlags::empty()).map(|()| none),
            Act::Symlink { target, name } => symlinkat(target.path(), root, name.path()).map(|()| none),
            Act::Readlink { name } => Ok(format!("{:?}", readlinkat(root, name.path(), Vec::new())?)),
            Act::Access { name } => {
                accessat(root, name.path(), Access::READ_OK | Access::WRITE_OK, AtFlags::empty()).map(|()| none)
            }
            Act::List { name } => self.list(name.path()),
            _ => Ok(none),
        }
    }

    fn times(&self, name: &Name, nanoseconds: i64) -> Result<String> {
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(&self.root, name.path(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
        let now = statat(&self.root, name.path(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(format!("{}.{:09}", now.st_mtime, now.st_mtime_nsec))
    }

    /// Everything beneath, with what can be compared of it.
    pub(crate) fn list(&self, path: &Path) -> Result<String> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let directory = openat(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let mut lines = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            lines.push(format!("{name:?} {}", shown(&found)));
        }
        lines.sort_unstable();
        Ok(lines.join("\n"))
    }
}

/// Kind, permissions, owner; of what is no directory also links and size.
fn shown(stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let own = format!("{kind:?} {:o} {}:{}", stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
    if kind == FileType::Directory { own } else { format!("{own} {} links, {} bytes", stat.st_nlink, stat.st_size) }
}

/// FNV-1a.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
