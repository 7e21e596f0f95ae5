//! Further processes in an agent, started by `exec`.

use super::ending;
use super::launch::failed;
use super::task::{Task, stage_failed};
use super::{Answer, Further};
use crate::caller::Caller;
use crate::gate;
use crate::journal;
use crate::lifecycle;
use crate::plan;
use protocol::agent::{ExecId, Exit};
use protocol::audit::Kind;
use protocol::control::{Exec, Window};
use protocol::error::ControlError;
use protocol::event::What;
use rustix::process::{Signal, pidfd_send_signal};
use sandbox::message::{Failure, Order, ProcessNumber};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a process whose client went away has to end.
pub(super) const HANG_UP_PATIENCE: Duration = Duration::from_secs(10);

/// Most that wait to be started. PID 1 inside starts them, and reads nothing while the agent is stopped.
const MOST_STARTING: usize = 16;

/// All of one agent.
#[derive(Debug, Default)]
pub(super) struct Furthers {
    given: ProcessNumber,
    all: BTreeMap<ProcessNumber, One>,
    /// How those ended that an earlier daemon had started, while none was there.
    unheard: BTreeMap<ProcessNumber, Exit>,
}

/// Most ends that are kept for whoever asks.
const MOST_UNHEARD: usize = 64;

#[derive(Debug)]
struct One {
    command: Vec<String>,
    /// `None` when an earlier daemon has started it.
    caller: Option<Caller>,
    /// Until it has started.
    starting: Option<Answer<Further>>,
    /// From then on.
    pidfd: Option<OwnedFd>,
    ended: Option<oneshot::Sender<Exit>>,
    detached: bool,
    kill_at: Option<Instant>,
}

impl Furthers {
    /// The numbers of those that run.
    pub(super) fn running(&self) -> Vec<ExecId> {
        self.all.iter().filter(|(_, one)| one.pidfd.is_some()).map(|(number, _)| ExecId(*number)).collect()
    }

    /// Numbers up to this one were given by an earlier daemon.
    pub(super) fn count_from(&mut self, last: ProcessNumber) {
        self.given = self.given.max(last);
    }

    /// Waits again for one that an earlier daemon has started.
    pub(super) fn rejoin(&mut self, exec: ExecId) -> Result<oneshot::Receiver<Exit>, ControlError> {
        let (ended, wait) = oneshot::channel();
        if let Some(exit) = self.unheard.remove(&exec.0) {
            // The receiver is ours, and just made.
            ended.send(exit).unwrap_or(());
            return Ok(wait);
        }
        let one = self.all.get_mut(&exec.0).ok_or_else(|| no_such_process(exec))?;
        (one.ended, one.detached) = (Some(ended), false);
        Ok(wait)
    }

    /// Nobody hears of them any more from this daemon.
    pub(super) fn leave(self) {
        let starting = self.all.into_values().filter_map(|one| one.starting);
        for starting in starting {
            let message = "agentosd is being replaced; try again".to_owned();
            starting.send(Err(ControlError::NotStarted { message })).unwrap_or(());
        }
    }

    fn starting(&self) -> usize {
        self.all.values().filter(|one| one.starting.is_some()).count()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.all.values().filter_map(|one| one.kill_at).min()
    }

    /// Kills those whose clients went away long enough ago.
    pub(super) fn kill_due(&mut self, now: Instant) {
        for one in self.all.values_mut().filter(|one| one.kill_at.is_some_and(|when| when <= now)) {
            one.kill_at = None;
            if let Some(pidfd) = &one.pidfd {
                // It may have ended meanwhile, which is what is wanted.
                pidfd_send_signal(pidfd, Signal::KILL).ok();
            }
        }
    }

    /// The process, if it runs.
    pub(super) fn pidfd(&self, exec: ExecId) -> Option<&OwnedFd> {
        self.all.get(&exec.0)?.pidfd.as_ref()
    }

    /// The end of the agent is the end of them all.
    pub(super) fn all_ended(self) -> Vec<Exit> {
        let mut ended = Vec::new();
        for one in self.all.into_values() {
            let exit = ending::of_further(9);
            if let Some(starting) = one.starting {
                let message = "the agent ended before".to_owned();
                starting.send(Err(ControlError::NotStarted { message })).unwrap_or(());
                continue;
            }
            if let Some(waiting) = one.ended {
                waiting.send(exit.clone()).unwrap_or(());
            }
            ended.push(exit);
        }
        ended
    }
}

impl Task {
    /// Orders a further process; the answer comes with the stage's report.
    pub(super) async fn exec(&mut self, exec: Exec, fds: Vec<OwnedFd>, (caller, answer): (Caller, Answer<Further>)) {
        if let Err(error) = self.sealed(Kind::Exec, &gate::words(&exec.command), &caller).await {
            return answer.send(Err(error)).unwrap_or(());
        }
        let live = match self.allowed(lifecycle::Request::Exec) {
            Ok(live) => live,
            Err(error) => return answer.send(Err(error)).unwrap_or(()),
        };
        let what = plan::extend_environment(&live.env, &exec.env)
            .and_then(|env| plan::process(&exec.command, env, live.cwd.clone(), exec.stdio));
        let what = match what {
            Ok(what) => what,
            Err(error) => return answer.send(Err(error)).unwrap_or(()),
        };
        if live.furthers.starting() >= MOST_STARTING {
            return answer.send(Err(too_many_start())).unwrap_or(());
        }
        live.furthers.given += 1;
        let process = live.furthers.given;
        if let Err(error) = live.stage.link.order(&Order::Spawn { process, what }, fds) {
            return answer.send(Err(stage_failed(error))).unwrap_or(());
        }
        let (command, starting) = (exec.command, Some(answer));
        let one =
            One { command, caller: Some(caller), starting, pidfd: None, ended: None, detached: false, kill_at: None };
        live.furthers.all.insert(process, one);
    }

