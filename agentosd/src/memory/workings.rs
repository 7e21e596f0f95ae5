//! What agents that live have in `/mem/working`, for whoever looks.

use protocol::ids::AgentName;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// By name, as long as an agent's seat holds it.
#[derive(Debug, Default)]
pub(super) struct Workings(Mutex<HashMap<AgentName, Weak<OwnedFd>>>);

impl Workings {
    /// An agent has it from now on.
    pub(super) fn add(&self, name: &AgentName, working: OwnedFd) -> Arc<OwnedFd> {
        let working = Arc::new(working);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, working| working.strong_count() > 0);
        known.insert(name.clone(), Arc::downgrade(&working));
        working
    }

    /// The living agent's.
    pub(super) fn of(&self, name: &AgentName) -> Option<Arc<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).and_then(Weak::upgrade)
    }
}
