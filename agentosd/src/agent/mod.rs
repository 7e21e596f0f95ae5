//! An agent, from the request that started it until its records are removed: one task owns it.
//!
//! ```text
//!   door ── Request ──► Inbox ──► Task ── Order ──► stage
//!     ▲                            │  ◄── Report ──
//!     └── watch::Receiver<Agent> ──┘ (what ps shows; nobody else changes it)
//! ```

mod denials;
mod ending;
mod further;
mod governing;
mod launch;
mod loss;
mod removal;
mod showing;
mod signals;
mod socket;
mod stopping;
mod taken;
mod task;
mod violations;

use crate::action::Governed;
use crate::caller::Caller;
use crate::violation::Raised;
use protocol::agent::{Agent, Details, ExecId, Exit};
use protocol::control::{Exec, KillReply, Window};
use protocol::error::ControlError;
use protocol::event::Answered;
use protocol::ids::{AgentId, AgentName};
use protocol::signal::Signal;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use ending::daemon_gone;
pub(crate) use launch::Launching;
pub(crate) use socket::{DIRECTORY as SOCKETS, part as sockets};
pub(crate) use taken::Taking;
pub(crate) use task::Task;

/// Requests that may wait for one agent.
const INBOX: usize = 64;

/// Where an answer goes; whoever asked may have gone.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ControlError>>;

/// What an agent's task is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Send a signal.
    Signal { order: SignalOrder, answer: Answer<KillReply> },
    /// Start a further process.
    Exec { exec: Exec, fds: Vec<OwnedFd>, caller: Caller, answer: Answer<Further> },
    /// Connect a client to the main process's streams; answers whether it has a terminal.
    Attach { fds: Vec<OwnedFd>, answer: Answer<bool> },
    /// The foreground client leaves on purpose.
    Detach { exec: Option<ExecId>, answer: Answer<()> },
    /// Set a terminal's size.
    Resize { exec: Option<ExecId>, window: Window, answer: Answer<()> },
    /// The foreground client's connection is closed.
    HangUp { exec: Option<ExecId> },
    /// Everything that is known.
    Inspect { answer: Answer<Details> },
    /// Answers when nothing of an ended agent is under way any more, its last denials included.
    Settled { answer: Answer<Details> },
    /// Remove the records.
    Remove { force: bool, caller: Caller, answer: Answer<()> },
    /// Remove the records: too much is kept of ended agents.
    Retire { why: String, answer: Answer<()> },
    /// It did something by asking for it that its policy answers.
    Raise { raised: Raised, answer: Answered },
    /// A client whose connection an earlier daemon took with it waits again; for a further process, until it has ended.
    Rejoin { exec: Option<ExecId>, answer: Answer<Option<oneshot::Receiver<Exit>>> },
    /// The daemon ends, and the agent with it.
    Shutdown,
    /// The daemon ends, and the agent goes on.
    Leave,
    /// What the daemon relies on is broken: the agent is stopped, and left to whoever mends it.
    Halt { why: String },
}

/// A signal to send.
#[derive(Clone, Debug)]
pub(crate) struct SignalOrder {
    /// Which.
    pub(crate) signal: Signal,
    /// To a further process alone.
    pub(crate) exec: Option<ExecId>,
    /// SIGKILL follows after this many milliseconds.
    pub(crate) grace_ms: Option<u64>,
    /// Who asked.
    pub(crate) caller: Caller,
}

/// A further process that runs.
#[derive(Debug)]
pub(crate) struct Further {
    /// Its number.
    pub(crate) exec: ExecId,
    /// Told when it has ended.
    pub(crate) ended: oneshot::Receiver<Exit>,
}

/// How others reach an agent.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    inbox: mpsc::Sender<Request>,
    seen: watch::Receiver<Agent>,
    name: AgentName,
    id: AgentId,
    governed: Option<Arc<Governed>>,
}

impl Handle {
    /// What governs its actions, unless it had ended before this daemon began.
    pub(crate) fn governed(&self) -> Option<Arc<Governed>> {
        self.governed.clone()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &AgentName {
        &self.name
    }

    /// Its run.
    pub(crate) fn id(&self) -> AgentId {
        self.id
    }

    /// What `ps` shows now.
    pub(crate) fn now(&self) -> Agent {
        self.seen.borrow().clone()
    }

    /// Looks at that without copying it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Agent) -> T) -> T {
        look(&self.seen.borrow())
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, ControlError> {
        let (answer, wait) = oneshot::channel();
        let removed = || ControlError::NoSuchAgent { name: self.name.to_string(), known: Vec::new() };
        self.inbox.send(request(answer)).await.map_err(|_| removed())?;
        wait.await.map_err(|_| removed())?
    }

    /// Tells; an agent whose records are gone needs to hear nothing.
    pub(crate) async fn tell(&self, request: Request) {
        self.inbox.send(request).await.unwrap_or(());
    }

    /// Waits for the end. `None` when the daemon lets go of it before: it goes on, and the next daemon tells its end.
    pub(crate) async fn ended(&self) -> Option<Exit> {
        let mut seen = self.seen.clone();
        loop {
            if let Some(exit) = &seen.borrow_and_update().exit {
                return Some(exit.clone());
            }
            if seen.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Waits for any change; false when there will be none.
    pub(crate) async fn changed(&mut self) -> bool {
        self.seen.changed().await.is_ok()
    }
}

/// The present time.
pub(crate) fn now() -> protocol::ids::TimeUs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    protocol::ids::TimeUs(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
