//! The task that owns one agent.

use super::denials::Recent;
use super::ending::{self, Cause, Facts};
use super::further::Furthers;
use super::launch::{Begun, Holdings, Ordered, wind_up};
use super::loss::{self, Loss};
use super::showing::Showing;
use super::stopping::{self, Stopping};
use super::violations::{self, Watch};
use super::{Answer, Request, now};
use crate::action::Governed;
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::journal;
use crate::lifecycle::{self, Verdict, decide};
use crate::memory::Seat;
use crate::stage::{Link, Stage};
use crate::store;
use crate::violation::Touched;
use protocol::agent::{Agent, Details, Exit, Limits, State};
use protocol::control::KillReply;
use protocol::denial::Completeness;
use protocol::error::ControlError;
use protocol::event::{Event, What};
use sandbox::cgroup::Stopped;
use sandbox::message::Report;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// One agent.
#[derive(Debug)]
pub(crate) struct Task {
    pub(super) daemon: Arc<Daemon>,
    pub(super) record: store::Record,
    pub(super) governed: Option<Arc<Governed>>,
    pub(super) publish: Arc<watch::Sender<Agent>>,
    inbox: mpsc::Receiver<Request>,
    pub(super) live: Option<Live>,
    pub(super) stopping: Option<Stopping>,
    pub(super) winding_up: Option<JoinHandle<Completeness>>,
    /// Of an agent that has ended, until everything that it did is known.
    pub(super) late: Option<Watch>,
    /// Who waits until that is done.
    pub(super) settling: Vec<Answer<Details>>,
    pub(super) removed: bool,
}

/// What there is of an agent that lives.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) stage: Stage,
    pub(super) main: OwnedFd,
    pub(super) env: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) terminal: bool,
    pub(super) holdings: Holdings,
    pub(super) furthers: Furthers,
    /// The first reason for which the daemon ends it.
    pub(super) cause: Option<Cause>,
    /// When it is killed, and why.
    pub(super) deadlines: Vec<(Instant, Cause)>,
    /// Who waits for the end that a signal with a grace period brings.
    pub(super) graced: Vec<Answer<KillReply>>,
    pub(super) detached: bool,
    /// A client holds the other end of its streams; there is one at a time.
    pub(super) attached: bool,
    pub(super) loss: Loss,
    pub(super) watch: Watch,
    pub(super) showing: Option<Showing>,
}

impl Live {
    /// Of an agent that has lived since `began`.
    pub(super) fn new(begun: Begun, mut holdings: Holdings, (limits, began): (&Limits, Instant)) -> Self {
        let Begun { ordered, main } = begun;
        let Ordered { stage, env, cwd, terminal, attached, parts, on_vfs_loss, watching, .. } = ordered;
        let timeout = watching.timeout.and_then(|timeout| began.checked_add(timeout));
        let alarm = holdings.keeper.as_mut().and_then(|keeper| keeper.touched.take());
        let watch = Watch::new(alarm, &watching, (limits, began));
        let loss = Loss::new(holdings.seat.clone(), parts, on_vfs_loss);
        Self {
            stage,
            main,
            env,
            cwd,
            terminal,
            holdings,
            furthers: Furthers::default(),
            cause: None,
            deadlines: timeout.map(|when| (when, Cause::Wall)).into_iter().collect(),
            graced: Vec::new(),
            detached: false,
            attached,
            loss,
            watch,
            showing: None,
        }
    }

    /// Where the agent is shown, and its latest denials.
    pub(super) fn shown(&self) -> Option<(Arc<Seat>, watch::Receiver<Recent>)> {
        let recent = self.holdings.keeper.as_ref().map(|keeper| keeper.recent.clone());
        self.holdings.seat.clone().map(|seat| (seat, recent.unwrap_or_else(|| watch::channel(Recent::default()).1)))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let main = self.deadlines.iter().map(|(when, _)| *when).min();
        main.into_iter().chain(self.furthers.next_deadline()).chain(self.watch.next_deadline()).min()
    }
}

/// What woke the task.
enum Woken {
    Request(Option<Request>),
    Report(io::Result<Option<(Report, Vec<OwnedFd>)>>),
    Deadline,
    Stopped(Result<Stopped, ControlError>),
    Vfs(loss::News),
    Touched(Touched),
    WoundUp(Completeness),
}

impl Task {
    pub(super) fn with(
        daemon: Arc<Daemon>,
        (record, governed): (store::Record, Option<Arc<Governed>>),
        inbox: mpsc::Receiver<Request>,
        publish: Arc<watch::Sender<Agent>>,
    ) -> Self {
        let (live, stopping, winding_up, late, settling) = (None, None, None, None, Vec::new());
        Self { daemon, record, governed, publish, inbox, live, stopping, winding_up, late, settling, removed: false }
    }

    /// Answers for an agent that had ended before.
    pub(crate) async fn rest(self) {
        self.run(None).await;
    }

