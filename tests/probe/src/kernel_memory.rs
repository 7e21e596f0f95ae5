//! Kernel memory that no limit of an agent's counts: a little is harmless, and as much as one likes takes the host down.

use std::{fs::OpenOptions, os::fd::AsRawFd as _, os::unix::fs::OpenOptionsExt as _};

use crate::{
    denials::CALL,
    outcome::{Attempt, Step, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, w},
};

/// Entries of an access control list that takes 2 KiB.
const ENTRIES: u32 = 255;
/// Tags of `acl(5)` as in linux/posix_acl.h.
const USER_OBJECT: u16 = 1;
const USER: u16 = 2;
const GROUP_OBJECT: u16 = 4;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.socket_filter",
        tries: "SO_ATTACH_FILTER: machine code in memory that all unprivileged processes of the host share",
        denials: CALL,
        control: Root,
        run: |_| socket_filter(libc::SO_ATTACH_FILTER),
    },
    Primitive {
        id: "kernel.reuseport_filter",
        tries: "SO_ATTACH_REUSEPORT_CBPF: the same for a group of sockets",
        denials: CALL,
        control: Root,
        run: |_| socket_filter(libc::SO_ATTACH_REUSEPORT_CBPF),
    },
    Primitive {
        id: "kernel.large_acl",
        tries: "an access control list of 2 KiB on a file in /dev/shm",
        denials: CALL,
        control: When("root, where tmpfs has access control lists (CONFIG_TMPFS_POSIX_ACL)"),
        run: |_| large_acl(),
    },
];

fn socket_filter(option: i32) -> Attempt {
    let socket = call_fd(libc::SYS_socket, &[w(libc::AF_INET), w(libc::SOCK_DGRAM), w(0)]).step("socket")?;
    call(libc::SYS_setsockopt, &[w(socket), w(libc::SOL_SOCKET), w(libc::SO_REUSEPORT), ptr(&1i32), w(4)])
        .step("SO_REUSEPORT")?;
    let accept = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
    let program = libc::sock_fprog { len: 1, filter: std::ptr::from_ref(&accept).cast_mut() };
    let words = [w(socket), w(libc::SOL_SOCKET), w(option), ptr(&program), w(size_of::<libc::sock_fprog>())];
    call(libc::SYS_setsockopt, &words)?;
    reached("attached a program")
}

fn large_acl() -> Attempt {
    let path = format!("/dev/shm/probe-acl-{}", std::process::id());
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).step("make a file")?;
    std::fs::remove_file(&path).step("remove its name")?;
    // `struct posix_acl_xattr_header` and entries (linux/posix_acl_xattr.h), in the order that the kernel asks for.
    let mut list = 2u32.to_le_bytes().to_vec();
    let users = (0..ENTRIES - 4).map(|id| (USER, id + 1000));
    let others = [GROUP_OBJECT, MASK, OTHER].map(|tag| (tag, u32::MAX));
    for (tag, id) in std::iter::once((USER_OBJECT, u32::MAX)).chain(users).chain(others) {
        list.extend(tag.to_le_bytes());
        list.extend(4u16.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let name = c"system.posix_acl_access";
    call(libc::SYS_fsetxattr, &[w(file.as_raw_fd()), w(name), ptr(&list[0]), w(list.len()), w(0)])?;
    reached(format!("a list of {} bytes", list.len()))
}
