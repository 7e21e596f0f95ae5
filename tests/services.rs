//! The promise of agents with files of their own: they start with the daemon, after what they depend on; they are started
//! again as their files say, bounded, and never against an operator; and nobody but root decides what root starts.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tests::{Daemon, GROUP_LINE, as_user, judge, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(15);
const SLEEPS: &str = "command: [/bin/sleep, \"600\"]\n";
/// Microseconds.
const SECOND: u64 = 1_000_000;

fn write(directory: &Path, name: &str, text: &str, mode: u32) {
    let path = directory.join(format!("{name}.yaml"));
    fs::write(&path, text).expect("an agent's file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod of our own file");
}

/// A daemon with these files. The directory comes last: it goes after the daemon.
fn started(files: &[(&str, &str)], lines: &str) -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, text)| write(directory.path(), name, text, 0o644));
    let daemon = Daemon::configured(&format!("agents_dir: {}\n{lines}", directory.path().display()));
    (daemon, directory)
}

fn services(daemon: &Daemon) -> BTreeMap<String, Value> {
    let text = stdout(&succeeded(daemon.agentctl(&["services", "--json"])));
    let reply: Value = serde_json::from_str(&text).expect("JSON");
    let all = reply["services"].as_array().expect("a list").iter();
    all.map(|one| (one["name"].as_str().expect("a name").to_owned(), one.clone())).collect()
}

fn wait_for(daemon: &Daemon, name: &str, state: &str) -> Value {
    let mut last = Value::Null;
    wait_until(&format!("{name} to be {state}"), SOON, || {
        last = services(daemon).remove(name).unwrap_or_default();
        last["state"] == state
    });
    last
}

fn events(daemon: &Daemon, name: &str) -> Vec<Value> {
    let text = stdout(&succeeded(daemon.agentctl(&["events", "--json", name])));
    serde_json::from_str(&text).expect("JSON")
}

/// When an agent was started.
fn starts(daemon: &Daemon, name: &str) -> Vec<u64> {
    let all = events(daemon, name);
    let started = all.iter().filter(|event| event["event"] == "started");
    started.map(|event| event["time_us"].as_u64().expect("a time")).collect()
}

fn pid(daemon: &Daemon, name: &str) -> Pid {
    let pid = daemon.inspect(name)["agent"]["pid"].as_i64().expect("a pid of an agent that runs");
    Pid::from_raw(i32::try_from(pid).expect("pids fit")).expect("a pid")
}

#[test]
fn they_start_with_the_daemon_each_when_what_it_depends_on_works() {
    if !tests::is_root() {
        return;
    }
    let slow = "command: [sh, -c, \"sleep 2; touch /tmp/ready; exec sleep 600\"]
health: {command: [test, -e, /tmp/ready], interval: 1s, start_period: 1m}
env: {COLOUR: blue}
";
    let after = |name: &str| format!("{SLEEPS}depends_on: [{name}]\n");
    let files = [("a-app", &*after("b-web")), ("b-web", &*after("c-db")), ("c-db", slow), ("apart", SLEEPS)];
    let (daemon, _files) = started(&files, "");
    // Before it is healthy, only those run that need nobody.
    wait_for(&daemon, "apart", "running");
    let waits = wait_for(&daemon, "b-web", "waiting");
    assert_eq!(waits["why"], "waits for c-db");
    wait_for(&daemon, "a-app", "running");
    let all = services(&daemon);
    assert_eq!((&all["c-db"]["state"], &all["c-db"]["health"]), (&"running".into(), &"healthy".into()));
    let seq = |name: &str, what: &str| {
        let all = events(&daemon, name);
        let found =
            all.iter().find(|event| event["event"] == what).unwrap_or_else(|| panic!("{what} of {name}: {all:?}"));
        found["seq"].as_u64().expect("a number")
    };
    let order = [seq("c-db", "started"), seq("c-db", "health"), seq("b-web", "started"), seq("a-app", "started")];
    assert!(order.is_sorted(), "{order:?}");
    assert!(seq("apart", "started") < seq("c-db", "health"));
    // They are agents like any others.
    let details = daemon.inspect("c-db");
    assert!(details["environment"].as_array().expect("names").contains(&"COLOUR".into()));
    assert!(judge::process_exists(pid(&daemon, "a-app").as_raw_nonzero().get()));
    // After a crash of the daemon they run again, whether they have outlived it or not.
    daemon.crash_and_restart();
    wait_for(&daemon, "a-app", "running");
}

