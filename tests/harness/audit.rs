//! The kernel's audit settings, which a daemon changes and must put back.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use std::io;

const AUDIT_GET: u16 = 1000;
const NLM_F_REQUEST: u16 = 1;
const HEADER: usize = 16;

/// What a daemon may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    enabled: u32,
    backlog_limit: u32,
}

/// Asks the kernel; an error where it has no audit or refuses us.
pub(crate) fn settings() -> io::Result<Settings> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::AUDIT))?;
    // struct nlmsghdr: length, type, flags, sequence, port. Unconnected, so it goes to the kernel.
    let mut request = Vec::with_capacity(HEADER);
    request.extend(16u32.to_ne_bytes());
    request.extend(AUDIT_GET.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    send(&socket, &request, SendFlags::empty())?;
    let mut reply = [0u8; 512];
    let (length, _) = recv(&socket, &mut reply[..], RecvFlags::empty())?;
    let word = |offset: usize| reply[..length].get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    // The type stands in the low half of the second word; an NLMSG_ERROR (2) is a refusal.
    let kind = word(4).map(u32::from_ne_bytes).map(|word| word & 0xffff);
    // struct audit_status: mask, enabled, failure, pid, rate_limit, backlog_limit, …
    match (kind, word(HEADER + 4), word(HEADER + 20)) {
        (Some(1000), Some(enabled), Some(limit)) => {
            Ok(Settings { enabled: u32::from_ne_bytes(enabled), backlog_limit: u32::from_ne_bytes(limit) })
        }
        _ => Err(io::Error::other("the kernel's audit refused to tell its settings")),
    }
}
