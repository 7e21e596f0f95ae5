//! What is known, read.

use super::Control;
use crate::caller::Caller;
use crate::transport::{Ended, Outgoing};
use protocol::agent::{Agent, State};
use protocol::control::{DoctorReply, Inspect, InspectReply, List, ListReply};
use protocol::error::ControlError;
use protocol::wire::PAGE;

use crate::agent::Request;

impl Control {
    pub(super) async fn list(&self, list: List, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let all = self.0.registry.all().into_iter().map(|handle| handle.now());
        let seen = all.filter(|agent| caller.owns(agent) && (list.all || agent.state != State::Exited));
        let mut pages = pages(seen.collect(), |agent: &Agent| serde_json::to_vec(agent).map_or(0, |bytes| bytes.len()));
        let last = pages.pop().unwrap_or_default();
        if !out.more() {
            // Without `more` only the first page is asked for.
            let agents = if pages.is_empty() { last } else { pages.swap_remove(0) };
            return out.last(&ListReply { agents }).await;
        }
        for agents in pages {
            out.next(&ListReply { agents }).await?;
        }
        out.last(&ListReply { agents: last }).await
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

/// Cuts a list so that each part stays under a page, except for single items that are larger.
pub(super) fn pages<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pages = Vec::new();
    let (mut page, mut used) = (Vec::new(), 0);
    for item in items {
        let size = size(&item);
        // Some room is left for the reply around the list.
        if used + size > PAGE - 1024 && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            used = 0;
        }
        used += size + 1;
        page.push(item);
    }
    if !page.is_empty() {
        pages.push(page);
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_everything_in_order_and_stay_small() {
        let items: Vec<usize> = (0..1000).map(|n| n * 37 % 500).collect();
        let cut = pages(items.clone(), |n| *n);
        assert!(cut.len() > 1 && cut.iter().all(|page| page.iter().sum::<usize>() < PAGE));
        assert_eq!(cut.concat(), items);
        assert_eq!(pages(vec![PAGE * 2, 1], |n| *n), [vec![PAGE * 2], vec![1]], "an item that is too large goes alone");
        assert!(pages(Vec::<usize>::new(), |n| *n).is_empty());
    }
}
