//! The command line's grammar; help texts and man pages come from here.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod execute;
pub(crate) mod memory;
pub(crate) mod policy;
pub(crate) mod services;

use crate::completing;
use crate::foreground::detach::DetachKeys;
use crate::values::{EnvArgument, PolicyArgument, WorkspaceArgument, parse_duration};
use clap::{Args, Parser, Subcommand, ValueHint};
use protocol::ids::AgentName;
use protocol::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 no such agent, 4 wrong state, 5 bad policy, 6 name in use, \
7 not permitted, 8 a required layer is missing, 9 denied, 10 waits for approval, 69 agentosd cannot be reached, 124 timed out, 125 not started, \
126 not executable, 127 not found, 128+N ended by signal N. `run`, `exec`, `attach` and `wait` otherwise exit as the agent did.";

/// The socket of agentosd when nothing else is said, and where it is said.
pub(crate) const SOCKET: &str = "/run/agentos/io.agentos.sock";
pub(crate) const SOCKET_VARIABLE: &str = "AGENTOS_SOCKET";
/// Where agentosd looks for profiles when its configuration does not say.
pub(crate) const POLICIES: &str = "/etc/agentos/policies";

/// Run, watch, stop and kill confined agents.
#[derive(Debug, Parser)]
#[command(name = "agentctl", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// The socket of agentosd
    #[arg(
        long,
        global = true,
        env = SOCKET_VARIABLE,
        hide_env_values = true,
        value_name = "PATH",
        default_value = SOCKET,
        value_hint = ValueHint::FilePath
    )]
    pub(crate) socket: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command as a confined agent
    Run(Run),
    /// List agents
    Ps(Ps),
    /// Show all that is known of an agent
    Inspect(Inspect),
    /// Show what an agent has written
    Logs(Logs),
    /// Connect to a running agent's input and output
    Attach(Attach),
    /// Wait until agents have ended, and exit as they did
    Wait(Wait),
    /// Send agents a signal
    Kill(Kill),
    /// Stop agents: every process of them stands still until `cont`
    Stop(Names),
    /// Let stopped agents go on
    Cont(Names),
    /// Remove the records of agents that have ended
    Rm(Rm),
    /// Run a further command inside an agent's confinement
    Exec(Exec),
    /// Show what happened to agents
    Events(Events),
    /// Show what the kernel refused an agent
    Denials(Denials),
    /// Show, decide and watch actions that wait for a person
    Approvals(approvals::Approvals),
    /// Do an action as an agent could ask for it
    Execute(execute::Execute),
    /// Read, verify, prove and export the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Show, save, restore and remove what agents remember
    #[command(subcommand)]
    Memory(memory::Memory),
    /// Show and start agents that have files of their own
    Services(services::Services),
    /// Show what this host offers, layer by layer
    Doctor(Json),
    /// Check, show, try and compare policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Show the versions of agentctl and agentosd
    Version(Json),
    /// Write a shell's completion script to standard output
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory; it must exist
        directory: PathBuf,
    },
}

/// How a process is connected to the caller.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// Keep its standard input open when nobody is attached (--detach); what is attached passes its own end on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// With --tty: the keys that leave it running; "none" for no such keys
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub(crate) detach_keys: DetachKeys,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The agent's name [default: chosen by agentosd]
    #[arg(short, long, value_parser = AgentName::parse)]
    pub(crate) name: Option<AgentName>,
    /// A profile's name, or (for root) a policy file: a value with a '/' or ending in .yaml or .yml
    #[arg(short, long, value_name = "NAME|FILE", add = completing::profiles())]
    pub(crate) policy: Option<PolicyArgument>,
    /// The directory that it works in; with :ro it may only read it
    #[arg(short, long, value_name = "DIR[:ro]", value_hint = ValueHint::DirPath)]
    pub(crate) workspace: Option<WorkspaceArgument>,
    /// Set a variable, or pass the caller's value, whatever the policy says
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<EnvArgument>,
    /// Print its name and return as soon as it runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Remove its records when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Kill it after this time (500ms, 90s, 1h30m); exit code 124
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Set a variable, or pass the caller's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<EnvArgument>,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The agent
    #[arg(value_parser = AgentName::parse, add = completing::living_agents())]
    pub(crate) name: AgentName,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Do not forward signals: Ctrl-C ends this command and leaves the agent alone
    #[arg(long)]
    pub(crate) no_signals: bool,
    /// When the agent has a terminal: the keys that leave it; "none" for no such keys
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub(crate) detach_keys: DetachKeys,
    /// The agent
    #[arg(value_parser = AgentName::parse, add = completing::living_agents())]
    pub(crate) name: AgentName,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Ended ones too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show them again every second
    #[arg(short, long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The agent
    #[arg(value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) name: AgentName,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on until it has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Put the time before each line
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Only what it wrote to standard output
    #[arg(long, conflicts_with = "stderr_only")]
    pub(crate) stdout_only: bool,
    /// Only what it wrote to standard error
    #[arg(long)]
    pub(crate) stderr_only: bool,
    /// Write its bytes as they are, also to a terminal, which obeys them
    #[arg(long)]
    pub(crate) raw: bool,
    /// The agent
    #[arg(value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) name: AgentName,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Give up after this time; exit code 124
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Print JSON, a line an agent
    #[arg(long)]
    pub(crate) json: bool,
    /// The agents
    #[arg(required = true, value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) names: Vec<AgentName>,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// The signal, by name or number; KILL and STOP reach every process of the agent
    #[arg(short, long, default_value = "TERM", value_parser = Signal::parse)]
    pub(crate) signal: Signal,
    /// The same as --signal KILL
    #[arg(short = '9', conflicts_with_all = ["signal", "grace"])]
    pub(crate) nine: bool,
    /// With TERM: send KILL after this time, and return when the agent has ended
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,
    /// Every agent that has not ended
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// The agents
    #[arg(required_unless_present = "all", value_parser = AgentName::parse, add = completing::living_agents())]
    pub(crate) names: Vec<AgentName>,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// The agents
    #[arg(required = true, value_parser = AgentName::parse, add = completing::living_agents())]
    pub(crate) names: Vec<AgentName>,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Kill them first if they still live
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The agents
    #[arg(required = true, value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) names: Vec<AgentName>,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on without end
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this agent's
    #[arg(value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) name: Option<AgentName>,
}

#[derive(Debug, Args)]
pub(crate) struct Denials {
    /// Go on until it has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The agent
    #[arg(value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) name: AgentName,
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_command_belong_to_the_command() {
        let cli = Cli::try_parse_from(["agentctl", "run", "--rm", "--", "ls", "--rm", "-t"]).expect("parses");
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.command, ["ls", "--rm", "-t"]);
        assert!(run.rm && !run.connection.tty);
    }

    #[test]
    fn a_mistyped_option_does_not_become_the_command() {
        assert!(Cli::try_parse_from(["agentctl", "run", "--polcy", "base", "--", "ls"]).is_err());
    }

    #[test]
    fn kill_needs_names_or_all_but_not_both() {
        assert!(Cli::try_parse_from(["agentctl", "kill"]).is_err());
        assert!(Cli::try_parse_from(["agentctl", "kill", "--all", "a"]).is_err());
        assert!(Cli::try_parse_from(["agentctl", "kill", "-s", "9", "a", "b"]).is_ok());
        assert!(Cli::try_parse_from(["agentctl", "kill", "-9", "a"]).is_ok());
        assert!(Cli::try_parse_from(["agentctl", "kill", "-9", "-s", "TERM", "a"]).is_err());
    }
}
