//! The grammar of `agentctl execute`.

use crate::completing;
use crate::values::PolicyArgument;
use clap::Args;
use protocol::action::ApprovalId;
use protocol::ids::AgentName;
use std::path::PathBuf;

#[derive(Debug, Default, Args)]
pub(crate) struct Execute {
    /// For this agent, as if it had asked
    #[arg(long, value_name = "NAME", value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) agent: Option<AgentName>,
    /// What decides when no agent of that name lives: a profile's name, or (for root) a policy file
    #[arg(short, long, value_name = "NAME|FILE", add = completing::profiles())]
    pub(crate) policy: Option<PolicyArgument>,
    /// Built-in policies that narrow it: read_only, no_pii, strict
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    pub(crate) narrow: Vec<String>,
    /// The approval that it is to use, such as ap-7
    #[arg(long, value_name = "ID", value_parser = ApprovalId::parse, add = completing::approvals())]
    pub(crate) approval: Option<ApprovalId>,
    /// Parameters as a JSON object: the text, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) params: Option<String>,
    /// Instead: the whole request as JSON, with action, params and context; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agent", "narrow", "approval", "params", "action", "words"])]
    pub(crate) request: Option<PathBuf>,
    /// Write content as it is, also to a terminal, which obeys it
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The action, such as file_read
    #[arg(required_unless_present = "request")]
    pub(crate) action: Option<String>,
    /// A parameter: KEY=TEXT, or KEY:=JSON for numbers, lists and the like
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) words: Vec<String>,
}
