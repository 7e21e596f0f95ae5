//! What an agent's task has to do with the gate, and with what the agent has asked for.

use super::task::Task;
use crate::caller::Caller;
use crate::gate;
use protocol::audit::{Answer as Decision, Kind, Record};
use protocol::error::ControlError;
use sandbox::cgroup::{Cgroup, CgroupError};

/// Kills what an agent had asked for. A group that is gone, or is just being removed, has ended by itself meanwhile: its
/// version 2 directory, which holds every process of it, is removed first.
pub(super) fn end_actions(groups: &[Cgroup]) -> Result<(), CgroupError> {
    groups.iter().try_for_each(|group| match group.kill() {
        Err(_) if !group.unified().exists() => Ok(()),
        killed => killed,
    })
}

impl Task {
    /// Records what a caller is about to have done with this agent; what cannot be recorded is not done.
    pub(super) async fn sealed(&self, kind: Kind, attempted: &str, caller: &Caller) -> Result<(), ControlError> {
        let mut record = Record::new(kind, attempted);
        record.agent = Some(gate::subject(&self.record.agent));
        record.by = Some(caller.recorded());
        record.decision = Some(Decision::Allow);
        record.policy_digest = Some(self.record.agent.policy_digest.clone());
        self.daemon.gate.seal(&record).await.map(drop).map_err(|error| error.refused())
    }

    /// Lets none of its actions begin or go on; the groups of those under way are to be killed.
    pub(super) fn halt_actions(&self) -> Vec<Cgroup> {
        self.governed.as_ref().map(|governed| governed.running.halt()).unwrap_or_default()
    }

    /// Lets its actions begin again.
    pub(super) fn resume_actions(&self) {
        if let Some(governed) = &self.governed {
            governed.running.resume();
            governed.renew();
        }
    }
}
