//! What names remember. A tree is served as long as the connection over which it was asked for.

use super::Control;
use super::listing::Page;
use crate::caller::Caller;
use crate::transport::{Ended, Outgoing};
use protocol::control::{
    ListMemories, ListMemoriesReply, OpenMemory, OpenMemoryReply, RestoreMemory, RestoreMemoryReply,
};
use protocol::error::ControlError;
use std::future::pending;
use std::os::fd::AsFd as _;

impl Control {
    pub(super) async fn list_memories(
        &self,
        list: ListMemories,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let mut page = Page::default();
        for memory in self.0.memories(list.name.as_ref(), caller)? {
            if let Some(memories) = page.add(memory) {
                // Without `more` only the first page is asked for.
                if !out.more() {
                    return out.last(&ListMemoriesReply { memories }).await;
                }
                out.page(&ListMemoriesReply { memories }).await?;
            }
        }
        out.last(&ListMemoriesReply { memories: page.take() }).await
    }

    pub(super) async fn open_memory(
        &self,
        OpenMemory { name }: OpenMemory,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        out.require_more()?;
        let (memory, view, root) = self.0.open_memory(&name, caller).await?;
        let told = out.next_with(&OpenMemoryReply { memory }, root.as_fd()).await;
        // The caller has one of its own.
        drop(root);
        let ended = match told {
            Ok(()) => out.unless_closed(pending::<ControlError>()).await.map_or_else(Ended::from, Ended::from),
            Err(error) => error,
        };
        view.end().await;
        Err(ended)
    }

    pub(super) async fn restore_memory(
        &self,
        request: RestoreMemory,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        out.require_more()?;
        let name = &request.name;
        let (memory, mut restore, root) = self.0.restore_memory(&request, caller).await?;
        let told = out.next_with(&RestoreMemoryReply { memory, restore: Some(restore.number()) }, root.as_fd()).await;
        drop(root);
        let completed = match told {
            Ok(()) => out.unless_closed(restore.completed()).await.map_err(Ended::from),
            Err(error) => Err(error),
        };
        if let Err(ended) = completed {
            restore.abandon().await;
            return Err(ended);
        }
        self.0.place_restored(name, restore, caller).await?;
        let memory = self.0.memories(Some(name), caller)?.into_iter().next();
        out.last(&RestoreMemoryReply { memory, restore: None }).await
    }
}
