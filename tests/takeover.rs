//! Promise 10: the daemon dies, is restarted or replaced, and agents go on, confined as before; the next one takes them
//! back with all that they had.

use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{Agent, Daemon, Launch, judge, own_processes, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// A line every hundredth of a second, to standard output and into working memory.
const COUNTING: &str = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /mem/working/n; sleep 0.01; done";

fn counting<'d>(daemon: &'d Daemon, name: &str) -> Agent<'d> {
    let agent = daemon.spawn(&Launch::new("base").name(name), &["sh", "-c", COUNTING]);
    wait_until("the agent to count", SOON, || count(daemon, name) > 3);
    agent
}

/// From the host, so that no daemon is needed.
fn count(daemon: &Daemon, name: &str) -> u64 {
    let text = fs::read_to_string(daemon.tree(name).join("mem/working/n")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn goes_on(daemon: &Daemon, name: &str) {
    let before = count(daemon, name);
    wait_until("the agent to count on", SOON, || count(daemon, name) > before);
}

/// What the kernel says of a process that an agent is.
fn confinement(agent: &Agent<'_>) -> Vec<Option<String>> {
    let keys = ["Uid", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd"];
    let mut all: Vec<_> = keys.iter().map(|key| judge::status_line(agent.pid(), key)).collect();
    for namespace in ["mnt", "pid", "net"] {
        let link = fs::read_link(format!("/proc/{}/ns/{namespace}", agent.pid()));
        all.push(link.ok().map(|link| link.display().to_string()));
    }
    assert!(all.iter().all(Option::is_some), "it runs: {all:?}");
    all
}

/// Every line that it has written is there, in order, and none twice.
fn nothing_is_lost(agent: &Agent<'_>) {
    let output = agent.output();
    let lines: Vec<u64> = output.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(lines.len() > 10, "control: {} lines", lines.len());
    assert!(lines.iter().zip(1..).all(|(line, expected)| *line == expected), "{output}");
}

/// Everything that one does with an agent works.
fn is_whole(daemon: &Daemon, agent: &Agent<'_>) {
    let name = agent.name();
    assert_eq!((agent.state(), agent.inspect()["agent"]["pid"].as_i64()), ("running".into(), Some(agent.pid().into())));
    goes_on(daemon, name);
    // Not a word of it, since what it wrote would stand among the agent's own lines.
    let script = format!("test $(id -u) = {} && exit 3", agent.uid());
    assert_eq!(agent.exec(&["sh", "-c", &script]).status.code(), Some(3));
    succeeded(agent.tell(&["stop"]));
    assert!(matches!(judge::process_state(agent.pid()), Some('T' | 'D')));
    succeeded(agent.tell(&["cont"]));
    goes_on(daemon, name);
    let denied = agent.exec(&["cat", "/etc/shadow"]);
    assert!(!denied.status.success() && stderr(&denied).contains("Permission denied"), "{}", stderr(&denied));
    let events = stdout(&succeeded(daemon.agentctl(&["events", name])));
    assert!(events.contains("taken back by agentosd"), "{events}");
}

#[test]
fn a_daemon_that_is_killed_leaves_agents_that_the_next_one_takes_back_within_a_second() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    let stopped = counting(&daemon, "stopped");
    succeeded(stopped.tell(&["stop"]));
    let before = confinement(&agent);
    let ended = daemon.spawn(&Launch::new("base"), &["sh", "-c", "echo kept; exit 5"]);
    assert_eq!(ended.tell(&["wait"]).status.code(), Some(5));

    daemon.crash();
    goes_on(&daemon, "going");
    assert_eq!(confinement(&agent), before, "nothing that confines it lived in the daemon");
    let said = daemon.agentctl(&["ps"]);
    assert!(!said.status.success() && stderr(&said).contains("agentosd is not running"), "{}", stderr(&said));

    let begin = Instant::now();
    daemon.start_again();
    let listed = daemon.ps();
    let took = begin.elapsed();
    println!("taken back after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    assert_eq!(confinement(&agent), before);
    is_whole(&daemon, &agent);
    nothing_is_lost(&agent);
    assert_eq!(stopped.state(), "stopped");
    // D: it was stopped while it waited for its files, and takes the stop at the end of that wait.
    assert!(matches!(judge::process_state(stopped.pid()), Some('T' | 'D')));
    succeeded(stopped.tell(&["cont"]));
    goes_on(&daemon, "stopped");
    assert_eq!(ended.inspect()["agent"]["exit"]["code"].as_u64(), Some(5), "what ended before is remembered");
    succeeded(agent.tell(&["kill", "-9"]));
    assert!(own_processes(agent.uid()).is_empty(), "a kill is as complete as before");
    let again = daemon.run_inside(&Launch::new("base"), &["echo", "again"]);
    assert_eq!(stdout(&again), "again\n", "and others are started: {}", stderr(&again));
}

#[test]
fn a_daemon_leaves_when_it_is_told_to_and_replaces_itself() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    for round in 0..3 {
        if round == 1 {
            daemon.replace();
        } else {
            daemon.leave();
            goes_on(&daemon, "going");
            daemon.start_again();
        }
        is_whole(&daemon, &agent);
    }
    nothing_is_lost(&agent);
    let log = daemon.log();
    assert!(!log.contains("was not closed"), "the audit log is whole each time: {log}");
}

#[test]
fn an_order_to_end_is_not_lost_on_a_daemon_that_replaces_itself() {
    if !tests::is_root() {
        return;
    }
    for milliseconds in [0, 3, 10, 20, 40, 80] {
        let daemon = Daemon::start();
        let agent = counting(&daemon, "going");
        let processes = own_processes(agent.uid());
        daemon.signal(Signal::USR2);
        std::thread::sleep(Duration::from_millis(milliseconds));
        daemon.signal(Signal::TERM);
        wait_until("the end of the daemon", SOON, || !daemon.is_running());
        // By number: the block of uids is free, and another daemon's agents may have them already.
        let left: Vec<_> = processes.iter().filter(|pid| judge::process_exists(**pid)).collect();
        assert!(left.is_empty(), "{milliseconds} ms: its agents ended with it: {left:?}\n{}", daemon.log());
        daemon.start_again();
        assert_eq!(agent.state(), "exited");
    }
}

#[test]
fn the_server_of_its_files_may_die_together_with_the_daemon() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    succeeded(agent.exec(&["sh", "-c", "echo kept > /mem/working/kept; echo kept > /mem/semantic/kept"]));
    let vfs = rustix::process::Pid::from_raw(daemon.vfs()).expect("a pid");
    daemon.crash();
    rustix::process::kill_process(vfs, rustix::process::Signal::KILL).expect("our own server");
    daemon.start_again();
    wait_until("new mounts", SOON, || {
        stdout(&daemon.agentctl(&["events", "going"])).contains("its files are mounted anew")
    });
    let kept = succeeded(agent.exec(&["cat", "/mem/working/kept", "/mem/semantic/kept"]));
    assert_eq!(stdout(&kept), "kept\nkept\n");
    goes_on(&daemon, "going");
}

#[test]
fn an_agent_that_ends_while_no_daemon_is_there_has_ended_as_it_did() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    let policy = daemon.policy("extends: [base]\nfilesystem: [{path: \"${workspace}\", access: write}]\n");
    let script = "while ! test -e go; do sleep 0.01; done; echo last words; exit 42";
    let agent = daemon.spawn(&Launch::new(policy).workspace(&workspace), &["sh", "-c", script]);
    let pid = agent.pid();
    daemon.crash();
    fs::write(workspace.join("go"), "").expect("a file");
    wait_until("its end", SOON, || !judge::process_exists(pid) || judge::process_state(pid) == Some('Z'));
    daemon.start_again();
    assert_eq!(agent.tell(&["wait"]).status.code(), Some(42));
    assert_eq!(agent.output(), "last words\n");
    wait_until("nothing of it is left", SOON, || agent.cgroups().iter().all(|group| !group.exists()));
}

