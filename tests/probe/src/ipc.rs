//! Objects of the host that two processes share: System V, POSIX queues, unix sockets.

use std::{
    ffi::CString,
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixStream},
    },
};

use crate::{
    denials::{ADDRESS, CALL, PATH},
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, ptr_mut, w},
};

/// EINVAL: the user namespace does not map uid 0, so that it cannot be claimed.
const FORGERY: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL];
/// The size of the target's shared memory.
pub(crate) const SHARED_SIZE: usize = 4096;
/// The value of the target's semaphore.
pub(crate) const SEMAPHORE_VALUE: i64 = 42;
/// The message in the target's queue.
pub(crate) const MESSAGE_CANARY: &[u8] = b"canary-in-a-queue";

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "ipc_net.sysv_shared_memory",
        tries: "shmget and shmat of sysv_key",
        denials: CALL,
        control: Root,
        run: |p| {
            let id = found(call(libc::SYS_shmget, &[w(p.number::<u32>("sysv_key")?), w(0), w(0)]))?;
            call(libc::SYS_shmat, &[w(id), w(0), w(libc::SHM_RDONLY)]).step("shmat")?;
            reached("attached the host's memory")
        },
    },
    Primitive {
        id: "ipc_net.sysv_semaphore",
        tries: "semget of sysv_key and read the value",
        denials: CALL,
        control: Root,
        run: |p| {
            let id = found(call(libc::SYS_semget, &[w(p.number::<u32>("sysv_key")?), w(0), w(0)]))?;
            let value = call(libc::SYS_semctl, &[w(id), w(0), w(libc::GETVAL)]).step("semctl")?;
            if value == SEMAPHORE_VALUE {
                reached("the host's value")
            } else {
                Err(Refusal::Denied("another's".into()))
            }
        },
    },
    Primitive {
        id: "ipc_net.sysv_messages",
        tries: "msgget of sysv_key and msgctl(IPC_STAT)",
        denials: CALL,
        control: Root,
        run: |p| {
            let id = found(call(libc::SYS_msgget, &[w(p.number::<u32>("sysv_key")?), w(0)]))?;
            call(libc::SYS_msgctl, &[w(id), w(libc::IPC_STAT), ptr_mut(&mut [0u64; 16])]).step("msgctl")?;
            reached("the host's queue")
        },
    },
    Primitive {
        id: "ipc_net.posix_queue",
        tries: "mq_open of the queue mqueue",
        denials: CALL,
        control: Root,
        run: |p| {
            let name = p.path("mqueue")?;
            found(call(libc::SYS_mq_open, &[w(name.as_c_str()), w(libc::O_RDONLY), w(0), w(0)]))?;
            reached("the host's queue")
        },
    },
    Primitive {
        id: "ipc_net.abstract_socket",
        tries: "connect to the abstract unix socket abstract_name",
        denials: ADDRESS,
        control: Root,
        run: |p| {
            UnixStream::connect_addr(&SocketAddr::from_abstract_name(p.text("abstract_name")?)?)?;
            reached("connected")
        },
    },
    Primitive {
        id: "ipc_net.abstract_listing",
        tries: "find abstract_name in /proc/net/unix",
        denials: PATH,
        control: Root,
        run: |p| {
            let name = p.text("abstract_name")?;
            let listed = std::fs::read_to_string("/proc/net/unix")?.contains(name);
            if listed { reached("listed") } else { Err(Refusal::Denied("read, but not listed".into())) }
        },
    },
    Primitive {
        id: "ipc_net.path_socket",
        tries: "connect to the unix socket at socket_path",
        denials: ADDRESS,
        control: Root,
        run: |p| {
            UnixStream::connect(p.text("socket_path")?)?;
            reached("connected")
        },
    },
    Primitive {
        id: "ipc_net.path_socket_by_descriptor",
        tries: "connect to socket_path through /proc/self/fd of an O_PATH descriptor",
        denials: ADDRESS,
        control: Root,
        run: by_descriptor,
    },
    Primitive {
        id: "ipc_net.forged_credentials",
        tries: "SCM_CREDENTIALS that claim to be process 1 of root, over a socket pair of its own",
        denials: FORGERY,
        control: Root,
        run: |_| forge_credentials(),
    },
    Primitive {
        id: "ipc_net.control_socket",
        tries: "connect to the daemon's socket control_socket (default /run/agentos/io.agentos.sock)",
        denials: ADDRESS,
        control: When("root on a host where the daemon runs, or with control_socket= of any listener"),
        run: |p| {
            UnixStream::connect(p.get("control_socket").unwrap_or("/run/agentos/io.agentos.sock"))?;
            reached("connected to the daemon")
        },
    },
];

/// An object that is not there is no denial: the namespace of the caller may simply be another, which the test knows.
fn found(result: std::io::Result<i64>) -> Result<i64, Refusal> {
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Refusal::Absent("no such object in this IPC namespace".into()),
        _ => error.into(),
    })
}

fn by_descriptor(p: &Params) -> Attempt {
    let path = p.path("socket_path")?;
    let fd = call_fd(libc::SYS_openat, &[w(libc::AT_FDCWD), w(path.as_c_str()), w(libc::O_PATH)]).step("open")?;
    let link = CString::new(format!("/proc/self/fd/{fd}")).map_err(|error| Refusal::Error(error.to_string()))?;
    UnixStream::connect(link.to_string_lossy().as_ref())?;
    reached("connected")
}

/// A receiver that believes what a message says about its sender would take this one for init.
fn forge_credentials() -> Attempt {
    let (sender, _receiver) = UnixStream::pair().step("socketpair")?;
    let byte = [0u8; 1];
    let vector = [std::ptr::from_ref(&byte).expose_provenance(), 1];
    // struct cmsghdr: length 28, SOL_SOCKET and SCM_CREDENTIALS, then pid 1, uid 0, gid 0
    let control = [28u64, 1 | (2 << 32), 1, 0];
    let control_address = std::ptr::from_ref(&control).expose_provenance();
    let message = [0usize, 0, std::ptr::from_ref(&vector).expose_provenance(), 1, control_address, 32, 0];
    call(libc::SYS_sendmsg, &[w(sender.as_raw_fd()), ptr(&message), w(0)])?;
    reached("sent as root")
}
