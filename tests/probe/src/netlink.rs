//! Netlink: the kernel's own service sockets.

use std::fs;

use crate::{
    denials::SOCKET,
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, ptr_mut, w},
};

const SOCK_DIAG: i32 = 4;
const XFRM: i32 = 6;
const AUDIT: i32 = 9;
const NETFILTER: i32 = 12;
const KOBJECT_UEVENT: i32 = 15;
const GENERIC: i32 = 16;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The audit system answers in the first network namespace only; elsewhere nobody listens.
const AUDIT_DENIALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EPROTONOSUPPORT, libc::ECONNREFUSED];
const REPLY_ROOM: usize = 32768;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "ipc_net.netlink_route_read",
        tries: "NETLINK_ROUTE: does the list of interfaces hold more than lo?",
        denials: SOCKET,
        control: When("a host with a network interface"),
        run: |_| interfaces(),
    },
    Primitive {
        id: "ipc_net.netlink_route_write",
        tries: "NETLINK_ROUTE: RTM_NEWLINK of lo that changes nothing",
        denials: SOCKET,
        control: Root,
        run: |_| {
            // struct ifinfomsg: family and type, index 1, flags 0, change mask 0
            let socket = open(libc::NETLINK_ROUTE)?;
            ask(socket, libc::RTM_NEWLINK, REQUEST | ACKNOWLEDGE, &[0, 1, 0, 0])?;
            reached("may configure interfaces")
        },
    },
    Primitive {
        id: "ipc_net.netlink_audit",
        tries: "NETLINK_AUDIT: AUDIT_GET",
        denials: AUDIT_DENIALS,
        control: When("root, where the kernel has CONFIG_AUDIT"),
        run: |_| {
            let socket = open(AUDIT)?;
            ask(socket, 1000, REQUEST | ACKNOWLEDGE, &[])?;
            reached("the state of the audit system")
        },
    },
    Primitive {
        id: "ipc_net.netlink_audit_log",
        tries: "NETLINK_AUDIT: listen to the multicast group of records",
        denials: SOCKET,
        control: When("root, where the kernel has CONFIG_AUDIT"),
        run: |_| listen(AUDIT),
    },
    Primitive {
        id: "ipc_net.netlink_uevent",
        tries: "NETLINK_KOBJECT_UEVENT: listen to device events",
        denials: SOCKET,
        control: Root,
        run: |_| listen(KOBJECT_UEVENT),
    },
    Primitive {
        id: "ipc_net.netlink_sock_diag",
        tries: "NETLINK_SOCK_DIAG: find the host's listener at port",
        denials: SOCKET,
        control: When("root, where the kernel has CONFIG_INET_DIAG; /proc/net/tcp stands in for it elsewhere"),
        run: find_listener,
    },
    Primitive {
        id: "ipc_net.netlink_netfilter",
        tries: "socket(NETLINK_NETFILTER)",
        denials: SOCKET,
        control: When("root, where the kernel has CONFIG_NETFILTER"),
        run: |_| open(NETFILTER).and_then(|_| reached("a socket")),
    },
    Primitive {
        id: "ipc_net.netlink_xfrm",
        tries: "socket(NETLINK_XFRM)",
        denials: SOCKET,
        control: When("root, where the kernel has CONFIG_XFRM_USER"),
        run: |_| open(XFRM).and_then(|_| reached("a socket")),
    },
    Primitive {
        id: "ipc_net.netlink_generic",
        tries: "socket(NETLINK_GENERIC)",
        denials: SOCKET,
        control: Root,
        run: |_| open(GENERIC).and_then(|_| reached("a socket")),
    },
];

fn open(protocol: i32) -> Result<i32, Refusal> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    let socket = call_fd(libc::SYS_socket, &[w(libc::AF_NETLINK), w(kind), w(protocol)]).step("socket")?;
    // No answer within half a second is an error, not a wait for the runner's end.
    let patience = [0i64, 500_000];
    let words = [w(socket), w(libc::SOL_SOCKET), w(libc::SO_RCVTIMEO), ptr(&patience), w(16)];
    call(libc::SYS_setsockopt, &words).step("SO_RCVTIMEO")?;
    Ok(socket)
}

