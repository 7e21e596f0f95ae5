//! New namespaces, and entry into others': with privileges in one of its own, most of the kernel opens.

use std::ffi::CString;

use crate::{
    denials::{CALL, PROCESS},
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, exit_now, open, ptr, w, wait_for},
};

const NEW_TIME: i32 = 0x80;
const SAME_USER_NAMESPACE: &str = "never: a process cannot enter the user namespace that it is in (EINVAL)";

/// A row of `unshare`: the flag is the only difference.
const fn unshare(id: &'static str, tries: &'static str, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: CALL, control: Root, run }
}

/// A row of `setns`; the target may be invisible.
const fn enter(id: &'static str, tries: &'static str, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: PROCESS, control: Root, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    unshare("namespaces.unshare_mount", "unshare(CLONE_NEWNS)", |_| leave(libc::CLONE_NEWNS)),
    unshare("namespaces.unshare_uts", "unshare(CLONE_NEWUTS)", |_| leave(libc::CLONE_NEWUTS)),
    unshare("namespaces.unshare_ipc", "unshare(CLONE_NEWIPC)", |_| leave(libc::CLONE_NEWIPC)),
    unshare("namespaces.unshare_user", "unshare(CLONE_NEWUSER)", |_| leave(libc::CLONE_NEWUSER)),
    unshare("namespaces.unshare_pid", "unshare(CLONE_NEWPID)", |_| leave(libc::CLONE_NEWPID)),
    unshare("namespaces.unshare_net", "unshare(CLONE_NEWNET)", |_| leave(libc::CLONE_NEWNET)),
    unshare("namespaces.unshare_cgroup", "unshare(CLONE_NEWCGROUP)", |_| leave(libc::CLONE_NEWCGROUP)),
    unshare("namespaces.unshare_time", "unshare(CLONE_NEWTIME)", |_| leave(NEW_TIME)),
    unshare("namespaces.unshare_user_mount", "unshare(CLONE_NEWUSER | CLONE_NEWNS)", |_| {
        leave(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
    }),
    unshare("namespaces.clone_mount", "clone(CLONE_NEWNS)", |_| clone(libc::CLONE_NEWNS)),
    unshare("namespaces.clone_uts", "clone(CLONE_NEWUTS)", |_| clone(libc::CLONE_NEWUTS)),
    unshare("namespaces.clone_ipc", "clone(CLONE_NEWIPC)", |_| clone(libc::CLONE_NEWIPC)),
    unshare("namespaces.clone_user", "clone(CLONE_NEWUSER)", |_| clone(libc::CLONE_NEWUSER)),
    unshare("namespaces.clone_pid", "clone(CLONE_NEWPID)", |_| clone(libc::CLONE_NEWPID)),
    unshare("namespaces.clone_net", "clone(CLONE_NEWNET)", |_| clone(libc::CLONE_NEWNET)),
    unshare("namespaces.clone_cgroup", "clone(CLONE_NEWCGROUP)", |_| clone(libc::CLONE_NEWCGROUP)),
    unshare("namespaces.clone_user_high_bits", "clone(CLONE_NEWUSER) with rubbish in the high half", |_| clone_high()),
    unshare("namespaces.clone3_mount", "clone3(CLONE_NEWNS)", |_| clone3(libc::CLONE_NEWNS)),
    unshare("namespaces.clone3_uts", "clone3(CLONE_NEWUTS)", |_| clone3(libc::CLONE_NEWUTS)),
    unshare("namespaces.clone3_ipc", "clone3(CLONE_NEWIPC)", |_| clone3(libc::CLONE_NEWIPC)),
    unshare("namespaces.clone3_user", "clone3(CLONE_NEWUSER)", |_| clone3(libc::CLONE_NEWUSER)),
    unshare("namespaces.clone3_pid", "clone3(CLONE_NEWPID)", |_| clone3(libc::CLONE_NEWPID)),
    unshare("namespaces.clone3_net", "clone3(CLONE_NEWNET)", |_| clone3(libc::CLONE_NEWNET)),
    unshare("namespaces.clone3_cgroup", "clone3(CLONE_NEWCGROUP)", |_| clone3(libc::CLONE_NEWCGROUP)),
    unshare("namespaces.clone3_time", "clone3(CLONE_NEWTIME)", |_| clone3(NEW_TIME)),
    enter("namespaces.setns_mount", "setns by /proc/init_pid/ns/mnt", |p| by_file(p, "mnt")),
    enter("namespaces.setns_uts", "setns by /proc/init_pid/ns/uts", |p| by_file(p, "uts")),
    enter("namespaces.setns_ipc", "setns by /proc/init_pid/ns/ipc", |p| by_file(p, "ipc")),
    Primitive {
        id: "namespaces.setns_user",
        tries: "setns by /proc/init_pid/ns/user",
        denials: PROCESS,
        control: When(SAME_USER_NAMESPACE),
        run: |p| by_file(p, "user"),
    },
    enter("namespaces.setns_pid", "setns by /proc/init_pid/ns/pid", |p| by_file(p, "pid")),
    enter("namespaces.setns_net", "setns by /proc/init_pid/ns/net", |p| by_file(p, "net")),
    enter("namespaces.setns_cgroup", "setns by /proc/init_pid/ns/cgroup", |p| by_file(p, "cgroup")),
    enter("namespaces.setns_time", "setns by /proc/init_pid/ns/time", |p| by_file(p, "time")),
    enter("namespaces.setns_pidfd_host", "setns by a pidfd of host_pid: mount, pid, net, ipc, uts at once", |p| {
        by_pidfd(p.host_pid()?)
    }),
    enter("namespaces.setns_pidfd_init", "setns by a pidfd of init_pid: mount, pid, net, ipc, uts at once", |p| {
        by_pidfd(p.init_pid()?)
    }),
];

fn leave(flags: i32) -> Attempt {
    call(libc::SYS_unshare, &[w(flags)])?;
    reached("a namespace of its own")
}

/// After a `clone` without CLONE_VM both sides return here, the child with 0.
fn born(result: std::io::Result<i64>) -> Attempt {
    match result? {
        0 => exit_now(0),
        child => {
            wait_for(i32::try_from(child).unwrap_or(-1), libc::__WALL).step("wait for the clone")?;
            reached("a process in a namespace of its own")
        }
    }
}

fn clone(flag: i32) -> Attempt {
    born(call(libc::SYS_clone, &[w(flag | libc::SIGCHLD)]))
}

/// `clone` takes its flags from the low half; a filter that compares 64 bits misses this.
fn clone_high() -> Attempt {
    let flags = u64::from((libc::CLONE_NEWUSER | libc::SIGCHLD).cast_unsigned()) | (0xdead_beef << 32);
    born(call(libc::SYS_clone, &[w(flags)]))
}

fn clone3(flag: i32) -> Attempt {
    // struct clone_args, 88 bytes: flags first, exit_signal fifth.
    let mut arguments = [0u64; 11];
    arguments[0] = u64::from(flag.cast_unsigned());
    arguments[4] = u64::from(libc::SIGCHLD.cast_unsigned());
    born(call(libc::SYS_clone3, &[ptr(&arguments), w(88)]))
}

fn by_file(p: &Params, kind: &str) -> Attempt {
    let path = CString::new(format!("/proc/{}/ns/{kind}", p.init_pid()?)).map_err(|e| Refusal::Error(e.to_string()))?;
    let fd = open(&path, libc::O_RDONLY).step("open")?;
    match call(libc::SYS_setns, &[w(fd), w(0)]) {
        Err(error) if kind == "user" && error.raw_os_error() == Some(libc::EINVAL) => {
            Err(Refusal::Denied("it is in that namespace already".into()))
        }
        other => {
            other.step("setns")?;
            reached("entered")
        }
    }
}

fn by_pidfd(pid: i32) -> Attempt {
    let pidfd = call_fd(libc::SYS_pidfd_open, &[w(pid), w(0)]).step("pidfd_open")?;
    let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    call(libc::SYS_setns, &[w(pidfd), w(flags)]).step("setns")?;
    reached("entered")
}
