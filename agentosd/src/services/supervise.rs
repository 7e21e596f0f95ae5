//! The task that looks after one agent with a file: it waits for what the agent depends on, starts it, watches it to its
//! end, and begins again or not, as `restart.rs` decides. The agent is started and owned as any other is.

use super::board::{self, stands};
use super::directory::Spec;
use super::file::Restart;
use super::health::{self, News};
use super::kept::{Keeping, Known};
use super::orders::Orders;
use super::restart::{Decision, End, WantedBy, how, words};
use crate::agent::{Handle, Request, SignalOrder, now};
use crate::daemon::Daemon;
use crate::journal;
use protocol::agent::{Exit, ExitReason, State};
use protocol::control::{PolicyChoice, Run, Stdio, Workspace};
use protocol::error::ControlError;
use protocol::event::{Event, What};
use protocol::ids::{AgentId, AgentName, TimeUs};
use protocol::service::{Health, Service, ServiceState};
use protocol::signal::Signal;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Looks after one agent.
#[derive(Debug)]
pub(super) struct Supervisor {
    daemon: Arc<Daemon>,
    name: AgentName,
    spec: watch::Receiver<Arc<Spec>>,
    keeping: Keeping,
    known: Known,
    /// The daemon waits at its end until this is dropped, as the last.
    _alive: Option<mpsc::Sender<()>>,
}

impl Supervisor {
    pub(super) fn new(
        daemon: Arc<Daemon>,
        (name, keeping): (AgentName, Keeping),
        spec: watch::Receiver<Arc<Spec>>,
    ) -> Self {
        let alive = daemon.alive();
        let known = keeping.of(&name, &spec.borrow());
        Self { daemon, name, spec, keeping, known, _alive: alive }
    }

    /// Until the agent stays ended.
    pub(super) async fn run(mut self) {
        if let Some(why) = self.known.ended.take().filter(|_| !self.runs()) {
            return self.show(|line| stands(line, ServiceState::Ended, Some(why), None));
        }
        loop {
            self.dependencies().await;
            let (run, end) = self.once().await;
            let Some(after) = self.decide(run, &end) else { return };
            tokio::time::sleep(after).await;
        }
    }

    /// Whether there is an agent of the name that lives, or that nobody has decided about.
    fn runs(&self) -> bool {
        let owner = self.spec.borrow().caller.clone();
        let found = self.daemon.registry.find(&self.name, &owner).ok();
        found.is_some_and(|handle| handle.look(|agent| agent.state) != State::Exited || self.is_open(&handle))
    }

    /// Whether it is to be decided what follows the end of this run: an earlier daemon has started it, and has not seen it
    /// end. What that one has ended itself is to be started.
    fn is_open(&self, handle: &Handle) -> bool {
        let ended_by_us = |exit: &Exit| exit.reason == ExitReason::DaemonGone;
        self.known.run == Some(handle.id()) && !handle.look(|agent| agent.exit.as_ref().is_some_and(ended_by_us))
    }

    fn keep(&self) {
        self.keeping.keep(&self.name, (&self.spec.borrow(), &self.known));
    }

    fn show(&self, change: impl FnOnce(&mut Service)) {
        self.daemon.services.board.change(self.name.as_str(), change);
    }

    fn event(&self, run: Option<AgentId>, what: What) {
        let owner = self.spec.borrow().caller.uid;
        let event = Event { seq: 0, time_us: now(), agent: self.name.clone(), id: run, by: None, what };
        self.daemon.event(owner, event);
    }

    /// Waits until everything runs that it depends on.
    async fn dependencies(&mut self) {
        let daemon = Arc::clone(&self.daemon);
        let mut lines = daemon.services.board.follow();
        loop {
            let spec = Arc::clone(&self.spec.borrow_and_update());
            let missing = board::not_ready(&lines.borrow_and_update(), &spec.file.depends_on).join(", ");
            if missing.is_empty() {
                return;
            }
            self.show(|line| stands(line, ServiceState::Waiting, Some(format!("waits for {missing}")), None));
            tokio::select! {
                changed = lines.changed() => changed.unwrap_or(()),
                Ok(()) = self.spec.changed() => {}
            }
        }
    }

    /// From its start to its end.
    async fn once(&mut self) -> (Option<AgentId>, End) {
        let known = self.known.run;
        let spec = Arc::clone(&self.spec.borrow_and_update());
        self.show(|line| {
            stands(line, ServiceState::Starting, None, None);
            line.owner = spec.caller.uid;
        });
        let mut orders = Orders::follow(&self.daemon.events, &self.name);
        match self.start(&spec).await {
            Ok(handle) => {
                if known == Some(handle.id()) {
                    // What an operator has ordered may have been heard by the daemon before.
                    orders.catch_up().await;
                } else {
                    self.known.run = Some(handle.id());
                    self.keep();
                }
                (Some(handle.id()), self.attend(&handle, &spec, orders).await)
            }
            Err(error) => {
                let detail = error.to_string();
                let exit = Exit { code: None, signal: None, reason: ExitReason::NotStarted, detail };
                (None, End { exit, wanted_by: WantedBy::Nobody, ran: Duration::ZERO })
            }
        }
    }

