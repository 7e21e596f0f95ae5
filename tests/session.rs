//! Promise: a command in the foreground behaves as without us. Streams, exit status, signals, environment, names.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::{Daemon, Launch, judge, own_processes, stderr, stdout, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn run(daemon: &Daemon, argv: &[&str]) -> Output {
    daemon.run_inside(&Launch::new("base"), argv)
}

/// `agentctl run` in the foreground with three pipes, as an interactive shell would start it.
fn foreground(daemon: &Daemon, name: &str, argv: &[&str]) -> Child {
    job(daemon, name, "--default-signal", argv)
}

/// The same in a process group of its own and with a word on signals for env(1): whoever runs the tests may ignore some
/// (nohup, a shell's `&`, many CI runners), and ignored ones are inherited.
fn job(daemon: &Daemon, name: &str, signals: &str, argv: &[&str]) -> Child {
    let words = Launch::new("base").name(name).words(argv);
    let plain = daemon.command(&words);
    let mut command = Command::new("env");
    command.arg(signals).arg(plain.get_program()).args(plain.get_args());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().expect("agentctl can be started")
}

/// Reads one line of what the command writes.
fn line(child: &mut Child) -> String {
    let mut text = String::new();
    let out = child.stdout.as_mut().expect("a pipe");
    let mut byte = [0];
    while !text.ends_with('\n') && out.read(&mut byte).expect("agentctl's output") == 1 {
        text.push(char::from(byte[0]));
    }
    text
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("our own child");
}

/// Waits, but not for ever.
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + SOON;
    while child.try_wait().expect("our own child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("our own child");
            panic!("agentctl did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("our own child")
}

#[test]
fn the_exit_status_is_the_commands_own() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    for code in [0, 1, 7, 124, 255] {
        let output = run(&daemon, &["sh", "-c", &format!("exit {code}")]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(code), ""));
    }
    for (name, number) in [("TERM", 15), ("SEGV", 11), ("KILL", 9), ("RTMIN", 34)] {
        let output = run(&daemon, &["sh", "-c", &format!("kill -{name} $$; exit 1")]);
        assert_eq!(output.status.code(), Some(128 + number), "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_command_that_cannot_run_is_said_with_its_own_code() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    for (argv, code, what) in [
        (["no-such-command"], 127, "no-such-command"),
        (["/usr/bin/no-such-command"], 127, "/usr/bin/no-such-command"),
        (["/etc/passwd"], 126, "/etc/passwd"),
        (["/usr/share"], 126, "/usr/share"),
    ] {
        let output = run(&daemon, &argv);
        assert_eq!(output.status.code(), Some(code), "{argv:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.starts_with("agentctl: ") && said.contains(what), "{argv:?}: {said}");
    }
    let missing = daemon.policy("extends: [base]\nfilesystem: [{path: /no/such/directory, access: read}]\n");
    let output = daemon.run_inside(&Launch::new(missing), &["sh", "-c", "echo it ran"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(125), ""), "{}", stderr(&output));
    assert!(stderr(&output).contains("/no/such/directory"), "{}", stderr(&output));
}

#[test]
fn output_and_errors_are_two_streams_and_nothing_is_added() {
    if !tests::is_root() {
        return;
    }
    let output = run(&Daemon::shared(), &["sh", "-c", "printf out; printf err >&2; printf more"]);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("outmore", "err"));
}

#[test]
fn ten_mebibytes_pass_unchanged_both_ways() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let mut child = foreground(&daemon, &daemon.unique("bytes"), &["cat"]);
    let sent = noise(10 << 20);
    let mut input = child.stdin.take().expect("a pipe");
    let copy = sent.clone();
    let writer = std::thread::spawn(move || input.write_all(&copy));
    let mut received = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut received).expect("agentctl's output");
    writer.join().expect("the writer").expect("all was taken");
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(received.len(), sent.len());
    // Not assert_eq: nobody wants to read ten mebibytes twice.
    assert!(received == sent, "the first difference is at {:?}", received.iter().zip(&sent).position(|(a, b)| a != b));
}

