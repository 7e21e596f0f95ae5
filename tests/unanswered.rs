//! Promises 2 and 10: one who does not read or does not answer, an agent's PID 1 or the daemon itself, keeps nobody else
//! waiting.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::{Agent, Daemon, Launch, judge, own_processes, stderr, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// Far above what a reply takes on a busy machine, far below for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection of its own.
struct Line(BufReader<UnixStream>);

impl Line {
    fn to(daemon: &Daemon) -> Self {
        let stream = UnixStream::connect(daemon.socket()).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    fn say(&mut self, method: &str, parameters: &Value) {
        let call = json!({"method": format!("io.agentos.Control.{method}"), "parameters": parameters});
        let bytes = [call.to_string().as_bytes(), b"\0"].concat();
        self.0.get_mut().write_all(&bytes).expect("the daemon reads");
    }

    fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.0.read_until(0, &mut bytes).expect("an answer in time");
        serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes)).expect("a reply")
    }
}

/// Asks for many processes with large environments and stops the agent before PID 1 has read of them.
fn overwhelm(daemon: &Daemon, agent: &Agent<'_>, round: u64) -> Vec<Line> {
    let env: Vec<_> = (0..8).map(|index| json!([format!("X{index}"), "y".repeat(110_000)])).collect();
    let exec = json!({"name": agent.name(), "command": ["/bin/true"], "env": env});
    let mut lines: Vec<_> = (0..20).map(|_| Line::to(daemon)).collect();
    for line in &mut lines {
        line.say("Exec", &exec);
    }
    std::thread::sleep(Duration::from_millis(round * 3));
    let mut stop = Line::to(daemon);
    stop.say("Kill", &json!({"name": agent.name(), "signal": "STOP"}));
    let answer = stop.hear();
    assert_eq!(answer["error"], Value::Null, "{answer}");
    lines
}

#[test]
fn what_is_asked_of_a_stopped_agent_keeps_nobody_waiting() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let script = "i=0; while [ $i -lt 30 ]; do (while :; do :; done)& i=$((i+1)); done; wait";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    for round in 0..4 {
        let asking = overwhelm(&daemon, &agent, round);
        let begin = Instant::now();
        let mut resize = Line::to(&daemon);
        for _ in 0..600 {
            resize.say("Resize", &json!({"name": agent.name(), "window": {"rows": 10, "cols": 10}}));
            resize.hear();
        }
        assert_eq!(agent.state(), "stopped", "round {round}");
        assert!(begin.elapsed() < PATIENCE, "round {round}: {:?}", begin.elapsed());
        drop(succeeded(agent.tell(&["cont"])));
        for mut line in asking {
            // Started, or refused since too many were to be started or the agent was stopped: but answered.
            line.hear();
        }
    }
    drop(overwhelm(&daemon, &agent, 1));
    let begin = Instant::now();
    drop(succeeded(agent.tell(&["kill", "-s", "KILL"])));
    assert!(own_processes(agent.uid()).is_empty() && begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[test]
fn a_foreground_command_can_be_ended_when_the_daemon_hangs() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let name = daemon.unique("hung");
    let words = Launch::new("base").name(&name).words(&["sh", "-c", "echo ready; sleep 1000"]);
    let mut command = daemon.command(&words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("agentctl can be started");
    let mut ready = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("it runs");
    let hung = Pid::from_raw(daemon.pid()).expect("a pid");
    kill_process(hung, Signal::STOP).expect("our own daemon");
    // A thread that still runs could answer and only then be stopped.
    wait_until("every thread of the daemon to stop", SOON, || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("its threads");
        let mut names = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        names.all(|thread| judge::process_state(thread) == Some('T'))
    });
    kill_process(Pid::from_child(&child), Signal::TERM).expect("our own child");
    let mut status = None;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until("agentctl to end", 2 * SOON, || {
            status = child.try_wait().expect("our own child");
            status.is_some()
        });
    }));
    kill_process(hung, Signal::CONT).expect("our own daemon");
    if let Err(panic) = ended {
        child.kill().expect("our own child");
        std::panic::resume_unwind(panic);
    }
    let output = child.wait_with_output().expect("our own child");
    assert_eq!(output.status.code(), Some(128 + 15), "{}", stderr(&output));
    assert!(stderr(&output).contains("agentosd does not answer Kill"), "{}", stderr(&output));
}
