//! What is known, read.

use super::Control;
use crate::caller::Caller;
use crate::transport::{Ended, Outgoing};
use protocol::agent::{Agent, State};
use protocol::control::{DoctorReply, Inspect, InspectReply, List, ListReply};
use protocol::error::ControlError;
use protocol::wire::PAGE;
use serde::Serialize;

use crate::agent::Request;

impl Control {
    pub(super) async fn list(&self, list: List, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let mut page = Page::default();
        for handle in self.0.registry.all() {
            let wanted = |agent: &Agent| caller.owns(agent) && (list.all || agent.state != State::Exited);
            let Some(agent) = handle.look(|agent| wanted(agent).then(|| agent.clone())) else { continue };
            if let Some(agents) = page.add(agent) {
                // Without `more` only the first page is asked for.
                if !out.more() {
                    return out.last(&ListReply { agents }).await;
                }
                out.page(&ListReply { agents }).await?;
            }
        }
        out.last(&ListReply { agents: page.take() }).await
    }

    pub(super) async fn inspect(&self, inspect: Inspect, caller: &Caller) -> Result<InspectReply, ControlError> {
        let handle = self.0.registry.find(&inspect.name, caller)?;
        let details = handle.ask(|answer| Request::Inspect { answer }).await?;
        Ok(InspectReply { details })
    }

    pub(super) fn doctor(&self) -> DoctorReply {
        DoctorReply { checks: self.0.checks.clone() }
    }
}

/// The items of one reply.
#[derive(Debug)]
pub(super) struct Page<T> {
    items: Vec<T>,
    used: usize,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), used: 0 }
    }
}

impl<T: Serialize> Page<T> {
    /// Adds an item. When it would not fit, gives what came before, which is a whole page then; a single item that is
    /// larger than a page goes alone.
    pub(super) fn add(&mut self, item: T) -> Option<Vec<T>> {
        let size = serde_json::to_vec(&item).map_or(0, |bytes| bytes.len());
        // Some room is left for the reply around the list.
        let full = (self.used + size > PAGE - 1024 && !self.items.is_empty()).then(|| self.take());
        self.used += size + 1;
        self.items.push(item);
        full
    }

    /// What is left at the end.
    pub(super) fn take(&mut self) -> Vec<T> {
        self.used = 0;
        std::mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(items: Vec<String>) -> Vec<Vec<String>> {
        let mut page = Page::default();
        let mut pages: Vec<_> = items.into_iter().filter_map(|item| page.add(item)).collect();
        pages.push(page.take());
        pages
    }

    #[test]
    fn pages_keep_everything_in_order_and_stay_small() {
        let items: Vec<String> = (0..1000).map(|n| "x".repeat(n * 37 % 500)).collect();
        let cut = pages(items.clone());
        assert!(cut.len() > 1 && cut.iter().all(|page| page.iter().map(String::len).sum::<usize>() < PAGE));
        assert_eq!(cut.concat(), items);
        let large = "x".repeat(PAGE * 2);
        let cut = pages(vec![large.clone(), "y".to_owned()]);
        assert_eq!(cut, [vec![large], vec!["y".to_owned()]], "an item that is too large goes alone");
        assert_eq!(pages(Vec::new()), [Vec::<String>::new()]);
    }
}
