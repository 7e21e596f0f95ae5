//! What a shell offers for names: agents, memories and approvals from the daemon, profiles from where they lie.
//!
//! The shell's script runs `agentctl` with [`VARIABLE`] set and the words so far behind `--`. Whatever goes wrong, nothing
//! is offered, and nothing is said in the middle of somebody's line.

use crate::cli::{Cli, POLICIES, SOCKET, SOCKET_VARIABLE};
use crate::client::Client;
use crate::show::state_word;
use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use policies::{Loader as _, Shipped};
use protocol::agent::State;
use protocol::control::{Approvals, List, ListMemories, Method, Services};
use protocol::service::ServiceState;
use protocol::text::escape;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Set by the scripts that `agentctl completion` writes, to the shell's name.
pub(crate) const VARIABLE: &str = "AGENTCTL_COMPLETE";
/// After so long somebody types on; a daemon that hangs must not hold the shell.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a shell and ends, if it is a shell that asks.
pub(crate) fn answer_a_shell() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Agents, those too that have ended.
pub(crate) fn agents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| listed(true))
}

/// Agents that have not ended.
pub(crate) fn living_agents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| listed(false))
}

/// Names that remember something.
pub(crate) fn memories() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut names = Vec::new();
        ask(&ListMemories { name: None }, |page| {
            names.extend(page.memories.iter().map(|memory| CompletionCandidate::new(memory.name.as_str())));
        });
        names
    })
}

/// Actions that wait for a person.
pub(crate) fn approvals() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut waiting = Vec::new();
        ask(&Approvals::default(), |page| {
            waiting.extend(page.approvals.iter().map(|approval| {
                let help = format!("{}: {}", approval.agent, escape(&approval.summary));
                CompletionCandidate::new(approval.id.to_string()).help(Some(help.into()))
            }));
        });
        waiting
    })
}

/// Agents with files of their own that stay ended.
pub(crate) fn services() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut names = Vec::new();
        ask(&Services {}, |page| {
            let ended = page.services.iter().filter(|service| service.state == ServiceState::Ended);
            names.extend(ended.map(|service| CompletionCandidate::new(service.name.as_str())));
        });
        names
    })
}

/// Profiles that have a name.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let own = std::fs::read_dir(POLICIES).into_iter().flatten().flatten();
        let own = own.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned));
        let mut names: Vec<String> = own.chain(Shipped.names()).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

fn listed(all: bool) -> Vec<CompletionCandidate> {
    let mut names = Vec::new();
    ask(&List { all }, |page| {
        names.extend(
            page.agents
                .iter()
                .filter(|agent| all || agent.state != State::Exited)
                .map(|agent| CompletionCandidate::new(agent.name.as_str()).help(Some(state_word(agent.state).into()))),
        );
    });
    names
}

/// Every page of a listing, as far as the daemon gives them in time.
fn ask<M: Method>(request: &M, mut take: impl FnMut(M::Reply)) {
    let deadline = Instant::now().checked_add(PATIENCE);
    let Ok(mut client) = Client::connect(&socket(std::env::args_os())) else { return };
    if client.send(request, true, &[]).is_err() {
        return;
    }
    while let Ok(Some((reply, continues))) = client.receive_until::<M>(deadline) {
        take(reply);
        if !continues {
            return;
        }
    }
}

/// As the line that is being typed says, or the environment.
fn socket(words: impl Iterator<Item = OsString>) -> PathBuf {
    let mut words = words;
    while let Some(word) = words.next() {
        match word.to_str().and_then(|word| word.strip_prefix("--socket")) {
            Some("") => return words.next().unwrap_or_default().into(),
            Some(value) => return value.trim_start_matches('=').into(),
            None => {}
        }
    }
    std::env::var_os(SOCKET_VARIABLE).unwrap_or_else(|| SOCKET.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;
    use clap_complete::engine::complete;

    /// What is offered for the last of these words.
    fn offered(words: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        let last = args.len() - 1;
        let found = complete(&mut Cli::command(), args, last, None).expect("completed");
        found.into_iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_profile_is_offered_where_a_policy_is_named() {
        assert_eq!(offered(&["agentctl", "run", "--policy", "codi"]), ["coding-agent"]);
        assert_eq!(offered(&["agentctl", "policy", "show", "codi"]), ["coding-agent"]);
        assert!(offered(&["agentctl", "inspect", "codi"]).is_empty());
    }

    #[test]
    fn commands_and_options_are_offered() {
        assert_eq!(offered(&["agentctl", "insp"]), ["inspect"]);
        assert_eq!(offered(&["agentctl", "memory", "import", "--rep"]), ["--replace"]);
    }

    #[test]
    fn the_socket_is_that_of_the_line() {
        let of = |words: &[&str]| socket(words.iter().map(OsString::from));
        assert_eq!(of(&["agentctl", "--socket", "/a", "ps"]), PathBuf::from("/a"));
        assert_eq!(of(&["agentctl", "inspect", "--socket=/b", ""]), PathBuf::from("/b"));
    }

    #[test]
    fn every_shell_has_a_script_that_asks_us() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = crate::generate::script(shell).expect("a script");
            assert!(script.contains(VARIABLE) && script.contains("agentctl"), "{shell}: {script}");
        }
    }
}