#[test]
fn one_that_fails_is_started_again_after_growing_waits_and_only_so_often() {
    if !tests::is_root() {
        return;
    }
    let again = "restart: on-failure\nmax_restarts: 2\n";
    let fails = format!("command: [sh, -c, \"exit 3\"]\n{again}");
    let never = format!("command: [/no/such/program]\n{again}");
    let done = format!("command: [\"true\"]\n{again}");
    let files = [("done", &*done), ("fails", &*fails), ("never", &*never), ("once", "command: [\"false\"]\n")];
    let (daemon, _files) = started(&files, "");
    let pausing = wait_for(&daemon, "fails", "pausing");
    assert!(pausing["next_start_us"].as_u64().is_some() && pausing["restarts"].as_u64() >= Some(1), "{pausing}");
    let ended = wait_for(&daemon, "fails", "ended");
    assert_eq!(ended["restarts"], 2);
    assert!(ended["why"].as_str().is_some_and(|why| why.contains("code 3") && why.contains("max_restarts")), "{ended}");
    let starts_of = starts(&daemon, "fails");
    assert_eq!(starts_of.len(), 3, "{starts_of:?}");
    assert!(starts_of[1] - starts_of[0] >= SECOND && starts_of[2] - starts_of[1] >= 2 * SECOND, "{starts_of:?}");
    // One that cannot be started at all is bounded in the same way.
    let never = wait_for(&daemon, "never", "ended");
    assert!(never["why"].as_str().is_some_and(|why| why.contains("/no/such/program")), "{never}");
    assert_eq!(never["restarts"], 2);
    // The controls: an end with 0 is no failure, and without a word nothing is started again.
    for name in ["done", "once"] {
        assert_eq!((starts(&daemon, name).len(), &services(&daemon)[name]["state"]), (1, &"ended".into()), "{name}");
    }
    // Each decision is an event and on record.
    let decisions = events(&daemon, "fails").iter().filter(|event| event["event"] == "restart").count();
    assert_eq!(decisions, 3);
    let log = stdout(&succeeded(daemon.agentctl(&["audit", "log", "--json", "--agent", "fails"])));
    assert!(log.contains("stays ended") && log.contains("starts again in 2s"), "{log}");
}

#[test]
fn what_an_operator_has_ended_stays_ended_until_an_operator_starts_it() {
    if !tests::is_root() {
        return;
    }
    let always = format!("{SLEEPS}restart: always\n");
    let names = ["accident", "gone", "killed", "told"];
    let (daemon, _files) = started(&names.map(|name| (name, &*always)), "");
    names.iter().for_each(|name| drop(wait_for(&daemon, name, "running")));
    drop(succeeded(daemon.agentctl(&["kill", "-9", "killed"])));
    drop(succeeded(daemon.agentctl(&["kill", "told"])));
    drop(succeeded(daemon.agentctl(&["rm", "-f", "gone"])));
    // The control: the same end, which nobody asked the daemon for.
    kill_process(pid(&daemon, "accident"), Signal::KILL).expect("a signal to the agent's process");
    wait_until("the accident to be undone", SOON, || starts(&daemon, "accident").len() == 2);
    wait_for(&daemon, "accident", "running");
    // It is by now longer ago than the wait before a restart.
    for name in ["gone", "killed", "told"] {
        let ended = wait_for(&daemon, name, "ended");
        assert!(ended["why"].as_str().is_some_and(|why| why.contains("operator")), "{ended}");
        assert_eq!(starts(&daemon, name).len(), 1, "{name}");
    }
    drop(succeeded(daemon.agentctl(&["services", "start", "killed", "gone"])));
    wait_for(&daemon, "killed", "running");
    wait_for(&daemon, "gone", "running");
    let twice = daemon.agentctl(&["services", "start", "killed"]);
    assert_eq!(twice.status.code(), Some(4), "{}", stderr(&twice));
    assert_eq!(daemon.agentctl(&["services", "start", "nobody"]).status.code(), Some(3));
    // One that waits for its next start does not keep the daemon from ending: the harness looks.
    kill_process(pid(&daemon, "accident"), Signal::KILL).expect("a signal to the agent's process");
    wait_for(&daemon, "accident", "pausing");
}

