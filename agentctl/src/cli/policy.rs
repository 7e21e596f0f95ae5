//! The grammar of `agentctl policy`.

use super::POLICIES;
use crate::completing;
use crate::values::PolicyArgument;
use clap::{Args, Subcommand};
use policies::Written;
use protocol::ids::AgentName;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Read a policy file as agentosd would, and say what is wrong with it
    Check {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        directories: Directories,
    },
    /// Print a policy with everything that it extends merged in
    Show {
        /// A profile's name, or a file: a value with a '/' or ending in .yaml or .yml
        #[arg(add = completing::profiles())]
        policy: PolicyArgument,
        #[command(flatten)]
        directories: Directories,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how a policy answers a request, and which rule decides
    Explain(Explain),
    /// Try the table of cases that is kept beside a policy; exit 1 when one is not answered as expected
    Test {
        /// A profile's name, or a file: a value with a '/' or ending in .yaml or .yml
        policy: PolicyArgument,
        /// The table [default: NAME.cases.yaml beside NAME.yaml]
        #[arg(long, value_name = "FILE")]
        cases: Option<PathBuf>,
        #[command(flatten)]
        directories: Directories,
    },
    /// Say in words what a change of a policy grants and takes
    Diff {
        /// The policy as it was: a profile's name, or a file
        old: PolicyArgument,
        /// The policy as it is to be
        new: PolicyArgument,
        #[command(flatten)]
        directories: Directories,
    },
    /// Print the lines that would have allowed what an agent was refused
    Suggest {
        /// The policy to add to [default: the one that the agent was started with]
        #[arg(short, long, value_name = "NAME|FILE")]
        policy: Option<PolicyArgument>,
        /// The agent
        #[arg(value_parser = AgentName::parse)]
        name: AgentName,
        #[command(flatten)]
        directories: Directories,
    },
    /// Print the JSON Schema of what people write, for editors
    Schema {
        /// Of what
        #[arg(value_parser = written, default_value = "policy", value_name = "policy|agent-file|cases")]
        of: Written,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Directories {
    /// Where profiles are looked for before the shipped ones; may be given again
    #[arg(long = "policy-dir", value_name = "DIR", default_value = POLICIES)]
    pub(crate) directories: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A profile's name, or a file: a value with a '/' or ending in .yaml or .yml
    pub(crate) policy: PolicyArgument,
    /// The value of ${workspace}
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// The value of ${name}
    #[arg(long, default_value = "agent", value_parser = AgentName::parse)]
    pub(crate) name: AgentName,
    /// An agent's own .agents/security.md that narrows the policy
    #[arg(long, value_name = "FILE")]
    pub(crate) own: Option<PathBuf>,
    /// The action, such as file_read, http_request or network_connect
    pub(crate) action: String,
    /// What the request says: path=, program=, arg=, host=, port=, method=, database=, statement=, size=; narrow= for a
    /// built-in narrowing
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) directories: Directories,
}

fn written(text: &str) -> Result<Written, String> {
    let known = Written::ALL.iter().find(|(word, _)| *word == text);
    known.map(|(_, written)| *written).ok_or_else(|| "write policy, agent-file or cases".to_owned())
}
