//! What programs rely on: each way is `done` when it is as POSIX and Linux have it.

use super::{Place, REMEMBERED, Way, c_path, each, no, remember, way};
use crate::syscall::{Fork, call, call_fd, exit_now, fork, ptr, ptr_mut, w, wait_for};
use std::{
    ffi::{CStr, OsStr},
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
        },
    },
    path::Path,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

const F_OFD_SETLK: i32 = 37;
const RENAME_NOREPLACE: u32 = 1;

#[rustfmt::skip]
const WAYS: &[Way] = &[
    way("record_locks_between_processes", |p| locks(p, libc::F_SETLK)),
    way("ofd_locks_between_processes", |p| locks(p, F_OFD_SETLK)),
    way("flock_between_processes", flock),
    way("shared_mapping_between_processes", shared_mapping),
    way("private_mapping", private_mapping),
    way("holes", holes),
    way("extended_attributes", extended_attributes),
    way("no_acl", no_acl),
    way("size_of_the_file_system", statfs),
    way("nanoseconds", nanoseconds),
    way("times_at_the_ends", times_at_the_ends),
    way("listing_under_change", listing_under_change),
    way("inotify", inotify),
    way("unlinked_and_open", unlinked_and_open),
    way("removed_working_directory", removed_working_directory),
    way("names_of_any_bytes", names_of_any_bytes),
    way("no_execution", no_execution),
    way("rename_without_replacing", rename_without_replacing),
    way("no_temporary_file", no_temporary_file),
    way("symbolic_links", symbolic_links),
    way("hard_links", hard_links),
    way("appending_from_two_processes", appending_from_two_processes),
    way("rights_of_a_file", rights),
    way("a_pipe_with_a_name", named_pipe),
    way("a_socket_with_a_name", |p| std::os::unix::net::UnixListener::bind(p.beside("s")).map(drop)),
];

/// `probe posix DIR`.
pub(crate) fn posix(directory: &Path) -> io::Result<u8> {
    each(directory, WAYS, remember)
}

fn expect(holds: bool, what: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(no(what)) }
}

fn is(error: &io::Error, number: i32) -> bool {
    error.raw_os_error() == Some(number)
}

/// What a child does ends with its process; true when it said so.
fn in_a_child(body: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
    match fork()? {
        Fork::Child => exit_now(i32::from(body().is_err())),
        Fork::Parent(pid) => Ok(wait_for(pid, 0)?.1 == 0),
    }
}

fn locks(place: &Place, command: i32) -> io::Result<()> {
    let lock = |file: &File| {
        // SAFETY: a plain structure of numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = i16::try_from(libc::F_WRLCK).map_err(io::Error::other)?;
        lock.l_len = 10;
        call(libc::SYS_fcntl, &[w(file.as_raw_fd()), w(command), ptr(&lock)]).map(drop)
    };
    let file = File::from(place.open(libc::O_RDWR)?);
    lock(&file)?;
    let refused = in_a_child(|| match lock(&File::from(place.open(libc::O_RDWR)?)) {
        Err(error) if is(&error, libc::EAGAIN) || is(&error, libc::EACCES) => Ok(()),
        _ => Err(no("locked twice")),
    })?;
    expect(refused, "another process had the same lock")?;
    drop(file);
    expect(in_a_child(|| lock(&File::from(place.open(libc::O_RDWR)?)))?, "the lock outlived its holder")
}

fn flock(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_RDWR)?);
    file.lock()?;
    let refused = in_a_child(|| {
        let refused = File::from(place.open(libc::O_RDWR)?).try_lock().is_err();
        expect(refused, "locked twice")
    })?;
    expect(refused, "another process had the same lock")
}

fn map(file: &File, flags: i32) -> io::Result<*mut u8> {
    let words = [w(0), w(4096), w(libc::PROT_READ | libc::PROT_WRITE), w(flags), w(file.as_raw_fd()), w(0)];
    let address = usize::try_from(call(libc::SYS_mmap, &words)?).map_err(io::Error::other)?;
    Ok(std::ptr::with_exposed_provenance_mut(address))
}

