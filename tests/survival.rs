//! Promise 10 and the scale: a thousand launches leave nothing behind, a hundred agents live side by side, and
//! the daemon's orderly end leaves nothing that runs. What becomes of agents otherwise: `takeover.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Daemon, Launch, hostile, judge, own_processes, probe, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// What could be left behind, as the host sees it.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    mounts: usize,
    cgroups: BTreeSet<PathBuf>,
    /// Every namespace that the daemon, a process beneath it or one of its agents' users is in or has open.
    namespaces: usize,
    /// The daemon and all beneath it.
    processes: usize,
    /// What the daemon has open.
    descriptors: usize,
    /// What the daemon keeps on disk, besides logs.
    records: usize,
}

impl Host {
    fn now(daemon: &Daemon, groups: &[PathBuf]) -> Self {
        // Other daemons of this host come and go meanwhile, so that only what is this one's can be counted.
        let users = judge::processes_of(&daemon.uids());
        let all = judge::all_processes();
        let ours: Vec<_> = all.into_iter().filter(|pid| users.contains(pid) || beneath(*pid, daemon.pid())).collect();
        let mut namespaces = BTreeSet::new();
        for directory in ours.iter().flat_map(|pid| ["ns", "fd"].map(|name| format!("/proc/{pid}/{name}"))) {
            let links = fs::read_dir(directory).into_iter().flatten().flatten();
            let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
            namespaces.extend(targets.filter(|target| is_namespace(target)));
        }
        Self {
            mounts: mounts(&daemon.place().display().to_string()),
            cgroups: groups.iter().flat_map(|group| directories(group)).collect(),
            namespaces: namespaces.len(),
            processes: ours.len(),
            descriptors: fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("descriptors").count(),
            records: fs::read_dir(daemon.place().join("state/agents")).map_or(0, Iterator::count),
        }
    }

    /// Once nothing changes any more: spare stages are made in the background, and the kernel tidies up in its own time.
    fn at_rest(daemon: &Daemon, groups: &[PathBuf]) -> Self {
        let mut last = Self::now(daemon, groups);
        wait_until("the host to be at rest", SOON, || {
            std::thread::sleep(Duration::from_millis(300));
            let now = Self::now(daemon, groups);
            let same =
                (now.processes, now.descriptors, now.namespaces) == (last.processes, last.descriptors, last.namespaces);
            last = now;
            same
        });
        last
    }
}

/// Mounts of the host, without those of other daemons' agents.
fn mounts(place: &str) -> usize {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    all.lines().filter(|line| !line.contains("/run/agents/") || line.contains(place)).count()
}

/// `pipe:[…]` and `socket:[…]` look alike.
fn is_namespace(target: &Path) -> bool {
    let text = target.to_string_lossy();
    ["mnt", "pid", "ipc", "uts", "net", "cgroup", "user", "time"]
        .iter()
        .any(|kind| text.starts_with(&format!("{kind}:[")))
}

fn beneath(mut pid: i32, ancestor: i32) -> bool {
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        pid = judge::status_line(pid, "PPid").and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    false
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    below.flat_map(|path| [vec![path.clone()], directories(&path)].concat()).collect()
}

/// The directories that hold every agent's group.
fn parents(daemon: &Daemon) -> Vec<PathBuf> {
    let agent = daemon.spawn(&Launch::new("base"), &["sleep", "1000"]);
    agent.cgroups().iter().filter_map(|path| path.parent().map(Path::to_owned)).collect()
}

#[test]
fn a_thousand_launches_leave_nothing() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let groups = parents(&daemon);
    assert!(groups.iter().all(|group| group.exists()), "control: {groups:?}");
    let launch = |count: usize| {
        for number in 0..count {
            // Different ends: by itself, by a signal, by a kill while it runs, and a start that fails.
            let (command, code): (&[&str], i32) = match number % 4 {
                0 | 1 => (&["true"], 0),
                2 => (&["sh", "-c", "sleep 1000 & setsid sleep 1000 & kill -9 $$"], 137),
                _ => (&["no-such-command"], 127),
            };
            let output = daemon.run_inside(&Launch::new("base"), command);
            assert_eq!(output.status.code(), Some(code), "{number}: {}", stderr(&output));
        }
    };
    // The first ones fill caches and grow tables that stay.
    launch(40);
    let before = Host::at_rest(&daemon, &groups);
    launch(1000);
    let after = Host::at_rest(&daemon, &groups);
    // Spare stages have other groups than before, but as many.
    let counts = |host: &Host| (host.mounts, host.cgroups.len(), host.namespaces, host.processes, host.records);
    assert_eq!(counts(&after), counts(&before), "{before:#?} became {after:#?}");
    assert!(
        after.descriptors <= before.descriptors + 2,
        "{} descriptors, {} before",
        after.descriptors,
        before.descriptors
    );
}

#[test]
fn a_hundred_agents_live_side_by_side_and_all_answer() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agents: Vec<_> = (0..100)
        .map(|number| {
            let launch = Launch::new("base").env("NUMBER", &number.to_string());
            daemon.spawn(&launch, &["sh", "-c", "echo I am $NUMBER; exec sleep 1000"])
        })
        .collect();
    let uids: BTreeSet<_> = agents.iter().map(tests::Agent::uid).collect();
    assert_eq!(uids.len(), 100, "each has a uid of its own");
    let list = daemon.ps();
    let running = list.as_array().expect("a list").iter().filter(|agent| agent["state"] == "running").count();
    assert_eq!(running, 100);
    for (number, agent) in agents.iter().enumerate() {
        let output = agent.exec(&["sh", "-c", "echo $NUMBER"]);
        assert_eq!(stdout(&output), format!("{number}\n"), "{}", stderr(&output));
        assert!(agent.output().starts_with(&format!("I am {number}\n")), "{}", agent.output());
    }
    drop(succeeded(daemon.agentctl(&["kill", "-s", "KILL", "--all"])));
    assert!(agents.iter().all(|agent| own_processes(agent.uid()).is_empty()));
}

/// Two agents that write all the time, one of them with a daemon of its own.
fn writers(daemon: &Daemon) -> (Vec<tests::Agent<'_>>, Vec<PathBuf>) {
    let mut traces = Vec::new();
    let agents = ["exec PROBE trap-all trace", "PROBE daemonize trace; exec sleep 1000"].map(|script| {
        let (launch, workspace) = hostile(daemon, "pids: 64");
        traces.push(workspace.join("trace"));
        daemon.spawn(&launch, &["sh", "-c", &script.replace("PROBE", &probe())])
    });
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |data| data.len());
    wait_until("the writers", SOON, || traces.iter().all(|trace| size(trace) > 0));
    (agents.into_iter().collect(), traces)
}

#[test]
fn an_orderly_end_ends_every_agent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let uids: Vec<_>;
    let groups: Vec<_>;
    {
        let (agents, _) = writers(&daemon);
        uids = agents.iter().map(tests::Agent::uid).collect();
        groups = agents.iter().flat_map(tests::Agent::cgroups).collect();
        // Neither is told to end: that is the daemon's part.
        agents.into_iter().for_each(std::mem::forget);
    }
    assert!(uids.iter().all(|uid| !own_processes(*uid).is_empty()), "control");
    let place = daemon.place().to_owned();
    // SIGTERM; the harness fails the test for anything that is left.
    drop(daemon);
    assert!(uids.iter().all(|uid| own_processes(*uid).is_empty()));
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    assert!(!place.exists());
}
