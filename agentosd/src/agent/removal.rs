//! The end of an agent's records: when somebody asks, at once when its start said so (`--rm`), or when more ended agents
//! are kept than the operator wants.

use super::ending::Cause;
use super::task::{Task, report_blocking};
use crate::caller::Caller;
use crate::journal;
use crate::lifecycle::{self, Verdict, decide};
use crate::retention::Ended;
use protocol::denial::Completeness;
use protocol::error::ControlError;
use protocol::event::What;

impl Task {
    /// Nothing of the agent is left but its records: they are kept, or removed as promised.
    pub(super) async fn wound_up(&mut self, completeness: Completeness) {
        self.record.denial_log = completeness;
        self.late_violations();
        if self.record.remove {
            self.remove_records().await;
            self.event(None, What::Removed { why: String::new() });
            self.removed = true;
        } else {
            self.save().await;
        }
        let details = self.details().await;
        for answer in self.settling.drain(..) {
            answer.send(Ok(details.clone())).unwrap_or(());
        }
        if !self.removed {
            self.keep().await;
        }
    }

    /// Has the records counted among those of ended agents. Only now: they do not grow any more.
    async fn keep(&self) {
        let (store, id) = (self.daemon.store.clone(), self.record.agent.id);
        match tokio::task::spawn_blocking(move || store.size(id)).await {
            Ok(Ok(bytes)) => self.daemon.keep(Ended::of(&self.record.agent, bytes)),
            Ok(Err(error)) => journal::error(format_args!("a record is not counted: {}", journal::sentence(&error))),
            Err(error) => journal::error(format_args!("a record is not counted: {error}")),
        }
    }

    /// Removes what is left of the agent, which is killed first if it lives and `force` is given.
    pub(super) async fn remove(&mut self, force: bool, caller: &Caller) -> Result<(), ControlError> {
        let request = if force { lifecycle::Request::RemoveByForce } else { lifecycle::Request::Remove };
        if let Verdict::Refused(why) = decide(self.state(), request) {
            return Err(request.refused(&self.record.agent.name, self.state(), why));
        }
        if self.live().is_some() {
            self.kill_and_wait(Cause::Killed).await?;
        }
        if let Some(winding_up) = self.winding_up.take() {
            self.record.denial_log = winding_up.await.unwrap_or(Completeness::Incomplete { listed: 0, counted: None });
            self.late_violations();
        }
        self.discard(Some(caller), String::new()).await;
        Ok(())
    }

    /// Removes the records because too much is kept of ended agents. One that lives is not counted there, so that the
    /// refusal is for a mistake of ours.
    pub(super) async fn retire(&mut self, why: String) -> Result<(), ControlError> {
        let request = lifecycle::Request::Remove;
        if let Verdict::Refused(why) = decide(self.state(), request) {
            return Err(request.refused(&self.record.agent.name, self.state(), why));
        }
        self.discard(None, why).await;
        Ok(())
    }

    async fn discard(&mut self, by: Option<&Caller>, why: String) {
        let agent = &self.record.agent;
        self.daemon.registry.remove(&agent.name, agent.id);
        if let Some(ended_us) = agent.ended_us {
            self.daemon.retention.forget(agent.owner, ended_us, agent.id);
        }
        self.remove_records().await;
        self.event(by, What::Removed { why });
        self.removed = true;
    }

    /// Removes the records from the disk, and what is remembered under a name that nobody has chosen.
    pub(super) async fn remove_records(&self) {
        if self.record.nameless {
            let (memory, name) = (self.daemon.memory.clone(), self.record.agent.name.clone());
            let alive = self.daemon.alive();
            // Not waited for: the files may have to be put away first.
            tokio::spawn(async move {
                if let Err(error) = memory.forget(&name).await {
                    journal::error(format_args!("{}", journal::sentence(&error)));
                }
                drop(alive);
            });
        }
        let (store, id) = (self.daemon.store.clone(), self.record.agent.id);
        report_blocking("remove a record", tokio::task::spawn_blocking(move || store.remove(id)).await);
    }
}
