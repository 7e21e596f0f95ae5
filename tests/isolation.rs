//! Promise 5: no agent sees, signals, reads or writes another, its memory, its sockets or its files.
//!
//! One agent holds one of everything. It is attacked from two others, one older and one younger, and from itself as the
//! control: what a further process of the same agent reaches, the others must not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::exam::{Outcome, outcomes};
use tests::{Agent, Daemon, Launch, binary, judge, stdout, succeeded, wait_until};

/// What is tried across: everything with a process, an object or an address as its target.
const ATTACKS: &[&str] = &["processes", "ipc_net", "host_files.canary_read", "host_files.canary_write"];

/// What must be reached within one agent, or the attacks say nothing.
const CONTROLS: &[&str] = &[
    "processes.kill",
    "processes.tkill",
    "processes.tgkill",
    "processes.sigqueue",
    "ipc_net.sysv_shared_memory",
    "ipc_net.sysv_semaphore",
    "ipc_net.sysv_messages",
    "ipc_net.abstract_socket",
    "ipc_net.path_socket",
    "ipc_net.host_tcp",
    "ipc_net.host_udp",
    "host_files.canary_read",
    "host_files.canary_write",
];

/// An agent that holds targets, and the words that name them from inside.
struct Holder<'d> {
    agent: Agent<'d>,
    probe: String,
    words: Vec<String>,
}

impl<'d> Holder<'d> {
    fn with_targets(daemon: &'d Daemon) -> Self {
        let workspace = daemon.workspace();
        let mut holder = Self::start(daemon, &workspace, &["targets", &workspace.display().to_string()]);
        wait_until("the targets inside", Duration::from_secs(10), || holder.agent.output().contains("port6="));
        holder.words = holder.agent.output().split_whitespace().map(str::to_owned).collect();
        holder
    }

    /// An agent that holds nothing: objects of its own under the same names would be reached in place of the victim's.
    fn bystander(daemon: &'d Daemon) -> Self {
        Self::start(daemon, &daemon.workspace(), &["sleep"])
    }

    /// The probe in `workspace`, misbehaving as `words` say.
    fn start(daemon: &'d Daemon, workspace: &Path, words: &[&str]) -> Self {
        let probe = workspace.join("probe");
        std::fs::copy(binary("probe"), &probe).expect("a copy of the probe");
        let probe = probe.display().to_string();
        let launch = Launch::new("coding-agent").workspace(workspace).option("--interactive");
        let mut argv = vec![probe.as_str()];
        argv.extend(words);
        let agent = daemon.spawn(&launch, &argv);
        Self { agent, probe, words: Vec::new() }
    }

    /// Attacks what `victim` holds, from inside this agent.
    fn attack(&self, victim: &Self, more: &[String]) -> Vec<Outcome> {
        let mut argv = vec![self.probe.as_str(), "run", "--json", "inside=1"];
        argv.extend(ATTACKS);
        argv.extend(victim.words.iter().chain(more).map(String::as_str));
        outcomes(&self.agent.exec(&argv))
    }

    /// A shell command inside; what it prints, whatever its exit code.
    fn shell(&self, script: &str) -> String {
        stdout(&self.agent.exec(&["/bin/sh", "-c", script]))
    }
}

fn reached(outcomes: &[Outcome]) -> BTreeSet<&str> {
    outcomes.iter().filter(|outcome| outcome.is_reached()).map(|outcome| outcome.id.as_str()).collect()
}

#[test]
fn what_an_agent_holds_is_out_of_the_others_reach() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let older = Holder::bystander(&daemon);
    let victim = &Holder::with_targets(&daemon);
    let younger = Holder::bystander(&daemon);
    for attacker in [&older, &younger] {
        let own = victim.attack(victim, &[]);
        let controls = reached(&own);
        let missing: Vec<_> = CONTROLS.iter().filter(|id| !controls.contains(*id)).collect();
        assert!(missing.is_empty(), "the controls should reach {missing:?}: {own:#?}");

        // By the number that the host gives it: the number inside is another process's in the attacker.
        let by_host_pid = [format!("host_pid={}", victim.agent.pid())];
        let outcomes = attacker.attack(victim, &by_host_pid);
        let across: Vec<&Outcome> =
            outcomes.iter().filter(|o| o.is_reached() && CONTROLS.contains(&o.id.as_str())).collect();
        assert!(across.is_empty(), "reached in the other agent: {across:#?}");
        for outcome in outcomes.iter().filter(|outcome| CONTROLS.contains(&outcome.id.as_str())) {
            assert_ne!(outcome.verdict, "error", "{outcome:?}");
        }
        assert!(judge::process_exists(victim.agent.pid()), "the victim is dead");
        assert_eq!(victim.agent.state(), "running");
        let still = reached(&victim.attack(victim, &[])).is_superset(&BTreeSet::from_iter(CONTROLS.iter().copied()));
        assert!(still, "the victim's objects are gone");
    }
}

#[test]
fn private_places_are_private() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (a, b) = (Holder::with_targets(&daemon), Holder::with_targets(&daemon));
    for place in ["/tmp", "/var/tmp", "/dev/shm", "/home/agent"] {
        let read = format!("cat {place}/secret 2>&1");
        assert_eq!(a.shell(&format!("echo only-mine > {place}/secret; {read}")), "only-mine\n");
        assert_eq!(a.shell(&read), "only-mine\n", "a further process of the same agent shares {place}");
        assert!(b.shell(&read).contains("No such file"), "{place} is shared: {}", b.shell(&read));
    }
}

#[test]
fn an_agent_sees_no_process_but_its_own() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let a = Holder::with_targets(&daemon);
    let b = daemon.spawn(&Launch::new("base"), &["/bin/sleep", "60"]);
    let names = "cat /proc/[0-9]*/comm";
    assert!(a.shell(names).lines().any(|name| name == "probe"), "an agent sees itself: {}", a.shell(names));
    let seen = stdout(&succeeded(b.exec(&["/bin/sh", "-c", names])));
    assert!(seen.lines().any(|name| name == "sleep"), "{seen}");
    assert!(!seen.lines().any(|name| name == "probe" || name == "agentosd"), "{seen}");
}

#[test]
fn every_agent_is_a_user_of_its_own_and_leaves_files_to_their_owner() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (a, b) = (Holder::with_targets(&daemon), Holder::with_targets(&daemon));
    assert_ne!(a.agent.uid(), b.agent.uid());
    for holder in [&a, &b] {
        let uid = holder.agent.uid().to_string();
        let uids = judge::status_line(holder.agent.pid(), "Uid").expect("the agent runs");
        assert!(uids.split_whitespace().all(|word| word == uid), "{uids} is not {uid} throughout");
        let groups = judge::status_line(holder.agent.pid(), "Groups").expect("the agent runs");
        assert_eq!(groups, "", "supplementary groups");
    }
    // The other's workspace is not there at all, so neither its name nor its files can be had.
    let workspace = PathBuf::from(&a.probe).parent().expect("a workspace").display().to_string();
    let look = format!("ls {workspace} 2>&1; echo x > {workspace}/planted; ls {workspace}/.. 2>&1");
    assert!(b.shell(&look).contains("No such file"), "{}", b.shell(&look));
    assert!(!PathBuf::from(&workspace).join("planted").exists());
    assert!(a.shell(&format!("ls {workspace}")).contains("host-canary"));
}