#[test]
fn damaged_state_is_set_aside_and_a_newer_daemons_is_left_alone() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    let id = agent.inspect()["agent"]["id"].as_u64().expect("an id");
    let state = daemon.place().join("state");
    let record = state.join(format!("agents/{id}/record.jsonl"));
    let over = daemon.spawn(&Launch::new("base"), &["true"]);
    wait_until("its end", SOON, || over.state() == "exited");
    let ended = state.join(format!("agents/{}/record.jsonl", over.inspect()["agent"]["id"]));
    daemon.crash();
    let files = ["next-id", "stage.key", "version"].map(|file| state.join(file));
    for (file, damage) in
        [(&record, &b"\xff{half"[..]), (&ended, b"{{{"), (&files[0], b"x"), (&files[1], b"zzz"), (&files[2], b"")]
    {
        assert!(file.exists(), "control: {}", file.display());
        fs::write(file, damage).expect("damage");
    }
    daemon.start_again();
    let log = daemon.log();
    for file in ["record.jsonl", "next-id", "stage.key", "version"] {
        assert!(log.contains(&format!("{file}.damaged-1")), "{file} is named: {log}");
    }
    assert!(log.contains(&format!("{}.damaged-1", ended.display())), "{log}");
    assert_eq!(fs::read(record.with_extension("jsonl.damaged-1")).expect("set aside"), b"\xff{half");
    is_whole(&daemon, &agent);
    let next = daemon.spawn(&Launch::new("base"), &["sleep", "1000"]);
    assert!(next.inspect()["agent"]["id"].as_u64() > Some(id), "no id is given twice");

    daemon.crash();
    fs::write(state.join("version"), "99\n").expect("a newer version");
    let refused = daemon.refuses_to_start();
    assert!(
        !refused.status.success() && stderr(&refused).contains("written by a newer agentosd"),
        "{}",
        stderr(&refused)
    );
    goes_on(&daemon, "going");
    fs::write(state.join("version"), "1\n").expect("the version of before");
    // What is no file at all stops nothing either.
    let copy = daemon.place().join("run/stage.key");
    fs::remove_file(&copy).and_then(|()| fs::create_dir(&copy)).expect("a directory in its place");
    daemon.start_again();
    is_whole(&daemon, &agent);
}