#[test]
fn an_unhealthy_one_is_started_again_and_a_healthy_one_is_not() {
    if !tests::is_root() {
        return;
    }
    let checked = |command: &str, restart: &str| {
        format!(
            "{SLEEPS}restart: {restart}\nmax_restarts: 1\nhealth: {{command: {command}, interval: 1s, timeout: 1s, retries: 2}}\n"
        )
    };
    let (ill, well) = (checked("[\"false\"]", "on-failure"), checked("[\"true\"]", "on-failure"));
    let (hangs, shown) = (checked("[sleep, \"500\"]", "always"), checked("[\"false\"]", "no"));
    let files = [("hangs", &*hangs), ("ill", &*ill), ("shown", &*shown), ("well", &*well)];
    let (daemon, _files) = started(&files, "");
    for name in ["ill", "hangs"] {
        let ended = wait_for(&daemon, name, "ended");
        assert!(ended["why"].as_str().is_some_and(|why| why.contains("unhealthy")), "{ended}");
        assert_eq!((ended["restarts"].as_u64(), starts(&daemon, name).len()), (Some(1), 2), "{name}");
        let said: Vec<_> = events(&daemon, name).into_iter().filter(|event| event["event"] == "health").collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0]["outcome"].as_str().is_some_and(|said| said.contains("2 times in a row")), "{said:?}");
    }
    let all = services(&daemon);
    // Checked as often, and still the first run.
    assert_eq!((&all["well"]["state"], &all["well"]["health"]), (&"running".into(), &"healthy".into()));
    assert_eq!(starts(&daemon, "well").len(), 1);
    // Without a word about restarts it is said, and nothing is done.
    assert_eq!((&all["shown"]["state"], &all["shown"]["health"]), (&"running".into(), &"unhealthy".into()));
    // The health command ran in the agent: what hung is gone with it.
    let sleeping = |pid: &i32| judge::command_line(*pid) == ["sleep", "500"] && in_uids(&daemon, *pid);
    assert_eq!(judge::all_processes().into_iter().filter(sleeping).count(), 0);
}

fn in_uids(daemon: &Daemon, pid: i32) -> bool {
    let line = judge::status_line(pid, "Uid").unwrap_or_default();
    line.split_whitespace().next().and_then(|uid| uid.parse().ok()).is_some_and(|uid: u32| daemon.uids().contains(&uid))
}

#[test]
fn a_bad_file_is_named_and_others_start_and_files_are_read_again_when_asked() {
    if !tests::is_root() {
        return;
    }
    let theirs = format!("{SLEEPS}user: nobody\n");
    let files = [
        ("circle-a", "command: [x]\ndepends_on: [circle-b]\n"),
        ("circle-b", "command: [x]\ndepends_on: [circle-a]\n"),
        ("good", SLEEPS),
        ("leaves", SLEEPS),
        ("slip", "command: [sleep]\nrestrat: always\n"),
        ("theirs", &*theirs),
    ];
    let (daemon, directory) = started(&files, GROUP_LINE);
    let directory = directory.path();
    write(directory, "writable", SLEEPS, 0o664);
    let told = daemon.agentctl(&["services", "reload"]);
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    assert!(["slip.yaml: ", "circle-a.yaml: ", "writable.yaml: "].iter().all(|file| stderr(&told).contains(file)));
    let all = services(&daemon);
    for (name, said) in [
        ("slip", "line 2"),
        ("circle-a", "circle-a.yaml -> circle-b.yaml -> circle-a.yaml"),
        ("writable", "uid 0 and has mode 0664"),
    ] {
        assert_eq!(all[name]["state"], "refused", "{name}");
        assert!(all[name]["error"].as_str().is_some_and(|error| error.contains(said)), "{}", all[name]);
        assert!(daemon.log().contains(&format!("{name}.yaml: ")), "{}", daemon.log());
    }
    for name in ["good", "leaves", "theirs"] {
        wait_for(&daemon, name, "running");
    }
    assert_eq!(daemon.inspect("theirs")["agent"]["owner"], 65_534);
    // Another user sees nothing of it, and decides nothing.
    let user = |words: &[&str]| {
        let mut command = as_user(&daemon, "agentctl");
        command.arg("--socket").arg(daemon.socket()).args(words).output().expect("agentctl can be started")
    };
    assert!(!stdout(&succeeded(user(&["services", "--json"]))).contains("good"));
    assert_eq!(user(&["services", "reload"]).status.code(), Some(7));
    assert_eq!(user(&["services", "start", "good"]).status.code(), Some(3));

    // Mended, new, gone, and spoilt while it runs.
    write(directory, "slip", SLEEPS, 0o644);
    write(directory, "later", SLEEPS, 0o644);
    write(directory, "good", "command: []\n", 0o644);
    fs::remove_file(directory.join("leaves.yaml")).expect("our own file");
    let before = pid(&daemon, "leaves");
    assert!(stderr(&daemon.agentctl(&["services", "reload"])).contains("good.yaml: "));
    wait_for(&daemon, "slip", "running");
    wait_for(&daemon, "later", "running");
    let all = services(&daemon);
    assert_eq!(all["good"]["state"], "running");
    assert!(all["good"]["error"].as_str().is_some_and(|error| error.contains("line 1")), "{}", all["good"]);
    assert!(!all.contains_key("leaves"), "nobody looks after it");
    assert_eq!(pid(&daemon, "leaves"), before, "and it goes on");
    // It is taken up again, not started beside itself.
    write(directory, "leaves", SLEEPS, 0o644);
    assert_eq!(daemon.agentctl(&["services", "reload"]).status.code(), Some(1));
    wait_for(&daemon, "leaves", "running");
    assert_eq!(pid(&daemon, "leaves"), before);

    fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("chmod of our own directory");
    let refused = daemon.agentctl(&["services", "reload"]);
    assert!(!refused.status.success() && stderr(&refused).contains("mode 0777"), "{}", stderr(&refused));
    assert!(services(&daemon).contains_key("good"), "what runs is still looked after");
}

