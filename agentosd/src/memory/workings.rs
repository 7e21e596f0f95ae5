//! What agents that live have in `/mem/working`, for whoever looks.

use super::living::Living;
use protocol::ids::AgentName;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// By name, as long as an agent's seat holds it.
#[derive(Debug, Default)]
pub(super) struct Workings(Mutex<Living<OwnedFd>>);

impl Workings {
    /// An agent has it from now on.
    pub(super) fn add(&self, name: &AgentName, working: OwnedFd) -> Arc<OwnedFd> {
        let working = Arc::new(working);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(name, &working);
        working
    }

    /// The living agent's.
    pub(super) fn of(&self, name: &AgentName) -> Option<Arc<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name)
    }
}
