//! What every agent and every door shares, and the decisions that concern no single agent.

use crate::action::Governed;
use crate::agent::{self, Handle, Launching, Request, Taking, Task};
use crate::approvals::Approvals;
use crate::caller::Caller;
use crate::config::Config;
use crate::denial;
use crate::events::EventLog;
use crate::gate::{self, Gate};
use crate::governing::Rules;
use crate::memory::{self, Memory, Wanted};
use crate::places::{Full, Places};
use crate::plan::{self, Identities, Own};
use crate::policy::Policies;
use crate::registry::Registry;
use crate::retention::{Ended, Retention};
use crate::services::Services;
use crate::stage::Pool;
use crate::store::{Record, Store};
use crate::uids::Uids;
use crate::violation::Answers;
use protocol::agent::{Agent, State};
use protocol::control::Run;
use protocol::doctor::Check;
use protocol::error::ControlError;
use protocol::event::Event;
use protocol::ids::{AgentId, AgentName};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Agents that are ended or let go of at the same time, and how long one is waited for before it is the next one's turn.
const TOGETHER: usize = 32;
const TURN: Duration = Duration::from_secs(2);

/// The daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// What the operator set.
    pub(crate) config: Config,
    /// Its directories.
    pub(crate) own: Own,
    /// Records.
    pub(crate) store: Store,
    /// Events, as operators read them.
    pub(crate) events: EventLog,
    /// The audit log, and with it every verdict.
    pub(crate) gate: Arc<Gate>,
    /// Actions that wait for a person.
    pub(crate) approvals: Approvals,
    /// Names.
    pub(crate) registry: Registry,
    /// What is kept of ended agents.
    pub(crate) retention: Retention,
    /// What agents remember.
    pub(crate) memory: Memory,
    /// Prepared stages.
    pub(crate) pool: Pool,
    /// Users for agents.
    pub(crate) uids: Uids,
    /// Policies.
    pub(crate) policies: Policies,
    /// The kernel's denial log, or why there is none.
    pub(crate) denials: Result<denial::Log, String>,
    /// What was found of this host at the start.
    pub(crate) checks: Vec<Check>,
    /// Agents that have files of their own.
    pub(crate) services: Services,
    /// Places for agents that live.
    pub(crate) places: Places,
    /// Clones are held by whatever the end of the daemon must wait for.
    pub(crate) alive: mpsc::WeakSender<()>,
    /// No agent is started any more.
    pub(crate) ending: AtomicBool,
}

/// An agent that is being started.
#[derive(Debug)]
pub(crate) struct Started {
    /// How it is reached.
    pub(crate) handle: Handle,
    /// Whether it runs.
    pub(crate) begun: oneshot::Receiver<Result<(), ControlError>>,
}

