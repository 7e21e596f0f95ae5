//! What decides and bounds the actions of one agent, and which of them are under way.

use super::counts::Counts;
use crate::agent::Request;
use crate::caller::Caller;
use crate::gate::{Budget, Refusal};
use crate::uids::AgentUid;
use crate::violation::{ActionBudgets, Counters, Spent};
use policies::{Effective, Narrowing, Table, Variables};
use protocol::action::RefusalReason;
use protocol::audit::AgentRef;
use sandbox::cgroup::{Cgroup, CgroupLimits};
use sandbox::plan::Plan;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Most actions of one agent that are under way at one time.
const MOST: usize = 8;
/// Most programs among them; each has as much as the agent itself.
const MOST_PROGRAMS: usize = 2;
/// Most that are decided, held or done at one time.
const MOST_ASKED: usize = 64;

/// An agent, as its actions see it.
#[derive(Debug)]
pub(crate) struct Governed {
    /// Who it is.
    pub(crate) agent: AgentRef,
    /// On whose behalf directories are opened.
    pub(crate) caller: Caller,
    /// The operator's policy.
    pub(crate) policy: Arc<Effective>,
    /// Digest of it, and of the agent's own file.
    pub(crate) digest: String,
    /// It, compiled, with what the agent's own file takes away.
    pub(crate) table: Table,
    /// Where it works.
    pub(crate) workspace: Option<PathBuf>,
    /// Its own confinement, which programs that it asks for get too.
    pub(crate) plan: Plan,
    /// The limits of what it asks for.
    pub(crate) limits: CgroupLimits,
    /// What is under way.
    pub(crate) running: Running,
    counts: Mutex<Counts>,
    counters: Mutex<Counters>,
    narrowed: Mutex<HashMap<String, Table>>,
    asked: Arc<Semaphore>,
    task: OnceLock<mpsc::WeakSender<Request>>,
    /// The user of one that does not live.
    lent: Mutex<Option<AgentUid>>,
}

/// Of what one is made.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) agent: AgentRef,
    pub(crate) caller: Caller,
    pub(crate) policy: Arc<Effective>,
    pub(crate) digest: String,
    pub(crate) own_file: Option<Narrowing>,
    pub(crate) variables: Variables,
    pub(crate) plan: Plan,
    pub(crate) limits: CgroupLimits,
}

impl Governed {
    /// Compiles the policy for this agent.
    pub(crate) fn new(parts: Parts) -> Result<Self, policies::BindError> {
        let Parts { agent, caller, policy, digest, own_file, variables, plan, limits } = parts;
        let table = Table::compile(&policy, &variables, own_file.as_slice())?;
        let (workspace, running, counts) = (variables.workspace, Running::default(), Mutex::default());
        let counters = Mutex::new(Counters::new(budgets(&policy.limits)));
        Ok(Self {
            agent,
            caller,
            policy,
            digest,
            table,
            workspace,
            plan,
            limits,
            running,
            counts,
            counters,
            narrowed: Mutex::default(),
            asked: Arc::new(Semaphore::new(MOST_ASKED)),
            task: OnceLock::new(),
            lent: Mutex::default(),
        })
    }

    /// The table with these built-in policies over it, or the name of one that there is not. Their order changes no answer, so
    /// that each set of the few that there are is compiled once.
    pub(crate) fn narrowed(&self, policies: &[String]) -> Result<Table, String> {
        let mut tables = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<&str> = policies.iter().map(String::as_str).collect();
        let set = names.iter().copied().collect::<Vec<_>>().join(" ");
        if let Some(table) = tables.get(&set) {
            return Ok(table.clone());
        }
        let table = names.into_iter().try_fold(self.table.clone(), |table, name| {
            Narrowing::built_in(name).map(|layer| table.narrowed(&layer)).ok_or_else(|| name.to_owned())
        })?;
        tables.insert(set, table.clone());
        Ok(table)
    }

    /// Has a user that is nobody else's as long as this lives.
    pub(crate) fn lend(&self, uid: AgentUid) {
        *self.lent.lock().unwrap_or_else(PoisonError::into_inner) = Some(uid);
    }

    /// A place among those that are decided or held; more wait, and what has none was not asked.
    pub(crate) async fn asking(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.asked).acquire_owned().await.ok()
    }

    /// Counts an action that is asked for, whatever becomes of it.
    pub(crate) fn admit(&self, digest: [u8; 32]) -> Result<(), Spent> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).admit(digest, Instant::now())
    }

    /// Somebody has looked and continued the agent.
    pub(crate) fn renew(&self) {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).renew();
    }

    /// Whose task is told of what it does.
    pub(crate) fn belongs_to(&self, task: mpsc::WeakSender<Request>) {
        self.task.get_or_init(|| task);
    }

    /// That task, while there is one.
    pub(crate) fn task(&self) -> Option<mpsc::Sender<Request>> {
        self.task.get()?.upgrade()
    }

    /// Counts an action for each of its budgets.
    pub(crate) fn spend(&self, budgets: &[Budget]) -> Result<(), Refusal> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).take(budgets, Instant::now())
    }
}

