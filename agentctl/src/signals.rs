//! Signals to `agentctl` itself, as a descriptor for poll(2).
//!
//! A signal that was ignored when we were started (nohup, a background job of a shell without job control) stays
//! ignored, as it would for the command that we stand for.

use crate::failure::Failure;
use crate::own;
use signal_hook::consts::signal as number;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Signals that are for the agent.
pub(crate) const FORWARDED: [i32; 6] =
    [number::SIGINT, number::SIGTERM, number::SIGHUP, number::SIGQUIT, number::SIGUSR1, number::SIGUSR2];
/// Signals that say something of our terminal or our job.
const OURS: [i32; 3] = [number::SIGTSTP, number::SIGCONT, number::SIGWINCH];

/// What a signal asks of a foreground command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Give this one to the agent.
    Forward(i32),
    /// Ctrl-Z.
    Suspend,
    /// `fg`, `bg`.
    Resume,
    /// The terminal has a new size.
    Resize,
}

/// Signals caught since this was made.
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Catches the signals of a foreground command from now on.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let (read, write) = UnixStream::pair().map_err(Failure::os("make a socket pair for signals"))?;
        let ignored = own::Status::read().ignored_signals();
        let wanted = FORWARDED.into_iter().chain(OURS).filter(|signal| ignored & (1 << (signal - 1)) == 0);
        SignalDelivery::with_pipe(read, write, SignalOnly, wanted)
            .map(|delivery| Self { delivery })
            .map_err(Failure::os("catch signals"))
    }

    /// The signals that have arrived.
    pub(crate) fn take(&mut self) -> Vec<Request> {
        self.delivery
            .pending()
            .map(|signal| match signal {
                number::SIGTSTP => Request::Suspend,
                number::SIGCONT => Request::Resume,
                number::SIGWINCH => Request::Resize,
                other => Request::Forward(other),
            })
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_signal_is_told() {
        let mut signals = Signals::catch().expect("caught");
        let us = rustix::process::getpid();
        rustix::process::kill_process(us, rustix::process::Signal::USR1).expect("sent");
        // Another thread of the test process may be the one that takes it, a little later.
        let mut polled = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
        while rustix::event::poll(&mut polled, None) == Err(rustix::io::Errno::INTR) {}
        assert_eq!(signals.take(), [Request::Forward(number::SIGUSR1)]);
        assert_eq!(signals.take(), []);
    }
}