fn shared_mapping(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_RDWR)?);
    let page = map(&file, libc::MAP_SHARED)?;
    let seen = in_a_child(|| {
        let page = map(&File::from(place.open(libc::O_RDWR)?), libc::MAP_SHARED)?;
        // SAFETY: the page was just mapped writable, and the file holds its first byte.
        unsafe { page.write_volatile(b'M') };
        Ok(())
    })?;
    // SAFETY: the page was mapped above.
    let first = unsafe { page.read_volatile() };
    let mut read = [0];
    file.read_exact_at(&mut read, 0)?;
    expect(seen && first == b'M' && read == *b"M", "the mapping, the other's and the file differ")?;
    file.write_all_at(b"W", 1)?;
    // SAFETY: the same page; the file holds its second byte.
    let second = unsafe { page.wrapping_add(1).read_volatile() };
    expect(second == b'W', "what was written is not in the mapping")
}

fn private_mapping(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_RDWR)?);
    let page = map(&file, libc::MAP_PRIVATE)?;
    // SAFETY: the page was just mapped writable, and the file holds its first byte.
    unsafe { page.write_volatile(b'P') };
    expect(fs::read(&place.file)? == REMEMBERED, "a private mapping wrote to the file")
}

fn holes(place: &Place) -> io::Result<()> {
    let mut file = File::from(place.open(libc::O_RDWR)?);
    file.set_len(0)?;
    file.write_all_at(b"data", 1 << 20)?;
    let metadata = file.metadata()?;
    expect(metadata.len() == (1 << 20) + 4 && metadata.blocks() < 1024, "the hole takes room")?;
    let seek = |whence: i32, from: i32| call(libc::SYS_lseek, &[w(file.as_raw_fd()), w(from), w(whence)]);
    expect(seek(libc::SEEK_DATA, 0)? == 1 << 20, "SEEK_DATA does not find the data")?;
    expect(seek(libc::SEEK_HOLE, 0)? == 0, "SEEK_HOLE does not find the hole")?;
    let mut before = [1; 4];
    file.rewind()?;
    file.read_exact(&mut before)?;
    expect(before == [0; 4], "a hole is not zeroes")
}

fn get_attribute(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = [0u8; 64];
    let path = c_path(path)?;
    let length = call(libc::SYS_getxattr, &[w(path.as_c_str()), w(name), ptr_mut(&mut value), w(64)])?;
    Ok(value.iter().copied().take(usize::try_from(length).unwrap_or(0)).collect())
}

fn set_attribute(path: &Path, name: &CStr, value: &[u8], flags: i32) -> io::Result<()> {
    let path = c_path(path)?;
    let words = [w(path.as_c_str()), w(name), ptr(value), w(value.len()), w(flags)];
    call(libc::SYS_setxattr, &words).map(drop)
}

fn extended_attributes(place: &Place) -> io::Result<()> {
    set_attribute(&place.file, c"user.colour", b"red", libc::XATTR_CREATE)?;
    let again = set_attribute(&place.file, c"user.colour", b"blue", libc::XATTR_CREATE);
    expect(again.is_err_and(|error| is(&error, libc::EEXIST)), "XATTR_CREATE replaced one")?;
    expect(get_attribute(&place.file, c"user.colour")? == b"red", "another value came back")?;
    let mut names = [0u8; 256];
    let path = place.path()?;
    let words = [w(path.as_c_str()), ptr_mut(&mut names), w(256)];
    let length = call(libc::SYS_listxattr, &words)?;
    expect(length > 0 && names.starts_with(b"user.colour\0"), "it is not listed")?;
    call(libc::SYS_removexattr, &[w(place.path()?.as_c_str()), w(c"user.colour")])?;
    let gone = get_attribute(&place.file, c"user.colour");
    expect(gone.is_err_and(|error| is(&error, libc::ENODATA)), "it is still there")
}

fn no_acl(place: &Place) -> io::Result<()> {
    let set = set_attribute(&place.file, c"system.posix_acl_access", &[2, 0, 0, 0], 0);
    let get = get_attribute(&place.file, c"system.posix_acl_access");
    let refused = |error: &io::Error| is(error, libc::EOPNOTSUPP);
    expect(set.is_err_and(|error| refused(&error)), "set: not EOPNOTSUPP")?;
    expect(get.is_err_and(|error| refused(&error)), "get: not EOPNOTSUPP")
}

