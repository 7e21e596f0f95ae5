//! The grammar of `agentctl services`.

use crate::completing;
use clap::{Args, Subcommand};
use protocol::ids::AgentName;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Services {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the agents' files again and start what is new
    Reload,
    /// Start agents that stay ended
    Start(Start),
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The agents
    #[arg(required = true, value_parser = AgentName::parse, add = completing::services())]
    pub(crate) names: Vec<AgentName>,
}
