//! FUSE's words for ours, and the other way round.

use crate::attributes::Time;
use crate::tree::{Access, HowToSet, NewFile, NewTime};
use fuser::{Errno, FileType, OpenAccMode, OpenFlags, TimeOrNow};
use rustix::fs::{FileType as OurType, OFlags, XattrFlags};
use rustix::io::Errno as Error;
use std::time::{Duration, SystemTime};

pub(super) fn errno(error: Error) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

pub(super) fn kind(file_type: OurType) -> FileType {
    match file_type {
        OurType::Directory => FileType::Directory,
        OurType::Symlink => FileType::Symlink,
        OurType::Fifo => FileType::NamedPipe,
        OurType::Socket => FileType::Socket,
        OurType::CharacterDevice => FileType::CharDevice,
        OurType::BlockDevice => FileType::BlockDevice,
        OurType::RegularFile | OurType::Unknown => FileType::RegularFile,
    }
}

pub(super) fn system_time(time: Time) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::from(time.nanoseconds));
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    whole.and_then(|whole| whole.checked_add(nanoseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(super) fn new_time(time: TimeOrNow) -> NewTime {
    match time {
        TimeOrNow::Now => NewTime::Now,
        TimeOrNow::SpecificTime(time) => NewTime::At(our_time(time)),
    }
}

fn our_time(time: SystemTime) -> Time {
    let before = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            return Time { seconds, nanoseconds: since.subsec_nanos() };
        }
        Err(before) => before.duration(),
    };
    // Nanoseconds count forwards on either side of the epoch.
    let (borrow, nanoseconds) = match before.subsec_nanos() {
        0 => (0, 0),
        nanoseconds => (1, 1_000_000_000 - nanoseconds),
    };
    let seconds = 0i64.checked_sub_unsigned(before.as_secs()).and_then(|seconds| seconds.checked_sub(borrow));
    Time { seconds: seconds.unwrap_or(i64::MIN), nanoseconds }
}

/// The permission bits of a mode; its file type is told otherwise.
pub(super) fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or(0)
}

/// What mknod(2) is to make.
pub(super) fn new_file(mode: u32) -> NewFile<'static> {
    match OurType::from_raw_mode(mode) {
        OurType::RegularFile => NewFile::Regular(permissions(mode)),
        other => NewFile::Special(other, permissions(mode)),
    }
}

pub(super) fn access(flags: OpenFlags) -> Access {
    let bits = OFlags::from_bits_retain(flags.0.cast_unsigned());
    let mode = flags.acc_mode();
    Access {
        read: mode != OpenAccMode::O_WRONLY,
        write: mode != OpenAccMode::O_RDONLY,
        sync: bits.intersects(OFlags::DSYNC | OFlags::SYNC),
    }
}

pub(super) fn how_to_set(flags: i32) -> HowToSet {
    let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
    match (flags.contains(XattrFlags::CREATE), flags.contains(XattrFlags::REPLACE)) {
        (true, _) => HowToSet::Create,
        (false, true) => HowToSet::Replace,
        (false, false) => HowToSet::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_come_back() {
        for time in [
            (0, 0),
            (1, 5),
            (-1, 999_999_999),
            (-1, 0),
            (-7, 1),
            (1 << 33, 999_999_999),
            (i64::MIN, 0),
            (i64::MIN, 1),
            (i64::MAX, 999_999_999),
        ] {
            let time = Time { seconds: time.0, nanoseconds: time.1 };
            assert_eq!(our_time(system_time(time)), time);
        }
    }
}
