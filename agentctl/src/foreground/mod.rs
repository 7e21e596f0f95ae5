//! A process in the foreground: `run`, `exec` and `attach` behave like the command itself.
//!
//! One poll(2) loop over the connection, our signals and the streams; no threads. It is over when the process has
//! ended *and* everything that it wrote has been passed on.

pub(crate) mod detach;
mod ending;
mod flow;
mod start;
mod streams;
mod target;

pub(crate) use ending::code as exit_code_of;

use crate::client::Client;
use crate::failure::Failure;
use crate::show;
use crate::signals::{Request, Signals};
use crate::terminal::{self, RawTerminal};
use detach::Watch;
use flow::Waiting;
use protocol::agent::Exit;
use protocol::control::Window;
use protocol::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use start::Start;
use std::path::Path;
use streams::Streams;
use target::{Control, Target};

/// How often a background job looks whether it has come to the foreground, since no signal tells.
const LOOK_FOR_FOREGROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Which signals reach the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// All that a job gets, Ctrl-Z included: we stand for the process.
    All,
    /// Those that a person types; SIGTERM and SIGHUP end us alone.
    Typed,
    /// None.
    Nothing,
}

/// How the foreground command was asked for.
pub(crate) struct Manner {
    /// The process has a terminal, and ours is lent to it.
    pub(crate) terminal: bool,
    /// The keys that leave.
    pub(crate) detach_keys: detach::DetachKeys,
    /// Signals.
    pub(crate) forwarding: Forwarding,
}

/// Runs `request` in the foreground; the exit code to end with.
pub(crate) fn run<M: Start>(socket: &Path, request: &M, manner: Manner) -> Result<u8, Failure> {
    let signals = Signals::catch()?;
    let mut client = Client::connect(socket)?;
    let (streams, passed) = Streams::open(!manner.terminal)?;
    client.send(request, true, &passed.borrow())?;
    drop(passed);
    let terminal = if manner.terminal { Some(RawTerminal::borrow()?) } else { None };
    let session = Session {
        request,
        client,
        control: Control::new(socket.to_owned()),
        signals,
        streams,
        keys: Watch::new(manner.detach_keys),
        forwarding: manner.forwarding,
        input_is_terminal: terminal::input_is_terminal(),
        terminal,
        window: None,
        target: None,
        exit: None,
    };
    session.serve()
}

struct Session<'a, M: Start> {
    request: &'a M,
    client: Client,
    control: Control,
    signals: Signals,
    streams: Streams,
    keys: Watch,
    forwarding: Forwarding,
    input_is_terminal: bool,
    /// Ours, lent to the process.
    terminal: Option<RawTerminal>,
    /// The size last told.
    window: Option<Window>,
    /// Known from the first reply on.
    target: Option<Target>,
    /// Known from the last reply on.
    exit: Option<Exit>,
}

/// Who woke the loop.
#[derive(Clone, Copy)]
enum Source {
    Connection,
    Signals,
    Input,
    InputSink,
    Output(usize),
}

/// Whether the loop goes on.
enum Next {
    Go,
    Detached,
}

