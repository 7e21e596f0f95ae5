//! Every way of changing what a file holds, or of taking it away, that this kernel has.

use super::{FORGED, Place, REMEMBERED, Way, c_path, each, no, remember, way};
use crate::syscall::{call, ptr, ptr_mut, w};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::Path,
};

/// `RWF_NOAPPEND` (linux/fs.h): write at the offset in spite of O_APPEND.
const RWF_NOAPPEND: i32 = 0x20;
/// `FICLONE` and `FS_IOC_SETFLAGS` (linux/fs.h).
const FICLONE: u32 = 0x4004_9409;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const RENAME_EXCHANGE: u32 = 2;

#[rustfmt::skip]
const WAYS: &[Way] = &[
    way("open_truncate", |p| p.open(libc::O_WRONLY | libc::O_TRUNC).map(drop)),
    way("truncate", |p| call(libc::SYS_truncate, &[w(p.path()?.as_c_str()), w(0)]).map(drop)),
    way("truncate_below", |p| call(libc::SYS_truncate, &[w(p.path()?.as_c_str()), w(5)]).map(drop)),
    way("truncate_above", |p| call(libc::SYS_truncate, &[w(p.path()?.as_c_str()), w(100)]).map(drop)),
    way("ftruncate", |p| call(libc::SYS_ftruncate, &[w(p.open(libc::O_RDWR)?.as_raw_fd()), w(0)]).map(drop)),
    way("pwrite", |p| File::from(p.open(libc::O_WRONLY)?).write_all_at(FORGED, 0)),
    way("pwrite_before_the_end", |p| File::from(p.open(libc::O_WRONLY)?).write_all_at(FORGED, last())),
    way("pwrite_behind_a_hole", |p| File::from(p.open(libc::O_WRONLY)?).write_all_at(FORGED, 1 << 20)),
    way("write_at_the_start", |p| File::from(p.open(libc::O_RDWR)?).write_all(FORGED)),
    way("append_flag_cleared", append_flag_cleared),
    way("write_without_append", write_without_append),
    way("direct_write", direct_write),
    way("old_handle", old_handle),
    way("reopened_descriptor", reopened_descriptor),
    way("shared_mapping", |p| shared_mapping(p, false)),
    way("shared_mapping_made_writable", |p| shared_mapping(p, true)),
    way("punch_hole", |p| allocate(p, 3, 0, 8)),
    way("zero_range", |p| allocate(p, 0x10, 0, 8)),
    way("allocate_behind", |p| allocate(p, 0, 0, 4096)),
    way("copy_file_range", copy_file_range),
    way("splice", splice),
    way("sendfile", sendfile),
    way("rename_over", |p| fs::write(p.beside("new"), FORGED).and_then(|()| fs::rename(p.beside("new"), &p.file))),
    way("rename_away", |p| fs::rename(&p.file, p.beside("moved"))),
    way("rename_exchange", rename_exchange),
    way("rename_directory", rename_directory),
    way("link", |p| fs::hard_link(&p.file, p.beside("link"))),
    way("unlink", |p| fs::remove_file(&p.file)),
    way("remove_directory", |p| fs::create_dir(p.beside("d")).and_then(|()| fs::remove_dir(p.beside("d")))),
    way("chmod", |p| call(libc::SYS_chmod, &[w(p.path()?.as_c_str()), w(0o600)]).map(drop)),
    way("set_times", |p| File::from(p.open(libc::O_RDONLY)?).set_modified(std::time::UNIX_EPOCH)),
    way("setxattr", setxattr),
];

/// Further ways that even an ordinary file on FUSE does not have: asserted to be refused, without a control there.
#[rustfmt::skip]
const REFUSED_ANYWAY: &[Way] = &[
    way("collapse_range", |p| allocate(p, 8, 0, 4096)),
    way("insert_range", |p| allocate(p, 0x20, 0, 4096)),
    way("clone", clone),
    way("clear_flags", clear_flags),
    way("temporary_file", |p| crate::syscall::open(&c_path(&p.directory)?, libc::O_TMPFILE | libc::O_RDWR).map(drop)),
];

/// `probe rewrite DIR`.
pub(crate) fn rewrite(directory: &Path) -> io::Result<u8> {
    each(directory, WAYS, remember)?;
    each(directory, REFUSED_ANYWAY, remember)
}

fn last() -> u64 {
    REMEMBERED.len() as u64 - 1
}

fn append_flag_cleared(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_WRONLY | libc::O_APPEND)?);
    call(libc::SYS_fcntl, &[w(file.as_raw_fd()), w(libc::F_SETFL), w(0)])?;
    file.write_all_at(FORGED, 0)
}

fn write_without_append(place: &Place) -> io::Result<()> {
    let file = place.open(libc::O_WRONLY | libc::O_APPEND)?;
    let vector = libc::iovec { iov_base: FORGED.as_ptr().cast_mut().cast(), iov_len: FORGED.len() };
    let words = [w(file.as_raw_fd()), ptr(&vector), w(1), w(0), w(0), w(RWF_NOAPPEND)];
    call(libc::SYS_pwritev2, &words).map(drop)
}

