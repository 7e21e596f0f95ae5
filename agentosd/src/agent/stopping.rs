//! A STOP that is under way. It takes as long as the slowest process takes to leave the kernel, which can be for ever, so
//! the task does not wait for it: a KILL, a CONT or the agent's end overtakes it, and whoever asked for it is told so.

use super::governing::end_actions;
use super::signals::{processes, result_of};
use super::task::Task;
use super::{Answer, SignalOrder};
use crate::journal;
use crate::lifecycle::{Request, Verdict, decide};
use protocol::agent::State;
use protocol::control::KillReply;
use protocol::error::ControlError;
use protocol::event::What;
use sandbox::cgroup::{Cancel, CgroupError, Stopped};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The one of an agent, and who waits for it.
#[derive(Debug)]
pub(super) struct Stopping {
    cancel: Arc<Cancel>,
    work: JoinHandle<Result<Stopped, CgroupError>>,
    waiting: Vec<(SignalOrder, Answer<KillReply>)>,
}

impl Task {
    /// Whether a STOP is to be begun, or joins one that is under way.
    pub(super) fn can_stop(&self) -> bool {
        self.stopping.is_some() || decide(self.state(), Request::Stop) == Verdict::Allowed
    }

    /// Begins or joins; the answer comes when it is done.
    pub(super) fn stop(&mut self, order: SignalOrder, answer: Answer<KillReply>) {
        if let Some(stopping) = &mut self.stopping {
            return stopping.waiting.push((order, answer));
        }
        match self.begin_stop() {
            Ok(stopping) => stopping.waiting.push((order, answer)),
            Err(error) => answer.send(Err(error)).unwrap_or(()),
        }
    }

    /// For a reason of the daemon's own, so that somebody looks.
    pub(super) fn stop_for_review(&mut self, why: &str) {
        self.change(|agent| agent.review = Some(why.to_owned()));
        if self.stopping.is_none()
            && decide(self.state(), Request::Stop) == Verdict::Allowed
            && let Err(error) = self.begin_stop()
        {
            journal::error(format_args!("cannot stop {} for review: {error}", self.record.agent.name));
        }
    }

    fn begin_stop(&mut self) -> Result<&mut Stopping, ControlError> {
        let (cgroup, init) = self.group(Request::Stop)?;
        let cancel = Arc::<Cancel>::default();
        let (shared, actions) = (Arc::clone(&cancel), self.halt_actions());
        let work = tokio::task::spawn_blocking(move || {
            end_actions(&actions)?;
            cgroup.stop(init, &shared)
        });
        Ok(self.stopping.insert(Stopping { cancel, work, waiting: Vec::new() }))
    }

    /// It is done, or has failed and the agent goes on.
    pub(super) async fn stopped(&mut self, result: Result<Stopped, ControlError>) {
        let Some(Stopping { waiting, .. }) = self.stopping.take() else { return };
        match &result {
            Ok(_) => self.change(|agent| agent.state = State::Stopped),
            Err(_) => {
                self.resume_actions();
                self.kill_unstoppable().await;
            }
        }
        let reply = result.map(|stopped| {
            let outcome = format!("stopped {}", processes(stopped.processes));
            KillReply { outcome, effect: true }
        });
        for (order, answer) in waiting {
            self.conclude(order, reply.clone(), answer).await;
        }
    }

    /// Takes it back: from now on it does nothing. `state` is what the agent will be in by what came instead.
    pub(super) fn overtake_stop(&mut self, by: &str, state: State) {
        let Some(Stopping { cancel, waiting, .. }) = self.stopping.take() else { return };
        tokio::task::block_in_place(|| cancel.cancel());
        for (order, answer) in waiting {
            let outcome = format!("overtaken by {by}");
            self.event(Some(&order.caller), What::Signal { signal: order.signal, outcome });
            let why = format!("{by} overtook the stop");
            answer.send(Err(Request::Stop.refused(&self.record.agent.name, state, &why))).unwrap_or(());
        }
    }
}

/// Waits for the end of the work.
pub(super) async fn finished(stopping: &mut Option<Stopping>) -> Result<Stopped, ControlError> {
    match stopping {
        Some(stopping) => result_of((&mut stopping.work).await),
        None => std::future::pending().await,
    }
}
