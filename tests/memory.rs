//! Promises 6 and 10, seen from the daemon: what an agent remembers belongs to its name and to whoever used that first,
//! what it may do stands in /policy, and neither the death of the server nor anybody's end leaves anything behind or
//! loses what was remembered.

use std::fs;
use std::process::Output;
use std::time::Duration;
use tests::{Daemon, GROUP_LINE, Launch, as_user, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn sh(daemon: &Daemon, launch: &Launch, script: &str) -> Output {
    daemon.run_inside(launch, &["/bin/sh", "-c", script])
}

#[test]
fn a_name_remembers_from_run_to_run_and_what_is_working_memory_does_not() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let scout = Launch::new("base").name(&daemon.unique("scout"));
    let script =
        "echo one >> /mem/episodic/log; echo fact > /mem/semantic/fact; echo 7 > /state/step; echo x > /mem/working/x";
    succeeded(sh(&daemon, &scout, script));
    let script = "echo two >> /mem/episodic/log; cat /mem/episodic/log /mem/semantic/fact /state/step; ls /mem/working";
    let again = succeeded(sh(&daemon, &scout, script));
    assert_eq!(stdout(&again), "one\ntwo\nfact\n7\n");
    let other = Launch::new("base").name(&daemon.unique("other"));
    let nothing = succeeded(sh(&daemon, &other, "ls /mem/episodic /mem/semantic /state"));
    assert_eq!(stdout(&nothing), "/mem/episodic:\n\n/mem/semantic:\n\n/state:\n");
}

#[test]
fn a_start_that_fails_takes_no_name_and_what_one_remembers_stays() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let remembering = || fs::read_dir(daemon.place().join("state/memory")).expect("the stores").flatten();
    let has = |name: &str| remembering().any(|entry| entry.file_name() == name);
    let team = daemon.policy("extends: [base]\nmemory: {semantic: 1MiB, semantic_shared: team}\n");
    let host = daemon.spawn(&Launch::new(&team).name("host"), &["/bin/sleep", "600"]);
    let other = daemon.policy("extends: [base]\nmemory: {semantic: 2MiB, semantic_shared: team}\n");
    let fail = |name: &str| {
        let refused = daemon.run_inside(&Launch::new(&other).name(name), &["/bin/true"]);
        assert!(stderr(&refused).contains("memory.semantic"), "{}", stderr(&refused));
        let absent = daemon.run_inside(&Launch::new("base").name(name), &["/nowhere"]);
        assert_eq!(absent.status.code(), Some(127), "{}", stderr(&absent));
    };
    fail("failing");
    wait_until("the name to be free", SOON, || !has("failing"));
    succeeded(sh(&daemon, &Launch::new("base").name("failing"), "echo kept > /mem/semantic/kept"));
    fail("failing");
    let kept = succeeded(sh(&daemon, &Launch::new("base").name("failing"), "cat /mem/semantic/kept"));
    assert_eq!(stdout(&kept), "kept\n");
    assert!(has("failing") && has("host"), "the controls");
    drop(host);
}

#[test]
fn a_run_right_after_another_of_the_same_name_has_its_memory() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let quick = Launch::new("base").name(&daemon.unique("quick"));
    for round in 0..20 {
        succeeded(sh(&daemon, &quick, &format!("echo {round} >> /mem/episodic/log")));
    }
    let all = succeeded(sh(&daemon, &quick, "wc -l < /mem/episodic/log"));
    assert_eq!(stdout(&all).trim(), "20");
}

#[test]
fn a_name_that_nobody_chose_leaves_no_memory() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let stores = || {
        let all = fs::read_dir(daemon.place().join("state/memory")).expect("the stores").flatten();
        all.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
    };
    succeeded(sh(&daemon, &Launch::new("base"), "echo x > /mem/semantic/x"));
    wait_until("the memory of a nameless agent to be removed", SOON, || stores() == 0);
    succeeded(sh(&daemon, &Launch::new("base").name("named"), "echo x > /mem/semantic/x"));
    assert_eq!(stores(), 1, "the control");
}

#[test]
fn a_name_is_refused_to_another_caller_with_the_remedy() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::configured(GROUP_LINE);
    let words = |name: &str| Launch::new("base").name(name).option("--rm").words(&["/bin/cat", "/mem/semantic/secret"]);
    let run = |name: &str| {
        let mut command = as_user(&daemon, "agentctl");
        command.arg("--socket").arg(daemon.socket()).args(words(name)).output().expect("setpriv(1)")
    };
    succeeded(sh(&daemon, &Launch::new("base").name("theirs"), "echo secret > /mem/semantic/secret"));
    let refused = run("theirs");
    let said = stderr(&refused);
    assert!(!refused.status.success() && stdout(&refused).is_empty(), "{said}");
    assert!(said.contains("theirs") && said.contains("another user") && said.contains("agentctl memory rm"), "{said}");
    let own = run("mine");
    assert!(stderr(&own).contains("No such file"), "the control: it ran: {}", stderr(&own));
}

