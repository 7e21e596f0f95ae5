//! One call, chosen at random.

use crate::random::Random;
use rustix::fs::{AtFlags, FallocateFlags, OFlags, RawMode, RenameFlags, XattrFlags};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Descriptors that each side holds open.
pub(crate) const SLOTS: u64 = 8;
/// Longest file.
const LONGEST: u64 = 300_000;

/// A path of one to three of a few names, so that calls meet each other.
#[derive(Clone)]
pub(crate) struct Name(PathBuf);

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = format!("{:?}", self.0);
        f.write_str(&shown.replace(&"n".repeat(255), "n…"))
    }
}

impl Name {
    fn any(random: &mut Random) -> Self {
        let names: [&[u8]; 6] = [b"a", b"b", b"c", b"d", b"\xff\x01 \\", &[b'n'; 255]];
        let depth = 1 + random.below(3);
        Self((0..depth).map(|_| OsString::from_vec(random.of(&names).to_vec())).collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Open { slot: usize, name: Name, flags: OFlags },
    Close { slot: usize },
    Write { slot: usize, at: u64, length: usize, byte: u8 },
    WriteOn { slot: usize, length: usize, byte: u8 },
    Read { slot: usize, at: u64, length: usize },
    Resize { slot: usize, to: u64 },
    Punch { slot: usize, at: u64, length: u64 },
    Allocate { slot: usize, mode: FallocateFlags, at: u64, length: u64 },
    Copy { from: usize, to: usize, read_at: u64, write_at: u64, length: usize },
    Sync { slot: usize },
    Data { slot: usize, from: u64 },
    Hole { slot: usize, from: u64 },
    StatOpen { slot: usize },
    Stat { name: Name, flags: AtFlags },
    Mode { name: Name, mode: RawMode },
    Times { name: Name, nanoseconds: i64 },
    Mkdir { name: Name, mode: RawMode },
    Fifo { name: Name },
    Unlink { name: Name, flags: AtFlags },
    Rename { from: Name, to: Name, flags: RenameFlags },
    Link { from: Name, to: Name },
    Symlink { target: Name, name: Name },
    Readlink { name: Name },
    List { name: Name },
    Access { name: Name },
    SetXattr { slot: usize, name: &'static str, length: usize, flags: XattrFlags },
    GetXattr { slot: usize, name: &'static str },
    RemoveXattr { slot: usize, name: &'static str },
    ListXattr { slot: usize },
}

const ATTRIBUTES: [&str; 4] = ["user.a", "user.another", "user.a.name.that.is.somewhat.longer", "user."];

impl Act {
    /// Any call; those that fill files come more often.
    pub(crate) fn any(random: &mut Random) -> Self {
        match random.below(40) {
            0..24 => Self::on_file(random),
            24..38 => Self::on_name(random),
            _ => Self::on_attribute(random),
        }
    }

    fn on_file(random: &mut Random) -> Self {
        let (slot, at, length) = (slot(random), random.below(LONGEST), length(random));
        let byte = u8::try_from(random.below(256)).unwrap_or(0);
        match random.below(24) {
            0..6 => Self::Open { slot, name: Name::any(random), flags: open_flags(random) },
            6 => Self::Close { slot },
            7..11 => Self::Write { slot, at, length, byte },
            11 => Self::WriteOn { slot, length, byte },
            12..15 => Self::Read { slot, at, length },
            15 => Self::Resize { slot, to: at },
            16 => Self::Punch { slot, at, length: u64::try_from(length + 1).unwrap_or(1) },
            17 => {
                let mode = random.of(&[FallocateFlags::empty(), FallocateFlags::KEEP_SIZE]);
                Self::Allocate { slot, mode, at, length: u64::try_from(length).unwrap_or(1) }
            }
            18 | 19 => {
                let to = self::slot(random);
                Self::Copy { from: slot, to, read_at: at, write_at: random.below(LONGEST), length }
            }
            20 => Self::Sync { slot },
            21 => Self::Data { slot, from: at },
            22 => Self::Hole { slot, from: at },
            _ => Self::StatOpen { slot },
        }
    }

    fn on_name(random: &mut Random) -> Self {
        let (name, other) = (Name::any(random), Name::any(random));
        match random.below(15) {
            0 => Self::Stat { name, flags: random.of(&[AtFlags::empty(), AtFlags::SYMLINK_NOFOLLOW]) },
            1 => Self::Mode { name, mode: random.of(&[0o700, 0o600, 0o644, 0o755, 0o400, 0o1755]) },
            2 => Self::Times { name, nanoseconds: i64::try_from(random.below(1_000_000_000)).unwrap_or(0) },
            3 | 4 => Self::Mkdir { name, mode: random.of(&[0o700, 0o755]) },
            5 => Self::Fifo { name },
            6 | 7 => Self::Unlink { name, flags: random.of(&[AtFlags::empty(), AtFlags::REMOVEDIR]) },
            8 | 9 => {
                let kinds = [RenameFlags::empty(), RenameFlags::empty(), RenameFlags::NOREPLACE, RenameFlags::EXCHANGE];
                Self::Rename { from: name, to: other, flags: random.of(&kinds) }
            }
            10 => Self::Link { from: name, to: other },
            11 => Self::Symlink { target: other, name },
            12 => Self::Readlink { name },
            13 => Self::Access { name },
            _ => Self::List { name },
        }
    }

    fn on_attribute(random: &mut Random) -> Self {
        let (slot, name) = (slot(random), random.of(&ATTRIBUTES));
        match random.below(4) {
            0 => {
                let flags = random.of(&[XattrFlags::empty(), XattrFlags::CREATE, XattrFlags::REPLACE]);
                Self::SetXattr { slot, name, length: length(random) % 200, flags }
            }
            1 => Self::GetXattr { slot, name },
            2 => Self::RemoveXattr { slot, name },
            _ => Self::ListXattr { slot },
        }
    }
}

fn slot(random: &mut Random) -> usize {
    usize::try_from(random.below(SLOTS)).unwrap_or(0)
}

/// Few bytes as often as many.
fn length(random: &mut Random) -> usize {
    let most = random.of(&[16, 5_000, 70_000]);
    usize::try_from(random.below(most)).unwrap_or(0)
}

fn open_flags(random: &mut Random) -> OFlags {
    let ways = [OFlags::RDONLY, OFlags::RDWR, OFlags::RDWR, OFlags::WRONLY];
    let mut flags = random.of(&ways) | OFlags::CLOEXEC | OFlags::NONBLOCK;
    for (flag, one_in) in [
        (OFlags::CREATE, 2),
        (OFlags::EXCL, 8),
        (OFlags::TRUNC, 6),
        (OFlags::APPEND, 6),
        (OFlags::DIRECTORY, 8),
        (OFlags::NOFOLLOW, 4),
        (OFlags::DSYNC, 16),
    ] {
        if random.below(one_in) == 0 {
            flags |= flag;
        }
    }
    // Together the kernel refuses them since Linux 6.4, and before that each file system answered as it liked.
    if flags.contains(OFlags::DIRECTORY) { flags - OFlags::CREATE } else { flags }
}
