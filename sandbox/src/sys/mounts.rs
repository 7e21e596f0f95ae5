//! `listmount(2)` and `statmount(2)`, Linux 6.8: which mounts this namespace has, and where one is, without the text of
//! them all.

use super::check;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A mount as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is; `None` for a path that is longer than any that can be named at once.
    pub(crate) point: Option<PathBuf>,
    /// Its number, which no other gets.
    pub(crate) number: u64,
    /// Its parent's number, its attributes, its propagation.
    rest: [u64; 3],
}

const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;
/// Numbers of one call.
const CHUNK: usize = 512;

/// `struct mnt_id_req` of linux/mount.h, version 0.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    parameter: u64,
}

impl Request {
    const SIZE: u32 = 24;

    fn new(mount: u64, parameter: u64) -> Self {
        Self { size: Self::SIZE, spare: 0, mount, parameter }
    }
}

/// `struct statmount` of linux/mount.h up to what is asked for, with room for a path behind it.
#[repr(C)]
struct Answer {
    size: u32,
    options: u32,
    mask: u64,
    device: [u32; 2],
    magic: u64,
    flags: u32,
    kind: u32,
    number: u64,
    parent: u64,
    old_numbers: [u32; 2],
    attributes: u64,
    propagation: u64,
    peers: [u64; 3],
    root: u32,
    point: u32,
    rest: [u64; 50],
    text: [u8; 4104],
}

/// The numbers of all that can be reached from the root, in the order of their making.
///
/// # Errors
/// As `listmount(2)`; ENOSYS before Linux 6.8.
pub(crate) fn numbers() -> io::Result<Vec<u64>> {
    /// LSMT_ROOT.
    const ALL: u64 = u64::MAX;
    let mut all = Vec::new();
    loop {
        let mut numbers = [0_u64; CHUNK];
        let request = Request::new(ALL, all.last().copied().unwrap_or(0));
        // SAFETY: the structure is the kernel's; it writes at most CHUNK numbers.
        let count = check(unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, numbers.as_mut_ptr(), CHUNK, 0) })?;
        let count = usize::try_from(count).map_err(io::Error::other)?;
        all.extend_from_slice(&numbers[..count]);
        if count < CHUNK {
            return Ok(all);
        }
    }
}

/// STATMOUNT_MNT_BASIC and STATMOUNT_MNT_POINT.
const BASIC: u64 = 0x2;
const POINT: u64 = 0x10;

/// One of them, or `None` if it has just gone.
///
/// # Errors
/// As `statmount(2)`.
pub(crate) fn look(mount: u64) -> io::Result<Option<Mount>> {
    let answer = match ask(mount, BASIC | POINT) {
        Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => ask(mount, BASIC),
        answer => answer,
    };
    let answer = match answer {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        answer => answer?,
    };
    let point = (answer.mask & POINT != 0).then(|| {
        let text = usize::try_from(answer.point).ok().and_then(|start| answer.text.get(start..)).unwrap_or_default();
        let path = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Path::new(std::ffi::OsStr::from_bytes(path)).to_owned()
    });
    Ok(Some(Mount { point, number: answer.number, rest: [answer.parent, answer.attributes, answer.propagation] }))
}

fn ask(mount: u64, what: u64) -> io::Result<Answer> {
    let request = Request::new(mount, what);
    // SAFETY: all-zero bytes are a valid answer.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most as many bytes as the structure has.
    let result = unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, &raw mut answer, size_of::<Answer>(), 0) };
    check(result).map(|_| answer)
}