/// Bytes of every value without a pattern that a buffer's size could hide (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn the_end_of_input_reaches_the_command_at_once() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let mut child =
        foreground(&daemon, &daemon.unique("eof"), &["sh", "-c", "read x; echo \"got $x\"; read y || echo end"]);
    child.stdin.as_mut().expect("a pipe").write_all(b"one\n").expect("written");
    assert_eq!(line(&mut child), "got one\n");
    drop(child.stdin.take());
    let output = ended(child);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("end\n", Some(0)));
}

#[test]
fn the_end_of_input_reaches_the_command_with_interactive_as_well() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let host = daemon.spawn(&Launch::new("base").name(&daemon.unique("host")), &["/bin/sleep", "600"]);
    let name = host.name();
    let run = Launch::new("base").name(&daemon.unique("piped")).option("-i").words(&["/bin/cat"]);
    let exec: Vec<_> = ["exec", "-i", name, "--", "/bin/cat"].map(str::to_owned).into();
    for words in [run, exec] {
        let mut command = daemon.command(&words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("agentctl");
        child.stdin.take().expect("a pipe").write_all(b"piped\n").expect("agentctl reads");
        let output = ended(child);
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("piped\n", Some(0)), "{words:?}");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("head");
    let mut child = foreground(&daemon, &name, &["yes"]);
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    reader.read_line(&mut first).expect("a line");
    assert_eq!(first, "y\n");
    let uid = u32::try_from(daemon.inspect(&name)["agent"]["uid"].as_u64().expect("a uid")).expect("fits");
    assert!(!own_processes(uid).is_empty(), "control: yes is there while it is read");
    drop(reader);
    let status = ended(child).status;
    assert!(status.code() == Some(141) || status.signal() == Some(13), "{status}");
    wait_until("the end of yes", SOON, || own_processes(uid).is_empty());
}

#[test]
fn signals_to_agentctl_reach_the_main_process() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    for (number, name) in [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::USR1, "USR1"), (Signal::HUP, "HUP")] {
        let script = format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let mut child = foreground(&daemon, &daemon.unique("signal"), &["sh", "-c", &script]);
        assert_eq!(line(&mut child), "ready\n");
        signal(&child, number);
        let output = ended(child);
        assert_eq!((stdout(&output), output.status.code()), (format!("got {name}\n"), Some(9)), "{}", stderr(&output));
    }
    let mut child = foreground(&daemon, &daemon.unique("signal"), &["sh", "-c", "echo ready; sleep 100"]);
    assert_eq!(line(&mut child), "ready\n");
    signal(&child, Signal::INT);
    // As a shell does, dash waits for its child before it dies of the signal; the child hears nothing of it here.
    let agents = daemon.ps();
    assert!(agents.as_array().is_some_and(|list| !list.is_empty()), "{agents}");
    signal(&child, Signal::TERM);
    let output = ended(child);
    assert!(matches!(output.status.code(), Some(130 | 143)), "{:?}", output.status);
}

#[test]
fn a_signal_that_was_ignored_stays_ignored_as_for_the_command_itself() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "trap 'echo got HUP; exit 9' HUP; echo ready; read line; echo \"read $line\"";
    let mut child = job(&daemon, &daemon.unique("nohup"), "--ignore-signal=HUP", &["sh", "-c", script]);
    assert_eq!(line(&mut child), "ready\n");
    signal(&child, Signal::HUP);
    child.stdin.as_mut().expect("a pipe").write_all(b"on\n").expect("written");
    let output = ended(child);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("read on\n", Some(0)), "{}", stderr(&output));
}

/// Suspends the agentctl that `find` finds beneath the started program, and lets it go on.
fn suspends_and_goes_on(daemon: &Daemon, name: &str, mut child: Child, find: impl Fn(i32) -> i32) {
    assert_eq!(line(&mut child), "ready\n");
    let pid = find(i32::try_from(child.id()).expect("fits"));
    let uid = u32::try_from(daemon.inspect(name)["agent"]["uid"].as_u64().expect("a uid")).expect("fits");
    let states = || -> String { own_processes(uid).into_iter().filter_map(judge::process_state).collect() };
    // The shell may be about to say so while the second sleep is still a copy of it.
    wait_until("the shell and two sleeps (control)", SOON, || states().len() == 3);
    let target = Pid::from_raw(pid).expect("a process");
    kill_process(target, Signal::TSTP).expect("a process of ours");
    wait_until("agentctl to stop", SOON, || judge::process_state(pid) == Some('T'));
    assert_eq!(states(), "TTT");
    kill_process(target, Signal::CONT).expect("a process of ours");
    wait_until("the agent to go on", SOON, || !states().contains('T'));
    child.stdin.as_mut().expect("a pipe").write_all(b"on\n").expect("written");
    let output = ended(child);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("read on\n", Some(0)), "{}", stderr(&output));
}

