//! What names remember, for people: who may look at it, restore it and have it forgotten, and when.

use crate::agent::now;
use crate::caller::Caller;
use crate::daemon::{Daemon, internal};
use crate::memory::{Kept, MemoryError, Restore, View};
use crate::registry::SUGGESTED;
use protocol::control::RestoreMemory;
use protocol::error::ControlError;
use protocol::event::{Event, What};
use protocol::ids::AgentName;
use protocol::memory::Memory;
use std::os::fd::OwnedFd;

impl Daemon {
    /// What the caller may know of: all, or the named one.
    pub(crate) fn memories(&self, name: Option<&AgentName>, caller: &Caller) -> Result<Vec<Memory>, ControlError> {
        if let Some(name) = name {
            return self.kept(name, caller).map(|kept| vec![self.shown(name.clone(), &kept)]);
        }
        let mut memories = Vec::new();
        for name in self.memory.names().map_err(|error| internal(&error))? {
            if let Some(kept) = self.memory.find(&name).map_err(|error| internal(&error))?
                && may(caller, &kept)
            {
                memories.push(self.shown(name, &kept));
            }
        }
        Ok(memories)
    }

    /// Opens what a name remembers, for reading.
    pub(crate) async fn open_memory(
        &self,
        name: &AgentName,
        caller: &Caller,
    ) -> Result<(Memory, View, OwnedFd), ControlError> {
        let kept = self.kept(name, caller)?;
        let files = kept.files().map_err(|error| internal(&error))?;
        let (view, root) = self.memory.inspect(name, files, caller).await.map_err(|error| internal(&error))?;
        Ok((self.shown(name.clone(), &kept), view, root))
    }

    /// Begins to restore what a name shall remember; with it, what it remembers now.
    pub(crate) async fn restore_memory(
        &self,
        RestoreMemory { name, owner }: &RestoreMemory,
        caller: &Caller,
    ) -> Result<(Option<Memory>, Restore, OwnedFd), ControlError> {
        if owner.is_some_and(|owner| owner != caller.uid) && !caller.is_root() {
            return Err(caller
                .not_permitted(&format!("the memory {name} for another user"), "leave the owner out, or ask root"));
        }
        self.idle(name, "import")?;
        let held = self.memory.hold(name).await.map_err(|error| busy(name, &error))?;
        // Somebody may have started one while we waited; it waits for us now, and may go on.
        self.idle(name, "import")?;
        let kept = self.memory.find(name).map_err(|error| internal(&error))?;
        if kept.as_ref().is_some_and(|kept| !may(caller, kept)) {
            let why = "what it remembers belongs to another user; choose another name";
            return Err(caller.not_permitted(&format!("the name {name}"), why));
        }
        let owner = kept.as_ref().map_or(owner.unwrap_or(caller.uid), |kept| kept.owner);
        let begun = self.memory.restore((name, held), owner, caller).await;
        let (restore, root) = begun.map_err(|error| internal(&error))?;
        Ok((kept.map(|kept| self.shown(name.clone(), &kept)), restore, root))
    }

    /// Says that what was to be restored is complete.
    pub(crate) fn finish_restore(&self, name: &AgentName, number: u64, caller: &Caller) -> Result<(), ControlError> {
        if self.memory.complete(name, number, caller) {
            return Ok(());
        }
        Err(ControlError::BadParameter {
            method: "FinishRestore".to_owned(),
            parameter: "restore".to_owned(),
            expected: format!("expected what RestoreMemory answered for {name}, on a connection that is still open"),
        })
    }

    /// Puts what was restored in its place.
    pub(crate) async fn place_restored(
        &self,
        name: &AgentName,
        restore: Restore,
        caller: &Caller,
    ) -> Result<(), ControlError> {
        restore.finish().await.map_err(|error| internal(&error))?;
        let owner = self.kept(name, caller)?.owner;
        self.memory_event((name, owner), caller, What::MemoryRestored);
        Ok(())
    }

    fn memory_event(&self, (name, owner): (&AgentName, u32), caller: &Caller, what: What) {
        let by = Some(caller.recorded());
        self.event(owner, Event { seq: 0, time_us: now(), agent: name.clone(), id: None, by, what });
    }

    /// Has a name forget everything.
    pub(crate) async fn forget(&self, name: &AgentName, caller: &Caller) -> Result<(), ControlError> {
        self.kept(name, caller)?;
        self.idle(name, "memory rm")?;
        let held = self.memory.hold(name).await.map_err(|error| busy(name, &error))?;
        self.idle(name, "memory rm")?;
        // It may have become another user's while we waited.
        let owner = self.kept(name, caller)?.owner;
        self.memory.forget_held(name, held).map_err(|error| internal(&error))?;
        self.memory_event((name, owner), caller, What::MemoryRemoved);
        Ok(())
    }

    /// What a name remembers. To a caller whose it is not, there is nothing.
    fn kept(&self, name: &AgentName, caller: &Caller) -> Result<Kept, ControlError> {
        match self.memory.find(name).map_err(|error| internal(&error))? {
            Some(kept) if may(caller, &kept) => Ok(kept),
            _ => {
                let known = self.memories(None, caller)?.into_iter().take(SUGGESTED);
                let known = known.map(|memory| memory.name.to_string()).collect();
                Err(ControlError::NoSuchMemory { name: name.to_string(), known })
            }
        }
    }

    fn idle(&self, name: &AgentName, request: &str) -> Result<(), ControlError> {
        match self.registry.living(name) {
            None => Ok(()),
            Some(state) => Err(ControlError::WrongState {
                name: name.to_string(),
                request: request.to_owned(),
                state,
                why: format!("it uses what the name remembers; end it first: agentctl kill {name}"),
            }),
        }
    }

    fn shown(&self, name: AgentName, kept: &Kept) -> Memory {
        let running = self.registry.living(&name).is_some();
        Memory { name, owner: kept.owner, running, used_us: (!running).then_some(kept.used) }
    }
}

fn may(caller: &Caller, kept: &Kept) -> bool {
    caller.is_root() || caller.uid == kept.owner
}

fn busy(name: &AgentName, error: &MemoryError) -> ControlError {
    match error {
        MemoryError::NameBusy => {
            let why = "an agent of that name has just ended, or somebody restores it; try again".to_owned();
            ControlError::MemoryBusy { name: name.to_string(), why }
        }
        error => internal(error),
    }
}
