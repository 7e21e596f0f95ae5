//! From a decided launch to a running process.

use super::denials::{self, Coming, Keeper, Resumed};
use super::socket::KernelSocket;
use super::task::{Live, Task};
use super::{Answer, Handle, INBOX, ending};
use crate::action::Governed;
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::denial::Registration;
use crate::gate;
use crate::journal;
use crate::memo::{self, Memo, PolicyText};
use crate::memory::{Seat, Wanted};
use crate::places::Place;
use crate::plan::{self, Watching};
use crate::stage::{Stage, StageError, pid_of};
use crate::store::{Record, StoreError};
use crate::uids::AgentUid;
use policies::OnVfsLoss;
use protocol::agent::State;
use protocol::audit::{self, Answer as Decision, Kind};
use protocol::denial::Completeness;
use protocol::error::ControlError;
use protocol::event::{Answered, What};
use sandbox::message::{Failure, Kept, Order};
use sandbox::plan::Part;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Everything that a launch needs, decided.
#[derive(Debug)]
pub(crate) struct Launching {
    /// The record to begin with.
    pub(crate) record: Record,
    /// What to do.
    pub(crate) launch: plan::Launch,
    /// What it remembers.
    pub(crate) wanted: Wanted,
    /// The client's streams.
    pub(crate) fds: Vec<OwnedFd>,
    /// Its user.
    pub(crate) uid: AgentUid,
    /// Who asked.
    pub(crate) caller: Caller,
    /// Its place among the agents that live.
    pub(crate) place: Place,
    /// What its own file said.
    pub(crate) own_file: Option<String>,
}

/// What must be given back when nothing of an agent is left.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) uid: AgentUid,
    pub(super) _place: Place,
    pub(super) socket: Option<KernelSocket>,
    pub(super) _alive: Option<mpsc::Sender<()>>,
    pub(super) keeper: Option<Keeper>,
    pub(super) seat: Option<Arc<Seat>>,
}

/// What a stage keeps for the next daemon.
type ToKeep = Vec<(Kept, OwnedFd)>;

impl Task {
    /// The handle of a new agent and its task, which is not started yet.
    pub(crate) fn new(daemon: Arc<Daemon>, record: Record, governed: Option<Arc<Governed>>) -> (Handle, Self) {
        let (inbox, requests) = mpsc::channel(INBOX);
        let (name, id) = (record.agent.name.clone(), record.agent.id);
        let (publish, seen) = watch::channel(record.agent.clone());
        if let Some(governed) = &governed {
            governed.belongs_to(inbox.downgrade());
        }
        let handle = Handle { inbox, seen, name, id, governed: governed.clone() };
        (handle, Self::with(daemon, (record, governed), requests, Arc::new(publish)))
    }

    /// Starts the agent, answers how that went, and lives its life.
    pub(crate) async fn launch(mut self, launching: Launching, answer: Answer<()>) {
        let caller = launching.caller.clone();
        match self.start(launching).await {
            Ok(live) => {
                self.event(Some(&caller), What::Started { policy: self.record.agent.policy.clone() });
                answer.send(Ok(())).unwrap_or(());
                self.run(Some(live)).await;
            }
            Err(error) => {
                self.daemon.registry.remove(&self.record.agent.name, self.record.agent.id);
                self.event(Some(&caller), What::Exited { exit: ending::not_started(error.to_string()) });
                self.remove_records().await;
                answer.send(Err(error)).unwrap_or(());
            }
        }
    }

