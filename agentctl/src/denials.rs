//! `denials`: what the kernel refused an agent, in words, and whether the list is whole.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show;
use protocol::control::{Denials, DenialsReply};
use serde::Serialize;
use std::path::Path;

/// The last line of `denials --follow --json`.
#[derive(Serialize)]
struct Whole {
    completeness: protocol::denial::Completeness,
}

/// `agentctl denials`.
pub(crate) fn denials(socket: &Path, options: cli::Denials) -> Result<u8, Failure> {
    let client = Client::connect(socket)?;
    let mut all = DenialsReply { denials: Vec::new(), completeness: None };
    client.stream(&Denials { name: options.name, follow: options.follow }, |page| {
        all.completeness = page.completeness.or(all.completeness.take());
        match (options.json, options.follow) {
            (true, false) => {
                all.denials.extend(page.denials);
                Ok(())
            }
            (true, true) => page.denials.iter().try_for_each(show::json_line),
            (false, _) => page.denials.iter().try_for_each(|denial| show::line(&show::denial::line(denial))),
        }
    })?;
    match (options.json, options.follow, all.completeness.clone()) {
        (true, false, _) => show::document(&all)?,
        (true, true, Some(completeness)) => show::json_line(&Whole { completeness })?,
        (false, _, Some(completeness)) => show::line(&show::denial::completeness(&completeness))?,
        (_, _, None) => {}
    }
    Ok(0)
}
