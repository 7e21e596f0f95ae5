//! Shell completion and man pages, from the grammar.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::show;
use clap::CommandFactory as _;
use std::path::Path;

/// `agentctl completion`.
pub(crate) fn completion(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "agentctl", &mut script);
    show::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// `agentctl man`: agentctl.1 and a page for each command.
pub(crate) fn man(directory: &Path) -> Result<u8, Failure> {
    clap_mangen::generate_to(Cli::command(), directory).map_err(Failure::os("write the man pages"))?;
    Ok(0)
}
