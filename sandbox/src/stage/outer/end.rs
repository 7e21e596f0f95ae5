//! The end of an agent: the last reports and bytes, then PID 1.

use super::super::step::{Attempt as _, Step};
use super::process::Running;
use super::{Main, Outer};
use crate::message::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long a client that does not read can hold up the report of the end.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// What a process that was killed with the agent is reported with (`wait(2)`: killed by SIGKILL).
const KILLED: i32 = libc::SIGKILL;

impl Outer<'_> {
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
        for (process, running) in &self.running {
            if *process != 0 && running.announced {
                self.tell(&Report::Exited { process: *process, status: KILLED }, &[])?;
            }
        }
        match self.main {
            Main::Started => {}
            Main::Failed => return Ok(()),
            Main::Unsaid => return Err(io::Error::other("it was killed before")).attempt("start the main process"),
        }
        let status = self.main_status.unwrap_or(KILLED);
        // Closing our ends first lets a client read to the end before it hears of the exit.
        self.running.clear();
        self.tell(&Report::Ended { status, output: self.log.as_ref().map_or(0, |log| log.total) }, &[])
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
        let timeout = Timespec::try_from(left).map_err(io::Error::other).attempt("wait")?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).attempt("wait for the streams"),
        }
    }

    /// Lets the daemon answer before PID 1's end takes the processors; it lets go of the socket when it has.
    pub(super) fn wait_for_dismissal(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.daemon, PollFlags::IN)];
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut fds, Some(&second)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
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