    /// Lives until the records are removed or the daemon ends.
    pub(super) async fn run(mut self, live: Option<Live>) {
        self.live = live;
        self.show();
        while !self.removed {
            match self.woken().await {
                // Nobody can ask any more, as after the end of an agent whose records are not kept.
                Woken::Request(None | Some(Request::Shutdown)) => {
                    self.shut_down().await;
                    return;
                }
                Woken::Request(Some(Request::Leave)) => {
                    self.leave().await;
                    return;
                }
                Woken::Request(Some(Request::Halt { why })) => {
                    self.stop_for_review(&why);
                    self.leave().await;
                    return;
                }
                Woken::Request(Some(request)) => self.answer(request).await,
                Woken::Report(report) => self.report(report).await,
                Woken::Deadline => self.deadline().await,
                Woken::Stopped(result) => self.stopped(result).await,
                Woken::Vfs(news) => self.vfs_news(news),
                Woken::Touched(touched) => self.touched(touched).await,
                Woken::WoundUp(completeness) => self.wound_up(completeness).await,
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        let deadline = self.live.as_ref().and_then(Live::next_deadline);
        let parts = self.live.as_mut().map(|live| (&mut live.stage.link, (&mut live.loss, &mut live.watch)));
        let (link, watched) = parts.unzip();
        let (loss, watch) = watched.unzip();
        tokio::select! {
            biased;
            report = next_report(link) => Woken::Report(report),
            result = stopping::finished(&mut self.stopping) => Woken::Stopped(result),
            request = self.inbox.recv() => Woken::Request(request),
            () = until(deadline) => Woken::Deadline,
            news = loss::news(loss) => Woken::Vfs(news),
            // An agent can bring these about as fast as it likes, so that they come behind what others want.
            touched = violations::touched(watch) => Woken::Touched(touched),
            completeness = finished(&mut self.winding_up) => Woken::WoundUp(completeness),
        }
    }

    /// The state, which is this task's own to change. An agent that is being stopped counts as stopped already: nothing
    /// new is started in it, and a CONT has an effect.
    pub(super) fn state(&self) -> State {
        if self.stopping.is_some() { State::Stopped } else { self.publish.borrow().state }
    }

    /// Changes what `ps` shows.
    pub(super) fn change(&self, change: impl FnOnce(&mut Agent)) {
        self.publish.send_modify(change);
    }

    /// Adds an event of this agent.
    pub(super) fn event(&self, by: Option<&Caller>, what: What) {
        let Agent { name, id, owner, .. } = &self.record.agent;
        let by = by.map(Caller::recorded);
        let event = Event { seq: 0, time_us: now(), agent: name.clone(), id: Some(*id), by, what };
        self.daemon.event(*owner, event);
    }

    /// The living part, when the state allows the request.
    pub(super) fn allowed(&mut self, request: lifecycle::Request) -> Result<&mut Live, ControlError> {
        let state = self.state();
        let name = &self.record.agent.name;
        let why = match decide(state, request) {
            Verdict::Allowed => "it is just ending",
            Verdict::NoEffect(why) | Verdict::Refused(why) => return Err(request.refused(name, state, why)),
        };
        self.live.as_mut().ok_or_else(|| request.refused(name, State::Exited, why))
    }

    pub(super) fn live(&mut self) -> Option<&mut Live> {
        self.live.as_mut()
    }

    async fn answer(&mut self, request: Request) {
        // Whoever asked may have gone, here and below.
        match request {
            Request::Signal { order, answer } => self.signal(order, answer).await,
            Request::Exec { exec, fds, caller, answer } => self.exec(exec, fds, (caller, answer)).await,
            Request::Attach { fds, answer } => answer.send(self.attach(fds)).unwrap_or(()),
            Request::Detach { exec, answer } => answer.send(self.detach(exec)).unwrap_or(()),
            Request::Resize { exec, window, answer } => answer.send(self.resize(exec, window)).unwrap_or(()),
            Request::HangUp { exec } => self.hang_up(exec),
            Request::Inspect { answer } => answer.send(Ok(self.details().await)).unwrap_or(()),
            Request::Settled { answer } if self.live.is_some() || self.winding_up.is_some() => {
                self.settling.push(answer)
            }
            Request::Settled { answer } => answer.send(Ok(self.details().await)).unwrap_or(()),
            Request::Remove { force, caller, answer } => {
                let removed = self.remove(force, &caller).await;
                answer.send(removed).unwrap_or(());
            }
            Request::Retire { why, answer } => answer.send(self.retire(why).await).unwrap_or(()),
            Request::Raise { raised, answer } => self.raise(raised, answer).await,
            Request::Rejoin { exec, answer } => answer.send(self.rejoin(exec)).unwrap_or(()),
            Request::Shutdown | Request::Leave | Request::Halt { .. } => {}
        }
    }

    pub(super) async fn report(&mut self, report: io::Result<Option<(Report, Vec<OwnedFd>)>>) {
        match report {
            Ok(Some((Report::Ended { status, .. }, _))) => self.ended(Some(status)).await,
            Ok(Some((Report::OutputSpent, _))) => self.output_spent().await,
            Ok(Some((Report::Started { process }, fds))) => self.further_started(process, fds),
            Ok(Some((Report::Failed { process, failure }, _))) if process > 0 => self.further_failed(process, failure),
            Ok(Some((Report::Exited { process, status }, _))) => self.further_exited(process, status),
            Ok(Some((Report::ClientGone { process: 0 }, _))) => {
                if let Some(live) = self.live() {
                    live.attached = false;
                }
            }
            Ok(Some((Report::Remounted { failure }, _))) => self.remounted_inside(failure),
            Ok(Some((Report::ClientGone { .. } | Report::Prepared | Report::Claimed(_), _))) => {}
            lost @ (Ok(None | Some((Report::Failed { .. }, _))) | Err(_)) => {
                let name = &self.record.agent.name;
                journal::error(format_args!("the stage of the agent {name} has ended: {lost:?}"));
                let why = match lost {
                    Ok(Some((Report::Failed { failure, .. }, _))) => Some(failure),
                    _ => None,
                };
                self.end_because(Cause::StageGone(why)).await;
                self.ended(None).await;
            }
        }
    }

    async fn deadline(&mut self) {
        let now = Instant::now();
        let Some(live) = &mut self.live else { return };
        live.furthers.kill_due(now);
        let due = live.deadlines.iter().find(|(when, _)| *when <= now).map(|(_, cause)| cause.clone());
        if let Some(cause) = due {
            live.deadlines.retain(|(when, _)| *when > now);
            self.end_because(cause).await;
        }
        self.look_after_budgets(now).await;
    }

    /// The end: everything is dead. Those who wait hear of it before anything is cleared away.
    pub(super) async fn ended(&mut self, status: Option<i32>) {
        self.overtake_stop("the agent's end", State::Exited);
        // Everything of it is dead; what it had asked for goes with it.
        drop(self.halt_actions());
        self.killed_by_filter(status).await;
        let Some(live) = self.live.take() else { return };
        let Live { stage, holdings, cause, graced, furthers, watch, .. } = live;
        // An end with code 0 needs no look at the out-of-memory counter.
        let oom_kills = if status == Some(0) { 0 } else { stage.cgroup.oom_kills().unwrap_or(0) };
        let exit = ending::of(&Facts { status, cause, oom_kills });
        for exit in furthers.all_ended() {
            self.event(None, What::ExecExited { exit });
        }
        self.out_of_memory(oom_kills);
        self.late = Some(watch);
        self.event(None, What::Exited { exit: exit.clone() });
        if self.record.remove {
            // The name is free when the caller hears of the end.
            self.daemon.registry.remove(&self.record.agent.name, self.record.agent.id);
        }
        self.change(|agent| {
            (agent.state, agent.pid) = (State::Exited, None);
            (agent.ended_us, agent.exit) = (Some(now()), Some(exit.clone()));
        });
        for answer in graced {
            answer.send(Ok(KillReply { outcome: outcome_of(&exit), effect: true })).unwrap_or(());
        }
        // One that goes at once needs no last word; should we die before, the next daemon removes it. Before the stage is
        // dismissed: until then it tells the next daemon how the agent ended.
        if !self.record.remove {
            self.save().await;
        }
        self.winding_up = Some(tokio::spawn(wind_up(Arc::clone(&self.daemon), stage, holdings)));
    }

    pub(super) async fn save(&mut self) {
        self.record.agent = self.publish.borrow().clone();
        let (store, record) = (self.daemon.store.clone(), self.record.clone());
        report_blocking("keep a record", tokio::task::spawn_blocking(move || store.save(&record)).await);
    }

    async fn shut_down(&mut self) {
        if self.live.is_some()
            && let Err(error) = self.kill_and_wait(Cause::DaemonGone).await
        {
            journal::error(format_args!("at the daemon's end: {error}"));
        }
        if let Some(winding_up) = self.winding_up.take() {
            let completeness = winding_up.await;
            self.wound_up(completeness.unwrap_or(Completeness::Incomplete { listed: 0, counted: None })).await;
        }
    }
}

/// What came of a signal that ended the agent.
pub(super) fn outcome_of(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("ended by {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// An order that could not be given.
pub(super) fn stage_failed(error: io::Error) -> ControlError {
    ControlError::Internal { message: format!("agentos-stage takes no orders: {error}") }
}

pub(super) fn report_blocking<E: std::error::Error>(
    attempt: &str,
    result: Result<Result<(), E>, tokio::task::JoinError>,
) {
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => journal::error(format_args!("cannot {attempt}: {}", journal::sentence(&error))),
        Err(error) => journal::error(format_args!("cannot {attempt}: {error}")),
    }
}

async fn next_report(link: Option<&mut Link>) -> io::Result<Option<(Report, Vec<OwnedFd>)>> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn finished(winding_up: &mut Option<JoinHandle<Completeness>>) -> Completeness {
    let Some(handle) = winding_up else { return std::future::pending().await };
    let result = handle.await;
    *winding_up = None;
    result.unwrap_or(Completeness::Incomplete { listed: 0, counted: None })
}
