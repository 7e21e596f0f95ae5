//! `agentctl execute`: an action as an agent could ask for it, asked for by an operator.

mod answer;
mod request;

use crate::cli::execute as cli;
use crate::client::Client;
use crate::failure::Failure;
use std::path::Path;

/// `agentctl execute`.
pub(crate) fn execute(socket: &Path, options: cli::Execute) -> Result<u8, Failure> {
    let (json, raw) = (options.json, options.raw);
    let request = request::read(options)?;
    let reply = Client::connect(socket)?.call(&request)?;
    answer::show(&reply, json, raw)
}
