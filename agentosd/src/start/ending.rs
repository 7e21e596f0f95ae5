//! The daemon's end: with its agents, or without them, for another daemon to take them back.

use super::{Grounds, audit};
use crate::denial;
use crate::events::EventLog;
use crate::gate::Gate;
use crate::journal;
use crate::memory::Memory;
use crate::store::Store;
use anyhow::Context as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With every agent.
    Whole,
    /// Alone: the agents go on, and another daemon takes them back.
    Leaving,
    /// The same, and this process becomes that daemon.
    Replaced,
}

/// The signals that end the daemon.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    leave: Signal,
    replace: Signal,
}

impl Signals {
    /// Asks for them.
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            leave: signal(SignalKind::user_defined1())?,
            replace: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Whole,
            _ = self.interrupt.recv() => Ending::Whole,
            _ = self.leave.recv() => Ending::Leaving,
            _ = self.replace.recv() => Ending::Replaced,
        }
    }
}

/// Executes the program anew, which may be another one by now, in this process; returns only when that fails.
pub(super) fn become_the_next(program: &Path) -> anyhow::Error {
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(error).context(format!("cannot execute {}; agents go on without an agentosd", program.display()))
}

/// What is put away last.
pub(super) struct Closing {
    pub(super) denials: Option<denial::Log>,
    pub(super) store: Store,
    pub(super) memory: Memory,
    pub(super) events: EventLog,
    pub(super) gate: Arc<Gate>,
}

impl Closing {
    /// Puts it away.
    pub(super) async fn close(self, grounds: Grounds, ending: Ending) -> anyhow::Result<()> {
        self.events.flushed().await;
        if ending != Ending::Whole {
            // The host's settings, the server of agents' files and the directories are in use.
            let kept = self.store.close();
            tokio::task::block_in_place(|| audit::close(self.gate))?;
            return Ok(kept?);
        }
        if let Some(log) = self.denials
            && let Err(error) = log.close().await
        {
            journal::error(format_args!("{}", journal::sentence(&error)));
        }
        // The one must not keep the other from being put away.
        let (kept, ended) = (self.store.close(), self.memory.close().await);
        let sealed = tokio::task::block_in_place(|| audit::close(self.gate));
        let (closed, unclaimed) = (grounds.hierarchies.close(), grounds.claims.close());
        kept?;
        ended?;
        sealed?;
        closed?;
        unclaimed.context("cannot remove the directory of stages")
    }
}
