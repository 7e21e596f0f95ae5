//! Waiting for whatever comes next.

use super::super::step::{Attempt as _, Step};
use super::Outer;
use super::process::Running;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

/// What a round of waiting found ready.
pub(super) struct Ready {
    pub(super) daemon: bool,
    pub(super) claim: bool,
    pub(super) refused: bool,
    pub(super) init_socket: bool,
    pub(super) init_takes: bool,
    pub(super) init_ended: bool,
}

/// Descriptors to wait for, by what they are.
#[derive(Default)]
struct Waiting<'a>(Vec<PollFd<'a>>);

impl<'a> Waiting<'a> {
    /// Adds some, and tells where they are.
    fn add(&mut self, fds: impl IntoIterator<Item = (BorrowedFd<'a>, PollFlags)>) -> std::ops::Range<usize> {
        let start = self.0.len();
        self.0.extend(fds.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        start..self.0.len()
    }

    fn found(&self, range: std::ops::Range<usize>) -> PollFlags {
        self.0.get(range).into_iter().flatten().fold(PollFlags::empty(), |all, fd| all | fd.revents())
    }

    /// Whether anything but room to write was found.
    fn ready(&self, range: std::ops::Range<usize>) -> bool {
        !self.found(range).difference(PollFlags::OUT).is_empty()
    }
}

impl Outer {
    /// How long until there is more to read of what only the log takes.
    pub(super) fn rests(&self) -> Option<Duration> {
        self.running.values().filter_map(|running| running.streams.rests()).min()
    }

    pub(super) fn wait(&self) -> Step<Ready> {
        let input = |fd| (fd, PollFlags::IN);
        let asked = if self.asked.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let spent = self.log.as_ref().is_some_and(|log| log.spent);
        let mut fds = Waiting::default();
        let daemon = fds.add(self.daemon.iter().map(|daemon| input(daemon.as_fd())));
        let claim = fds.add(self.door.interests().map(input));
        let refused = self.refused_at().map(|(listener, _)| listener).into_iter();
        let refused = fds.add(refused.chain(self.refusing.interests()).map(input));
        let init_socket = fds.add([(self.init.socket.as_fd(), asked)]);
        let init_ended = fds.add([input(self.init.pidfd.as_fd())]);
        fds.add(self.running.values().flat_map(|running| running.interests(spent)));
        // A client that does not read may delay the report of an exit; nothing wakes the poll when its time is up.
        let second = self.running.values().any(Running::leaving).then_some(Duration::from_secs(1));
        let timeout = second.into_iter().chain(self.patience()).chain(self.rests()).min();
        let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other).attempt("wait")?;
        match poll(&mut fds.0, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).attempt("wait"),
        }
        Ok(Ready {
            daemon: fds.ready(daemon),
            claim: fds.ready(claim),
            refused: fds.ready(refused),
            init_takes: fds.found(init_socket.clone()).contains(PollFlags::OUT),
            init_socket: fds.ready(init_socket),
            init_ended: fds.ready(init_ended),
        })
    }
}
