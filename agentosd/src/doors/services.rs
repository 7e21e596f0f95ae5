//! Agents that have files of their own.

use super::Control;
use super::listing::Page;
use crate::caller::Caller;
use crate::transport::{Ended, Outgoing, aside};
use protocol::control::{Services, ServicesReply};
use protocol::error::ControlError;

impl Control {
    pub(super) async fn services(
        &self,
        Services {}: Services,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let (all, error) = self.0.services.list(caller);
        let reply = |services| ServicesReply { directory: self.0.services.directory(), error: error.clone(), services };
        let mut page = Page::default();
        for service in all {
            let Some(services) = page.add(service) else { continue };
            // Without `more` only the first page is asked for.
            if !out.more() {
                return out.last(&reply(services)).await;
            }
            out.page(&reply(services)).await?;
        }
        out.last(&reply(page.take())).await
    }

    pub(super) fn reload_services(&self, caller: &Caller) -> Result<(), ControlError> {
        if !caller.is_root() {
            return Err(caller.not_permitted("reading agents' files again", "they say what root starts; ask root"));
        }
        let read = aside(|| self.0.services.reload(&self.0));
        read.map_err(|message| ControlError::Internal { message })
    }
}
