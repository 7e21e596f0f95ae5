//! Which names there are, and how their agents are reached. Holds no state of any agent.

use crate::agent::Handle;
use crate::caller::Caller;
use protocol::agent::State;
use protocol::error::ControlError;
use protocol::ids::{AgentId, AgentName};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names in an error that says which exist.
pub(crate) const SUGGESTED: usize = 20;

/// The names.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<BTreeMap<AgentName, Handle>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentName, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an agent, unless its name is taken.
    pub(crate) fn add(&self, handle: Handle) -> Result<(), ControlError> {
        let mut names = self.lock();
        if let Some(other) = names.get(handle.name()) {
            return Err(ControlError::NameInUse { name: handle.name().to_string(), state: other.now().state });
        }
        names.insert(handle.name().clone(), handle);
        Ok(())
    }

    /// Frees a name, if it still is that run's.
    pub(crate) fn remove(&self, name: &AgentName, id: AgentId) {
        let mut names = self.lock();
        if names.get(name).is_some_and(|handle| handle.id() == id) {
            names.remove(name);
        }
    }

    /// Whether the name is free.
    pub(crate) fn is_free(&self, name: &AgentName) -> bool {
        !self.lock().contains_key(name)
    }

    /// The agent of that name. To a caller who does not own it, it does not exist.
    pub(crate) fn find(&self, name: &AgentName, caller: &Caller) -> Result<Handle, ControlError> {
        let names = self.lock();
        match names.get(name) {
            Some(handle) if handle.look(|agent| caller.owns(agent)) => Ok(handle.clone()),
            _ => {
                let own = names.values().filter(|handle| handle.look(|agent| caller.owns(agent)));
                let known = own.take(SUGGESTED).map(|handle| handle.name().to_string()).collect();
                Err(ControlError::NoSuchAgent { name: name.to_string(), known })
            }
        }
    }

    /// The state of the agent of that name, whoever owns it, unless it has ended.
    pub(crate) fn living(&self, name: &AgentName) -> Option<State> {
        let state = self.lock().get(name)?.look(|agent| agent.state);
        Some(state).filter(|state| *state != State::Exited)
    }

    /// That run, if it is still listed.
    pub(crate) fn run(&self, name: &AgentName, id: AgentId) -> Option<Handle> {
        self.lock().get(name).filter(|handle| handle.id() == id).cloned()
    }

    /// Everyone, by name.
    pub(crate) fn all(&self) -> Vec<Handle> {
        self.lock().values().cloned().collect()
    }
}
