//! Promise 3: while an agent is stopped, none of its processes writes a byte, and none escapes by forking.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;
use tests::{Agent, Daemon, Held, hostile, judge, own_processes, probe, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(500);
const REPETITIONS: usize = 20;

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// An agent of a shell that starts `script`, with `PROBE` replaced.
fn start<'d>(daemon: &'d Daemon, script: &str) -> (Agent<'d>, PathBuf) {
    let (launch, workspace) = hostile(daemon, "pids: 200, cpu: 1.5");
    (daemon.spawn(&launch, &["sh", "-c", &script.replace("PROBE", &probe())]), workspace)
}

/// The agent's processes with their states, by number.
fn states(agent: &Agent<'_>) -> Vec<(i32, char)> {
    let mut list: Vec<_> =
        own_processes(agent.uid()).into_iter().filter_map(|pid| Some((pid, judge::process_state(pid)?))).collect();
    list.sort_unstable();
    list
}

#[test]
fn nothing_moves_while_an_agent_is_stopped() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "PROBE forkers 20 forked & PROBE ticks ticked & PROBE daemonize daemon; PROBE trap-all caught & wait";
    let (agent, workspace) = start(&daemon, script);
    let traces = ["forked", "ticked", "daemon", "caught"].map(|name| workspace.join(name));
    let sizes = || traces.each_ref().map(|path| size(path));
    wait_until("every trace", SOON, || sizes().iter().all(|size| *size > 0));
    for round in 0..REPETITIONS {
        let moving = sizes();
        wait_until("every trace to grow", SOON, || sizes().iter().zip(&moving).all(|(now, then)| now > then));
        let output = succeeded(agent.tell(&["stop"]));
        let at_once = sizes();
        let before = states(&agent);
        assert!(stdout(&output).contains("stopped"), "{}", stdout(&output));
        assert!(before.len() >= 24, "control: the shell, 21 forkers and 3 others are there: {before:?}");
        // What had ended already (Z) is waited for by a parent that is stopped.
        assert!(before.iter().all(|(_, state)| matches!(state, 'T' | 'Z')), "round {round}: {before:?}");
        std::thread::sleep(SILENCE);
        assert_eq!(sizes(), at_once, "round {round}: something wrote while stopped");
        assert_eq!(states(&agent), before, "round {round}: a process came, went or moved");
        assert_eq!(agent.state(), "stopped");
        drop(succeeded(agent.tell(&["cont"])));
        assert_eq!(agent.state(), "running");
    }
}

#[test]
fn a_process_that_has_itself_continued_stays_where_it_is() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "exec PROBE waker woken");
    let trace = workspace.join("woken");
    wait_until("ticks", SOON, || size(&trace) > 10);
    drop(succeeded(agent.tell(&["stop"])));
    let stopped = size(&trace);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(size(&trace), stopped, "its own SIGCONT let it go on");
    drop(succeeded(agent.tell(&["cont"])));
    wait_until("ticks after cont", SOON, || size(&trace) > stopped);
    drop(succeeded(agent.tell(&["stop"])));
    drop(succeeded(agent.tell(&["kill", "-s", "KILL"])));
    assert_eq!(own_processes(agent.uid()), Vec::<i32>::new());
}

#[test]
fn a_parent_that_waits_for_its_vfork_child_does_not_move_either() {
    if !tests::is_root() {
        return;
    }
    if !Path::new("/usr/bin/perl").exists() {
        return tests::skip("vfork", "no /usr/bin/perl to make a raw clone(CLONE_VFORK) with");
    }
    let daemon = Daemon::shared();
    let (launch, workspace) = hostile(&daemon, "pids: 16");
    let script = "if (syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0) { select(undef, undef, undef, 1) ; exit } \
                  open(F, '>', 'after'); print F 'x'; close F; sleep 1000";
    let agent = daemon.spawn(&launch, &["perl", "-e", script]);
    wait_until("state D", SOON, || judge::process_state(agent.pid()) == Some('D'));
    drop(succeeded(agent.tell(&["stop"])));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!workspace.join("after").exists());
    drop(succeeded(agent.tell(&["cont"])));
    wait_until("the parent to go on", SOON, || workspace.join("after").exists());
}

#[test]
fn stop_and_cont_are_idempotent_and_recorded() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "exec sleep 1000");
    let said = |word: &str| stdout(&succeeded(agent.tell(&[word])));
    assert!(said("cont").contains("no effect: already running"));
    assert!(said("stop").contains("stopped 1 process"));
    assert!(said("stop").contains("no effect: already stopped"));
    assert_eq!(states(&agent).iter().map(|(_, state)| *state).collect::<String>(), "T");
    drop(said("cont"));
    // It may be seen on its way back to sleep.
    let letters = || states(&agent).iter().map(|(_, state)| *state).collect::<String>();
    wait_until("the sleep to go on", SOON, || letters() == "S");

    let output = succeeded(daemon.agentctl(&["events", "--json", agent.name()]));
    let events: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list").clone();
    let signals: Vec<_> = events.iter().filter(|event| event["event"] == "signal").collect();
    let words: Vec<_> = signals.iter().map(|event| event["signal"].as_str().expect("a name")).collect();
    assert_eq!(words, ["SIGCONT", "SIGSTOP", "SIGSTOP", "SIGCONT"]);
    assert!(signals.iter().all(|event| event["by"]["uid"].as_u64() == Some(0)), "{signals:?}");
    let outcomes: Vec<_> = signals.iter().map(|event| event["outcome"].as_str().expect("an outcome")).collect();
    assert_eq!(outcomes[0], "no effect: already running");
    assert_eq!(outcomes[2], "no effect: already stopped");
}

