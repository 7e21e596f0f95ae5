//! The grammar of `agentctl approvals`.

use crate::completing;
use clap::{Args, Subcommand};
use protocol::action::ApprovalId;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Approvals {
    #[command(flatten)]
    pub(crate) list: List,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Decided and expired ones too, as long as they are kept
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them again whenever they change
    Watch(List),
    /// Show everything of one: what would be done, and for whom
    Show(Show),
    /// Let an action be done, once
    Approve(Approve),
    /// Refuse an action
    Deny(Deny),
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The approval, such as ap-7
    #[arg(value_parser = ApprovalId::parse, add = completing::approvals())]
    pub(crate) id: ApprovalId,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The approval, such as ap-7
    #[arg(value_parser = ApprovalId::parse, add = completing::approvals())]
    pub(crate) id: ApprovalId,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Only if it is this: the digest that `show --json` gave [default: that of what is shown now]
    #[arg(long, value_name = "SHA256")]
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// The approval, such as ap-7
    #[arg(value_parser = ApprovalId::parse, add = completing::approvals())]
    pub(crate) id: ApprovalId,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}