impl<M: Start> Session<'_, M> {
    fn serve(mut self) -> Result<u8, Failure> {
        loop {
            if let (Some(exit), true) = (&self.exit, self.outputs_are_over()) {
                drop(self.terminal.take());
                return Ok(ending::conclude(self.request.program(), exit));
            }
            let readable = self.settle_terminal()?;
            for (source, events) in self.wait(readable)? {
                if let Next::Detached = self.handle(source, events)? {
                    return self.leave();
                }
            }
        }
    }

    fn outputs_are_over(&self) -> bool {
        self.streams.outputs.iter().all(|flow| flow.waiting() == Waiting::Nothing)
    }

    /// Lends the terminal when it is ours to lend, and tells whether standard input may be read now.
    fn settle_terminal(&mut self) -> Result<bool, Failure> {
        let running = self.target.is_some() && self.exit.is_none();
        if !running || !self.input_is_terminal {
            return Ok(running);
        }
        if !terminal::in_foreground() {
            return Ok(false);
        }
        if let Some(terminal) = &mut self.terminal
            && terminal.make_raw()?
        {
            self.tell_window();
        }
        Ok(true)
    }

    fn wait(&self, readable: bool) -> Result<Vec<(Source, PollFlags)>, Failure> {
        let mut sources = vec![Source::Signals];
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if self.exit.is_none() {
            sources.push(Source::Connection);
            polled.push(PollFd::new(&self.client, PollFlags::IN));
        }
        let input = &self.streams.input;
        if let Some((descriptor, events)) = input.interest().filter(|_| readable || input.waiting() == Waiting::Sink) {
            sources.push(Source::Input);
            polled.push(PollFd::from_borrowed_fd(descriptor, events));
        }
        if let Some(sink) = input.idle_sink() {
            sources.push(Source::InputSink);
            polled.push(PollFd::from_borrowed_fd(sink, PollFlags::empty()));
        }
        for (index, flow) in self.streams.outputs.iter().enumerate() {
            if let Some((descriptor, events)) = flow.interest() {
                sources.push(Source::Output(index));
                polled.push(PollFd::from_borrowed_fd(descriptor, events));
            }
        }
        let in_background = self.input_is_terminal && self.target.is_some() && !readable;
        match poll(&mut polled, in_background.then_some(&LOOK_FOR_FOREGROUND)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(Failure::os("wait for the agent")(error)),
        }
        let ready = sources.into_iter().zip(polled.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn handle(&mut self, source: Source, events: PollFlags) -> Result<Next, Failure> {
        match source {
            Source::Connection => self.take_replies()?,
            Source::Signals => {
                for request in self.signals.take() {
                    self.obey(request)?;
                }
            }
            Source::Input => return self.advance_input(),
            // Nobody reads the process's standard input any more; what is typed from now on is not for it.
            Source::InputSink if events.contains(PollFlags::ERR) => self.streams.input.close(),
            Source::InputSink => {}
            Source::Output(index) => {
                if let Some(flow) = self.streams.outputs.get_mut(index) {
                    flow.advance(|_| {}).map_err(|error| Failure::Output(error.into()))?;
                }
            }
        }
        Ok(Next::Go)
    }

    fn take_replies(&mut self) -> Result<(), Failure> {
        while self.exit.is_none() {
            let Some((reply, _)) = self.client.received::<M>()? else { return Ok(()) };
            let progress = self.request.progress(reply);
            if progress.terminal == Some(true) && self.input_is_terminal && self.terminal.is_none() {
                self.terminal = Some(RawTerminal::borrow()?);
            }
            self.target = Some(progress.target);
            self.exit = progress.exit;
        }
        Ok(())
    }

    fn advance_input(&mut self) -> Result<Next, Failure> {
        let Self { streams, keys, terminal, .. } = self;
        let mut detach = false;
        let edit = |typed: &mut Vec<u8>| detach = terminal.is_some() && keys.filter(typed);
        if streams.input.advance(edit).is_err() {
            // The process closed its standard input; that is its affair.
            streams.input.close();
        }
        Ok(if detach { Next::Detached } else { Next::Go })
    }

    fn leave(mut self) -> Result<u8, Failure> {
        let Some(target) = &self.target else { return Ok(0) };
        let told = self.control.detach(target);
        if self.terminal.take().is_some() {
            // The cursor stands wherever the program left it.
            show::new_line();
        }
        told?;
        show::notice(&format!("detached; it goes on: agentctl attach {}", target.name));
        Ok(0)
    }

    fn obey(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Resize => self.tell_window(),
            Request::Suspend => self.suspend(),
            Request::Resume => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.forget();
                }
                if self.forwarding == Forwarding::All {
                    self.forward(Signal::CONT);
                }
            }
            Request::Forward(number) => {
                let signal = Signal::from_number(number).filter(|signal| self.is_for_the_agent(*signal));
                match signal {
                    Some(signal) => self.forward(signal),
                    None => return Err(Failure::Signal(u8::try_from(number).unwrap_or(0))),
                }
            }
        }
        Ok(())
    }

    /// Before it runs and after it has ended, signals are for us: leaving then hangs up at most what did not start.
    fn is_for_the_agent(&self, signal: Signal) -> bool {
        let running = self.target.is_some() && self.exit.is_none();
        running
            && match self.forwarding {
                Forwarding::All => true,
                Forwarding::Typed => signal != Signal::TERM && signal != Signal::HUP,
                Forwarding::Nothing => false,
            }
    }

    /// A signal that cannot be delivered must not end the foreground command, but the person who sent it must know.
    fn forward(&mut self, signal: Signal) {
        if let Some(target) = self.target.as_ref().filter(|_| self.exit.is_none())
            && let Err(failure) = self.control.kill(target, signal)
        {
            show::notice(&format!("{signal} did not reach {}: {}", target.name, failure.sentence()));
        }
    }

    /// Stops the agent, then ourselves, as the shell expects of a job.
    fn suspend(&mut self) {
        // A session's leader has no shell above it that could continue it.
        if rustix::process::getsid(None) == Ok(rustix::process::getpid()) {
            return;
        }
        if self.forwarding == Forwarding::All {
            self.forward(Signal::STOP);
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.restore();
        }
        let us = rustix::process::getpid();
        if let Err(error) = rustix::process::kill_process(us, rustix::process::Signal::STOP) {
            show::notice(&format!("cannot stop: {error}"));
        }
        // Stopped here. SIGCONT then arrives as a signal to us, and the loop lends the terminal again.
    }

    fn tell_window(&mut self) {
        let window = terminal::window();
        if let (Some(_), Some(target), None) = (&self.terminal, &self.target, &self.exit)
            && self.window != Some(window)
        {
            self.window = Some(window);
            if let Err(failure) = self.control.resize(target, window) {
                show::notice(&format!("the terminal's size did not reach {}: {}", target.name, failure.sentence()));
            }
        }
    }
}
