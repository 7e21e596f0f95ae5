//! Promise 9 as a daemon keeps it while it runs: when the audit log was changed under it, every agent stops, nothing is
//! done any more, and exit status and log say why.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Agent, Daemon, Launch, judge, own_processes, stderr, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// The exit status of an integrity failure.
const INTEGRITY: i32 = 70;

/// The file that records are appended to.
fn log(daemon: &Daemon) -> PathBuf {
    let entries = fs::read_dir(daemon.place().join("state/audit")).expect("the log").flatten();
    let segments = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    segments.max().expect("a segment")
}

fn stopped(agent: &Agent<'_>) -> bool {
    let states: Vec<_> = own_processes(agent.uid()).into_iter().filter_map(judge::process_state).collect();
    // D: a shell that waits for a child which was stopped before it could execute its program (vfork(2)).
    states.contains(&'T') && states.iter().all(|state| matches!(state, 'T' | 'D' | 'Z'))
}

fn truncate(file: &Path, length: usize) {
    let length = u64::try_from(length).expect("a length");
    OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(length)).expect("the log is ours");
}

#[test]
fn a_log_that_is_changed_under_the_daemon_stops_every_agent_until_it_is_mended() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agents = [(); 2].map(|()| daemon.spawn(&Launch::new("base"), &["sh", "-c", "while :; do sleep 0.01; done"]));
    assert!(!agents.iter().any(stopped), "the control");
    // What is signed is what nobody can take back.
    daemon.leave();
    daemon.start_again();
    let log = log(&daemon);
    let whole = fs::read(&log).expect("the log");
    let cut = whole.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    truncate(&log, cut);
    // Whoever needs a record next finds out.
    let refused = daemon.run_inside(&Launch::new("base"), &["true"]);
    assert!(!refused.status.success(), "work is refused");
    wait_until("the daemon's end", SOON, || !daemon.is_running());
    assert_eq!(daemon.exit_code(), Some(INTEGRITY));
    let said = daemon.log();
    assert!(said.contains("integrity failure") && said.contains("changed by somebody else"), "{said}");
    wait_until("every agent to be stopped", SOON, || agents.iter().all(stopped));

    let again = daemon.refuses_to_start();
    assert_eq!(again.status.code(), Some(INTEGRITY), "{}", stderr(&again));
    assert!(stderr(&again).contains("integrity failure") && stderr(&again).contains("audit"), "{}", stderr(&again));
    assert!(agents.iter().all(stopped), "and they stay so");

    // Nothing was written behind what was left.
    assert_eq!(fs::read(&log).expect("the log"), whole[..cut]);
    fs::write(&log, &whole).expect("the log is ours");
    daemon.start_again();
    for agent in &agents {
        let details = agent.inspect();
        assert_eq!(details["agent"]["state"], "stopped", "{details}");
        succeeded(agent.tell(&["cont"]));
    }
    wait_until("they go on", SOON, || !agents.iter().any(stopped));
}

#[test]
fn a_daemon_that_finds_a_changed_log_at_its_start_stops_who_runs() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", "while :; do sleep 0.01; done"]);
    daemon.leave();
    let log = log(&daemon);
    let whole = fs::read(&log).expect("the log");
    let text = String::from_utf8_lossy(&whole).replacen("agentosd", "agent0sd", 1);
    assert_ne!(text.as_bytes(), whole, "control: a word is changed");
    fs::write(&log, text.as_bytes()).expect("the log is ours");
    let refused = daemon.refuses_to_start();
    assert_eq!(refused.status.code(), Some(INTEGRITY), "{}", stderr(&refused));
    wait_until("the agent to be stopped", SOON, || stopped(&agent));
    assert!(stderr(&refused).contains("agentctl audit verify --dir"), "what to do: {}", stderr(&refused));
    fs::write(&log, &whole).expect("the log is ours");
    daemon.start_again();
    let details = agent.inspect();
    assert_eq!(details["agent"]["state"], "stopped");
    let review = details["agent"]["review"].as_str().expect("why it is stopped");
    assert!(review.contains("integrity failure"), "{review}");
    succeeded(agent.tell(&["cont"]));
    assert_eq!(agent.inspect()["agent"]["review"].as_str(), None);

    // A log that is gone cannot be told from none; that one begins is said where agents run, and no reason is left over.
    assert!(!daemon.log().contains("a new audit log begins"), "control");
    daemon.leave();
    fs::remove_dir_all(log.parent().expect("a directory")).expect("the log is ours");
    daemon.start_again();
    assert!(daemon.log().contains("a new audit log begins"), "{}", daemon.log());
    assert_eq!((agent.state().as_str(), agent.inspect()["agent"]["review"].as_str()), ("running", None));
}
