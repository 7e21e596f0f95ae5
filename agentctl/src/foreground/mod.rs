//! A process in the foreground: `run`, `exec` and `attach` behave like the command itself.
//!
//! One poll(2) loop over the connection, our signals and the streams; no threads. It is over when the process has
//! ended *and* everything that it wrote has been passed on.

mod absence;
pub(crate) mod detach;
mod ending;
mod flow;
mod jobs;
mod session;
mod start;
mod streams;
mod target;

pub(crate) use ending::code as exit_code_of;

use crate::client::Client;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal::{self, RawTerminal};
use absence::Line;
use detach::Watch;
use protocol::agent::Exit;
use protocol::control::Window;
use start::Start;
use std::path::{Path, PathBuf};
use streams::Streams;
use target::{Control, Target};

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
        line: Line::Up(client),
        socket: socket.to_owned(),
        control: Control::new(socket.to_owned()),
        signals,
        streams,
        keys: Watch::new(manner.detach_keys),
        forwarding: manner.forwarding,
        input_is_terminal: terminal::input_is_terminal(),
        terminal,
        redraw: false,
        window: None,
        target: None,
        exit: None,
    };
    session.serve()
}

/// A call in the foreground, from the moment that it was sent.
struct Session<'a, M: Start> {
    request: &'a M,
    line: Line,
    socket: PathBuf,
    control: Control,
    signals: Signals,
    streams: Streams,
    keys: Watch,
    forwarding: Forwarding,
    input_is_terminal: bool,
    /// Ours, lent to the process.
    terminal: Option<RawTerminal>,
    /// The program has drawn for another client before; ours shows nothing of it yet.
    redraw: bool,
    /// The size last told.
    window: Option<Window>,
    /// Known from the first reply on.
    target: Option<Target>,
    /// Known from the last reply on.
    exit: Option<Exit>,
}
