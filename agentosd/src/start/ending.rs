//! The daemon's end: with its agents, or without them, for another daemon to take them back.

use super::Grounds;
use crate::denial;
use crate::events::EventLog;
use crate::journal;
use crate::memory::Memory;
use crate::store::Store;
use anyhow::Context as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With every agent.
    Whole,
    /// Alone: the agents go on, and another daemon takes them back.
    Leaving,
    /// The same, and this process becomes that daemon.
    Replaced,
    /// Every agent is stopped first: what the daemon relies on is broken.
    Broken(String),
}

/// What the daemon relies on is not as it was left: it stops every agent and serves nobody. The exit status says so too.
#[derive(Debug, thiserror::Error)]
#[error("integrity failure: {0}; every agent is stopped, and nothing is done until this is mended")]
pub(super) struct IntegrityFailure(pub(super) String);

/// The exit status of such a failure: EX_SOFTWARE of sysexits.h(3head). The unit does not restart the daemon for it.
pub(super) const INTEGRITY: u8 = 70;

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

    /// Whether one of these has come and was not asked for.
    pub(super) async fn has_come(&mut self, wanted: &Ending) -> bool {
        loop {
            tokio::select! {
                biased;
                come = self.next() => if come == *wanted { return true },
                () = std::future::ready(()) => return false,
            }
        }
    }
}

/// Executes the program anew, which may be another one by now, in this process; returns only when that fails. What has come
/// too late for this one waits for it.
pub(super) fn become_the_next(program: &Path, terminated: bool) -> anyhow::Error {
    let held = sandbox::hold_orders().and_then(|()| if terminated { sandbox::leave_termination() } else { Ok(()) });
    if let Err(error) = held {
        journal::error(format_args!("a signal may be lost: {error}"));
    }
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(error).context(format!("cannot execute {}; agents go on without an agentosd", program.display()))
}

/// What is put away last.
pub(super) struct Closing {
    pub(super) denials: Option<denial::Log>,
    pub(super) store: Store,
    pub(super) memory: Memory,
    pub(super) events: EventLog,
}

impl Closing {
    /// Puts it away.
    pub(super) async fn close(self, grounds: &Grounds, ending: &Ending) -> anyhow::Result<()> {
        self.events.flushed().await;
        if *ending != Ending::Whole {
            // The host's settings, the server of agents' files and the directories are in use.
            self.memory.leave().await;
            return Ok(self.store.close()?);
        }
        if let Some(log) = self.denials
            && let Err(error) = log.close().await
        {
            journal::error(format_args!("{}", journal::sentence(&error)));
        }
        // The one must not keep the other from being put away.
        let (kept, ended) = (self.store.close(), self.memory.close().await);
        let (closed, unclaimed) = (grounds.hierarchies.close(), grounds.claims.close());
        kept?;
        ended?;
        closed?;
        unclaimed.context("cannot remove the directory of stages")
    }
}