    async fn start(&mut self, launching: Launching) -> Result<Live, ControlError> {
        let Launching { record, launch, wanted, fds, uid, place, caller, own_file } = launching;
        self.watchable(&launch.standing.watching)?;
        let not_started = |error: StageError| ControlError::NotStarted { message: journal::sentence(&error) };
        let stage = self.daemon.pool.take().await.map_err(not_started)?;
        let (socket, listener) = self.listen(uid.get())?.unzip();
        self.record = record;
        self.record.agent.denials = self.daemon.denials.is_ok().then_some(0);
        let (store, begun) = (self.daemon.store.clone(), self.record.clone());
        // The record is there before the process: a daemon that dies in between finds what it had begun. Written while
        // the denial log takes the agent in; on this thread, because a launch waits for either.
        let written = async move { tokio::task::block_in_place(move || store.create(&begun)) };
        let memory = self.daemon.memory.clone();
        // Its files are made and served while the stage builds everything else.
        let sealing = self.daemon.gate.clone();
        let launched = self.launched(&caller, &launch);
        let sealing = async move { sealing.seal(&launched).await.map_err(|error| error.refused()) };
        let building = async {
            let (keeper, log) = tokio::join!(self.register(&stage, uid.get(), None), written);
            let kept = self.to_keep(&stage, listener, (own_file, &launch));
            (keeper, kept, order_launch((stage, log), launch, fds))
        };
        let (seat, (keeper, kept, ordered), sealed) = tokio::join!(Seat::take(&memory, wanted), building, sealing);
        let alive = self.daemon.alive();
        let (seat, served) = match seat {
            Ok(seat) => (Some(Arc::new(seat)), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Nothing of the agent runs before it is served, and it is not served before its launch is on record.
        let kept =
            served.and(sealed.map(drop)).and_then(|()| kept.and_then(|kept| with_working(kept, seat.as_deref())));
        let holdings = Holdings { uid, _place: place, socket, _alive: alive, keeper, seat };
        let begun = match (ordered, kept) {
            (Ok(ordered), Ok(kept)) => self.begin(ordered, kept).await,
            (Ok(ordered), Err(error)) => Err((ordered.stage, error)),
            (Err(failed), _) => Err(*failed),
        };
        match begun {
            Ok(begun) => Ok(Live::new(begun, holdings, (&self.record.limits, Instant::now()))),
            Err((stage, error)) => {
                tokio::spawn(undo(Arc::clone(&self.daemon), stage, holdings));
                Err(error)
            }
        }
    }

    /// The agent's own socket, there before anything of the agent is.
    fn listen(&self, uid: u32) -> Result<Option<(KernelSocket, OwnedFd)>, ControlError> {
        let Some(governed) = &self.governed else { return Ok(None) };
        let id = self.record.agent.id;
        let opened = tokio::task::block_in_place(|| KernelSocket::open(&self.daemon, governed, (id, uid)));
        opened
            .map(Some)
            .map_err(|error| ControlError::NotStarted { message: format!("cannot make the agent's socket: {error}") })
    }

    /// What the next daemon will need to take the agent back.
    fn to_keep(
        &self,
        stage: &Stage,
        listener: Option<OwnedFd>,
        (own_file, launch): (Option<String>, &plan::Launch),
    ) -> Result<ToKeep, ControlError> {
        let Some(governed) = &self.governed else { return Ok(Vec::new()) };
        let timeout = launch.standing.watching.timeout;
        let memo = Memo {
            version: memo::VERSION,
            cgroup: stage.cgroup.clone(),
            record: self.record.clone(),
            caller: governed.caller.clone(),
            plan: launch.plan.clone(),
            limits: launch.cgroup,
            policy: PolicyText::of(&governed.policy),
            own_file,
            timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            started_ms: Some(memo::monotonic_ms()),
        };
        let kept = || Ok([(Kept::Memo, memo.sealed()?), (Kept::Uids, self.daemon.uids.lock()?)]);
        let kept = kept().map_err(|error: io::Error| ControlError::NotStarted {
            message: format!("cannot write down what the agent is: {error}"),
        })?;
        Ok(kept.into_iter().chain(listener.map(|listener| (Kept::Listener, listener))).collect())
    }

    /// The record of the launch.
    fn launched(&self, caller: &Caller, launch: &plan::Launch) -> audit::Record {
        let agent = &self.record.agent;
        let mut record = audit::Record::new(Kind::Launch, gate::words(&agent.command));
        record.agent = Some(gate::subject(agent));
        record.by = Some(caller.recorded());
        record.decision = Some(Decision::Allow);
        record.rule = Some(format!("policy {}", agent.policy));
        record.policy_digest = Some(agent.policy_digest.clone());
        let lacking = launch.not_enforced.join(", ");
        // First, because a long record loses the end of its texts.
        let lacking = (!lacking.is_empty()).then(|| format!("not enforced on this kernel: {lacking}"));
        record.outcome = Some(lacking.into_iter().chain(launch.view.iter().cloned()).collect::<Vec<_>>().join("; "));
        record
    }

    /// An answer that nobody could give, because nobody hears of the act, would be a promise that is not kept.
    fn watchable(&self, watching: &Watching) -> Result<(), ControlError> {
        let (Err(why), Answered::Stop | Answered::Kill) = (&self.daemon.denials, watching.answers.tripwire) else {
            return Ok(());
        };
        let message = format!(
            "the policy {} answers a forbidden act by ending or stopping the agent, and this host does not tell of such acts: {why}; change that, or use a policy with kernel.mode permissive",
            self.record.agent.policy
        );
        Err(ControlError::NotStarted { message })
    }

    /// Asks for the agent's denials, before its domain is made.
    pub(super) async fn register(&mut self, stage: &Stage, uid: u32, resumed: Option<Resumed>) -> Option<Keeper> {
        let log = match &self.daemon.denials {
            Ok(log) => log,
            Err(why) => {
                self.record.denial_log = Completeness::NotListed { why: why.clone() };
                return None;
            }
        };
        let ((sink, denials), (alarm, touched)) = (mpsc::channel(denials::SINK), mpsc::channel(denials::ALARM));
        let policy = self.record.agent.policy.clone();
        let init_pid = stage.init_pid;
        let (resume, recent) = resumed.map(|Resumed { progress, recent }| (progress, recent)).unzip();
        let listed = resume.map_or(0, |progress| progress.seq);
        log.register(Registration { uid, init_pid, policy, sink, alarm, resume }).await;
        self.publish.send_modify(|agent| agent.denials = Some(listed));
        let path = self.daemon.store.denials(self.record.agent.id);
        let recorded = denials::Recorded {
            gate: Arc::clone(&self.daemon.gate),
            agent: gate::subject(&self.record.agent),
            policy_digest: self.record.agent.policy_digest.clone(),
            log: log.clone(),
            uid,
        };
        let coming = Coming { sink: denials, touched, recent: recent.unwrap_or_default() };
        Some(denials::start((path, recorded), coming, Arc::clone(&self.publish)))
    }

    /// Has the stage go on once the agent's files are served, and waits until the main process runs.
    async fn begin(&mut self, mut ordered: Ordered, kept: ToKeep) -> Result<Begun, Failed> {
        let (kept, fds) = kept.into_iter().unzip();
        let link = &mut ordered.stage.link;
        let told = link.order(&Order::Keep { kept }, fds).and_then(|()| link.order(&Order::Served, Vec::new()));
        if let Err(error) = told {
            return Err((ordered.stage, ControlError::NotStarted { message: error.to_string() }));
        }
        match started(&mut ordered.stage, &ordered.command).await {
            Ok((main, pid)) => {
                self.change(|agent| (agent.state, agent.pid) = (State::Running, Some(pid)));
                Ok(Begun { ordered, main })
            }
            Err(error) => Err((ordered.stage, error)),
        }
    }
}

/// A stage that is to be put away, and why.
type Failed = (Stage, ControlError);

/// A stage that builds a sandbox.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) stage: Stage,
    pub(super) command: String,
    pub(super) env: Vec<String>,
    pub(super) cwd: std::path::PathBuf,
    pub(super) terminal: bool,
    pub(super) attached: bool,
    pub(super) parts: Vec<Part>,
    pub(super) on_vfs_loss: OnVfsLoss,
    pub(super) watching: Watching,
}

/// A main process that runs.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) ordered: Ordered,
    pub(super) main: OwnedFd,
}