/// A block of its own alignment, as O_DIRECT wants it.
#[repr(align(4096))]
struct Block([u8; 4096]);

fn direct_write(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_WRONLY | libc::O_DIRECT)?);
    file.write_all_at(&Block([b'x'; 4096]).0, 0)
}

fn old_handle(place: &Place) -> io::Result<()> {
    let file = File::options().read(true).write(true).create_new(true).open(place.beside("own"))?;
    file.write_all_at(REMEMBERED, 0)?;
    file.write_all_at(FORGED, 0)
}

fn reopened_descriptor(place: &Place) -> io::Result<()> {
    let file = place.open(libc::O_RDONLY)?;
    let again = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    again.write_all_at(FORGED, 0)
}

fn shared_mapping(place: &Place, later: bool) -> io::Result<()> {
    let file = place.open(libc::O_RDWR)?;
    let protection = if later { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE };
    let words = [w(0), w(4096), w(protection), w(libc::MAP_SHARED), w(file.as_raw_fd()), w(0)];
    let address = usize::try_from(call(libc::SYS_mmap, &words)?).map_err(io::Error::other)?;
    if later {
        call(libc::SYS_mprotect, &[w(address), w(4096), w(libc::PROT_READ | libc::PROT_WRITE)])?;
    }
    // SAFETY: the page was just mapped writable, and the file is longer than what is written.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(b'F') };
    call(libc::SYS_msync, &[w(address), w(4096), w(libc::MS_SYNC)])?;
    let mut first = [0];
    File::from(place.open(libc::O_RDONLY)?).read_exact(&mut first)?;
    if first == *b"F" { Ok(()) } else { Err(no("what was stored is not in the file")) }
}

fn allocate(place: &Place, mode: i32, offset: i32, length: i32) -> io::Result<()> {
    let file = place.open(libc::O_RDWR)?;
    call(libc::SYS_fallocate, &[w(file.as_raw_fd()), w(mode), w(offset), w(length)]).map(drop)
}

/// A file that holds [`FORGED`].
fn forged(place: &Place) -> io::Result<OwnedFd> {
    fs::write(place.beside("forged"), FORGED)?;
    File::open(place.beside("forged")).map(OwnedFd::from)
}

fn copy_file_range(place: &Place) -> io::Result<()> {
    let (from, to) = (forged(place)?, place.open(libc::O_WRONLY)?);
    let words = [w(from.as_raw_fd()), w(0), w(to.as_raw_fd()), w(0), w(FORGED.len()), w(0)];
    call(libc::SYS_copy_file_range, &words).map(drop)
}

fn splice(place: &Place) -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(FORGED)?;
    let (file, mut offset) = (place.open(libc::O_WRONLY)?, 0i64);
    let words = [w(reader.as_raw_fd()), w(0), w(file.as_raw_fd()), ptr_mut(&mut offset), w(FORGED.len()), w(0)];
    call(libc::SYS_splice, &words).map(drop)
}

fn sendfile(place: &Place) -> io::Result<()> {
    let (from, to) = (forged(place)?, place.open(libc::O_WRONLY)?);
    call(libc::SYS_sendfile, &[w(to.as_raw_fd()), w(from.as_raw_fd()), w(0), w(FORGED.len())]).map(drop)
}

fn rename_exchange(place: &Place) -> io::Result<()> {
    fs::write(place.beside("new"), FORGED)?;
    let (one, other) = (place.path()?, c_path(&place.beside("new"))?);
    let here = libc::AT_FDCWD;
    let words = [w(here), w(one.as_c_str()), w(here), w(other.as_c_str()), w(RENAME_EXCHANGE)];
    call(libc::SYS_renameat2, &words).map(drop)
}

fn rename_directory(place: &Place) -> io::Result<()> {
    fs::create_dir(place.beside("directory"))?;
    fs::write(place.beside("directory").join("file"), REMEMBERED)?;
    fs::rename(place.beside("directory"), place.beside("elsewhere"))
}

fn setxattr(place: &Place) -> io::Result<()> {
    let path = place.path()?;
    let words = [w(path.as_c_str()), w(c"user.note"), ptr(FORGED), w(FORGED.len()), w(0)];
    call(libc::SYS_setxattr, &words).map(drop)
}

fn clone(place: &Place) -> io::Result<()> {
    let (from, to) = (forged(place)?, place.open(libc::O_WRONLY)?);
    call(libc::SYS_ioctl, &[w(to.as_raw_fd()), w(FICLONE), w(from.as_raw_fd())]).map(drop)
}

fn clear_flags(place: &Place) -> io::Result<()> {
    let file = place.open(libc::O_RDONLY)?;
    call(libc::SYS_ioctl, &[w(file.as_raw_fd()), w(FS_IOC_SETFLAGS), ptr(&0u64)]).map(drop)
}