    pub(super) fn further_started(&mut self, process: ProcessNumber, mut fds: Vec<OwnedFd>) {
        let Some(live) = self.live() else { return };
        let Some(one) = live.furthers.all.get_mut(&process) else {
            // The stage of an agent that was taken back tells what runs in it.
            let (command, pidfd) = (Vec::new(), fds.pop());
            let one = One { command, caller: None, starting: None, pidfd, ended: None, detached: true, kill_at: None };
            live.furthers.all.insert(process, one);
            return;
        };
        let (ended, wait) = oneshot::channel();
        (one.pidfd, one.ended) = (fds.pop(), Some(ended));
        let (command, caller) = (one.command.clone(), one.caller.clone());
        let starting = one.starting.take();
        self.event(caller.as_ref(), What::Exec { command });
        if let Some(starting) = starting {
            starting.send(Ok(Further { exec: ExecId(process), ended: wait })).unwrap_or(());
        }
    }

    pub(super) fn further_failed(&mut self, process: ProcessNumber, failure: Failure) {
        let one = self.live().and_then(|live| live.furthers.all.remove(&process));
        if let Some(One { starting: Some(starting), command, caller, .. }) = one {
            let why = failure.to_string();
            let error = failed(failure, command.first().map(String::as_str).unwrap_or_default());
            self.event(caller.as_ref(), What::ExecFailed { command, why });
            starting.send(Err(error)).unwrap_or(());
        }
    }

    pub(super) fn further_exited(&mut self, process: ProcessNumber, status: i32) {
        let exit = ending::of_further(status);
        let one = self.live().and_then(|live| live.furthers.all.remove(&process));
        self.event(None, What::ExecExited { exit: exit.clone() });
        match (one, self.live()) {
            (Some(One { ended: Some(ended), .. }), _) => ended.send(exit).unwrap_or(()),
            (None, Some(live)) if live.furthers.unheard.len() < MOST_UNHEARD => {
                live.furthers.unheard.insert(process, exit);
            }
            _ => {}
        }
    }

    /// Connects a client to the main process; there is one at a time.
    pub(super) fn attach(&mut self, fds: Vec<OwnedFd>) -> Result<bool, ControlError> {
        let (name, state) = (self.record.agent.name.to_string(), self.state());
        let live = self.allowed(lifecycle::Request::Attach)?;
        if live.attached {
            let why = "another client is attached, and only one can be; detach that one, or follow: agentctl logs -f"
                .to_owned();
            return Err(ControlError::WrongState { name, request: "attach to".to_owned(), state, why });
        }
        live.attached = true;
        live.stage.link.order(&Order::Attach { process: 0 }, fds).map_err(stage_failed)?;
        Ok(live.terminal)
    }

    /// The client leaves on purpose.
    pub(super) fn detach(&mut self, exec: Option<ExecId>) -> Result<(), ControlError> {
        let live = self.allowed(lifecycle::Request::Attach)?;
        let process = match exec {
            None => {
                (live.detached, live.attached) = (true, false);
                0
            }
            Some(exec) => {
                live.furthers.all.get_mut(&exec.0).ok_or_else(|| no_such_process(exec))?.detached = true;
                exec.0
            }
        };
        live.stage.link.order(&Order::Detach { process }, Vec::new()).map_err(stage_failed)
    }

    pub(super) fn resize(&mut self, exec: Option<ExecId>, window: Window) -> Result<(), ControlError> {
        let live = self.allowed(lifecycle::Request::Resize)?;
        if let Some(exec) = exec.filter(|exec| !live.furthers.all.contains_key(&exec.0)) {
            return Err(no_such_process(exec));
        }
        let order = Order::Resize { process: exec.map_or(0, |exec| exec.0), window: plan::window(window) };
        live.stage.link.order(&order, Vec::new()).map_err(stage_failed)
    }

    /// The client's connection is closed without a word.
    pub(super) fn hang_up(&mut self, exec: Option<ExecId>) {
        let name = self.record.agent.name.clone();
        let Some(live) = self.live() else { return };
        let when = Instant::now() + HANG_UP_PATIENCE;
        let hung_up = match exec {
            None if live.detached => return,
            None => {
                live.cause.get_or_insert(ending::Cause::HungUp);
                live.deadlines.push((when, ending::Cause::HungUp));
                pidfd_send_signal(&live.main, Signal::HUP)
            }
            Some(exec) => match live.furthers.all.get_mut(&exec.0) {
                Some(One { detached: false, pidfd: Some(pidfd), kill_at, .. }) => {
                    *kill_at = Some(when);
                    pidfd_send_signal(pidfd, Signal::HUP)
                }
                _ => return,
            },
        };
        match hung_up {
            // It ended by itself at the same time.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => journal::error(format_args!("cannot hang up {name}: {error}")),
        }
    }
}

fn too_many_start() -> ControlError {
    let message = format!(
        "{MOST_STARTING} processes of this agent are being started already; it may be stopped: agentctl cont, or try again"
    );
    ControlError::NotStarted { message }
}

/// The refusal of a number that is nobody's.
pub(super) fn no_such_process(exec: ExecId) -> ControlError {
    ControlError::BadParameter {
        method: "Exec".into(),
        parameter: "exec".into(),
        expected: format!("no further process {} runs in this agent; agentctl inspect lists them", exec.0),
    }
}
