//! A file system that answers everything but FLUSH, so that whoever closes a file of it waits; and a caller who hands such
//! files to the daemon.

use std::{
    ffi::{CStr, CString},
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
};

use super::{forever, say};
use crate::syscall::{Fork, call, fork, ptr, w};

/// Of `linux/fuse.h`: what is asked.
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const INIT: u32 = 26;
/// As the kernel wants it of a reader of `/dev/fuse`.
const LONGEST: usize = 1 << 17;

/// Mounts it at `directory` for itself alone, becomes the user, and sends one file beside each of `count` calls.
pub(super) fn hand_over(socket: &Path, directory: &Path, count: usize, user: (u32, u32)) -> io::Result<u8> {
    call(libc::SYS_unshare, &[w(libc::CLONE_NEWNS)])?;
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let options = CString::new(format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd()))?;
    let place = CString::new(directory.as_os_str().as_encoded_bytes())?;
    mount(c"fuse", &place, Some(&options), libc::MS_NOSUID | libc::MS_NODEV)?;
    // In two processes, or the end of the one would wait for itself. When the one that serves is killed, the kernel
    // answers for it, and nobody waits any more.
    match fork()? {
        Fork::Parent(_) => serve(device),
        Fork::Child => {
            drop(device);
            send(socket, directory, count, user)
        }
    }
}

fn send(socket: &Path, directory: &Path, count: usize, user: (u32, u32)) -> io::Result<u8> {
    let files = (0..count).map(|_| File::open(directory.join("file"))).collect::<io::Result<Vec<_>>>()?;
    call(libc::SYS_setgroups, &[w(0), w(0)])?;
    call(libc::SYS_setresgid, &[w(user.1), w(user.1), w(user.1)])?;
    call(libc::SYS_setresuid, &[w(user.0), w(user.0), w(user.0)])?;
    call(libc::SYS_prctl, &[w(libc::PR_SET_PDEATHSIG), w(libc::SIGKILL)])?;
    let connections = files.iter().map(|file| send_beside_a_call(socket, file)).collect::<io::Result<Vec<_>>>()?;
    say("ready")?;
    let _held = (files, connections);
    forever()
}

fn mount(kind: &CStr, place: &CStr, options: Option<&CStr>, flags: u64) -> io::Result<()> {
    let options = options.map_or(w(0), w);
    call(libc::SYS_mount, &[w(kind), w(place), w(kind), w(flags), options]).map(drop)
}

fn serve(mut device: File) -> io::Result<u8> {
    let mut request = vec![0; LONGEST];
    loop {
        let length = device.read(&mut request)?;
        let word = |at: usize| request[..length].get(at..at + 4).and_then(|word| word.try_into().ok());
        let (kind, inode) = (word(4).map_or(0, u32::from_ne_bytes), word(16).map_or(0, u32::from_ne_bytes));
        let reply = match kind {
            // Version 7.31, and 4096 bytes a write; everything else off.
            INIT => words(&[7, 31, 0, 0, 0, 4096]).into_iter().chain([0; 40]).collect(),
            LOOKUP => [words(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]), attributes(2)].concat(),
            GETATTR => [words(&[0, 0, 0, 0]), attributes(inode)].concat(),
            OPEN => words(&[1, 0, 0, 0]),
            // FLUSH, for which its caller waits, and what nobody waits for.
            _ => continue,
        };
        let size = u32::try_from(16 + reply.len()).map_err(io::Error::other)?;
        let head = [&size.to_ne_bytes()[..], &[0; 4], &request[8..16]].concat();
        device.write_all(&[head, reply].concat())?;
    }
}

/// `struct fuse_attr` of the directory, which is 1, or of the file in it.
fn attributes(inode: u32) -> Vec<u8> {
    let kind = if inode == 1 { libc::S_IFDIR } else { libc::S_IFREG };
    let (mode, links) = (kind | 0o777, 1);
    words(&[inode, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0])
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn send_beside_a_call(socket: &Path, file: &File) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    let text = *b"{\"method\":\"io.agentos.Control.List\"}\0";
    let part = [std::ptr::from_ref(&text).expose_provenance(), text.len()];
    // struct cmsghdr: length 20, SOL_SOCKET and SCM_RIGHTS, then the descriptor
    let control = [20u64, 1 | (1 << 32), u64::from(file.as_raw_fd().cast_unsigned())];
    let address = std::ptr::from_ref(&control).expose_provenance();
    let message = [0usize, 0, std::ptr::from_ref(&part).expose_provenance(), 1, address, 24, 0];
    call(libc::SYS_sendmsg, &[w(stream.as_raw_fd()), ptr(&message), w(0)])?;
    Ok(stream)
}
