//! The loop of a foreground command: who woke it, and what follows.

use super::Session;
use super::absence::{self, Line};
use super::ending;
use super::flow::Waiting;
use super::start::Start;
use crate::failure::Failure;
use crate::show;
use crate::terminal::{self, RawTerminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How often a background job looks whether it has come to the foreground, since no signal tells.
const LOOK_FOR_FOREGROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

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
    pub(super) fn serve(mut self) -> Result<u8, Failure> {
        loop {
            if let (Some(exit), true) = (&self.exit, self.outputs_are_over()) {
                drop(self.terminal.take());
                return Ok(ending::conclude(self.request.program(), exit));
            }
            self.find_line()?;
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
            if std::mem::take(&mut self.redraw) {
                self.provoke_redraw();
            }
            self.tell_window();
        }
        Ok(true)
    }

    fn wait(&self, readable: bool) -> Result<Vec<(Source, PollFlags)>, Failure> {
        let mut sources = vec![Source::Signals];
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if let (None, Some(client)) = (&self.exit, self.line.client()) {
            sources.push(Source::Connection);
            polled.push(PollFd::new(client, PollFlags::IN));
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
        // Output waits for the word that the process runs: whoever has seen some of it and sends a signal means the process.
        let outputs = if self.target.is_some() { self.streams.outputs.as_slice() } else { &[] };
        for (index, flow) in outputs.iter().enumerate() {
            if let Some((descriptor, events)) = flow.interest() {
                sources.push(Source::Output(index));
                polled.push(PollFd::from_borrowed_fd(descriptor, events));
            }
        }
        let in_background = self.input_is_terminal && self.target.is_some() && !readable;
        let looking = (self.exit.is_none() && self.line.client().is_none()).then_some(&absence::PAUSE);
        match poll(&mut polled, looking.or(in_background.then_some(&LOOK_FOR_FOREGROUND))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(Failure::os("wait for the agent")(error)),
        }
        let ready = sources.into_iter().zip(polled.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn handle(&mut self, source: Source, events: PollFlags) -> Result<Next, Failure> {
        match source {
            Source::Connection => {
                if let Err(failure) = self.take_replies() {
                    self.lose_line(failure)?;
                }
            }
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
            let Line::Up(client) = &mut self.line else {
                match self.heard_again()? {
                    Some(exit) => self.exit = exit,
                    None => return Ok(()),
                }
                continue;
            };
            let Some((reply, _)) = client.received::<M>()? else { return Ok(()) };
            let progress = self.request.progress(reply);
            if progress.terminal == Some(true) && self.input_is_terminal && self.terminal.is_none() {
                self.terminal = Some(RawTerminal::borrow()?);
                self.redraw = true;
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
        let name = &target.name;
        match target.exec {
            None => show::notice(&format!("detached; it goes on: agentctl attach {name}")),
            Some(exec) => show::notice(&format!(
                "detached; process {} of {name} goes on until {name} ends, and writes to: agentctl logs {name}",
                exec.0
            )),
        }
        Ok(0)
    }
}
