//! Agents that have a file of their own (`agents.d/NAME.yaml`): they start with the daemon, and are started again.
//!
//! ```text
//!   files ── directory ──► graph ──► a supervisor each ──► Daemon::launch, as for everybody
//!   (root's alone)  │ refused          │    ▲                     │
//!                   ▼                  ▼    └── end, health ──────┘
//!                 board (what `agentctl services` shows)
//! ```

mod account;
mod board;
mod directory;
mod file;
mod graph;
mod health;
mod kept;
mod orders;
mod restart;
mod supervise;

use crate::agent::now;
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::journal;
use crate::registry::SUGGESTED;
use board::{Board, stands};
use directory::{Found, Spec};
use kept::{Keeping, Known};
use protocol::agent::State;
use protocol::error::ControlError;
use protocol::event::{Event, What};
use protocol::ids::AgentName;
use protocol::service::{Service, ServiceState};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use supervise::Supervisor;
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use file::AgentFile;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use kept::twice;
pub(crate) use orders::ends;

/// All of them.
#[derive(Debug)]
pub(crate) struct Services {
    directory: PathBuf,
    keeping: Keeping,
    board: Board,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    all: BTreeMap<AgentName, Supervised>,
    /// Why the directory as a whole is not read.
    error: Option<String>,
    /// The daemon ends.
    ending: bool,
}

#[derive(Debug)]
struct Supervised {
    spec: watch::Sender<Arc<Spec>>,
    task: AbortHandle,
}

