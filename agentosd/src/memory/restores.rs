//! Restores: an empty store that somebody fills, and that takes a name's place as a whole or goes away again.

use super::names::Hold;
use super::stores::Unfinished;
use super::views::View;
use super::{Memory, MemoryError};
use crate::caller::Caller;
use protocol::ids::AgentName;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// Those that are going on.
#[derive(Debug, Default)]
pub(super) struct Restores(Mutex<Going>);

#[derive(Debug, Default)]
struct Going {
    begun: u64,
    waiting: HashMap<(AgentName, u64), Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Who may say that it is complete, besides root.
    by: u32,
    complete: oneshot::Sender<()>,
}

impl Restores {
    fn lock(&self) -> std::sync::MutexGuard<'_, Going> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them. The name is held meanwhile: no agent has it.
#[derive(Debug)]
pub(crate) struct Restore {
    memory: Memory,
    name: AgentName,
    number: u64,
    complete: oneshot::Receiver<()>,
    store: Unfinished,
    view: View,
    _name: Hold,
}

/// A name that nobody else has.
#[derive(Debug)]
pub(crate) struct Held(Hold);

impl Memory {
    /// Waits until no agent has the files of a name, and keeps it so.
    pub(crate) async fn hold(&self, name: &AgentName) -> Result<Held, MemoryError> {
        self.0.names.hold(name).await.map(Held)
    }

    /// Begins to restore what shall belong to `owner`; with it comes the root of the tree to fill.
    pub(crate) async fn restore(
        &self,
        (name, held): (&AgentName, Held),
        owner: u32,
        caller: &Caller,
    ) -> Result<(Restore, OwnedFd), MemoryError> {
        let (store, files) = tokio::task::block_in_place(|| self.0.stores.begin(owner))?;
        let (view, root) = self.fill(files, caller).await?;
        let (sender, complete) = oneshot::channel();
        let mut going = self.0.restores.lock();
        going.begun += 1;
        let number = going.begun;
        going.waiting.insert((name.clone(), number), Waiting { by: caller.uid, complete: sender });
        drop(going);
        let restore =
            Restore { memory: self.clone(), name: name.clone(), number, complete, store, view, _name: held.0 };
        Ok((restore, root))
    }

    /// Says that a tree is complete; false when there is no such restore of this caller's.
    pub(crate) fn complete(&self, name: &AgentName, number: u64, caller: &Caller) -> bool {
        let mut going = self.0.restores.lock();
        let key = (name.clone(), number);
        let own = going.waiting.get(&key).is_some_and(|waiting| caller.is_root() || waiting.by == caller.uid);
        let waiting = if own { going.waiting.remove(&key) } else { None };
        waiting.is_some_and(|waiting| waiting.complete.send(()).is_ok())
    }
}

impl Restore {
    /// For [`Memory::complete`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Waits until the tree is complete.
    pub(crate) async fn completed(&mut self) {
        if (&mut self.complete).await.is_err() {
            // It is only taken out of the list to be told.
            std::future::pending::<()>().await;
        }
    }

    /// Puts the tree in its place. Whoever still has a descriptor of it writes to it no more.
    pub(crate) async fn finish(self) -> Result<(), MemoryError> {
        let Self { memory, name, view, store, .. } = self;
        view.end().await;
        tokio::task::block_in_place(|| memory.0.stores.replace(&name, store))
    }

    /// Leaves everything as it was.
    pub(crate) async fn abandon(self) {
        let Self { memory, name, number, view, store, .. } = self;
        memory.0.restores.lock().waiting.remove(&(name, number));
        view.end().await;
        tokio::task::block_in_place(|| memory.0.stores.discard(store));
    }
}