#[test]
fn a_start_that_fails_leaves_agents_as_they_are() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    let config = daemon.place().join("agentosd.yaml");
    let text = fs::read_to_string(&config).expect("the configuration");
    daemon.crash();
    fs::write(&config, format!("{text}stage_path: /nonexistent/agentos-stage\n")).expect("the configuration");
    // What is no stage's socket stops nobody.
    fs::create_dir(daemon.place().join("run/stages/directory")).expect("a directory");
    fs::write(daemon.place().join("run/stages/file"), "").expect("a file");
    for _ in 0..3 {
        let refused = daemon.refuses_to_start();
        assert!(!refused.status.success() && stderr(&refused).contains("/nonexistent"), "{}", stderr(&refused));
        goes_on(&daemon, "going");
    }
    fs::write(&config, text).expect("the configuration");
    daemon.start_again();
    is_whole(&daemon, &agent);
    fs::remove_dir(daemon.place().join("run/stages/directory")).expect("a directory of the test's");
}

#[test]
fn agents_whose_main_thread_has_ended_or_whose_stop_was_cut_off_are_taken_back() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let script = "import ctypes, threading, time\nthreading.Thread(target=lambda: time.sleep(1000)).start()\n\
                  time.sleep(0.3); ctypes.CDLL(None).syscall(60, 0)";
    let leaderless = daemon.spawn(&Launch::new("python"), &["/usr/bin/python3", "-c", script]);
    wait_until("its main thread to end", SOON, || judge::process_state(leaderless.pid()) == Some('Z'));
    let cut_off = daemon.spawn(&Launch::new("base"), &["sleep", "1000"]);
    daemon.crash();
    // As a stop leaves it between the signal and the freezer.
    let pid = rustix::process::Pid::from_raw(cut_off.pid()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our own agent");
    daemon.start_again();
    assert_eq!(leaderless.state(), "running");
    assert_eq!(cut_off.state(), "stopped");
    succeeded(cut_off.tell(&["cont"]));
    wait_until("it to go on", SOON, || judge::process_state(cut_off.pid()) == Some('S'));
}