#[test]
fn nothing_new_is_started_in_a_stopped_agent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, workspace) = start(&daemon, "exec sleep 1000");
    assert_eq!(agent.exec(&["touch", "before"]).status.code(), Some(0), "control");
    drop(succeeded(agent.tell(&["stop"])));
    let output = agent.exec(&["touch", "while"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("agentctl cont"), "{}", stderr(&output));
    drop(succeeded(agent.tell(&["cont"])));
    assert_eq!(agent.exec(&["touch", "after"]).status.code(), Some(0));
    let exists = |name: &str| workspace.join(name).exists();
    assert_eq!((exists("before"), exists("while"), exists("after")), (true, false, true));
}

#[test]
fn a_signal_waits_until_the_agent_goes_on() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (agent, _) = start(&daemon, "trap 'echo heard; exit 3' USR1; echo ready; while :; do sleep 0.02; done");
    wait_until("the trap", SOON, || agent.output().contains("ready"));
    drop(succeeded(agent.tell(&["stop"])));
    drop(succeeded(agent.tell(&["kill", "-s", "USR1"])));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!agent.output().contains("heard"));
    drop(succeeded(agent.tell(&["cont"])));
    assert_eq!(agent.tell(&["wait"]).status.code(), Some(3));
    assert!(agent.output().contains("heard"));
}

/// An agent with one process that ticks and a main process that cannot be frozen, and a STOP that waits for that one.
struct Stuck<'d> {
    // Let go before the agent is removed.
    held: Held,
    agent: Agent<'d>,
    ticks: PathBuf,
    stop: Child,
}

impl<'d> Stuck<'d> {
    fn new(daemon: &'d Daemon) -> Option<Self> {
        let (agent, workspace) = start(daemon, "PROBE ticks ticked & exec sleep 1000");
        let ticks = workspace.join("ticked");
        wait_until("ticks", SOON, || size(&ticks) > 0);
        let Some(held) = Held::new(daemon, agent.pid()) else {
            tests::skip("freezer", "no cgroup version 1 freezer to hold a process with");
            return None;
        };
        let stop = begin(daemon, &["stop", agent.name()]);
        let asked = |group: PathBuf| fs::read_to_string(group.join("cgroup.freeze")).is_ok_and(|text| text == "1\n");
        wait_until("the stop to begin", SOON, || agent.cgroups().into_iter().any(asked));
        Some(Self { held, agent, ticks, stop })
    }

    fn grows(&self) {
        let before = size(&self.ticks);
        wait_until("ticks", SOON, || size(&self.ticks) > before);
    }
}

fn begin(daemon: &Daemon, words: &[&str]) -> Child {
    let mut command = daemon.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("agentctl can be started")
}

/// Waits for less than the ten seconds after which a stop gives up.
fn soon(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, Duration::from_secs(5), condition);
}

fn ended(mut child: Child) -> Output {
    soon("agentctl to end", || child.try_wait().expect("our own child").is_some());
    child.wait_with_output().expect("our own child")
}

#[test]
fn a_kill_overtakes_a_stop_that_cannot_complete() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let Some(Stuck { held, agent, stop, .. }) = Stuck::new(&daemon) else { return };
    let (uid, main) = (agent.uid(), agent.pid());
    let kill = begin(&daemon, &["kill", "-9", agent.name()]);
    let living = || own_processes(uid).into_iter().filter(|pid| judge::process_state(*pid) != Some('Z'));
    soon("every process that can die to be dead", || living().eq([main]));
    let output = ended(stop);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("SIGKILL overtook the stop"), "{}", stderr(&output));
    assert_eq!(judge::process_state(main), Some('D'), "control: the stop could not have completed");
    drop(held);
    drop(succeeded(ended(kill)));
    assert_eq!(own_processes(uid), Vec::<i32>::new());

    let output = succeeded(daemon.agentctl(&["events", "--json", agent.name()]));
    let events: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list").clone();
    let signals = events.iter().filter(|event| event["event"] == "signal");
    let said: Vec<_> = signals.map(|event| (event["signal"].as_str(), event["outcome"].as_str())).collect();
    assert_eq!(said[0], (Some("SIGSTOP"), Some("overtaken by SIGKILL")), "{said:?}");
    assert_eq!(said[1].0, Some("SIGKILL"), "{said:?}");
}

#[test]
fn a_cont_overtakes_a_stop_that_cannot_complete_and_the_agent_goes_on() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let Some(mut stuck) = Stuck::new(&daemon) else { return };
    let refused = ended(begin(&daemon, &["exec", stuck.agent.name(), "true"]));
    assert_eq!(refused.status.code(), Some(4), "nothing new is started in it: {}", stderr(&refused));
    drop(succeeded(ended(begin(&daemon, &["cont", stuck.agent.name()]))));
    soon("the stop's answer", || stuck.stop.try_wait().expect("our own child").is_some());
    assert_eq!(stuck.stop.wait().expect("our own child").code(), Some(4));
    stuck.grows();
    assert_eq!(stuck.agent.state(), "running");
    drop(stuck.held);
    drop(succeeded(stuck.agent.tell(&["stop"])));
    assert!(states(&stuck.agent).iter().all(|(_, state)| *state == 'T'), "control: it can be stopped again");
}

#[test]
fn a_stop_that_fails_leaves_the_agent_as_it_was() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let Some(mut stuck) = Stuck::new(&daemon) else { return };
    wait_until("the stop to give up", 2 * SOON, || stuck.stop.try_wait().expect("our own child").is_some());
    let output = stuck.stop.wait().expect("our own child");
    assert!(!output.success(), "{output:?}");
    assert_eq!(stuck.agent.state(), "running");
    stuck.grows();
}
