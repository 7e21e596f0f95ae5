//! The end of an agent: the last reports and bytes, then PID 1.

use super::super::step::{Attempt as _, Step};
use super::process::Running;
use super::{Main, Outer};
use crate::message::{Order, Received, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long a client that does not read can hold up the report of the end.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// What a process that was killed with the agent is reported with (`wait(2)`: killed by SIGKILL).
const KILLED: i32 = libc::SIGKILL;

impl Outer {
    /// Nothing of the agent lives any more; what it wrote last is still in the pipes.
    pub(super) fn finish(&mut self) -> Step {
        // Its last reports may have come after the look at its socket; that the main process ever ran may be among them.
        while self.has_reports()? && self.take_report()? {}
        self.running.values_mut().for_each(|running| running.streams.process_ended());
        let deadline = Instant::now() + CLIENT_PATIENCE;
        loop {
            self.pump()?;
            let spent = self.log.as_ref().is_some_and(|log| log.spent);
            // One that was never heard to run has written nothing.
            let drained = |running: &Running| !running.announced || spent || running.streams.drained(true);
            if self.running.values().all(drained) {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // A client that does not read, or a pipe whose other end the agent has handed to somebody outside.
                break;
            }
            self.wait_streams(left)?;
        }
        match self.main {
            Main::Started => {}
            Main::Failed => return Ok(()),
            Main::Unsaid => return Err(io::Error::other("it was killed before")).attempt("start the main process"),
        }
        let gone = self.running.iter().filter(|(process, running)| **process != 0 && running.announced);
        self.unheard.extend(gone.map(|(process, _)| (*process, KILLED)));
        // Closing our ends first lets a client read to the end before it hears of the exit.
        self.running.clear();
        self.finished = true;
        self.tell_the_end()
    }

    /// Tells how it ended, until a daemon has heard of it and says so. That also lets the daemon answer before PID 1's end
    /// takes the processors.
    fn tell_the_end(&mut self) -> Step {
        let status = self.main_status.unwrap_or(KILLED);
        let ended = Report::Ended { status, output: self.log.as_ref().map_or(0, |log| log.total) };
        loop {
            if self.daemon.is_some() {
                for (process, status) in &self.unheard {
                    self.tell(&Report::Exited { process: *process, status: *status }, &[])?;
                }
                self.tell(&ended, &[])?;
            }
            if self.dismissed()? {
                return Ok(());
            }
        }
    }

    /// Waits for the dismissal; false when the end is to be told again, to another daemon.
    fn dismissed(&mut self) -> Step<bool> {
        loop {
            let daemon = self.daemon.iter().map(|daemon| daemon.as_fd());
            let mut fds: Vec<_> =
                daemon.chain(self.door.interests()).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).attempt("wait to be dismissed"),
            }
            if self.daemon.is_some() && !fds[0].revents().is_empty() {
                match self.order()? {
                    Received::Message(Order::Dismiss, _) => return Ok(true),
                    // Whatever else was ordered came too late.
                    Received::Message(..) | Received::Nothing => {}
                    Received::End if self.lose_daemon() => {}
                    Received::End => return Ok(true),
                }
            }
            if self.take_claim()? {
                return Ok(false);
            }
        }
    }

    /// Whether PID 1 has said something more, or has ended.
    fn has_reports(&self) -> Step<bool> {
        let mut fds = [PollFd::new(&self.init.socket, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).attempt("look for reports")?;
        Ok(fds[0].revents().contains(PollFlags::IN))
    }

    fn wait_streams(&self, left: Duration) -> Step {
        let interests: Vec<_> = self.running.values().flat_map(|running| running.interests(false)).collect();
        let mut fds: Vec<_> = interests.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let left = self.rests().map_or(left, |rest| rest.min(left));
        let timeout = Timespec::try_from(left).map_err(io::Error::other).attempt("wait")?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).attempt("wait for the streams"),
        }
    }

    /// Kills PID 1, and with it everything inside, and reaps it.
    pub(super) fn end_init(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.init.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        waitid(WaitId::PidFd(self.init.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        Ok(())
    }
}