#[test]
fn a_stage_that_cannot_be_claimed_ends_with_its_agent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    let parent = |pid| judge::status_line(pid, "PPid").and_then(|text| text.parse().ok()).unwrap_or(0);
    let init: i32 = parent(agent.pid());
    let stage: i32 = parent(init);
    assert!(judge::status_line(stage, "Name").is_some_and(|name| name == "agentos-stage"), "the control");
    daemon.crash();
    for file in ["state/stage.key", "run/stage.key"] {
        fs::write(daemon.place().join(file), "damaged").expect("the key");
    }
    daemon.start_again();
    let gone = |pid| !judge::process_exists(pid) || judge::process_state(pid) == Some('Z');
    wait_until("both to end", SOON, || gone(stage) && gone(agent.pid()));
    assert_eq!(agent.inspect()["agent"]["exit"]["reason"], "daemon_gone");
    // The child of a stage that was killed is the host's to reap, which takes its time.
    wait_until("the host to reap it", SOON * 3, || !judge::process_exists(init));
}

/// Sends a message as a daemon would, and reads until the stage lets go.
fn say(socket: &Path, message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let mut stream = UnixStream::connect(socket).expect("the stage listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let length = u32::try_from(text.len()).expect("a length").to_le_bytes();
    stream.write_all(&[&length, text.as_bytes()].concat()).expect("the stage reads");
    let mut answer = Vec::new();
    // The stage may have let go before it read everything.
    stream.read_to_end(&mut answer).ok();
    answer
}

#[test]
fn only_who_knows_the_key_takes_an_agent_over() {
    if !tests::is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going");
    let stages = daemon.place().join("run/stages");
    let mode = |path: &Path| fs::metadata(path).expect("our own").permissions().mode() & 0o777;
    assert_eq!(mode(&stages), 0o700);
    let key = daemon.place().join("state/stage.key");
    assert_eq!(mode(&key), 0o600);
    let key = fs::read_to_string(key).expect("the key");
    let name = agent.cgroups()[0].file_name().expect("a group").to_string_lossy().into_owned();
    let socket = stages.join(format!("{name}.sock"));
    assert_eq!(mode(&socket), 0o600);
    for wrong in ["", "00", &key.replace(|c: char| c != 'f', "0"), &format!("{key}0")] {
        assert_eq!(say(&socket, &serde_json::json!({"Claim": {"key": wrong}})), b"", "{wrong}");
    }
    assert_eq!(say(&socket, &serde_json::json!("Dismiss")), b"", "nothing but a claim is heard");
    goes_on(&daemon, "going");
    assert_eq!(agent.state(), "running", "the daemon still has it");
    succeeded(agent.tell(&["stop"]));
    succeeded(agent.tell(&["cont"]));
    // The control: with the key it is handed over, which the daemon reads as the stage's end.
    daemon.crash();
    let mut stream = UnixStream::connect(&socket).expect("the stage listens");
    let claim = serde_json::json!({"Claim": {"key": key}}).to_string();
    stream.write_all(&u32::try_from(claim.len()).expect("a length").to_le_bytes()).expect("the stage reads");
    stream.write_all(claim.as_bytes()).expect("the stage reads");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("a length")];
    stream.read_exact(&mut answer).expect("an answer");
    assert!(String::from_utf8_lossy(&answer).contains("Claimed"), "{}", String::from_utf8_lossy(&answer));
    drop(stream);
    daemon.start_again();
    is_whole(&daemon, &agent);
}
