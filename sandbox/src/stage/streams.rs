//! The standard streams of one process: from its pipes or terminal to the log and to an attached client, and back.
//!
//! ```text
//!   agent's stdout ──► Output ──► log file
//!                        └─────► client (a pipe; while it is full, nothing more is read: back-pressure as from a pipe)
//!   client's stdin ──► Input ──► agent's stdin
//! ```
//! All our ends are non-blocking. The agent never holds a client's descriptor.

use super::output_log::Log;
use super::pace::Pace;
use super::step::{Attempt as _, Step};
use crate::log;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

const LOG_REMEDY: &str =
    "what an agent writes is kept beneath the daemon's state directory; make room on its file system";

/// One direction out of the agent.
#[derive(Debug)]
struct Output {
    source: Option<OwnedFd>,
    client: Option<OwnedFd>,
    stderr: bool,
    /// Read and logged, and not yet taken by the client.
    pending: Vec<u8>,
    /// There may be more to read, and it was not tried.
    unread: bool,
    pace: Pace,
}

/// The direction into the agent.
#[derive(Debug, Default)]
struct Input {
    client: Option<OwnedFd>,
    sink: Option<OwnedFd>,
    pending: Vec<u8>,
    /// Close the sink when the client's input ends (a pipe), or keep it (a terminal, or `keep_stdin`).
    close_at_end: bool,
}

/// All streams of a process.
#[derive(Debug, Default)]
pub(super) struct Streams {
    outputs: Vec<Output>,
    input: Input,
    /// The master side, kept for the terminal's size.
    pub(super) terminal: Option<OwnedFd>,
    /// The other side of the terminal while its process lives. A master whose other side nobody has open reads as ended
    /// (EIO) and is ready for ever (POLLHUP), although the process may open its terminal again by name.
    held: Option<OwnedFd>,
    /// The process has ended; its terminal is not held open any more.
    ended: bool,
    /// Clients that came before the terminal did.
    waiting: Option<Clients>,
    /// The client closed its end of the output.
    pub(super) client_gone: bool,
}

/// A client's descriptors: where its input comes from and its output goes to.
#[derive(Debug)]
pub(super) struct Clients {
    input: OwnedFd,
    output: OwnedFd,
    error: Option<OwnedFd>,
}

impl Clients {
    /// From the descriptors beside an order, in their order.
    pub(super) fn new(fds: Vec<OwnedFd>) -> Step<Option<Self>> {
        let mut fds = fds.into_iter();
        let (Some(input), Some(output)) = (fds.next(), fds.next()) else { return Ok(None) };
        let clients = Self { input, output, error: fds.next() };
        for fd in [Some(&clients.input), Some(&clients.output), clients.error.as_ref()].into_iter().flatten() {
            non_blocking(fd.as_fd())?;
        }
        Ok(Some(clients))
    }
}

fn non_blocking(fd: BorrowedFd<'_>) -> Step {
    let flags = rustix::fs::fcntl_getfl(fd).attempt("read a stream's flags")?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK).attempt("make a stream non-blocking")
}

