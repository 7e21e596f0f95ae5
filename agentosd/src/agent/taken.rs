//! An agent that an earlier daemon has started is taken back: its stage, its files, its socket, its denials. And let go
//! again, when this daemon ends before the agent.

use super::denials::Resumed;
use super::ending::Cause;
use super::launch::{Begun, Holdings, Ordered};
use super::socket::KernelSocket;
use super::task::{Live, Task};
use crate::journal;
use crate::memo;
use crate::memory::Seat;
use crate::places::Place;
use crate::plan::Standing;
use crate::stage::{Claimed, pid_of};
use crate::uids::AgentUid;
use protocol::agent::{ExecId, Exit, State};
use protocol::error::ControlError;
use protocol::event::What;
use sandbox::message::Kept;
use sandbox::plan::Then;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What an agent has again.
#[derive(Debug)]
pub(crate) struct Taking {
    /// Its stage.
    pub(crate) claimed: Claimed,
    /// What stands of its launch.
    pub(crate) standing: Standing,
    /// Its user.
    pub(crate) uid: AgentUid,
    /// Its place among the agents that live.
    pub(crate) place: Place,
    /// Its files.
    pub(crate) seat: Option<Arc<Seat>>,
}

impl Task {
    /// Takes it back, says so once its state is known, and lives its life.
    pub(crate) async fn take_back(mut self, taking: Taking, taken: oneshot::Sender<()>) {
        let Taking { claimed, standing, uid, place, seat } = taking;
        let Claimed { stage, main, holding, mut kept, memo } = claimed;
        let listener = kept.remove(&Kept::Listener);
        let socket = self.governed.as_ref().zip(listener).map(|(governed, listener)| {
            KernelSocket::resume(&self.daemon, governed, (self.record.agent.id, uid.get()), listener)
        });
        let socket = socket.and_then(|resumed| said("answer it on its own socket", resumed));
        let list = self.daemon.store.denials(self.record.agent.id);
        let resumed = said("read the list of its denials", Resumed::read(&list)).unwrap_or_default();
        let keeper = self.register(&stage, uid.get(), Some(resumed)).await;
        let holdings = Holdings { uid, _place: place, socket, _alive: self.daemon.alive(), keeper, seat };
        let process = memo.plan.process;
        let ordered = Ordered {
            stage,
            command: process.argv.first().cloned().unwrap_or_default(),
            env: process.env,
            cwd: process.cwd,
            terminal: process.terminal.is_some(),
            attached: holding.attached,
            parts: memo.plan.parts,
            on_vfs_loss: standing.on_vfs_loss,
            watching: standing.watching,
        };
        let stopped = !holding.ended && ordered.stage.cgroup.is_stopped(ordered.stage.init_pid).unwrap_or(false);
        let pid = pid_of(&main).ok();
        let mut live = Live::new(Begun { ordered, main }, holdings, (&self.record.limits, began(memo.started_ms)));
        live.furthers.count_from(holding.last);
        if holding.orphan == Some(Then::Kill) {
            live.cause = Some(Cause::DaemonGone);
        }
        self.change(|agent| {
            (agent.state, agent.pid) = (if stopped { State::Stopped } else { State::Running }, pid);
            // A daemon with another run directory may have taken it for dead.
            (agent.ended_us, agent.exit) = (None, None);
            if holding.orphan == Some(Then::Stop) {
                let after = memo.plan.without_daemon.orphan().map_or(holding.absent_ms, |orphan| orphan.after_ms);
                agent.review = Some(format!("no agentosd came back within {} s (orphan_after)", after / 1000));
            }
            if !stopped {
                agent.review = None;
            }
        });
        if stopped {
            drop(self.halt_actions());
        }
        taken.send(()).unwrap_or(());
        self.event(None, What::TakenBack { absent_ms: holding.absent_ms });
        self.run(Some(live)).await;
    }

    /// A client that an earlier daemon had.
    pub(super) fn rejoin(&mut self, exec: Option<ExecId>) -> Result<Option<oneshot::Receiver<Exit>>, ControlError> {
        match (exec, self.live()) {
            (Some(exec), Some(live)) => live.furthers.rejoin(exec).map(Some),
            (Some(exec), None) => Err(super::further::no_such_process(exec)),
            (None, Some(live)) => {
                live.detached = false;
                Ok(None)
            }
            (None, None) => Ok(None),
        }
    }

    /// Lets go of the agent, which goes on until the next daemon takes it back.
    pub(super) async fn leave(&mut self) {
        if self.stopping.is_some() {
            let result = super::stopping::finished(&mut self.stopping).await;
            self.stopped(result).await;
        }
        if let Some(winding_up) = self.winding_up.take() {
            let completeness = winding_up.await;
            let lost = protocol::denial::Completeness::Incomplete { listed: 0, counted: None };
            return self.wound_up(completeness.unwrap_or(lost)).await;
        }
        let Some(live) = self.live.take() else { return };
        self.save().await;
        live.let_go().await;
    }
}

impl Live {
    /// Nothing of it is ended.
    async fn let_go(self) {
        let Self { stage, holdings, furthers, .. } = self;
        furthers.leave();
        let Holdings { socket, keeper, .. } = holdings;
        if let Some(keeper) = keeper {
            keeper.work.abort();
            // That it was aborted is what is wanted.
            keeper.work.await.unwrap_or(());
        }
        if let Some(socket) = socket {
            socket.leave();
        }
        stage.leave();
    }
}

/// When it was started, on this daemon's clock. Where that is not written down it begins anew.
fn began(started_ms: Option<u64>) -> Instant {
    let now = memo::monotonic_ms();
    let lived = Duration::from_millis(now.saturating_sub(started_ms.unwrap_or(now)));
    Instant::now().checked_sub(lived).unwrap_or_else(Instant::now)
}

fn said<T, E: std::error::Error>(attempt: &str, result: Result<T, E>) -> Option<T> {
    result
        .map_err(|error| journal::error(format_args!("an agent is taken back, but agentosd cannot {attempt}: {error}")))
        .ok()
}
