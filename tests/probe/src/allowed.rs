//! What an honest program needs and a sandbox must leave working. Here `denied` is the defect.

use std::{
    fs,
    io::Read,
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use crate::{
    denials::CALL,
    outcome::{Attempt, Refusal, Step, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{Fork, call, call_fd, exit_now, fork, ptr, ptr_mut, w, wait_for},
};

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "allowed.mmap_writable_executable",
        tries: "mmap of memory that is writable and executable (a just-in-time compiler)",
        denials: CALL,
        control: Root,
        run: |_| {
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            call(libc::SYS_mmap, &[w(0), w(4096), w(protection), w(flags), w(-1), w(0)])?;
            reached("mapped")
        },
    },
    Primitive {
        id: "allowed.vmsplice",
        tries: "vmsplice into a pipe",
        denials: CALL,
        control: Root,
        run: |_| {
            let mut ends = [0i32; 2];
            call(libc::SYS_pipe2, &[ptr_mut(&mut ends), w(0)]).step("pipe")?;
            let text = *b"probe";
            let vector = [std::ptr::from_ref(&text).expose_provenance(), text.len()];
            call(libc::SYS_vmsplice, &[w(ends[1]), ptr(&vector), w(1), w(0)])?;
            reached("spliced")
        },
    },
    Primitive {
        id: "allowed.send_descriptor",
        tries: "SCM_RIGHTS between two sockets of its own",
        denials: CALL,
        control: Root,
        run: |_| send_descriptor(),
    },
    Primitive {
        id: "allowed.landlock_nested",
        tries: "landlock_create_ruleset: a program that confines itself further",
        denials: CALL,
        control: When("a kernel with Landlock"),
        run: |_| {
            // struct landlock_ruleset_attr: handled file accesses (execute)
            call_fd(libc::SYS_landlock_create_ruleset, &[ptr(&[1u64, 0, 0]), w(8), w(0)])?;
            reached("a ruleset")
        },
    },
    Primitive {
        id: "allowed.seccomp_nested",
        tries: "a further seccomp filter that allows everything",
        denials: CALL,
        control: Root,
        run: |_| {
            let instruction = 0x06u64 | (0x7fff_0000 << 32);
            let program = [1usize, std::ptr::from_ref(&instruction).expose_provenance()];
            call(libc::SYS_prctl, &[w(libc::PR_SET_NO_NEW_PRIVS), w(1), w(0), w(0), w(0)]).step("no_new_privs")?;
            call(libc::SYS_seccomp, &[w(1), w(0), ptr(&program)])?;
            reached("a filter of its own")
        },
    },
    Primitive {
        id: "allowed.fork_and_wait",
        tries: "fork, and wait for the child",
        denials: CALL,
        control: Root,
        run: |_| match fork()? {
            Fork::Child => exit_now(7),
            Fork::Parent(child) => {
                let (_, status) = wait_for(child, 0).step("wait")?;
                if libc::WEXITSTATUS(status) == 7 {
                    reached("its exit code")
                } else {
                    Err(Refusal::Error(format!("status {status:#x}")))
                }
            }
        },
    },
    Primitive {
        id: "allowed.workspace_write",
        tries: "create, read and remove a file in workspace",
        denials: CALL,
        control: Root,
        run: |p| {
            let path = p.workspace()?.join(format!(".probe-file-{}", std::process::id()));
            fs::write(&path, "probe").step("write")?;
            let text = fs::read_to_string(&path).step("read")?;
            fs::remove_file(&path).step("remove")?;
            if text == "probe" {
                reached("written and read")
            } else {
                Err(Refusal::Error("read something else".into()))
            }
        },
    },
    Primitive {
        id: "allowed.signal_own_child",
        tries: "kill a child of its own",
        denials: CALL,
        control: Root,
        run: |_| match fork()? {
            Fork::Child => {
                std::thread::sleep(std::time::Duration::from_secs(1));
                exit_now(0)
            }
            Fork::Parent(child) => {
                call(libc::SYS_kill, &[w(child), w(libc::SIGKILL)])?;
                wait_for(child, 0).step("wait")?;
                reached("killed it")
            }
        },
    },
];

/// Sends one end of a socket pair over another, then talks through it.
fn send_descriptor() -> Attempt {
    let (mut near, far) = UnixStream::pair().step("socketpair")?;
    let (left, right) = UnixStream::pair().step("socketpair")?;
    let byte = [0u8; 1];
    let vector = [std::ptr::from_ref(&byte).expose_provenance(), 1];
    // struct cmsghdr: length 20, SOL_SOCKET and SCM_RIGHTS, then the descriptor
    let descriptor = u64::from(far.as_raw_fd().cast_unsigned());
    let mut control = [20u64, 1 | (1 << 32), descriptor];
    let control_address = std::ptr::from_mut(&mut control).expose_provenance();
    let message = [0usize, 0, std::ptr::from_ref(&vector).expose_provenance(), 1, control_address, 24, 0];
    call(libc::SYS_sendmsg, &[w(left.as_raw_fd()), ptr(&message), w(0)]).step("sendmsg")?;
    let mut message = message;
    call(libc::SYS_recvmsg, &[w(right.as_raw_fd()), ptr_mut(&mut message), w(0)]).step("recvmsg")?;
    let received = control[2] & 0xffff_ffff;
    call(libc::SYS_write, &[w(received), ptr(b"probe"), w(5)]).step("write to the received descriptor")?;
    let mut answer = [0u8; 5];
    near.read_exact(&mut answer).step("read")?;
    reached("sent, received and used")
}
