//! Signals, as DESIGN 4.1 has them: each is recorded with who sent it and what came of it.

use super::ending::Cause;
use super::further::no_such_process;
use super::governing::end_actions;
use super::task::Task;
use super::{Answer, SignalOrder};
use crate::journal;
use crate::lifecycle::{Request, Verdict, decide};
use protocol::agent::{ExecId, State};
use protocol::audit::Kind;
use protocol::control::KillReply;
use protocol::error::ControlError;
use protocol::event::What;
use protocol::signal::Signal;
use sandbox::cgroup::{Cgroup, CgroupError};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};
use tokio::task::JoinError;

/// ESRCH.
const NO_SUCH_PROCESS: i32 = 3;
/// How long the answer to a kill waits for the stage's report after everything is dead.
const REPORT_PATIENCE: Duration = Duration::from_secs(1);

impl Task {
    /// Carries out a signal, records it, and answers.
    pub(super) async fn signal(&mut self, order: SignalOrder, answer: Answer<KillReply>) {
        let result = match order.exec {
            Some(exec) => self.signal_further(exec, order.signal),
            None if order.signal == Signal::STOP && self.can_stop() => return self.stop(order, answer),
            // What only takes away waits for nobody; anything else is on record first.
            None if matches!(order.signal, Signal::KILL | Signal::STOP) => self.signal_agent(order.signal).await,
            None => match self.sealed(Kind::Signal, &order.signal.to_string(), &order.caller).await {
                Ok(()) => self.signal_agent(order.signal).await,
                Err(error) => Err(error),
            },
        };
        self.conclude(order, result, answer).await;
    }

    /// Records what came of a signal, and answers.
    pub(super) async fn conclude(
        &mut self,
        order: SignalOrder,
        result: Result<KillReply, ControlError>,
        answer: Answer<KillReply>,
    ) {
        if let Ok(reply) = &result {
            let what = What::Signal { signal: order.signal, outcome: reply.outcome.clone() };
            self.event(Some(&order.caller), what);
        }
        if order.signal == Signal::KILL && order.exec.is_none() && result.is_ok() {
            // The event of the signal stands before the one of the end.
            self.reports_until_ended().await;
        }
        match (result, order.grace_ms) {
            (Ok(_), Some(grace_ms)) if order.exec.is_none() && order.signal != Signal::KILL => {
                self.grant_grace(grace_ms, answer);
            }
            (result, _) => answer.send(result).unwrap_or(()),
        }
    }

    fn grant_grace(&mut self, grace_ms: u64, answer: Answer<KillReply>) {
        let Some(live) = self.live() else { return };
        if let Some(when) = Instant::now().checked_add(Duration::from_millis(grace_ms)) {
            live.deadlines.push((when, Cause::Killed));
        }
        live.graced.retain(|waiting| !waiting.is_closed());
        live.graced.push(answer);
    }

    async fn signal_agent(&mut self, signal: Signal) -> Result<KillReply, ControlError> {
        let request = match signal {
            Signal::KILL => Request::Kill,
            Signal::STOP => Request::Stop,
            Signal::CONT => Request::Cont,
            _ => Request::Deliver,
        };
        match decide(self.state(), request) {
            Verdict::Allowed => {}
            Verdict::NoEffect(why) => {
                return Ok(KillReply { outcome: format!("no effect: {why}"), effect: false });
            }
            Verdict::Refused(why) => return Err(request.refused(&self.record.agent.name, self.state(), why)),
        }
        match request {
            Request::Kill => self.kill().await,
            Request::Cont => self.cont().await,
            _ => {
                let stopped = self.state() == State::Stopped;
                let live = self.allowed(request)?;
                let mut reply = deliver(&live.main, signal)?;
                if stopped && reply.effect {
                    reply.outcome.push_str("; it takes effect when the agent is continued");
                }
                Ok(reply)
            }
        }
    }