fn budgets(limits: &policies::Limits) -> ActionBudgets {
    let rate = limits.action_rate.as_ref().map(|rule| rule.value);
    ActionBudgets {
        actions: limits.actions.as_ref().map(|rule| rule.value.into()),
        rate: rate.map(|rate| (rate.times(), Duration::from_secs(rate.seconds().into()))),
        repeats: limits.repeats.as_ref().map(|rule| rule.value),
    }
}

/// The actions of an agent that are under way: they end with it, and none acts while it is stopped.
#[derive(Debug)]
pub(crate) struct Running {
    inner: Arc<Mutex<Inner>>,
    open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    groups: BTreeMap<u64, Cgroup>,
    places: usize,
    programs: usize,
}

/// A place among them.
#[derive(Debug)]
pub(crate) struct PlaceTaken {
    inner: Arc<Mutex<Inner>>,
    group: Option<u64>,
    doing: Doing,
}

/// What an action's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Ours, with our limits.
    Executor,
    /// Any program, with all of the agent's limits.
    Program,
}

impl Default for Running {
    fn default() -> Self {
        Self { inner: Arc::default(), open: watch::Sender::new(true) }
    }
}

impl Running {
    /// Takes a place; none while the agent is stopped, or when it has too many.
    pub(crate) fn begin(&self, doing: Doing) -> Result<PlaceTaken, Refusal> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !*self.open.borrow() {
            return Err(not_running());
        }
        let program = doing == Doing::Program;
        if inner.places >= MOST || (program && inner.programs >= MOST_PROGRAMS) {
            let most = if program { MOST_PROGRAMS } else { MOST };
            let message = format!("{most} actions of the sort are under way; wait for one of them");
            return Err(Refusal::new(RefusalReason::Busy, message));
        }
        inner.places += 1;
        inner.programs += usize::from(program);
        Ok(PlaceTaken { inner: Arc::clone(&self.inner), group: None, doing })
    }

    /// Lets no action begin or go on, and gives the groups of those that are under way, which are to be killed.
    pub(crate) fn halt(&self) -> Vec<Cgroup> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.send_replace(false);
        inner.groups.values().cloned().collect()
    }

    /// Lets actions begin again.
    pub(crate) fn resume(&self) {
        self.open.send_replace(true);
    }

    /// Whether the agent is stopped or has ended.
    pub(crate) fn is_halted(&self) -> bool {
        !*self.open.borrow()
    }

    /// Returns when the agent is stopped or ends.
    pub(crate) async fn halted(&self) {
        // The sender is our own, so that it cannot be gone.
        drop(self.open.subscribe().wait_for(|open| !open).await);
    }

    /// Puts the process of an action under the place's owner, unless the agent was halted meanwhile.
    pub(crate) fn hold(&self, place: &mut PlaceTaken, cgroup: &Cgroup) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !*self.open.borrow() {
            return Err(not_running());
        }
        inner.next += 1;
        let number = inner.next;
        inner.groups.insert(number, cgroup.clone());
        place.group = Some(number);
        Ok(())
    }
}

impl Drop for PlaceTaken {
    fn drop(&mut self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.places -= 1;
        inner.programs -= usize::from(self.doing == Doing::Program);
        if let Some(number) = self.group {
            inner.groups.remove(&number);
        }
    }
}

/// The refusal of an agent that is stopped or has ended.
pub(crate) fn not_running() -> Refusal {
    Refusal::new(RefusalReason::AgentNotRunning, "the agent is stopped or has ended, so nothing is done for it")
}

/// What was begun and cut off.
pub(crate) fn interrupted() -> Refusal {
    let message = "the agent was stopped or ended while it was done; it may have been done, or a part of it";
    Refusal::new(RefusalReason::Interrupted, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_while_the_agent_is_stopped() {
        let running = Running::default();
        let place = running.begin(Doing::Executor).unwrap();
        assert!(running.halt().is_empty(), "no process of it runs yet");
        assert_eq!(running.begin(Doing::Executor).unwrap_err().reason, RefusalReason::AgentNotRunning);
        running.resume();
        let places: Vec<_> = (1..MOST).map(|_| running.begin(Doing::Executor).unwrap()).collect();
        assert_eq!(running.begin(Doing::Executor).unwrap_err().reason, RefusalReason::Busy);
        drop((place, places));
        assert!(running.begin(Doing::Executor).is_ok());
    }
}
