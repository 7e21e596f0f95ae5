//! What a service manager wants to hear, and the socket that it may have opened (sd_notify(3), sd_listen_fds(3)).

use crate::journal;
use anyhow::{Context as _, bail};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sd_notify::NotifyState;
use std::os::unix::net::UnixListener as StdListener;
use tokio::net::UnixListener;

/// The listening socket that the service manager holds for us.
pub(super) fn socket() -> anyhow::Result<Option<UnixListener>> {
    let mut passed = sd_notify::listen_fds().context("cannot take the sockets of the service manager")?;
    let Some(number) = passed.next() else { return Ok(None) };
    if passed.next().is_some() {
        bail!("the service manager passed more than one socket; agentosd.socket has one ListenStream");
    }
    // A duplicate of our own descriptor, taken through the kernel: owning the number itself would need `unsafe`.
    let own = pidfd_open(getpid(), PidfdFlags::empty()).context("cannot open this process")?;
    let fd = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).context("cannot take the service manager's socket")?;
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(Some(UnixListener::from_std(listener)?))
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