fn listen(protocol: i32) -> Attempt {
    let socket = open(protocol)?;
    // struct sockaddr_nl: family, port, group mask
    call(libc::SYS_bind, &[w(socket), ptr(&[16u32, 0, 1]), w(12)]).step("bind")?;
    reached("listens")
}

/// Sends one request and gives the first answer; an error message becomes its errno.
fn ask(socket: i32, kind: u16, flags: u16, body: &[u32]) -> Result<Vec<u8>, Refusal> {
    let length = u32::try_from(16 + size_of_val(body)).unwrap_or(0);
    let mut message = vec![length, u32::from(kind) | (u32::from(flags) << 16), 1, 0];
    message.extend_from_slice(body);
    // struct sockaddr_nl of the kernel
    let kernel = [16u32, 0, 0];
    let words = [w(socket), ptr(message.as_slice()), w(length), w(0), ptr(&kernel), w(12)];
    call(libc::SYS_sendto, &words).step("send")?;
    receive(socket)
}

fn receive(socket: i32) -> Result<Vec<u8>, Refusal> {
    let mut answer = vec![0u8; REPLY_ROOM];
    let words = [w(socket), ptr_mut(answer.as_mut_slice()), w(REPLY_ROOM), w(0), w(0), w(0)];
    let length = call(libc::SYS_recvfrom, &words).step("receive")?;
    answer.truncate(usize::try_from(length).unwrap_or(0));
    let errno = i32::from_ne_bytes(bytes_at(&answer, 16).unwrap_or_default());
    if message_kind(&answer) == ERROR && errno < 0 {
        return Err(Refusal::Errno(-errno, "the kernel's answer".into()));
    }
    Ok(answer)
}

fn bytes_at<const N: usize>(answer: &[u8], offset: usize) -> Option<[u8; N]> {
    answer.get(offset..offset + N)?.try_into().ok()
}

fn message_kind(answer: &[u8]) -> u16 {
    u16::from_ne_bytes(bytes_at(answer, 4).unwrap_or_default())
}

/// The messages that one answer holds.
fn messages(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = answer;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(bytes_at(rest, 0)?)).ok()?;
        let message = rest.get(..length.max(16))?;
        rest = rest.get(length.max(16).next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn interfaces() -> Attempt {
    let socket = open(libc::NETLINK_ROUTE)?;
    let mut answer = ask(socket, libc::RTM_GETLINK, REQUEST | DUMP, &[0, 0, 0, 0])?;
    let mut others = 0;
    while messages(&answer).all(|message| message_kind(message) != DONE) {
        // The loopback is interface 1 in every network namespace.
        others += messages(&answer).filter(|message| bytes_at(message, 20) != Some(1i32.to_ne_bytes())).count();
        answer = receive(socket)?;
    }
    if others == 0 { Err(Refusal::Denied("only lo is visible".into())) } else { reached(format!("{others} more")) }
}

fn find_listener(p: &Params) -> Attempt {
    let port = p.number::<u16>("port")?;
    let socket = open(SOCK_DIAG)?;
    // struct inet_diag_req_v2: AF_INET and TCP, the states (all), then 48 bytes of socket id
    let mut request = [0u32; 14];
    request[0] = 2 | (6 << 8);
    request[1] = u32::MAX;
    let by_netlink = ask(socket, 20, REQUEST | DUMP, &request).map(|mut answer| {
        let mut found = false;
        while messages(&answer).all(|message| message_kind(message) != DONE) {
            found |= messages(&answer).any(|message| bytes_at(message, 20) == Some(port.to_be_bytes()));
            answer = receive(socket).unwrap_or_default();
            if answer.is_empty() {
                break;
            }
        }
        found
    });
    let found = match by_netlink {
        Err(Refusal::Errno(libc::ENOENT, _)) => {
            fs::read_to_string("/proc/net/tcp").step("read /proc/net/tcp")?.contains(&format!(":{port:04X} "))
        }
        other => other?,
    };
    if found { reached("the host's listener") } else { Err(Refusal::Denied("answered, but not listed".into())) }
}
