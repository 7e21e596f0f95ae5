//! A shell offers the names that the daemon knows.

use std::path::Path;
use std::process::Command;
use tests::{Daemon, Launch, binary, stderr, stdout, succeeded};

/// Types these words in bash and asks for the last one.
const ASK: &str = r#"
source <(agentctl completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
_clap_complete_agentctl agentctl "${COMP_WORDS[COMP_CWORD]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

fn offered(socket: &Path, words: &[&str]) -> Vec<String> {
    let programs = binary("agentctl").parent().expect("a directory").to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", ASK, "bash", "agentctl"]).args(words);
    let output = command.env("PATH", path).env("AGENTOS_SOCKET", socket).output().expect("bash is installed");
    assert_eq!(stderr(&output), "", "{words:?}");
    stdout(&succeeded(output)).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn names_of_agents_and_memories_are_offered() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let lives = daemon.spawn(&Launch::new("base").name("scout-lives"), &["sleep", "1000"]);
    drop(succeeded(daemon.agentctl(&["run", "--name", "scout-ended", "--", "true"])));
    let socket = daemon.socket();
    let at = |words: &[&str]| offered(&socket, words);
    assert_eq!(at(&["inspect", "sc"]), ["scout-ended", "scout-lives"]);
    assert_eq!(at(&["stop", "sc"]), [lives.name()], "what has ended cannot be stopped");
    assert_eq!(at(&["memory", "export", "scout-e"]), ["scout-ended"]);
    assert_eq!(at(&["run", "--policy", "codi"]), ["coding-agent"]);
    // Without a daemon nothing is offered, and nothing is said.
    assert_eq!(offered(Path::new("/nonexistent"), &["inspect", "sc"]), [""; 0]);
}