fn statfs(place: &Place) -> io::Result<()> {
    let mut before = [0u64; 15];
    let mut after = [0u64; 15];
    let path = c_path(&place.directory)?;
    call(libc::SYS_statfs, &[w(path.as_c_str()), ptr_mut(&mut before)])?;
    fs::write(place.beside("megabyte"), vec![1; 1 << 20])?;
    call(libc::SYS_statfs, &[w(path.as_c_str()), ptr_mut(&mut after)])?;
    // struct statfs: type, block size, blocks, free, available, files, free files.
    let taken = (before[3].wrapping_sub(after[3])).wrapping_mul(after[1]);
    expect((1 << 20..2 << 20).contains(&taken), "a megabyte more is not a megabyte less free")?;
    expect(before[6].wrapping_sub(after[6]) == 1, "a file more is not a file less free")
}

fn nanoseconds(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_RDWR)?);
    let (after, before) = (Duration::new(1_234_567_890, 123_456_789), Duration::new(1, 600_000_000));
    for time in [UNIX_EPOCH + after, UNIX_EPOCH - before] {
        file.set_modified(time)?;
        expect(fs::metadata(&place.file)?.modified()? == time, "another time came back")?;
    }
    Ok(())
}

/// Which of these a file system can keep is its own matter; it goes on either way.
fn times_at_the_ends(place: &Place) -> io::Result<()> {
    let file = File::from(place.open(libc::O_RDWR)?);
    let (far, little) = (Duration::from_secs(1 << 63), Duration::from_nanos(1));
    let first = UNIX_EPOCH.checked_sub(far).ok_or_else(|| no("no first second"))?;
    let last = UNIX_EPOCH.checked_add(far - Duration::from_secs(1)).ok_or_else(|| no("no last second"))?;
    for time in [first, first + little, last, last + Duration::from_nanos(999_999_999)] {
        file.set_modified(time)?;
        fs::metadata(&place.file)?;
    }
    Ok(())
}

fn listing_under_change(place: &Place) -> io::Result<()> {
    let directory = place.beside("listed");
    fs::create_dir(&directory)?;
    for number in 0..500 {
        File::create(directory.join(format!("stays-{number}")))?;
        File::create(directory.join(format!("goes-{number}")))?;
    }
    let mut seen = std::collections::BTreeMap::new();
    for (index, entry) in fs::read_dir(&directory)?.enumerate() {
        let name = entry?.file_name();
        *seen.entry(name).or_insert(0) += 1;
        if index < 500 {
            fs::remove_file(directory.join(format!("goes-{index}")))?;
            File::create(directory.join(format!("comes-{index}")))?;
        }
    }
    let stayed = (0..500).all(|number| seen.get(OsStr::new(&format!("stays-{number}"))) == Some(&1));
    expect(stayed && seen.values().all(|count| *count == 1), "a name that stayed was listed never or twice")
}

fn inotify(place: &Place) -> io::Result<()> {
    let watch = call_fd(libc::SYS_inotify_init1, &[w(libc::IN_NONBLOCK)])?;
    let path = c_path(&place.directory)?;
    call(libc::SYS_inotify_add_watch, &[w(watch), w(path.as_c_str()), w(libc::IN_CREATE | libc::IN_DELETE)])?;
    let file = place.beside("watched");
    File::create(&file)?;
    fs::remove_file(&file)?;
    let mut events = [0u8; 1024];
    let length = call(libc::SYS_read, &[w(watch), ptr_mut(&mut events), w(1024)])?;
    expect(length >= 32, "fewer than two events")
}

fn unlinked_and_open(place: &Place) -> io::Result<()> {
    let mut file = File::from(place.open(libc::O_RDWR)?);
    fs::remove_file(&place.file)?;
    file.seek(io::SeekFrom::End(0))?;
    file.write_all(b"more")?;
    expect(file.metadata()?.nlink() == 0, "it has still a name")?;
    expect(file.metadata()?.len() == REMEMBERED.len() as u64 + 4, "it did not grow")?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    File::create_new(&place.file).map(drop)
}

fn removed_working_directory(place: &Place) -> io::Result<()> {
    let directory = place.beside("cwd");
    fs::create_dir(&directory)?;
    let held = File::open(&directory)?;
    fs::remove_dir(&directory)?;
    expect(held.metadata()?.nlink() < 2, "it has still a name")?;
    fs::create_dir(&directory)
}