impl Services {
    /// Of this directory; what is known of them is kept in the other. Nothing is read yet.
    pub(crate) fn new(directory: PathBuf, kept: PathBuf) -> Self {
        Self { directory, keeping: Keeping::new(kept), board: Board::default(), table: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files and starts what is new in them. What is wrong is said in the journal and kept for the list; it keeps
    /// nothing else from being started.
    pub(crate) fn reload(&self, daemon: &Arc<Daemon>) -> Result<(), String> {
        let found = directory::read(&self.directory);
        let mut table = self.lock();
        table.error = found.as_ref().err().cloned();
        match found {
            Ok(found) => self.take(&mut table, daemon, found),
            Err(why) => {
                journal::error(format_args!("no agent's file is read: {why}"));
                return Err(why);
            }
        }
        Ok(())
    }

    fn take(&self, table: &mut Table, daemon: &Arc<Daemon>, Found { taken, refused }: Found) {
        let names = taken.iter().map(|(name, _)| name.to_string());
        let there: BTreeSet<String> = names.chain(refused.keys().cloned()).collect();
        for (name, (owner, why)) in refused {
            let file = self.file(&name);
            journal::error(format_args!("the agent's file {file}: {why}"));
            if AgentName::parse(&name).is_ok_and(|name| table.all.contains_key(&name)) {
                // A slip of the pen ends nobody's supervision; what was taken before holds.
                self.board.change(&name, |line| line.error = Some(why));
            } else {
                self.board.put(board::refused(&name, file, (owner, why)));
            }
        }
        table.all.retain(|name, supervised| {
            let stays = there.contains(name.as_str());
            if !stays {
                journal::info(format_args!("the file of the agent {name} is gone, and nobody looks after it any more"));
                supervised.task.abort();
            }
            stays
        });
        self.board.retain(|name| there.contains(name));
        self.keeping.retain(&there);
        // All lines stand before anybody looks whether what it depends on runs.
        let new: Vec<_> = taken.into_iter().filter(|one| self.is_to_begin(table, one)).collect();
        new.iter().for_each(|(name, spec)| self.board.put(board::fresh(name, self.file(name.as_str()), spec)));
        new.into_iter().for_each(|(name, spec)| self.begin(table, daemon, (name, spec)));
    }

    /// Whether one that is taken has nobody who looks after it; one who does hears of what changed.
    fn is_to_begin(&self, table: &Table, (name, spec): &(AgentName, Arc<Spec>)) -> bool {
        let Some(supervised) = table.all.get(name) else { return true };
        self.board.change(name.as_str(), |line| line.error = None);
        let changed = supervised.spec.send_if_modified(|old| {
            let changed = old != spec;
            *old = Arc::clone(spec);
            changed
        });
        changed && self.board.lines().get(name.as_str()).is_some_and(|line| line.state == ServiceState::Ended)
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(format!("{name}.yaml")).display().to_string()
    }

    /// Starts one that stays ended; its history begins anew.
    pub(crate) fn start(
        &self,
        daemon: &Arc<Daemon>,
        (name, caller): (&AgentName, &Caller),
    ) -> Result<(), ControlError> {
        let mut table = self.lock();
        let (lines, _) = self.list_of(&table, caller);
        let Some(line) = lines.iter().find(|line| line.name == name.as_str()) else {
            let known = lines.into_iter().map(|line| line.name).take(SUGGESTED).collect();
            return Err(ControlError::NoSuchAgent { name: name.to_string(), known });
        };
        let refused = |state, why: &str| {
            let (request, why) = ("start".to_owned(), why.to_owned());
            Err(ControlError::WrongState { name: name.to_string(), request, state, why })
        };
        let spec = match (line.state, table.all.get(name)) {
            (ServiceState::Ended, Some(supervised)) => Arc::clone(&supervised.spec.borrow()),
            (ServiceState::Running, _) => return refused(State::Running, "it can be started again when it has ended"),
            (ServiceState::Waiting | ServiceState::Starting | ServiceState::Pausing, _) => {
                return refused(State::Starting, line.why.as_deref().unwrap_or("agentctl services shows when it runs"));
            }
            (ServiceState::Refused | ServiceState::Ended, _) => {
                let why = line.error.as_deref().unwrap_or("it is not taken");
                return Err(ControlError::NotStarted { message: format!("{}: {why}", line.file) });
            }
        };
        self.board.put(board::fresh(name, line.file.clone(), &spec));
        self.keeping.forget(name);
        self.begin(&mut table, daemon, (name.clone(), spec));
        Ok(())
    }

    /// An operator ends one that has no process just now, because it waits for its next start. Whether there was such a one.
    pub(crate) fn hold(&self, daemon: &Daemon, (name, caller): (&AgentName, &Caller)) -> bool {
        let table = self.lock();
        let (lines, _) = self.list_of(&table, caller);
        let waits = |line: &&Service| matches!(line.state, ServiceState::Waiting | ServiceState::Pausing);
        let line = lines.iter().filter(waits).find(|line| line.name == name.as_str());
        let (Some(line), Some(supervised)) = (line, table.all.get(name)) else { return false };
        supervised.task.abort();
        let spec = Arc::clone(&supervised.spec.borrow());
        let outcome = "stays ended: an operator ended it before its next start".to_owned();
        let known = Known { ended: Some(outcome.clone()), run: None, ..self.keeping.of(name, &spec) };
        self.keeping.keep(name, (&spec, &known));
        let what = What::Restart { outcome: outcome.clone() };
        let by = Some(caller.recorded());
        daemon.event(line.owner, Event { seq: 0, time_us: now(), agent: name.clone(), id: None, by, what });
        self.board.change(name.as_str(), |line| stands(line, ServiceState::Ended, Some(outcome), None));
        true
    }

    /// Those that a caller may see, and for root why the directory as a whole is not read.
    pub(crate) fn list(&self, caller: &Caller) -> (Vec<Service>, Option<String>) {
        self.list_of(&self.lock(), caller)
    }

    fn list_of(&self, table: &Table, caller: &Caller) -> (Vec<Service>, Option<String>) {
        let lines = self.board.lines().into_values();
        if caller.is_root() {
            return (lines.collect(), table.error.clone());
        }
        // What is wrong with a file is told with a piece of it, and files are root's.
        let own = lines
            .filter(|line| line.owner == caller.uid)
            .map(|line| Service { error: line.error.map(|_| "it is refused; root can see why".to_owned()), ..line });
        (own.collect(), None)
    }

    /// The directory.
    pub(crate) fn directory(&self) -> String {
        self.directory.display().to_string()
    }

    /// The daemon ends: nothing is started again.
    pub(crate) fn end(&self) {
        let mut table = self.lock();
        table.ending = true;
        table.all.values().for_each(|supervised| supervised.task.abort());
    }

    /// Begins to look after one.
    fn begin(&self, table: &mut Table, daemon: &Arc<Daemon>, (name, spec): (AgentName, Arc<Spec>)) {
        if table.ending {
            return;
        }
        let (spec, follow) = watch::channel(spec);
        let supervisor = Supervisor::new(Arc::clone(daemon), (name.clone(), self.keeping.clone()), follow);
        let task = tokio::spawn(supervisor.run()).abort_handle();
        if let Some(before) = table.all.insert(name, Supervised { spec, task }) {
            before.task.abort();
        }
    }
}
