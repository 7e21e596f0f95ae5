//! One process of the agent as the outer half sees it: starting, running, ended.

use super::super::output_log::Log;
use super::super::spawn::ChildReport;
use super::super::step::{Attempt as _, Step};
use super::super::streams::Streams;
use crate::message::{Failure, ProcessNumber, Received, Receiver, Report};
use crate::plan::Window;
use rustix::event::PollFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a further process's client may hold up the report of its exit.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);

/// A process that was ordered.
#[derive(Debug)]
pub(super) struct Running {
    /// Where the child reports until it executes its program.
    report: Option<OwnedFd>,
    receiver: Receiver,
    /// From PID 1, when it has forked; kept for the next daemon.
    pub(super) pidfd: Option<OwnedFd>,
    /// It was not started.
    pub(super) failure: Option<Failure>,
    /// `Started` was said.
    pub(super) announced: bool,
    pub(super) streams: Streams,
    exit: Option<(i32, Instant)>,
    /// All was said about it.
    pub(super) done: bool,
}

/// Reports for the daemon, each with its descriptor.
pub(super) type News = Vec<(Report, Option<OwnedFd>)>;

impl Running {
    pub(super) fn new(report: OwnedFd, streams: Streams) -> Self {
        Self {
            report: Some(report),
            receiver: Receiver::default(),
            pidfd: None,
            failure: None,
            announced: false,
            streams,
            exit: None,
            done: false,
        }
    }

    /// What to wait for.
    pub(super) fn interests(&self, spent: bool) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut interests = if self.announced { self.streams.interests(spent) } else { Vec::new() };
        interests.extend(self.report.iter().map(|fd| (fd.as_fd(), PollFlags::IN)));
        interests
    }

    pub(super) fn resize(&self, window: Window) -> Step {
        let size = Winsize { ws_row: window.rows, ws_col: window.cols, ws_xpixel: 0, ws_ypixel: 0 };
        self.streams
            .terminal
            .as_ref()
            .map_or(Ok(()), |terminal| tcsetwinsize(terminal, size))
            .attempt("resize the terminal")
    }

    /// It has ended, and its client has not taken everything yet.
    pub(super) fn leaving(&self) -> bool {
        self.exit.is_some()
    }

    pub(super) fn exit(&mut self, status: i32) {
        self.streams.process_ended();
        self.exit = Some((status, Instant::now() + CLIENT_PATIENCE));
    }

    /// Looks at everything once and adds what the daemon should hear.
    pub(super) fn progress(&mut self, process: ProcessNumber, log: &mut Log, news: &mut News) -> Step {
        self.hear_child()?;
        if let Some(failure) = self.failure.take() {
            self.done = true;
            news.push((Report::Failed { process, failure }, None));
            return Ok(());
        }
        if self.report.is_none()
            && !self.announced
            && let Some(pidfd) = &self.pidfd
        {
            self.announced = true;
            let pidfd = pidfd.try_clone().attempt("copy a pidfd")?;
            news.push((Report::Started { process }, Some(pidfd)));
        }
        // What it writes before that is known waits in its pipes, so that the daemon hears of the start first.
        if self.announced {
            self.streams.pump(log)?;
        }
        if std::mem::take(&mut self.streams.client_gone) {
            news.push((Report::ClientGone { process }, None));
        }
        if let Some((status, deadline)) = self.exit
            && self.announced
            && (self.streams.drained(false) || Instant::now() > deadline)
        {
            self.done = true;
            news.push((Report::Exited { process, status }, None));
        }
        Ok(())
    }

    /// Reads what the child says before its exec; the end of the socket says that it has executed its program.
    fn hear_child(&mut self) -> Step {
        while let Some(report) = &self.report {
            if !readable(report)? {
                return Ok(());
            }
            match self.receiver.receive(report).attempt("read a child's report")? {
                Received::Message(ChildReport::Terminal, mut fds) => {
                    if let Some(master) = fds.pop() {
                        self.streams.take_terminal(master)?;
                    }
                }
                Received::Message(ChildReport::Failed(failure), _) => self.failure = Some(failure),
                Received::Nothing => return Ok(()),
                Received::End => self.report = None,
            }
        }
        Ok(())
    }
}

fn readable(fd: &OwnedFd) -> Step<bool> {
    let mut fds = [rustix::event::PollFd::new(fd, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).attempt("look at a child's report")?;
    Ok(!fds[0].revents().is_empty())
}
