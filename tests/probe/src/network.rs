//! Sockets: kinds that reach around the network namespace, and addresses that only the host has.
//!
//! No packet ever leaves for an outside address: whether there is a way out is asked of the routing table by connecting
//! a datagram socket, which sends nothing.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use crate::{
    denials::{ADDRESS, SOCKET},
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{self, Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, w},
};

const PATIENCE: Duration = Duration::from_millis(500);
const AF_CAN: i32 = 29;
const AF_TIPC: i32 = 30;
const AF_XDP: i32 = 44;
const AF_SMC: i32 = 43;
const BUILT_IN: Control = When("root, where the kernel has the protocol");
const ROUTED: Control = When("a host with a default route of that protocol");

/// A row that only makes a socket.
const fn kind(id: &'static str, tries: &'static str, control: Control, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: SOCKET, control, run }
}

/// A row that talks to an address.
const fn address(id: &'static str, tries: &'static str, control: Control, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: ADDRESS, control, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    kind("ipc_net.packet_socket", "socket(AF_PACKET, SOCK_RAW)", Root, |_| {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300)
    }),
    kind("ipc_net.raw_icmp", "socket(AF_INET, SOCK_RAW, ICMP)", Root, |_| socket(libc::AF_INET, libc::SOCK_RAW, 1)),
    kind("ipc_net.raw_ip", "socket(AF_INET, SOCK_RAW, RAW)", Root, |_| socket(libc::AF_INET, libc::SOCK_RAW, 255)),
    kind("ipc_net.raw_ip6", "socket(AF_INET6, SOCK_RAW, RAW)", BUILT_IN, |_| {
        socket(libc::AF_INET6, libc::SOCK_RAW, 255)
    }),
    kind("ipc_net.alg_socket", "socket(AF_ALG) bound to sha256", BUILT_IN, |_| alg()),
    kind("ipc_net.vsock", "socket(AF_VSOCK): the hypervisor", BUILT_IN, |_| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    kind("ipc_net.xdp_socket", "socket(AF_XDP)", BUILT_IN, |_| socket(AF_XDP, libc::SOCK_RAW, 0)),
    kind("ipc_net.bluetooth", "socket(AF_BLUETOOTH)", BUILT_IN, |_| socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)),
    kind("ipc_net.key_socket", "socket(AF_KEY)", BUILT_IN, |_| socket(libc::AF_KEY, libc::SOCK_RAW, 2)),
    kind("ipc_net.tipc", "socket(AF_TIPC)", BUILT_IN, |_| socket(AF_TIPC, libc::SOCK_DGRAM, 0)),
    kind("ipc_net.can", "socket(AF_CAN)", BUILT_IN, |_| socket(AF_CAN, libc::SOCK_RAW, 1)),
    kind("ipc_net.smc", "socket(AF_SMC)", BUILT_IN, |_| socket(AF_SMC, libc::SOCK_STREAM, 0)),
    kind("ipc_net.sctp", "socket(AF_INET, SOCK_STREAM, SCTP)", BUILT_IN, |_| {
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)
    }),
    kind("ipc_net.mptcp", "socket(AF_INET, SOCK_STREAM, MPTCP): TCP past a filter of TCP", BUILT_IN, |_| {
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)
    }),
    address("ipc_net.host_tcp", "connect to 127.0.0.1:port", Root, |p| {
        connect(IpAddr::V4(Ipv4Addr::LOCALHOST), p.number("port")?)
    }),
    address("ipc_net.host_tcp_any", "connect to 0.0.0.0:port, another name of the loopback", Root, |p| {
        connect(IpAddr::V4(Ipv4Addr::UNSPECIFIED), p.number("port")?)
    }),
    address("ipc_net.host_tcp6", "connect to [::1]:port6", When("root on a host with IPv6"), |p| {
        connect(IpAddr::V6(Ipv6Addr::LOCALHOST), p.number("port6")?)
    }),
    address("ipc_net.host_tcp_fast_open", "sendto(MSG_FASTOPEN) to 127.0.0.1:port, no connect", Root, fast_open),
    address("ipc_net.host_udp", "send a datagram to 127.0.0.1:udp_port and get it back", Root, echo),
    address("ipc_net.route_metadata", "is there a route to 169.254.169.254?", ROUTED, |_| {
        route(Ipv4Addr::new(169, 254, 169, 254).into())
    }),
    address("ipc_net.route_dns", "is there a route to 8.8.8.8?", ROUTED, |_| route(Ipv4Addr::new(8, 8, 8, 8).into())),
    address("ipc_net.route_ip6", "is there a route to 2001:db8::1?", ROUTED, |_| {
        route(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    }),
    address("ipc_net.route_private", "is there a route to 10.0.0.1?", ROUTED, |_| {
        route(Ipv4Addr::new(10, 0, 0, 1).into())
    }),
];

fn socket(family: i32, kind: i32, protocol: i32) -> Attempt {
    call_fd(libc::SYS_socket, &[w(family), w(kind | libc::SOCK_CLOEXEC), w(protocol)])?;
    reached("a socket")
}

fn alg() -> Attempt {
    let fd = call_fd(libc::SYS_socket, &[w(libc::AF_ALG), w(libc::SOCK_SEQPACKET), w(0)])?;
    // struct sockaddr_alg: family, 14 bytes of type, feature, mask, 64 bytes of name
    let mut name = [0u8; 88];
    name[0] = 38;
    name[2..6].copy_from_slice(b"hash");
    name[24..30].copy_from_slice(b"sha256");
    call(libc::SYS_bind, &[w(fd), ptr(&name), w(88)]).step("bind")?;
    reached("the kernel's cryptography")
}

fn connect(host: IpAddr, port: u16) -> Attempt {
    TcpStream::connect_timeout(&SocketAddr::new(host, port), PATIENCE)?;
    reached("connected")
}

fn fast_open(p: &Params) -> Attempt {
    let fd = call_fd(libc::SYS_socket, &[w(libc::AF_INET), w(libc::SOCK_STREAM), w(0)]).step("socket")?;
    let [high, low] = p.number::<u16>("port")?.to_be_bytes();
    let peer = [2u8, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    call(libc::SYS_sendto, &[w(fd), ptr(b"x"), w(1), w(libc::MSG_FASTOPEN), ptr(&peer), w(16)])?;
    reached("connected by sending")
}

fn echo(p: &Params) -> Attempt {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).step("bind")?;
    socket.set_read_timeout(Some(PATIENCE)).step("set the time-out")?;
    socket.connect((Ipv4Addr::LOCALHOST, p.number("udp_port")?)).step("connect")?;
    socket.send(b"probe").step("send")?;
    let mut answer = [0u8; 5];
    match socket.recv(&mut answer) {
        Ok(_) if &answer == b"probe" => reached("an answer"),
        Ok(_) => Err(Refusal::Error("another answer than sent".into())),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(Refusal::Denied("no answer".into())),
        Err(error) => Err(error.into()),
    }
}

/// A route counts when it leaves this host: one that makes the address local (so that a gateway can answer) does not.
fn route(target: IpAddr) -> Attempt {
    let any = if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).step("bind")?;
    socket.connect((target, 53))?;
    let source = socket.local_addr().step("getsockname")?.ip();
    if source == target || source.is_loopback() {
        return Err(Refusal::Denied(format!("the address is local here (source {source})")));
    }
    reached("the routing table has a way out")
}