impl Streams {
    /// Makes the pipes of a process without a terminal. The second value is the agent's ends: input, output, error.
    /// They belong to the agent, so that it can open `/dev/stdout` by name.
    pub(super) fn pipes(clients: Option<Clients>, keep_stdin: bool, owner: (u32, u32)) -> Step<(Self, [OwnedFd; 3])> {
        let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        let new_pipe = || -> Step<(OwnedFd, OwnedFd)> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).attempt("make a pipe")?;
            rustix::fs::fchown(&read, Some(uid), Some(gid)).attempt("give a pipe to the agent")?;
            Ok((read, write))
        };
        let (input_read, input_write) = new_pipe()?;
        let (output_read, output_write) = new_pipe()?;
        let (error_read, error_write) = new_pipe()?;
        for ours in [&input_write, &output_read, &error_read] {
            non_blocking(ours.as_fd())?;
        }
        let sink = (keep_stdin || clients.is_some()).then_some(input_write);
        let mut streams = Self {
            outputs: vec![Output::new(output_read, false), Output::new(error_read, true)],
            input: Input { sink, close_at_end: !keep_stdin, ..Input::default() },
            ..Self::default()
        };
        streams.attach(clients);
        Ok((streams, [input_read, output_write, error_write]))
    }

    /// For a process whose terminal is not there yet.
    pub(super) fn awaiting_terminal(clients: Option<Clients>) -> Self {
        Self { waiting: clients, ..Self::default() }
    }

    /// Takes the master of the process's terminal.
    pub(super) fn take_terminal(&mut self, master: OwnedFd) -> Step {
        non_blocking(master.as_fd())?;
        if !self.ended {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            self.held = Some(ioctl_tiocgptpeer(&master, flags).attempt("hold the terminal open")?);
        }
        let [reader, writer] = [master.try_clone(), master.try_clone()].map(|fd| fd.attempt("copy the terminal"));
        self.outputs = vec![Output::new(reader?, false)];
        self.input = Input { sink: Some(writer?), close_at_end: false, ..Input::default() };
        self.terminal = Some(master);
        let clients = self.waiting.take();
        self.attach(clients);
        Ok(())
    }

    /// Connects a client in place of the one before.
    pub(super) fn attach(&mut self, clients: Option<Clients>) {
        let Some(clients) = clients else { return };
        let mut taken = [Some(clients.output), clients.error].into_iter();
        for output in &mut self.outputs {
            output.client = taken.next().flatten();
            output.pending.clear();
        }
        self.input.client = Some(clients.input);
        self.client_gone = false;
    }

    /// Whether a client takes the output.
    pub(super) fn has_client(&self) -> bool {
        self.waiting.is_some() || self.outputs.iter().any(|output| output.client.is_some())
    }

    /// Lets go of the client. Its input does not count as ended: the process goes on without it.
    pub(super) fn detach(&mut self) {
        self.waiting = None;
        self.input.client = None;
        for output in &mut self.outputs {
            output.client = None;
            output.pending.clear();
        }
    }

    /// What to wait for.
    pub(super) fn interests(&self, spent: bool) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::new();
        for output in &self.outputs {
            if output.pending.is_empty() {
                if let (Some(source), false) = (&output.source, spent || output.rests().is_some()) {
                    interests.push((source.as_fd(), PollFlags::IN));
                }
            } else if let Some(client) = &output.client {
                interests.push((client.as_fd(), PollFlags::OUT));
            }
        }
        match (&self.input.client, &self.input.sink) {
            (_, Some(sink)) if !self.input.pending.is_empty() => interests.push((sink.as_fd(), PollFlags::OUT)),
            (Some(client), Some(_)) => interests.push((client.as_fd(), PollFlags::IN)),
            _ => {}
        }
        interests
    }

    /// How long nothing is read of what only the log takes; nothing wakes the poll then.
    pub(super) fn rests(&self) -> Option<Duration> {
        self.outputs.iter().filter_map(Output::rests).min()
    }

    /// Moves what can be moved without waiting; at most a few pieces a stream, so that orders are not starved.
    pub(super) fn pump(&mut self, log: &mut Log) -> Step {
        for output in &mut self.outputs {
            output.pump(log, &mut self.client_gone)?;
        }
        self.input.pump();
        Ok(())
    }

    /// Whether everything that was written has been taken. `until_end` asks for the end of the streams too; without it
    /// an empty pipe is enough, because another process may hold it open for as long as it likes.
    pub(super) fn drained(&self, until_end: bool) -> bool {
        let drained =
            |output: &Output| output.pending.is_empty() && !output.unread && (!until_end || output.source.is_none());
        self.outputs.iter().all(drained)
    }

    /// The process has ended: its terminal ends when nobody else has it open.
    pub(super) fn process_ended(&mut self) {
        (self.held, self.ended) = (None, true);
        self.make_room();
    }

    /// Makes the clients' pipes large enough for all that an ended process can have left in its own, so that a reader
    /// that pauses neither holds up the report of the end nor loses a byte. What is not a pipe stays as it is.
    fn make_room(&self) {
        // A pipe is at most 1 MiB (pipe-max-size, pipe(7)), and a piece more is in our hands; without CAP_SYS_RESOURCE the
        // kernel gives no more than the first.
        const SIZES: [usize; 2] = [2 << 20, 1 << 20];
        for client in self.outputs.iter().filter_map(|output| output.client.as_ref()) {
            let widened = SIZES.iter().any(|size| rustix::pipe::fcntl_setpipe_size(client, *size).is_ok());
            debug_assert!(widened || rustix::pipe::fcntl_getpipe_size(client).is_err(), "a pipe can be widened");
        }
    }
}

