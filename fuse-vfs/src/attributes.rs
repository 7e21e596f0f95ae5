//! What stat(2) tells of a file, free of who asks and of FUSE.

use rustix::fs::{FileType, Statx};

/// A moment in seconds and nanoseconds since the epoch; seconds may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Below a thousand million.
    pub nanoseconds: u32,
}

/// Attributes of one file. Its owner is the tree's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Number that is the same for every name of one file, and no other file's while it exists.
    pub ino: u64,
    /// What it is.
    pub file_type: FileType,
    /// Permission bits with set-id and sticky bits, below 0o10000.
    pub mode: u16,
    /// Names.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Units of 512 bytes in use.
    pub blocks: u64,
    /// Last access.
    pub accessed: Time,
    /// Last change of content.
    pub modified: Time,
    /// Last change of attributes.
    pub changed: Time,
}

impl Attributes {
    /// From the backing file system's answer; `ino` keeps the numbers of two file systems apart.
    pub(crate) fn of(stat: &Statx, ino: u64) -> Self {
        let time = |time: rustix::fs::StatxTimestamp| Time { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
        Self {
            ino,
            file_type: FileType::from_raw_mode(u32::from(stat.stx_mode)),
            mode: stat.stx_mode & 0o7777,
            links: stat.stx_nlink,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            accessed: time(stat.stx_atime),
            modified: time(stat.stx_mtime),
            changed: time(stat.stx_ctime),
        }
    }
}