#[test]
fn an_agent_reads_its_policy_and_its_denials_and_changes_neither() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let policy = daemon.policy("extends: [base]\nmemory: {working: 1MiB}\n");
    let name = daemon.unique("reader");
    let agent = daemon.spawn(&Launch::new(&policy).name(&name), &["/bin/sleep", "600"]);
    let read = |path: &str| stdout(&succeeded(agent.exec(&["/bin/cat", path])));
    let shown = stdout(&succeeded(daemon.agentctl(&["policy", "show", &policy.display().to_string()])));
    let rules = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rules(&read("/policy/rules.yaml")), rules(&shown));
    let digest = agent.inspect()["agent"]["policy_digest"].as_str().expect("a digest").to_owned();
    assert_eq!(read("/policy/digest"), format!("sha256:{digest}\n"));
    let own = format!("/policy/sources/{}", policy.file_name().expect("a name").display());
    assert_eq!(read(&own), fs::read_to_string(&policy).expect("the policy"));
    assert!(read("/policy/sources/base.yaml").contains("process:"));

    let denials = daemon.tree(&name).join("policy/denials");
    assert_eq!(fs::read_to_string(&denials).expect("the denials"), "");
    if agent.inspect()["agent"]["denials"].is_null() {
        return tests::skip("denials in /policy", "this host lists no denials");
    }
    assert!(!agent.exec(&["/bin/cat", "/etc/shadow"]).status.success());
    let sentence = format!("read /etc/shadow: not granted by policy {}", policy.file_name().expect("a name").display());
    wait_until("the denial in /policy", SOON, || read("/policy/denials").trim() == sentence);
    assert!(!agent.exec(&["/bin/cat", "/etc/gshadow"]).status.success());
    wait_until("the newest denial last", SOON, || {
        read("/policy/denials").trim().ends_with("gshadow: not granted by policy ")
            || read("/policy/denials").lines().count() == 2
    });
    for script in [
        "echo x > /policy/rules.yaml",
        "rm /policy/denials",
        "mv /policy /p",
        "ln -sf /tmp /policy",
        "echo x > /policy/new",
    ] {
        assert!(!agent.exec(&["/bin/sh", "-c", script]).status.success(), "{script}");
    }
}

#[test]
fn the_host_sees_what_an_agent_remembers_and_its_status_as_it_changes() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("seen");
    let agent =
        daemon.spawn(&Launch::new("base").name(&name), &["/bin/sh", "-c", "echo now > /mem/working/task; sleep 600"]);
    let tree = daemon.tree(&name);
    let task = tree.join("mem/working/task");
    wait_until("the agent's note on the host", SOON, || fs::read_to_string(&task).is_ok_and(|text| text == "now\n"));
    let state = || {
        let text = fs::read_to_string(tree.join("status")).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        status["agent"]["state"].as_str().unwrap_or_default().to_owned()
    };
    wait_until("the status of a running agent", SOON, || state() == "running");
    succeeded(agent.tell(&["stop"]));
    wait_until("the status of a stopped agent", SOON, || state() == "stopped");
    succeeded(agent.tell(&["cont"]));
    wait_until("the status of a continued agent", SOON, || state() == "running");
}

#[test]
fn nothing_is_left_of_agents_that_have_ended_and_a_crash_loses_no_memory() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let tree = daemon.tree("lasting");
    let agent = daemon.spawn(&Launch::new("base").name("lasting"), &["/bin/sleep", "600"]);
    succeeded(agent.exec(&["/bin/sh", "-c", "echo kept > /mem/semantic/kept"]));
    assert!(tree.join("mem").exists() && daemon.mounts() == 1, "the control");
    let served = daemon.vfs();
    daemon.crash_and_restart();
    assert!(tree.join("mem").exists() && daemon.mounts() == 1, "the agent lives, and has its files");
    assert_eq!(stdout(&succeeded(agent.exec(&["/bin/cat", "/mem/semantic/kept"]))), "kept\n");
    drop(agent);
    wait_until("what it had to be taken away", SOON, || daemon.mounts() == 0 && !tree.exists());
    let again = Launch::new("base").name("lasting");
    let kept = succeeded(sh(&daemon, &again, "cat /mem/semantic/kept"));
    assert_eq!(stdout(&kept), "kept\n");
    assert_eq!(daemon.vfs(), served, "the server outlives the daemon");
    let directories = || fs::read_dir(daemon.place().join("run/agents")).expect("the mounts' directory").count();
    wait_until("the mount to go with the agent", SOON, || daemon.mounts() == 0 && directories() == 0);
}