/// With the file system of `/mem/working`, which then outlives the server of its files and the daemon both.
fn with_working(mut kept: ToKeep, seat: Option<&Seat>) -> Result<ToKeep, ControlError> {
    let working = seat
        .map(Seat::working)
        .transpose()
        .map_err(|error| ControlError::NotStarted { message: format!("cannot keep the agent's files: {error}") })?;
    kept.extend(working.flatten().map(|working| (Kept::Working, working)));
    Ok(kept)
}

fn order_launch(
    (mut stage, log): (Stage, Result<File, StoreError>),
    launch: plan::Launch,
    fds: Vec<OwnedFd>,
) -> Result<Ordered, Box<Failed>> {
    let plan = &launch.plan;
    let (env, cwd, parts) = (plan.process.env.clone(), plan.process.cwd.clone(), plan.parts.clone());
    let (terminal, attached) = (plan.process.terminal.is_some(), plan.process.attached);
    let plan::Standing { on_vfs_loss, watching, .. } = launch.standing;
    let command = plan.process.argv[0].clone();
    let order = |log: File| {
        stage.limit(&launch.cgroup).map_err(|error| journal::sentence(&error))?;
        let fds: Vec<OwnedFd> = [OwnedFd::from(log)].into_iter().chain(fds).collect();
        let order = Order::Launch { plan: Box::new(launch.plan) };
        stage.link.order(&order, fds).map_err(|error| error.to_string())
    };
    match log.map_err(|error| journal::sentence(&error)).and_then(order) {
        Ok(()) => Ok(Ordered { stage, command, env, cwd, terminal, attached, parts, on_vfs_loss, watching }),
        Err(message) => Err(Box::new((stage, ControlError::NotStarted { message }))),
    }
}