const TWO_SLEEPS: &str = "sleep 100 & a=$!; sleep 100 & echo ready; read line; echo \"read $line\"; kill $a $!";

#[test]
fn ctrl_z_stops_the_whole_agent_and_then_agentctl() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("suspend");
    let child = foreground(&daemon, &name, &["sh", "-c", TWO_SLEEPS]);
    suspends_and_goes_on(&daemon, &name, child, |env| env);
}

/// As within `docker exec`: the session's id is 0 there.
#[test]
fn ctrl_z_works_where_the_session_was_made_outside_the_pid_namespace() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("suspend-ns");
    let words = Launch::new("base").name(&name).words(&["sh", "-c", TWO_SLEEPS]);
    let plain = daemon.command(&words);
    let mut command = Command::new("unshare");
    // PID 1 of the namespace is a shell that waits, as SIGSTOP from within does not stop it.
    command.args([
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        "env --default-signal \"$@\"; exit $?",
    ]);
    command.arg("sh").arg(plain.get_program()).args(plain.get_args());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("unshare can be started");
    let only_child = |pid: i32| judge::children(pid).into_iter().next().expect("a child");
    suspends_and_goes_on(&daemon, &name, child, |unshare| only_child(only_child(unshare)));
}

#[test]
fn only_named_variables_get_in() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let words = Launch::new("base").env("GIVEN", "a b=c").option("--env").option("TAKEN").words(&["env"]);
    let mut command: Command = daemon.command(&words);
    command.env_clear().envs([
        ("SECRET", "x"),
        ("TAKEN", "y"),
        ("LANG", "C.UTF-8"),
        ("PATH", "/evil"),
        ("HOME", "/evil"),
    ]);
    command.env("LD_PRELOAD", "").env("AGENTOS_SOCKET", "/evil");
    let output = command.output().expect("agentctl can be started");
    let text = stdout(&output);
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let names: Vec<_> = lines.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The five besides what is named are the ones that docs/agentosd.md promises to every agent.
    let promised = ["AGENTOS_NAME", "GIVEN", "HOME", "LANG", "LOGNAME", "PATH", "TAKEN", "USER"];
    assert_eq!(names, promised, "{text}{}", stderr(&output));
    for line in ["GIVEN=a b=c", "LANG=C.UTF-8", "TAKEN=y"] {
        assert!(lines.contains(&line), "{line} is missing in {text}");
    }
    assert!(!text.contains("/evil") && !text.contains("SECRET"), "{text}");
}

#[test]
fn an_unknown_name_is_answered_with_those_that_exist() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let agent = daemon.spawn(&Launch::new("base"), &["sleep", "100"]);
    for words in [&["inspect"][..], &["kill"], &["stop"], &["logs"], &["wait"], &["rm"], &["denials"]] {
        let mut words = words.to_vec();
        // A prefix of a name that exists is not completed.
        let unknown = agent.name().trim_end_matches(|c: char| c.is_ascii_digit());
        let unknown = unknown.trim_end_matches('-');
        words.push(unknown);
        let output = daemon.agentctl(&words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(agent.name()), "{words:?}: {}", stderr(&output));
    }
    let output = daemon.run_inside(&Launch::new("base").name(agent.name()), &["true"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let output = daemon.run_inside(&Launch::new("base").name("no/slash"), &["true"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = daemon.run_inside(&Launch::new("no-such-policy"), &["true"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("base") && stderr(&output).contains("coding-agent"), "{}", stderr(&output));
}

#[test]
fn without_a_daemon_the_sentence_names_the_remedy() {
    let output = Command::new(tests::binary("agentctl"))
        .args(["--socket", "/nonexistent/io.agentos.sock", "ps"])
        .output()
        .expect("agentctl can be started");
    assert_eq!(output.status.code(), Some(69));
    // Which one depends on what starts services here.
    let remedy = ["systemctl start agentosd", "agentosd &"].iter().any(|remedy| stderr(&output).contains(remedy));
    assert!(remedy, "{}", stderr(&output));
}
