//! Promise: what is kept of ended agents is bounded; who floods loses their own, and whoever lives loses nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;
use tests::{Agent, Daemon, Launch, binary, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// Nobody's uid, and the gid that is the socket's group in these tests.
const USER: u32 = 65_529;
const GROUP: u32 = 65_528;

/// The names that are listed and have ended, in the order of their ends.
fn ended(daemon: &Daemon) -> Vec<String> {
    let list = daemon.ps();
    let ended = list.as_array().expect("a list").iter().filter(|agent| agent["state"] == "exited");
    let mut ended: Vec<_> =
        ended.map(|agent| (agent["ended_us"].as_u64(), agent["name"].as_str().expect("a name").to_owned())).collect();
    ended.sort();
    ended.into_iter().map(|(_, name)| name).collect()
}

/// Runs a script to its end; its records stay.
fn run<'d>(daemon: &'d Daemon, name: &str, script: &str) -> Agent<'d> {
    let agent = daemon.spawn(&Launch::new("base").name(name), &["sh", "-c", script]);
    assert_eq!(agent.tell(&["wait"]).status.code(), Some(0));
    agent
}

fn wait_for(daemon: &Daemon, names: &[&str]) {
    wait_until(&format!("the ended agents to be {names:?}"), SOON, || ended(daemon) == names);
}

/// How many agents have a directory; one that is just removed has not.
fn directories(daemon: &Daemon) -> usize {
    let entries = fs::read_dir(daemon.place().join("state/agents")).expect("the records").flatten();
    entries.filter(|entry| entry.path().extension().is_none()).count()
}

#[test]
fn the_oldest_ended_go_first_with_a_reason_and_the_living_stay() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::configured("max_ended_agents: 3\n");
    let living = daemon.spawn(&Launch::new("base").name("living"), &["sh", "-c", "echo here; exec sleep 1000"]);
    // It starts before the others and ends after them.
    let late = daemon.spawn(&Launch::new("base").name("late"), &["sleep", "1000"]);
    let _ended: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| run(&daemon, name, "echo output")).into();
    wait_for(&daemon, &["c", "d", "e"]);
    drop(succeeded(late.tell(&["kill"])));
    wait_for(&daemon, &["d", "e", "late"]);
    assert_eq!(directories(&daemon), 4, "three that have ended and one that lives");
    assert_eq!((living.state().as_str(), living.output().as_str()), ("running", "here\n"));
    assert_eq!(daemon.agentctl(&["logs", "a"]).status.code(), Some(3), "it does not exist any more");
    let events = stdout(&succeeded(daemon.agentctl(&["events", "a"])));
    let last = events.lines().last().unwrap_or_default();
    assert!(last.ends_with("removed: more agents have ended than are kept (max_ended_agents: 3)"), "{events}");
    drop(run(&daemon, "a", "true"));
}

#[test]
fn the_space_of_ended_agents_is_bounded_also_at_the_start() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::configured("max_ended_size: 5MiB\n");
    let write = |name: &str| run(&daemon, name, "head -c 2097152 /dev/zero | tr '\\0' x");
    let _ended: Vec<_> = ["a", "b", "c"].map(write).into();
    wait_for(&daemon, &["b", "c"]);
    assert_eq!(daemon.agentctl(&["logs", "--raw", "c"]).stdout.len(), 2 << 20, "what is kept is kept whole");

    let config = daemon.place().join("agentosd.yaml");
    let text = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, text.replace("5MiB", "3MiB")).expect("the configuration is ours");
    daemon.crash_and_restart();
    wait_for(&daemon, &["c"]);
    assert_eq!(directories(&daemon), 1);
}

#[test]
fn a_callers_flood_pushes_out_that_callers_records() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::configured(&format!("max_ended_agents: 3\ngroup: \"{GROUP}\"\n"));
    let agentctl = daemon.place().join("agentctl");
    fs::copy(binary("agentctl"), &agentctl).expect("a copy of agentctl");
    fs::set_permissions(&agentctl, fs::Permissions::from_mode(0o755)).expect("chmod of our own file");
    let _kept = run(&daemon, "of-root", "echo kept");
    for number in 0..6 {
        let name = format!("flood-{number}");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &USER.to_string(), "--regid", &GROUP.to_string(), "--clear-groups", "--"]);
        command.arg(&agentctl).arg("--socket").arg(daemon.socket());
        command.args(Launch::new("base").name(&name).words(&["true"])).current_dir("/");
        let output = command.output().expect("setpriv(1) of util-linux is installed");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    wait_for(&daemon, &["of-root", "flood-4", "flood-5"]);
}
