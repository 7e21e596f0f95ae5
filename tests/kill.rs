//! Promise 2: after `agentctl kill` returns nothing of the agent is left, whatever it did against that.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tests::{Agent, Daemon, hostile, judge, own_processes, probe, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// Kills it and judges from outside, at once: the promise is about the moment when the call returns.
fn dies(agent: &Agent<'_>, traces: &[&Path]) {
    let (uid, cgroups) = (agent.uid(), agent.cgroups());
    let before = own_processes(uid);
    assert!(!before.is_empty(), "control: it lives before");
    assert!(!agent.processes().is_empty(), "control: its cgroup is not empty before");
    let output = agent.tell(&["kill", "-9"]);
    let left = own_processes(uid);
    let in_groups = judge::cgroup_processes(&cgroups);
    let sizes: Vec<_> = traces.iter().map(|path| size(path)).collect();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let names: Vec<_> = left.iter().map(|pid| (judge::status_line(*pid, "Name"), judge::process_state(*pid))).collect();
    assert!(left.is_empty(), "{left:?} {names:?} survived of {before:?}");
    assert!(in_groups.is_empty(), "{in_groups:?} are still in its cgroups");
    // PID 1 inside is ours; it is dead too, and its parent outside collects it in its own time.
    wait_until("PID 1 to be collected", SOON, || judge::uid_processes(uid).is_empty());
    std::thread::sleep(Duration::from_millis(100));
    let later: Vec<_> = traces.iter().map(|path| size(path)).collect();
    assert_eq!(later, sizes, "something still writes");
    assert_eq!(agent.state(), "exited");
    let details = agent.inspect();
    assert_eq!(details["agent"]["exit"]["reason"], "killed", "{details}");
}

fn grows(path: &Path) {
    let before = size(path);
    wait_until("a trace to grow", SOON, || size(path) > before);
}

/// Starts the probe with `words`, waits for `count` processes of the agent.
fn start<'d>(daemon: &'d Daemon, limits: &str, words: &[&str], count: usize) -> (Agent<'d>, std::path::PathBuf) {
    let (launch, workspace) = hostile(daemon, limits);
    let probe = probe();
    let argv: Vec<_> = [probe.as_str()].into_iter().chain(words.iter().copied()).collect();
    let agent = daemon.spawn(&launch, &argv);
    wait_until("the probe's processes", SOON, || own_processes(agent.uid()).len() >= count);
    (agent, workspace)
}

fn shell<'d>(daemon: &'d Daemon, script: &str) -> (Agent<'d>, std::path::PathBuf) {
    let (launch, workspace) = hostile(daemon, "pids: 128");
    (daemon.spawn(&launch, &["sh", "-c", &script.replace("PROBE", &probe())]), workspace)
}

#[test]
fn a_process_that_catches_every_signal() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "pids: 16", &["trap-all", "trace"], 1);
    let trace = workspace.join("trace");
    grows(&trace);
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let output = agent.tell(&["kill", "-s", name]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let caught = || fs::read_to_string(&trace).unwrap_or_default();
    wait_until("the signals", SOON, || caught().contains("caught SIGTERM") && caught().contains("caught SIGQUIT"));
    assert_eq!(agent.state(), "running", "control: it does not end by what can be caught");
    dies(&agent, &[&trace]);
}

#[test]
fn terminate_with_a_grace_ends_in_a_kill() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "pids: 16", &["trap-all", "trace"], 1);
    grows(&workspace.join("trace"));
    let uid = agent.uid();
    let output = agent.tell(&["kill", "--grace", "300ms"]);
    assert!(own_processes(uid).is_empty());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(fs::read_to_string(workspace.join("trace")).expect("a trace").contains("caught SIGTERM"));
}

#[test]
fn daemons_that_left_their_session_and_parent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "PROBE daemonize one; PROBE daemonize two; setsid setsid sleep 1000 & exec sleep 1000";
    let (agent, workspace) = shell(&daemon, script);
    let (one, two) = (workspace.join("one"), workspace.join("two"));
    grows(&one);
    grows(&two);
    dies(&agent, &[&one, &two]);
}

#[test]
fn daemons_do_not_outlive_the_main_process_either() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = shell(&daemon, "PROBE daemonize trace; read x; sleep 0.3");
    let trace = workspace.join("trace");
    let uid = agent.uid();
    assert_eq!(agent.tell(&["wait"]).status.code(), Some(0));
    assert!(own_processes(uid).is_empty());
    assert!(size(&trace) > 0, "control: the daemon ran");
    let then = size(&trace);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(size(&trace), then);
}

#[test]
fn a_fork_bomb() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "pids: 100, cpu: 1.0", &["forkbomb"], 90);
    dies(&agent, &[]);
}