impl Daemon {
    /// Something to hold while the daemon must not end.
    pub(crate) fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.alive.upgrade()
    }

    /// Adds an event, and notes it in the audit log unless it was recorded before it happened.
    pub(crate) fn event(&self, owner: u32, event: Event) {
        if let Some(record) = gate::of_event(&event, owner) {
            self.gate.note(&record);
        }
        self.events.append(owner, event);
    }

    /// Decides a launch and begins it.
    pub(crate) fn launch(
        self: &Arc<Self>,
        run: Run,
        fds: Vec<OwnedFd>,
        caller: Caller,
    ) -> Result<Started, ControlError> {
        if self.ending.load(Ordering::Acquire) {
            return Err(ControlError::NotStarted { message: "agentosd is ending".to_owned() });
        }
        let rules = Rules::of(self.policies.choose(run.policy.clone(), &caller)?, &run, &caller)?;
        let policy = Arc::clone(&rules.policy);
        let place = self.places.take(caller.uid).map_err(|full| match full {
            Full::All => self.full("max_agents"),
            Full::User => self.full_for(&caller),
        })?;
        let uid = self.uids.take().ok_or_else(|| self.full("uid_range"))?;
        let id = self.store.next_id().map_err(|error| internal(&error))?;
        let name = run.name.clone().map_or_else(|| self.free_name(id), Ok)?;
        let who = Identities { agent: uid.get(), init: self.uids.init() };
        let mut launch = plan::launch(&run, &name, &policy, (&caller, who, &self.own))?;
        launch.plan.parts.push(agent::sockets(&self.own.run, id));
        let agent = Agent {
            name,
            id,
            state: State::Starting,
            pid: None,
            uid: uid.get(),
            owner: caller.uid,
            policy: policy.name.clone(),
            policy_digest: rules.digest(),
            command: run.command,
            workspace: run.workspace.map(|workspace| workspace.path),
            created_us: agent::now(),
            ended_us: None,
            exit: None,
            denials: None,
            not_enforced: launch.not_enforced.clone(),
            review: None,
        };
        let wanted = Wanted {
            name: agent.name.clone(),
            id,
            caller: caller.clone(),
            uid: agent.uid,
            quotas: launch.standing.quotas,
            sharing: launch.standing.sharing.clone(),
            published: memory::of_policy(&policy, rules.own_file.as_ref().map(|file| &*file.text)),
        };
        let mut record = Record::new(agent, run.remove);
        record.nameless = run.name.is_none();
        record.limits = launch.limits;
        record.view = launch.view.clone();
        record.environment = names_of(&launch.plan.process.env);
        record.policy_sources = policy.sources.iter().map(|source| source.origin.to_string()).collect();
        let workspace = record.agent.workspace.as_ref().map(PathBuf::from);
        let governed =
            rules.govern((gate::subject(&record.agent), workspace), &caller, (launch.plan.clone(), launch.cgroup))?;
        // The agent's own file can make the answers stricter.
        launch.standing.watching.answers = Answers::of(&governed.table);
        let (handle, task) = Task::new(Arc::clone(self), record.clone(), Some(governed));
        self.registry.add(handle.clone())?;
        let (answer, begun) = oneshot::channel();
        let own_file = rules.own_file.map(|file| file.text);
        tokio::spawn(task.launch(Launching { record, launch, wanted, fds, uid, caller, place, own_file }, answer));
        Ok(Started { handle, begun })
    }

    fn full(&self, key: &str) -> ControlError {
        ControlError::Limit {
            what: "agents that live at one time".to_owned(),
            limit: u64::try_from(self.config.max_agents).unwrap_or(u64::MAX),
            remedy: format!("end some, or raise {key} in agentosd.yaml"),
        }
    }

    fn full_for(&self, caller: &Caller) -> ControlError {
        ControlError::Limit {
            what: format!("agents of uid {} that live at one time", caller.uid),
            limit: u64::try_from(self.config.max_agents_per_user).unwrap_or(u64::MAX),
            remedy: "end some, or have root raise max_agents_per_user in agentosd.yaml".to_owned(),
        }
    }

    fn free_name(&self, id: AgentId) -> Result<AgentName, ControlError> {
        let candidates =
            (0..100).map(|round| if round == 0 { format!("agent-{id}") } else { format!("agent-{id}-{round}") });
        let mut names = candidates.filter_map(|name| AgentName::parse(&name).ok());
        names.find(|name| self.registry.is_free(name)).ok_or_else(|| ControlError::Internal {
            message: format!("every name like agent-{id} is taken; give one with --name"),
        })
    }

    /// Takes the record of an ended agent back into the list.
    pub(crate) fn take_back(self: &Arc<Self>, record: Record) -> Result<(), ControlError> {
        let (handle, task) = Task::new(Arc::clone(self), record, None);
        self.registry.add(handle)?;
        tokio::spawn(task.rest());
        Ok(())
    }

    /// Takes a running agent back, which an earlier daemon has started.
    pub(crate) async fn take_back_running(
        self: &Arc<Self>,
        (record, governed): (Record, Option<Arc<Governed>>),
        taking: Taking,
    ) -> Result<(), ControlError> {
        let (handle, task) = Task::new(Arc::clone(self), record, governed);
        self.registry.add(handle)?;
        let (taken, known) = oneshot::channel();
        tokio::spawn(task.take_back(taking, taken));
        // Whether it was heard or the task is over, what it is can be asked now.
        known.await.unwrap_or(());
        Ok(())
    }

    /// Counts agents among those that have ended, and has removed what is too much then. At the daemon's end that is
    /// left to the next start: the tasks that would do it are ending too.
    pub(crate) fn keep(&self, ended: impl IntoIterator<Item = Ended>) {
        if self.ending.load(Ordering::Acquire) {
            return;
        }
        let surplus = self.retention.add(ended).into_iter();
        let surplus: Vec<_> =
            surplus.filter_map(|(ended, why)| Some((self.registry.run(&ended.name, ended.id)?, why))).collect();
        if surplus.is_empty() {
            return;
        }
        let alive = self.alive();
        // Not awaited: the caller is a task, and may be asked itself. One after the other, since it may be thousands.
        tokio::spawn(async move {
            for (handle, why) in surplus {
                // Somebody else may have removed it meanwhile.
                handle.ask(|answer| Request::Retire { why, answer }).await.unwrap_or(());
            }
            drop(alive);
        });
    }

    /// Ends every agent. The daemon is at its end when every [`Self::alive`] is dropped.
    pub(crate) async fn end_all(&self) {
        self.tell_all(|| Request::Shutdown).await;
    }

    /// Lets go of every agent: they go on.
    pub(crate) async fn leave_all(&self) {
        self.tell_all(|| Request::Leave).await;
    }

    /// Stops every agent, and lets go of it.
    pub(crate) async fn halt_all(&self, why: &str) {
        self.tell_all(|| Request::Halt { why: why.to_owned() }).await;
    }

    async fn tell_all(&self, request: impl Fn() -> Request) {
        self.ending.store(true, Ordering::Release);
        self.services.end();
        // Many at the same time: each takes some milliseconds. Not all: what the kernel takes down for a thousand takes it
        // longer than anybody waits for one.
        let turns = Arc::new(Semaphore::new(TOGETHER));
        let told = self.registry.all().into_iter().map(|handle| {
            let (request, turns) = (request(), Arc::clone(&turns));
            tokio::spawn(async move {
                // It is never closed.
                let _turn = turns.acquire().await;
                handle.tell(request).await;
                // One that takes longer does not hold up the others.
                tokio::time::timeout(TURN, handle.ended()).await.ok();
            })
        });
        for told in told.collect::<Vec<_>>() {
            if let Err(error) = told.await {
                crate::journal::error(format_args!("an agent could not be told to end: {error}"));
            }
        }
    }
}

fn names_of(env: &[String]) -> Vec<String> {
    env.iter().filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned()).collect()
}

/// A failure that is nobody's request.
pub(crate) fn internal(error: &dyn std::error::Error) -> ControlError {
    ControlError::Internal { message: crate::journal::sentence(error) }
}
