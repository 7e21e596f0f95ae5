//! The kernel's audit sockets: a listener on the multicast group, and a session that asks and orders.
//!
//! Source: audit_receive_msg() and kauditd_send_multicast_skb() in kernel/audit.c. One datagram holds one message.

use super::record::{kind, sequence_point};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

const HEADER: usize = 16;
/// `MAX_AUDIT_MESSAGE_LENGTH` is 8970.
pub(super) const LONGEST: usize = 16 << 10;
const NLMSG_ERROR: u16 = 2;
const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// `AUDIT_NLGRP_READLOG`, as a bit.
const READLOG: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(2);

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::AUDIT))?)
}

/// Receives a datagram; `None` when it is not the kernel's or shorter than a header. Answers its kind and length.
fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<(u16, usize)>, Errno> {
    let (_, length, sender) = recvfrom(fd, &mut *buffer, RecvFlags::TRUNC)?;
    let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
    // Processes with CAP_NET_ADMIN can send to our port; the kernel's is 0.
    let genuine = sender.is_some_and(|address| address.pid() == 0);
    if !genuine || length < HEADER || length > buffer.len() {
        return Ok(None);
    }
    Ok(Some((u16::from_ne_bytes([buffer[4], buffer[5]]), length)))
}

/// A non-blocking socket in the multicast group.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Joins the group, with a receive buffer of so many bytes.
    pub(super) fn open(buffer: usize) -> io::Result<Self> {
        let fd = socket(SocketFlags::NONBLOCK)?;
        set_socket_recv_buffer_size_force(&fd, buffer)?;
        bind(&fd, &SocketAddrNetlink::new(0, READLOG))?;
        Ok(Self(fd))
    }

    /// The next message: its kind and what follows the header. `Ok(None)` is one to pass over.
    ///
    /// # Errors
    /// `WouldBlock` when none is there; `ENOBUFS` once, when some were lost because the buffer was full.
    pub(super) fn next<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<(u16, &'b [u8])>> {
        let received = receive(self.0.as_fd(), buffer)?;
        Ok(received.map(|(kind, length)| (kind, &buffer[HEADER..length])))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The part of `struct audit_status` that is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// What a lost record does: 0 nothing, 1 a kernel message, 2 a panic.
    pub failure: u32,
    /// The registered audit daemon, or 0.
    pub auditd: u32,
    pub backlog_limit: u32,
    /// How long whoever causes a record waits for room in the kernel's queue, in ticks.
    pub backlog_wait_time: u32,
    /// Records that the kernel dropped since boot.
    pub lost: u32,
}

/// What to write; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub enabled: Option<u32>,
    pub backlog_limit: Option<u32>,
    pub backlog_wait_time: Option<u32>,
}

/// Questions and orders to the kernel. Every call may block while the kernel's queue is over its limit.
#[derive(Debug)]
pub(super) struct Session {
    fd: OwnedFd,
    sequence: u32,
}

impl Session {
    pub(super) fn open() -> io::Result<Self> {
        let fd = socket(SocketFlags::empty())?;
        set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// `AUDIT_GET`.
    pub(super) fn status(&mut self) -> io::Result<Status> {
        self.send(AUDIT_GET, NLM_F_REQUEST, &[])?;
        let answer = self.answer(AUDIT_GET)?;
        // mask, enabled, failure, pid, rate_limit, backlog_limit, lost, …
        let field = |index: usize| {
            let bytes = answer.get(index * 4..index * 4 + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        Ok(Status {
            enabled: field(1)?,
            failure: field(2)?,
            auditd: field(3)?,
            backlog_limit: field(5)?,
            backlog_wait_time: field(9)?,
            lost: field(6)?,
        })
    }

    /// `AUDIT_SET`.
    pub(super) fn set(&mut self, change: Change) -> io::Result<()> {
        // Bit in the mask, place in `struct audit_status`, value.
        let settings = [(0x1, 1, change.enabled), (0x10, 5, change.backlog_limit), (0x20, 9, change.backlog_wait_time)];
        let mut status = [0_u32; 10];
        for (bit, place, value) in settings {
            if let Some(value) = value {
                status[0] |= bit;
                status[place] = value;
            }
        }
        let payload: Vec<u8> = status.into_iter().flat_map(u32::to_ne_bytes).collect();
        self.send(AUDIT_SET, NLM_F_REQUEST | NLM_F_ACK, &payload)?;
        self.answer(NLMSG_ERROR).map(drop)
    }

    /// Puts a sequence point into the stream: it takes the same queue as the kernel's own records.
    pub(super) fn mark(&mut self, point: u64) -> io::Result<()> {
        let mut text = sequence_point(point).into_bytes();
        text.push(0);
        self.send(kind::TRUSTED_APP, NLM_F_REQUEST | NLM_F_ACK, &text)?;
        self.answer(NLMSG_ERROR).map(drop)
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + payload.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + payload.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(payload);
        sendto(&self.fd, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// The answer of a kind to the last message, without its header. An acknowledgement is an error 0.
    fn answer(&self, wanted: u16) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let Some((kind, length)) = receive(self.fd.as_fd(), &mut buffer)? else { continue };
            if buffer[8..12] != self.sequence.to_ne_bytes() {
                continue;
            }
            let payload = &buffer[HEADER..length];
            if kind == NLMSG_ERROR {
                let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
            }
            if kind == wanted {
                return Ok(payload.to_vec());
            }
        }
    }
}

/// A number for a sequence point that no other daemon alive uses.
pub(super) fn fresh_sequence_point() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff
}

/// Sets sequence points from a thread of its own: the kernel holds back whoever speaks to it while its queue is over
/// the limit, and a hostile agent can bring that about.
#[derive(Clone, Debug)]
pub(super) struct Control {
    points: SyncSender<u64>,
    lost: Arc<AtomicU32>,
}

impl Control {
    pub(super) fn start(session: Session, lost: u32) -> io::Result<Self> {
        let (points, queue) = sync_channel(1024);
        let lost = Arc::new(AtomicU32::new(lost));
        let shared = Arc::clone(&lost);
        std::thread::Builder::new().name("denial-control".to_owned()).spawn(move || serve(session, &queue, &shared))?;
        Ok(Self { points, lost })
    }

    /// Asks for a sequence point. One that cannot be set never arrives, and whoever waits for it says so.
    pub(super) fn mark(&self, point: u64) {
        self.points.try_send(point).unwrap_or_default();
    }

    /// Records that the kernel had dropped when the last sequence point was set.
    pub(super) fn lost(&self) -> u32 {
        self.lost.load(Ordering::Acquire)
    }
}

fn serve(mut session: Session, queue: &Receiver<u64>, lost: &AtomicU32) {
    for point in queue {
        // The count goes first: it must cover everything before the point.
        let Ok(status) = session.status() else { continue };
        lost.store(status.lost, Ordering::Release);
        // After a failure the waiter's time runs out, and its list counts as incomplete.
        session.mark(point).unwrap_or_default();
    }
}
