//! The daemon's end: with its agents, or without them, for another daemon to take them back.

use super::Grounds;
use crate::denial;
use crate::events::EventLog;
use crate::journal;
use crate::memory::Memory;
use crate::store::Store;
use anyhow::Context as _;
use rustix::process::{getpid, kill_process};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::mpsc;
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
#[error("integrity failure: every agent is stopped, and agentosd serves nobody: {0}")]
pub(super) struct IntegrityFailure(pub(super) String);

/// The exit status of such a failure: EX_SOFTWARE of sysexits.h(3head). The unit does not restart the daemon for it.
pub(super) const INTEGRITY: u8 = 70;

/// The signals that end the daemon.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    leave: Signal,
    replace: Signal,
    /// Told to hold them, and says when it does.
    taker: mpsc::Sender<mpsc::SyncSender<()>>,
}

impl Signals {
    /// Asks for them. Until now they have waited, and from now on one thread takes them: no other may be where the handler
    /// of one runs when the program is executed anew, or none would be left to hear of it.
    pub(super) fn catch() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (leave, replace) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
        let (taker, told) = mpsc::channel::<mpsc::SyncSender<()>>();
        let (ready, is_ready) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            ready.send(sandbox::take_orders()).unwrap_or_default();
            if let Ok(held) = told.recv() {
                // One that cannot be held is lost, and its sender asks again.
                sandbox::hold_orders().unwrap_or_default();
                held.send(()).unwrap_or_default();
            }
        })?;
        is_ready.recv().map_err(std::io::Error::other)??;
        Ok(Self { terminate, interrupt, leave, replace, taker })
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

    /// From now on they wait for the program that is executed next. Whether this one has come and was not asked for.
    pub(super) async fn hold(&mut self, wanted: &Ending) -> bool {
        let (held, is_held) = mpsc::sync_channel(1);
        if self.taker.send(held).is_ok() {
            tokio::task::block_in_place(|| is_held.recv()).unwrap_or_default();
        }
        if let Err(error) = heard().await {
            journal::error(format_args!("a signal that came just now may be lost: {error}"));
        }
        loop {
            tokio::select! {
                biased;
                come = self.next() => if come == *wanted { return true },
                () = std::future::ready(()) => return false,
            }
        }
    }
}

/// Returns when every signal whose handler has run was heard of. The runtime looks through what came in the order of the
/// numbers, and SIGHUP's is the lowest: a look that finds it finds the others, and the next one begins when that one is over.
async fn heard() -> std::io::Result<()> {
    let mut mark = signal(SignalKind::hangup())?;
    for _ in 0..2 {
        kill_process(getpid(), rustix::process::Signal::HUP)?;
        mark.recv().await;
    }
    Ok(())
}

/// Executes the program anew, which may be another one by now, in this process; returns only when that fails. What has come
/// too late for this one waits for it.
pub(super) fn become_the_next(program: &Path, terminated: bool) -> anyhow::Error {
    // It is held by this thread as by every other.
    if terminated && let Err(error) = sandbox::leave_termination() {
        journal::error(format_args!("SIGTERM is lost: {error}"));
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