impl Output {
    fn new(source: OwnedFd, stderr: bool) -> Self {
        let pace = Pace::new(Instant::now());
        Self { source: Some(source), client: None, stderr, pending: Vec::new(), unread: false, pace }
    }

    fn rests(&self) -> Option<Duration> {
        let only_log = self.source.is_some() && self.client.is_none();
        only_log.then(|| self.pace.rests(Instant::now())).flatten()
    }

    fn pump(&mut self, log: &mut Log, client_gone: &mut bool) -> Step {
        const PIECES: usize = 16;
        for _ in 0..PIECES {
            self.flush(client_gone);
            self.unread = !log.spent && self.rests().is_some();
            if !self.pending.is_empty() || log.spent || self.unread {
                return Ok(());
            }
            let Some(source) = &self.source else { return Ok(()) };
            let mut piece = vec![0; log::MAX_PIECE];
            match rustix::io::read(source, &mut piece[..]) {
                // A terminal's master answers EIO when nobody has the other side open, we neither.
                Ok(0) | Err(Errno::IO) => {
                    self.source = None;
                    // The client reads the end of the stream when its writer is gone.
                    self.client = None;
                }
                Ok(length) => {
                    piece.truncate(length);
                    log.append(self.stderr, &piece)
                        .attempt("write the output log")
                        .map_err(|e| e.remedy(LOG_REMEDY))?;
                    if self.client.is_some() {
                        self.pending = piece;
                    } else {
                        self.pace.take(length as u64, Instant::now());
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error).attempt("read the agent's output"),
            }
        }
        self.unread = self.source.is_some();
        Ok(())
    }

    fn flush(&mut self, client_gone: &mut bool) {
        let Some(client) = &self.client else {
            self.pending.clear();
            return;
        };
        while !self.pending.is_empty() {
            match rustix::io::write(client, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => {
                    self.client = None;
                    self.pending.clear();
                    *client_gone = true;
                    return;
                }
            }
        }
    }
}

impl Input {
    fn pump(&mut self) {
        loop {
            self.flush();
            let (Some(client), Some(_), true) = (&self.client, &self.sink, self.pending.is_empty()) else { return };
            let mut piece = vec![0; 16 << 10];
            match rustix::io::read(client, &mut piece[..]) {
                Ok(0) => {
                    self.client = None;
                    if self.close_at_end {
                        self.sink = None;
                    }
                }
                Ok(length) => {
                    piece.truncate(length);
                    self.pending = piece;
                }
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.client = None,
            }
        }
    }

    fn flush(&mut self) {
        while let (Some(sink), false) = (&self.sink, self.pending.is_empty()) {
            match rustix::io::write(sink, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // The agent has closed its input; what the client still sends goes nowhere, as into a closed pipe.
                Err(_) => {
                    self.sink = None;
                    self.client = None;
                    self.pending.clear();
                }
            }
        }
    }
}