    /// Starts it, unless it runs already. The records of an earlier run of the name make room.
    async fn start(&self, spec: &Spec) -> Result<Handle, ControlError> {
        let caller = &spec.caller;
        if let Ok(handle) = self.daemon.registry.find(&self.name, caller) {
            let (state, owner) = handle.look(|agent| (agent.state, agent.owner));
            if owner != caller.uid {
                return Err(ControlError::NameInUse { name: self.name.to_string(), state });
            }
            if state != State::Exited || self.is_open(&handle) {
                return Ok(handle);
            }
            handle.ask(|answer| Request::Remove { force: false, caller: caller.clone(), answer }).await?;
        }
        let started = self.daemon.launch(request(&self.name, spec), Vec::new(), caller.clone())?;
        let lost = |_| ControlError::Internal { message: "the agent's task ended".to_owned() };
        started.begun.await.map_err(lost)??;
        Ok(started.handle)
    }

    /// Watches it to its end.
    async fn attend(&self, handle: &Handle, spec: &Spec, mut orders: Orders) -> End {
        let checked = spec.file.health.as_ref();
        self.show(|line| {
            stands(line, ServiceState::Running, None, None);
            line.health = checked.map(|_| Health::Unknown);
        });
        let (tell, mut news) = mpsc::channel(1);
        let (mut ended, mut checking) =
            (pin!(handle.ended()), pin!(health::watch(handle, checked, (&spec.caller, tell))));
        let mut ill = false;
        let exit = loop {
            tokio::select! {
                exit = &mut ended => match exit {
                    Some(exit) => break exit,
                    // The daemon leaves, and this task with it.
                    None => std::future::pending().await,
                },
                () = orders.next() => {}
                Some(news) = news.recv() => ill |= self.health(handle, spec, news).await,
                never = &mut checking => match never {},
            }
        };
        let wanted_by = if orders.wanted(handle.id(), &exit, now()).await || removed(handle, &exit, ill).await {
            WantedBy::Operator
        } else if ill {
            WantedBy::Health
        } else {
            WantedBy::Nobody
        };
        let ran = Duration::from_micros(now().0.saturating_sub(handle.now().created_us.0));
        End { exit, wanted_by, ran }
    }

    /// Tells what the health command says; an agent that is ill and may be started again is ended. Whether it was.
    async fn health(&self, handle: &Handle, spec: &Spec, news: News) -> bool {
        let (health, outcome) = match &news {
            News::Healthy => (Health::Healthy, "healthy".to_owned()),
            News::Unhealthy(why) => (Health::Unhealthy, format!("unhealthy: {why}")),
        };
        self.event(Some(handle.id()), What::Health { outcome: outcome.clone() });
        self.show(|line| {
            line.health = Some(health);
            line.why = (health == Health::Unhealthy).then_some(outcome);
        });
        if health == Health::Healthy || self.spec.borrow().file.restart == Restart::No {
            return false;
        }
        let order = SignalOrder { signal: Signal::KILL, exec: None, grace_ms: None, caller: spec.caller.clone() };
        let killed = handle.ask(|answer| Request::Signal { order, answer }).await;
        if let Err(error) = &killed {
            journal::error(format_args!("cannot end {}, which is unhealthy: {error}", self.name));
        }
        killed.is_ok()
    }

    /// What follows the end; after which time it begins again.
    fn decide(&mut self, run: Option<AgentId>, end: &End) -> Option<Duration> {
        let spec = Arc::clone(&self.spec.borrow());
        let decision = self.known.history.decide(&spec.file, end, now());
        let ended = match end.exit.reason {
            ExitReason::NotStarted => format!("not started: {}", end.exit.detail),
            _ if end.wanted_by == WantedBy::Health => "ended, because it was unhealthy".to_owned(),
            _ => format!("ended {}", how(&end.exit)),
        };
        match decision {
            Decision::Again { after, number } => {
                let (most, window) = (spec.file.max_restarts, words(spec.file.restart_window));
                let outcome =
                    format!("{ended}; starts again in {} (restart {number} of {most} within {window})", words(after));
                (self.known.run, self.known.ended) = (None, None);
                self.keep();
                self.event(run, What::Restart { outcome: outcome.clone() });
                let next = TimeUs(now().0.saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)));
                self.show(|line| {
                    stands(line, ServiceState::Pausing, Some(outcome), Some(next));
                    line.restarts = line.restarts.saturating_add(1);
                });
                Some(after)
            }
            Decision::Stay(why) => {
                let outcome = format!("{ended}; stays ended: {why}");
                // What ends with the daemon begins with the next.
                if end.exit.reason != ExitReason::DaemonGone {
                    (self.known.run, self.known.ended) = (None, Some(outcome.clone()));
                    self.keep();
                }
                self.event(run, What::Restart { outcome: outcome.clone() });
                self.show(|line| stands(line, ServiceState::Ended, Some(outcome), None));
                None
            }
        }
    }
}

/// Whether somebody has ended and removed it in one (`rm -f`), which is an order, too.
async fn removed(handle: &Handle, exit: &Exit, ill: bool) -> bool {
    exit.reason == ExitReason::Killed && !ill && handle.ask(|answer| Request::Settled { answer }).await.is_err()
}

/// What `agentctl run` would ask for.
fn request(name: &AgentName, spec: &Spec) -> Run {
    let file = &spec.file;
    let workspace = file.workspace.as_ref();
    Run {
        name: Some(name.clone()),
        policy: file.policy.clone().map(PolicyChoice::Profile),
        workspace: workspace.map(|it| Workspace { path: it.path.clone(), read_only: it.read_only }),
        command: file.command.clone(),
        env: file.env.clone().into_iter().collect(),
        caller_env: Vec::new(),
        stdio: Stdio::default(),
        remove: false,
        timeout_ms: file.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
    }
}
