//! The grammar of `agentctl memory`.

use crate::account::Account;
use crate::completing;
use clap::{Args, Subcommand};
use protocol::ids::AgentName;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    /// List what is remembered: all names, or a name's files
    Ls(Ls),
    /// Write a file's content to standard output
    Cat(Cat),
    /// Write what a name remembers as a tar archive
    Export(Export),
    /// Have a name remember what an archive holds
    Import(Import),
    /// Have a name forget everything
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The agent's name
    #[arg(value_parser = AgentName::parse, add = completing::memories())]
    pub(crate) name: Option<AgentName>,
    /// A path as the agent has it, for example /mem/semantic [default: its parts, and how much each holds]
    pub(crate) path: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// Write its bytes as they are, also to a terminal, which obeys them
    #[arg(long)]
    pub(crate) raw: bool,
    /// The agent's name
    #[arg(value_parser = AgentName::parse, add = completing::memories())]
    pub(crate) name: AgentName,
    /// A path as the agent has it, for example /mem/semantic/notes
    pub(crate) path: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// While an agent lives: what it has in /mem/working too, which import leaves out
    #[arg(long)]
    pub(crate) working: bool,
    /// The agent's name
    #[arg(value_parser = AgentName::parse, add = completing::memories())]
    pub(crate) name: AgentName,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Where from; - for standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,
    /// Keep what it remembers already, except where the archive has a file of the same name
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
    /// Forget what it remembers already
    #[arg(long)]
    pub(crate) replace: bool,
    /// For root, when the name remembers nothing yet: the user whose it shall be, by name or uid
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<Account>,
    /// Print what was restored as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The agent's name
    #[arg(value_parser = AgentName::parse, add = completing::memories())]
    pub(crate) name: AgentName,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The agents' names
    #[arg(required = true, value_parser = AgentName::parse, add = completing::memories())]
    pub(crate) names: Vec<AgentName>,
}
