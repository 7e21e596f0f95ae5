//! The command line of the daemon.

use clap::Parser;
use std::path::PathBuf;

/// Where the configuration is looked for when no flag names it.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/agentos/agentosd.yaml";
/// Where run-time files are when no flag says otherwise.
pub(crate) const DEFAULT_RUN_DIR: &str = "/run/agentos";

/// Runs AI agents confined by the kernel, and answers agentctl.
///
/// Needs root. It never forks into the background; run it from a service manager, or with & from a shell. When it is
/// ready it prints one line. SIGTERM or SIGINT end it, and every agent with it; SIGUSR1 ends it alone, and agents go on
/// until the next one takes them back.
#[derive(Debug, Parser)]
#[command(name = "agentosd", version, max_term_width = 100)]
pub(crate) struct Flags {
    /// Directory of what lasts: records of agents, their output, the event log
    #[arg(long, value_name = "DIR", default_value = "/var/lib/agentos")]
    pub(crate) state_dir: PathBuf,
    /// Directory of what lasts as long as the daemon: the control socket
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// Configuration file [default: /etc/agentos/agentosd.yaml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Stay in the foreground; it always does, the flag is taken for scripts that say so
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Print what this host offers, and exit: 0 when agents can run here, 8 when a required layer is missing
    #[arg(long)]
    pub(crate) check_host: bool,
    /// With --check-host: print JSON
    #[arg(long, requires = "check_host")]
    pub(crate) json: bool,
    /// Print this program's manual page in roff, and exit
    #[arg(long, hide = true)]
    pub(crate) man: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }
}