fn names_of_any_bytes(place: &Place) -> io::Result<()> {
    let directory = place.beside("names");
    fs::create_dir(&directory)?;
    let odd: Vec<u8> = (1..=255u8).filter(|byte| *byte != b'/').cycle().take(255).collect();
    let path = directory.join(OsStr::from_bytes(&odd));
    fs::write(&path, b"x")?;
    let listed = fs::read_dir(&directory)?.next().ok_or_else(|| no("not listed"))??;
    expect(listed.file_name().as_bytes() == odd, "another name is listed")?;
    let longer = File::create(directory.join(OsStr::from_bytes(&[b'x'; 256])));
    expect(longer.is_err_and(|error| is(&error, libc::ENAMETOOLONG)), "a name of 256 bytes was made")
}

fn no_execution(place: &Place) -> io::Result<()> {
    let program = place.beside("program");
    fs::copy("/bin/true", &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let refused = Command::new(&program).status().is_err_and(|error| is(&error, libc::EACCES));
    expect(refused, "a program of its own ran")
}

fn rename_without_replacing(place: &Place) -> io::Result<()> {
    fs::write(place.beside("new"), b"new")?;
    let (one, other) = (c_path(&place.beside("new"))?, place.path()?);
    let here = libc::AT_FDCWD;
    let words = [w(here), w(one.as_c_str()), w(here), w(other.as_c_str()), w(RENAME_NOREPLACE)];
    let refused = call(libc::SYS_renameat2, &words).is_err_and(|error| is(&error, libc::EEXIST));
    expect(refused && fs::read(&place.file)? == REMEMBERED, "it was replaced")
}

fn no_temporary_file(place: &Place) -> io::Result<()> {
    let made = File::options().write(true).custom_flags(libc::O_TMPFILE).open(&place.directory);
    expect(made.is_err_and(|error| is(&error, libc::EOPNOTSUPP)), "O_TMPFILE: not EOPNOTSUPP")
}

fn symbolic_links(place: &Place) -> io::Result<()> {
    let link = place.beside("link");
    symlink(&place.file, &link)?;
    expect(fs::read_link(&link)? == place.file && fs::read(&link)? == REMEMBERED, "it leads elsewhere")
}

fn hard_links(place: &Place) -> io::Result<()> {
    fs::hard_link(&place.file, place.beside("link"))?;
    let (one, other) = (fs::metadata(&place.file)?, fs::metadata(place.beside("link"))?);
    expect((one.ino(), one.nlink()) == (other.ino(), 2), "the two names are two files")
}

fn appending_from_two_processes(place: &Place) -> io::Result<()> {
    let append = |byte: u8| -> io::Result<()> {
        let mut file = File::options().append(true).open(&place.file)?;
        (0..200).try_for_each(|_| file.write_all(&[byte; 50]))
    };
    let ended = match fork()? {
        Fork::Child => exit_now(i32::from(append(b'a').is_err())),
        Fork::Parent(pid) => append(b'b').and_then(|()| wait_for(pid, 0)),
    }?;
    let content = fs::read(&place.file)?;
    let whole = content[REMEMBERED.len()..].chunks(50).all(|chunk| chunk.iter().all(|byte| *byte == chunk[0]));
    expect(ended.1 == 0 && content.len() == REMEMBERED.len() + 400 * 50 && whole, "something was lost or torn")
}

fn rights(place: &Place) -> io::Result<()> {
    fs::set_permissions(&place.file, fs::Permissions::from_mode(0o000))?;
    let refused = File::open(&place.file).is_err_and(|error| is(&error, libc::EACCES));
    expect(refused, "a file without rights was read")?;
    fs::set_permissions(&place.file, fs::Permissions::from_mode(0o400))?;
    expect(fs::read(&place.file)? == REMEMBERED, "it cannot be read again")?;
    fs::remove_file(&place.file)
}

fn named_pipe(place: &Place) -> io::Result<()> {
    let pipe = place.beside("pipe");
    let path = c_path(&pipe)?;
    call(libc::SYS_mknodat, &[w(libc::AT_FDCWD), w(path.as_c_str()), w(libc::S_IFIFO | 0o600), w(0)])?;
    let mut both = File::options().read(true).write(true).open(&pipe)?;
    both.write_all(b"through")?;
    let mut read = [0; 7];
    both.read_exact(&mut read)?;
    expect(read == *b"through", "something else came out")
}