    async fn kill(&mut self) -> Result<KillReply, ControlError> {
        let live = self.allowed(Request::Kill)?;
        live.cause.get_or_insert(Cause::Killed);
        let cgroup = live.stage.cgroup.clone();
        let actions = self.halt_actions();
        self.overtake_stop("SIGKILL", State::Exited);
        let killed = blocking(move || {
            let count = cgroup.processes()?.len().saturating_sub(1);
            cgroup.kill()?;
            end_actions(&actions)?;
            Ok(count)
        });
        let count = killed.await?;
        Ok(KillReply { outcome: format!("killed {}", processes(count)), effect: true })
    }

    async fn cont(&mut self) -> Result<KillReply, ControlError> {
        let (cgroup, init) = self.group(Request::Cont)?;
        self.overtake_stop("SIGCONT", State::Running);
        let continued = blocking(move || cgroup.cont(init)).await?;
        self.resume_actions();
        self.change(|agent| (agent.state, agent.review) = (State::Running, None));
        self.renew_budgets();
        Ok(KillReply { outcome: format!("continued {}", processes(continued)), effect: true })
    }

    pub(super) fn group(&mut self, request: Request) -> Result<(Cgroup, i32), ControlError> {
        let live = self.allowed(request)?;
        Ok((live.stage.cgroup.clone(), live.stage.init_pid))
    }

    fn signal_further(&mut self, exec: ExecId, signal: Signal) -> Result<KillReply, ControlError> {
        let live = self.allowed(Request::Deliver)?;
        deliver(live.furthers.pidfd(exec).ok_or_else(|| no_such_process(exec))?, signal)
    }

    /// Kills everything for a reason of the daemon's own; the end is reported by the stage.
    pub(super) async fn end_because(&mut self, cause: Cause) {
        let Some(live) = self.live() else { return };
        live.cause.get_or_insert(cause);
        let cgroup = live.stage.cgroup.clone();
        let actions = self.halt_actions();
        self.overtake_stop("the agent's end", State::Exited);
        let kill = move || cgroup.kill().and_then(|()| end_actions(&actions));
        if let Err(error) = blocking(kill).await {
            journal::error(format_args!("cannot end {}: {error}", self.record.agent.name));
        }
    }

    /// Kills everything and waits for the stage's report.
    pub(super) async fn kill_and_wait(&mut self, cause: Cause) -> Result<(), ControlError> {
        self.end_because(cause).await;
        self.reports_until_ended().await;
        if self.live().is_some() {
            // Nothing of it runs; only its stage is silent, for example behind a client that does not read.
            self.ended(None).await;
        }
        Ok(())
    }

    async fn reports_until_ended(&mut self) {
        let deadline = tokio::time::Instant::now() + REPORT_PATIENCE;
        while let Some(live) = self.live() {
            match tokio::time::timeout_at(deadline, live.stage.link.next()).await {
                Ok(report) => Box::pin(self.report(report)).await,
                Err(_) => return,
            }
        }
    }
}

pub(super) fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// To one process, by its pidfd.
fn deliver(process: &OwnedFd, signal: Signal) -> Result<KillReply, ControlError> {
    match sandbox::send_signal(process.as_fd(), signal.number()) {
        Ok(()) => Ok(KillReply { outcome: "delivered".to_owned(), effect: true }),
        Err(error) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => {
            Ok(KillReply { outcome: "no effect: the process is just ending".to_owned(), effect: false })
        }
        Err(error) => Err(ControlError::Internal { message: format!("sending {signal}: {error}") }),
    }
}

/// Runs what waits for the kernel on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CgroupError> + Send + 'static,
) -> Result<T, ControlError> {
    result_of(tokio::task::spawn_blocking(work).await)
}

/// What came of such a thread, as it travels.
pub(super) fn result_of<T>(result: Result<Result<T, CgroupError>, JoinError>) -> Result<T, ControlError> {
    let internal = |message: String| ControlError::Internal { message };
    result.map_err(|error| internal(error.to_string()))?.map_err(|error| internal(journal::sentence(&error)))
}