#[test]
fn what_stays_ended_stays_so_with_the_next_daemon() {
    if !tests::is_root() {
        return;
    }
    let again = "restart: always\n";
    let fails = format!("command: [sh, -c, \"exit 3\"]\n{again}max_restarts: 1\n");
    let sleeps = format!("{SLEEPS}{again}");
    let brief = "command: [\"true\"]\n";
    let waits = "command: [sleep, \"5\"]\n";
    let pauses = "command: [\"false\"]\nrestart: always\nbackoff: {first: 1m, most: 1m}\n";
    let files = [
        ("brief", brief),
        ("pauses", pauses),
        ("fails", &*fails),
        ("killed", &*sleeps),
        ("runs", &*sleeps),
        ("waits", waits),
    ];
    let (daemon, files) = started(&files, "");
    wait_for(&daemon, "killed", "running");
    drop(succeeded(daemon.agentctl(&["kill", "-s", "TERM", "killed"])));
    wait_for(&daemon, "pauses", "pausing");
    drop(succeeded(daemon.agentctl(&["kill", "pauses"])));
    let ended: BTreeMap<_, _> = ["brief", "fails", "killed", "pauses"]
        .map(|name| (name, wait_for(&daemon, name, "ended")["why"].clone()))
        .into();
    let running = pid(&daemon, "runs");
    assert_eq!(wait_for(&daemon, "waits", "running")["state"], "running");
    let waiting = pid(&daemon, "waits");
    daemon.crash();
    // It ends while nobody is there.
    wait_until("its end", SOON, || !judge::process_exists(waiting.as_raw_nonzero().get()));
    daemon.start_again();
    let why = wait_for(&daemon, "waits", "ended")["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("restart: no")), "{why}");
    // After a crash, and after an end on purpose.
    for again in [Daemon::crash_and_restart, |daemon: &Daemon| {
        daemon.leave();
        daemon.start_again();
    }] {
        again(&daemon);
        wait_for(&daemon, "runs", "running");
        for (name, why) in &ended {
            let line = wait_for(&daemon, name, "ended");
            assert_eq!(&line["why"], why, "{name}");
        }
    }
    assert_eq!(pid(&daemon, "runs"), running, "control: it went on");
    let starts_of = |name| starts(&daemon, name).len();
    assert_eq!(["brief", "killed", "fails", "pauses", "waits"].map(starts_of), [1, 1, 2, 1, 1]);
    // One that waits does not keep its name; who ends it ends an agent of the name, too.
    let beside = daemon.spawn(&tests::Launch::new("base").name("later"), &["sleep", "600"]);
    write(files.path(), "later", &format!("{SLEEPS}depends_on: [brief]\n"), 0o644);
    drop(succeeded(daemon.agentctl(&["services", "reload"])));
    wait_for(&daemon, "later", "waiting");
    drop(succeeded(beside.tell(&["kill", "-9"])));
    assert_eq!(beside.state(), "exited");
    wait_for(&daemon, "later", "ended");
    // Until somebody starts it, or says something else in its file.
    drop(succeeded(daemon.agentctl(&["services", "start", "killed"])));
    wait_for(&daemon, "killed", "running");
    daemon.leave();
    write(files.path(), "brief", &format!("{SLEEPS}\n"), 0o644);
    daemon.start_again();
    wait_for(&daemon, "brief", "running");
    wait_for(&daemon, "killed", "running");
}
