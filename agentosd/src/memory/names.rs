//! One agent of a name has its files at a time: a run that comes right after another waits until those are put away.

use super::MemoryError;
use super::living::Living;
use super::server::PATIENCE;
use protocol::ids::AgentName;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Held by whoever has the files of a name.
pub(super) type Hold = OwnedMutexGuard<()>;

/// The names that are held.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Living<Turn<()>>>);

impl Names {
    /// Waits for the name.
    pub(super) async fn hold(&self, name: &AgentName) -> Result<Hold, MemoryError> {
        let turn = self.turn(name);
        tokio::time::timeout(PATIENCE, turn.lock_owned()).await.map_err(|_| MemoryError::NameBusy)
    }

    fn turn(&self, name: &AgentName) -> Arc<Turn<()>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(name).unwrap_or_else(|| {
            let turn = Arc::default();
            names.add(name, &turn);
            turn
        })
    }
}
