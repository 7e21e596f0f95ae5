//! `events`: what happened to agents, in order.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show;
use protocol::control::Events;
use std::path::Path;

/// `agentctl events`.
pub(crate) fn events(socket: &Path, options: cli::Events) -> Result<u8, Failure> {
    let client = Client::connect(socket)?;
    let mut all = Vec::new();
    client.stream(&Events { follow: options.follow, name: options.name }, |page| {
        if options.json && !options.follow {
            all.extend(page.events);
            return Ok(());
        }
        for event in &page.events {
            if options.json {
                show::json_line(event)?;
            } else {
                show::line(&show::event::line(event))?;
            }
        }
        Ok(())
    })?;
    if options.json && !options.follow {
        show::document(&all)?;
    }
    Ok(0)
}
