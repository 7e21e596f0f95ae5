//! `run`, `exec` and `attach`: requests from options, then the foreground.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::foreground::{self, Forwarding, Manner};
use crate::show;
use crate::terminal;
use crate::values::{EnvArgument, milliseconds};
use protocol::control::{Attach, Exec, Run, Stdio};
use std::path::Path;

/// `agentctl run`.
pub(crate) fn run(socket: &Path, options: cli::Run) -> Result<u8, Failure> {
    let connection = &options.connection;
    let foreground = !options.detach;
    if foreground && connection.tty {
        require_terminal("run -t", "or run it with --detach")?;
    }
    let request = Run {
        name: options.name,
        policy: options.policy.map(|policy| policy.choose()).transpose()?,
        workspace: options.workspace.map(|workspace| workspace.resolve()).transpose()?,
        env: environment(options.env)?,
        caller_env: callers_environment(),
        stdio: stdio(connection, foreground),
        remove: options.rm,
        timeout_ms: options.timeout.map(milliseconds),
        command: options.command,
    };
    if foreground {
        return foreground::run(socket, &request, manner(options.connection));
    }
    let reply = Client::connect(socket)?.call(&request)?;
    show::line(reply.name.as_str())?;
    Ok(0)
}

/// `agentctl exec`.
pub(crate) fn exec(socket: &Path, options: cli::Exec) -> Result<u8, Failure> {
    if options.connection.tty {
        require_terminal("exec -t", "or leave -t out")?;
    }
    let mut env = environment(options.env)?;
    if options.connection.tty
        && !env.iter().any(|(name, _)| name == "TERM")
        && let Ok(kind) = std::env::var("TERM")
    {
        // The agent's own environment is of the terminal that it was started from, if from any.
        env.push(("TERM".to_owned(), kind));
    }
    let request = Exec { name: options.name, command: options.command, env, stdio: stdio(&options.connection, true) };
    foreground::run(socket, &request, manner(options.connection))
}

/// `agentctl attach`.
pub(crate) fn attach(socket: &Path, options: cli::Attach) -> Result<u8, Failure> {
    let forwarding = if options.no_signals { Forwarding::Nothing } else { Forwarding::Typed };
    let manner = Manner { terminal: false, detach_keys: options.detach_keys, forwarding };
    foreground::run(socket, &Attach { name: options.name }, manner)
}

fn require_terminal(what: &str, otherwise: &str) -> Result<(), Failure> {
    if terminal::input_is_terminal() {
        return Ok(());
    }
    Err(Failure::Usage(format!("{what}: standard input is not a terminal; start it from one, {otherwise}")))
}

fn stdio(connection: &cli::Connection, attach: bool) -> Stdio {
    // While somebody is attached, the end of his input is the end of the process's, with -i as without.
    Stdio { terminal: connection.tty.then(terminal::window), attach, keep_stdin: connection.interactive && !attach }
}

fn manner(connection: cli::Connection) -> Manner {
    Manner { terminal: connection.tty, detach_keys: connection.detach_keys, forwarding: Forwarding::All }
}

fn environment(arguments: Vec<EnvArgument>) -> Result<Vec<(String, String)>, Failure> {
    arguments.into_iter().map(|argument| argument.resolve(|name| std::env::var(name).ok())).collect()
}

/// Our environment, for the daemon to pick from what the policy names. Variables that are not UTF-8 have no place in a
/// JSON message and stay behind.
fn callers_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
