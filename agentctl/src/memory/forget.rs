//! `memory rm`.

use super::opened::memories;
use crate::cli::memory as cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal;
use protocol::control::RemoveMemory;
use protocol::ids::AgentName;
use std::io::{self, Write as _};
use std::path::Path;

/// `agentctl memory rm`.
pub(crate) fn rm(socket: &Path, options: &cli::Rm) -> Result<u8, Failure> {
    let mut client = Client::connect(socket)?;
    crate::agents::for_each(&options.names, |name| {
        // Nobody is asked about what is not there.
        memories(&mut client, Some(name.clone()))?;
        if !options.yes && !confirmed(name)? {
            return Ok(0);
        }
        client.call(&RemoveMemory { name: name.clone() })?;
        Ok(0)
    })
}

fn confirmed(name: &AgentName) -> Result<bool, Failure> {
    if !terminal::input_is_terminal() {
        return Err(Failure::Usage(format!(
            "nobody is there to be asked; to have {name} forget everything, add --yes"
        )));
    }
    let ask = || -> io::Result<bool> {
        write!(io::stderr(), "Have {name} forget everything that it remembers? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    ask().map_err(Failure::os("ask at the terminal"))
}