#[test]
fn processes_that_fork_without_pause() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "pids: 100, cpu: 1.0", &["forkers", "20", "trace"], 20);
    let trace = workspace.join("trace");
    grows(&trace);
    dies(&agent, &[&trace]);
}

#[test]
fn stopped_processes() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "pids: 16", &["stopped-child"], 2);
    let states = || -> String { own_processes(agent.uid()).into_iter().filter_map(judge::process_state).collect() };
    wait_until("a child in state T", SOON, || states().contains('T'));
    dies(&agent, &[]);
}

#[test]
fn an_agent_that_was_stopped() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "pids: 64", &["forkers", "5", "trace"], 6);
    let trace = workspace.join("trace");
    grows(&trace);
    drop(succeeded(agent.tell(&["stop"])));
    assert_eq!(agent.state(), "stopped");
    dies(&agent, &[&trace]);
}

#[test]
fn zombies() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "pids: 128", &["zombies", "50"], 51);
    let zombies = || {
        let pids = own_processes(agent.uid());
        pids.into_iter().filter(|pid| judge::process_state(*pid) == Some('Z')).count()
    };
    wait_until("fifty zombies", SOON, || zombies() == 50);
    dies(&agent, &[]);
}

#[test]
fn a_thousand_processes_and_many_threads() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "pids: 1200", &["tree", "1000"], 1000);
    dies(&agent, &[]);
    let (agent, _) = start(&daemon, "pids: 64, cpu: 0.5", &["spin", "30"], 1);
    let threads = || judge::status_line(agent.pid(), "Threads").unwrap_or_default();
    wait_until("the threads", SOON, || threads() == "31");
    dies(&agent, &[]);
}

#[test]
fn a_parent_that_waits_in_the_kernel_for_its_vfork_child() {
    if !tests::is_root() {
        return;
    }
    if !Path::new("/usr/bin/perl").exists() {
        return tests::skip("vfork", "no /usr/bin/perl to make a raw clone(CLONE_VFORK) with");
    }
    let daemon = Daemon::shared();
    let (launch, _) = hostile(&daemon, "pids: 16");
    // clone(CLONE_VFORK | SIGCHLD): the parent is in an uninterruptible, killable wait until its child is gone.
    let script = "syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0 and sleep 1000";
    let agent = daemon.spawn(&launch, &["perl", "-e", script]);
    // State D alone would also be a wait for the disk.
    wait_until("a parent in state D and its child (control)", SOON, || {
        own_processes(agent.uid()).len() == 2 && judge::process_state(agent.pid()) == Some('D')
    });
    dies(&agent, &[]);
}

#[test]
fn processes_that_exec_has_started() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "pids: 64", &["sleep"], 1);
    let mut clients = Vec::new();
    for trace in ["one", "two"] {
        let mut command = daemon.command(&["exec", agent.name(), "--", &probe(), "trap-all", trace]);
        clients.push(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("agentctl can be started"));
    }
    let traces = [workspace.join("one"), workspace.join("two")];
    traces.iter().for_each(|trace| grows(trace));
    // One further process alone, then the agent with the other one.
    dies(&agent, &[&traces[0], &traces[1]]);
    for client in clients {
        let output = client.wait_with_output().expect("our own child");
        assert_eq!(output.status.code(), Some(137), "{}", stderr(&output));
    }
}

#[test]
fn the_event_log_says_who_killed_and_a_second_kill_says_that_it_is_dead() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "pids: 16", &["sleep"], 1);
    let mut command = daemon.command(&["kill", "-s", "KILL", agent.name()]);
    let client = command.stdout(Stdio::piped()).spawn().expect("agentctl can be started");
    let sender = i64::from(client.id());
    drop(succeeded(client.wait_with_output().expect("our own child")));
    let again = succeeded(agent.tell(&["kill", "-9"]));
    assert!(stdout(&again).contains("no effect: already ended"), "{}", stdout(&again));

    let output = succeeded(daemon.agentctl(&["events", "--json", agent.name()]));
    let events: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list").clone();
    let signals: Vec<_> = events.iter().filter(|event| event["event"] == "signal").collect();
    assert_eq!(signals.len(), 2, "{events:?}");
    assert_eq!((&signals[0]["signal"], signals[0]["by"]["pid"].as_i64()), (&"SIGKILL".into(), Some(sender)));
    assert_eq!(signals[0]["by"]["uid"].as_u64(), Some(0));
    assert!(signals[1]["outcome"].as_str().is_some_and(|text| text.contains("already ended")), "{events:?}");
    let exited = events.iter().find(|event| event["event"] == "exited").expect("its end is recorded");
    assert_eq!(exited["exit"]["reason"], "killed");
}