async fn started(stage: &mut Stage, command: &str) -> Result<(OwnedFd, i32), ControlError> {
    match stage.started().await {
        Ok(main) => {
            // A very short command may have ended already; then it has no number any more.
            let pid = pid_of(&main).unwrap_or(0);
            Ok((main, pid))
        }
        Err(StageError::Failed(failure)) => Err(failed(failure, command)),
        Err(error) => Err(ControlError::NotStarted { message: journal::sentence(&error) }),
    }
}

/// A stage's failure as the caller reads it.
pub(super) fn failed(failure: Failure, command: &str) -> ControlError {
    /// ENOENT and ENOTDIR (`errno(3)`): there is no such program.
    const ABSENT: [i32; 2] = [2, 20];
    match failure {
        Failure::Exec { errno } => ControlError::CannotExecute {
            command: command.to_owned(),
            message: failure.to_string(),
            absent: ABSENT.contains(&errno),
        },
        Failure::Setup { .. } => ControlError::NotStarted { message: failure.to_string() },
    }
}

/// Clears away what is left of an ended agent, and then says whether its denials are all listed.
pub(super) async fn wind_up(daemon: Arc<Daemon>, stage: Stage, holdings: Holdings) -> Completeness {
    let cleared = async {
        if let Some(seat) = &holdings.seat {
            seat.clear().await;
        }
    };
    let (completeness, (), ()) = tokio::join!(finish(&daemon, holdings.uid.get()), stage.bury(), cleared);
    if let Some(keeper) = holdings.keeper
        && let Err(error) = keeper.work.await
    {
        journal::error(format_args!("the denials of an agent were not all written: {error}"));
    }
    completeness
}

/// The same for one that never began.
async fn undo(daemon: Arc<Daemon>, stage: Stage, holdings: Holdings) {
    let seat = holdings.seat.clone();
    // Nobody lists the denials of an agent that there was not.
    drop(wind_up(daemon, stage, holdings).await);
    if let Some(seat) = seat {
        seat.forget_new();
    }
}

async fn finish(daemon: &Daemon, uid: u32) -> Completeness {
    match &daemon.denials {
        Ok(log) => log.finish(uid).await,
        Err(why) => Completeness::NotListed { why: why.clone() },
    }
}
