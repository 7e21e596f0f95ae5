//! What a service manager wants to hear, the socket that it may have opened (sd_notify(3), sd_listen_fds(3)), and the one
//! that it keeps for the next daemon (FDSTORE=1 of sd_notify(3)).

use crate::journal;
use anyhow::{Context as _, bail};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg_addr, socket_with,
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use tokio::net::UnixListener;

/// The name of our own socket in the service manager's store.
const STORED: &str = "control";

/// A listening socket that the service manager holds for us.
#[derive(Debug)]
pub(super) struct Held {
    /// It.
    pub(super) listener: UnixListener,
    /// An earlier daemon has made it; otherwise it is that of agentosd.socket.
    pub(super) stored: bool,
}

/// The listening socket that the service manager holds for us.
pub(super) fn socket() -> anyhow::Result<Option<Held>> {
    let passed = sd_notify::listen_fds_with_names().context("cannot take the sockets of the service manager")?;
    let (stored, own): (Vec<_>, Vec<_>) = passed.partition(|(_, name)| name == STORED);
    let (number, stored) = match (&own[..], &stored[..]) {
        ([], []) => return Ok(None),
        ([(number, _)], _) => (*number, false),
        ([], [(number, _), ..]) => (*number, true),
        _ => bail!("the service manager passed more than one socket; agentosd.socket has one ListenStream"),
    };
    // A duplicate of our own descriptor, taken through the kernel: owning the number itself would need `unsafe`.
    let own = pidfd_open(getpid(), PidfdFlags::empty()).context("cannot open this process")?;
    let fd = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).context("cannot take the service manager's socket")?;
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(Some(Held { listener: UnixListener::from_std(listener)?, stored }))
}

/// Has the service manager keep our listening socket: who connects while no daemon is there waits for the next.
pub(super) fn keep(listener: &UnixListener) -> bool {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return false };
    let kept = send_to(&address, &format!("FDSTORE=1\nFDNAME={STORED}"), listener.as_fd());
    if let Err(error) = &kept {
        journal::warning(format_args!("the service manager does not keep the socket: {error}"));
    }
    kept.is_ok()
}

/// A datagram with a descriptor. A name that begins with `@` is an abstract one.
fn send_to(address: &OsStr, text: &str, fd: BorrowedFd<'_>) -> std::io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(Path::new(address))?,
    };
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg_addr(&socket, &address, &[IoSlice::new(text.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Ready; from now on the watchdog hears of us as long as tasks run.
pub(super) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("answering agentctl")]);
    if let Some(interval) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(interval / 2);
            loop {
                tick.tick().await;
                notify(&[NotifyState::Watchdog]);
            }
        });
    }
}

/// The end has begun.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        journal::warning(format_args!("cannot tell the service manager: {error}"));
    }
}
