//! Commands about agents as such: `ps`, `inspect`, `wait`, `kill`, `stop`, `cont`, `rm`.
//!
//! A command with several names goes on after a failure and exits with the first one's code.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::foreground::exit_code_of;
use crate::show::{self, Look, time};
use crate::values::milliseconds;
use protocol::agent::{Agent, Exit};
use protocol::control::{Inspect, Kill, List, Remove, Wait, WaitReply};
use protocol::ids::AgentName;
use protocol::signal::Signal;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long `wait` waits for the next agentosd, and how long between two looks for it.
const NEXT_DAEMON: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How often `ps --watch` looks.
const WATCH: Duration = Duration::from_secs(1);
/// Cursor home, and after the text: the rest of each old line and the rest of the screen go away.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_BELOW: &str = "\x1b[J";

/// `agentctl ps`.
pub(crate) fn ps(socket: &Path, options: cli::Ps) -> Result<u8, Failure> {
    let mut client = Client::connect(socket)?;
    loop {
        let agents = list(&mut client, options.all)?;
        let look = Look::of_output();
        let table = || show::agents(&agents, time::now(), look);
        match (options.json, options.watch) {
            (true, false) => show::document(&agents)?,
            (true, true) => show::json_line(&agents)?,
            (false, true) if look.width.is_some() => {
                show::print(&format!("{HOME}{}{CLEAR_BELOW}", table().replace('\n', CLEAR_LINE)))?;
            }
            (false, _) => show::print(&table())?,
        }
        if !options.watch {
            return Ok(0);
        }
        std::thread::sleep(WATCH);
    }
}

fn list(client: &mut Client, all: bool) -> Result<Vec<Agent>, Failure> {
    let mut agents = Vec::new();
    client.each(&List { all }, |page| {
        agents.extend(page.agents);
        Ok(())
    })?;
    Ok(agents)
}

/// `agentctl inspect`.
pub(crate) fn inspect(socket: &Path, options: cli::Inspect) -> Result<u8, Failure> {
    let details = Client::connect(socket)?.call(&Inspect { name: options.name })?.details;
    if options.json {
        show::document(&details)?;
    } else {
        show::print(&show::details::page(&details, Look::of_output()))?;
    }
    Ok(0)
}

/// `agentctl kill`.
pub(crate) fn kill(socket: &Path, options: &cli::Kill) -> Result<u8, Failure> {
    if options.grace.is_some() && options.signal != Signal::TERM {
        return Err(Failure::Usage(format!(
            "kill --grace: it is the time between TERM and KILL, and does not go with {}; leave one of them out",
            options.signal
        )));
    }
    let mut client = Client::connect(socket)?;
    let names = if options.all {
        list(&mut client, false)?.into_iter().map(|agent| agent.name).collect()
    } else {
        options.names.clone()
    };
    let signal = if options.nine { Signal::KILL } else { options.signal };
    signal_each(&mut client, &names, signal, options.grace)
}

/// `agentctl stop`.
pub(crate) fn stop(socket: &Path, options: &cli::Names) -> Result<u8, Failure> {
    signal_each(&mut Client::connect(socket)?, &options.names, Signal::STOP, None)
}

/// `agentctl cont`.
pub(crate) fn cont(socket: &Path, options: &cli::Names) -> Result<u8, Failure> {
    signal_each(&mut Client::connect(socket)?, &options.names, Signal::CONT, None)
}

fn signal_each(
    client: &mut Client,
    names: &[AgentName],
    signal: Signal,
    grace: Option<Duration>,
) -> Result<u8, Failure> {
    for_each(names, |name| {
        let request = Kill { name: name.clone(), signal, exec: None, grace_ms: grace.map(milliseconds) };
        let reply = client.call(&request)?;
        show::line(&format!("{name}: {signal}: {}", protocol::text::escape(&reply.outcome)))?;
        Ok(0)
    })
}

/// `agentctl rm`.
pub(crate) fn rm(socket: &Path, options: &cli::Rm) -> Result<u8, Failure> {
    let mut client = Client::connect(socket)?;
    for_each(&options.names, |name| {
        client.call(&Remove { name: name.clone(), force: options.force })?;
        Ok(0)
    })
}

#[derive(Serialize)]
struct Ended<'a> {
    name: &'a AgentName,
    exit: Exit,
}

/// `agentctl wait`.
pub(crate) fn wait(socket: &Path, options: &cli::Wait) -> Result<u8, Failure> {
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    for_each(&options.names, |name| {
        let Some(reply) = wait_for(socket, name, deadline)? else {
            return Err(Failure::TimedOut(format!("{name} has not ended in the time given; it goes on")));
        };
        let code = exit_code_of(&reply.exit);
        if options.json {
            show::json_line(&Ended { name, exit: reply.exit })?;
        } else {
            show::line(&format!("{name}: {}", show::how_it_ended(&reply.exit)))?;
        }
        Ok(code)
    })
}

/// Waits for an end, also over the end of an agentosd: the next one is asked again.
fn wait_for(socket: &Path, name: &AgentName, deadline: Option<Instant>) -> Result<Option<WaitReply>, Failure> {
    let mut missing: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        // A connection for each: one that timed out still has a call open.
        let heard = Client::connect(socket).and_then(|mut client| {
            client.send(&Wait { name: name.clone() }, false, &[])?;
            client.receive_until::<Wait>(deadline)
        });
        match heard {
            Err(Failure::Lost { .. }) if missing.is_none() || asked.elapsed() > NEXT_DAEMON => {
                show::notice(&format!(
                    "agentosd has ended; what runs of {name} is confined as before; waiting for the next agentosd"
                ));
                missing = Some(Instant::now());
            }
            Err(Failure::Lost { .. } | Failure::NoSocket(_) | Failure::NobodyAnswers(_))
                if missing.is_some_and(|since| since.elapsed() < NEXT_DAEMON)
                    && deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            heard => return Ok(heard?.map(|(reply, _)| reply)),
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Does something for each name; a failure is said and does not stop the others, unless nothing can be said or asked
/// any more.
pub(crate) fn for_each(
    names: &[AgentName],
    mut act: impl FnMut(&AgentName) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let mut first = 0;
    for name in names {
        let code = match act(name) {
            Ok(code) => code,
            Err(failure @ (Failure::Refused(_) | Failure::TimedOut(_))) => {
                failure.report();
                failure.exit_code()
            }
            Err(failure) => return Err(failure),
        };
        if first == 0 {
            first = code;
        }
    }
    Ok(first)
}
