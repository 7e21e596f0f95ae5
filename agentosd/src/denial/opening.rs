//! Opening the log: sockets, settings, and a try whether anything is heard.

use super::Unavailable;
use super::netlink::{Control, LONGEST, Listener, Session, fresh_sequence_point};
use super::record::{Body, parse};
use super::settings::{Claim, Settings, refused};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};

/// What [`open`] made.
pub(super) struct Opened {
    pub listener: Listener,
    pub control: Control,
    pub claim: Claim,
}

/// Opens everything and tries it; blocks.
pub(super) fn open(settings: &Settings) -> Result<Opened, Unavailable> {
    let unavailable = |error: io::Error| Unavailable(refused(&error));
    let mut session = Session::open().map_err(unavailable)?;
    // A first question, so that a process without the right to ask leaves no trace.
    session.status().map_err(unavailable)?;
    let listener = Listener::open(settings.receive_buffer).map_err(unavailable)?;
    let claim = Claim::take(&settings.shared_dir, &mut session)?;
    let tried = hear_ourselves(&listener, &mut session).and_then(|()| session.status().map_err(unavailable));
    let tried = tried.and_then(|status| Control::start(session, status.lost).map_err(unavailable));
    match tried {
        Ok(control) => Ok(Opened { listener, control, claim }),
        Err(unavailable) => Err(claim.abandon(unavailable)),
    }
}

/// Sets a sequence point and waits for it: the kernel sends records to the first network namespace only.
fn hear_ourselves(listener: &Listener, session: &mut Session) -> Result<(), Unavailable> {
    const HEARING: Duration = Duration::from_secs(2);
    let unavailable = |error: io::Error| Unavailable(refused(&error));
    let point = fresh_sequence_point();
    session.mark(point).map_err(unavailable)?;
    let deadline = Instant::now() + HEARING;
    let mut buffer = vec![0; LONGEST];
    loop {
        match listener.next(&mut buffer) {
            Ok(Some((kind, payload))) => {
                if parse(kind, payload).is_some_and(|record| record.body == Body::SequencePoint(point)) {
                    return Ok(());
                }
            }
            Ok(None) => {}
            Err(error) if passing(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = Timespec::try_from(left).map_err(|error| unavailable(io::Error::other(error)))?;
                poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&timeout))
                    .map_err(|error| unavailable(error.into()))?;
            }
            Err(error) => return Err(unavailable(error)),
        }
        if Instant::now() >= deadline {
            return Err(Unavailable(
                "the kernel's audit records do not arrive: the daemon is in a network namespace of a container, or an audit rule excludes user messages; run agentosd on the host, and look at: auditctl -l"
                    .to_owned(),
            ));
        }
    }
}

/// An error after which the socket goes on.
fn passing(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::NOBUFS.raw_os_error()) || code == Some(Errno::INTR.raw_os_error())
}
