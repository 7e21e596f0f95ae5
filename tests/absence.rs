//! Promise 10, while no daemon is there: what needs a decision waits or is refused, nothing is granted, what the kernel
//! refuses is counted, and an agent that nobody comes back to is stopped or killed as its policy says.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Agent, Daemon, Launch, judge, own_processes, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
const CLIENT: &str = include_str!("actions/ask.py");

/// An agent that asks for one action when `go` appears in its workspace, and puts the reply into `reply`.
fn asking<'d>(daemon: &'d Daemon, absence: &str) -> (Agent<'d>, PathBuf) {
    let workspace = daemon.workspace();
    fs::write(workspace.join("ask.py"), CLIENT).expect("a file");
    fs::write(workspace.join("a.txt"), "content").expect("a file");
    let text = format!(
        "extends: [python]\nfilesystem: [{{path: \"${{workspace}}\", access: write}}]\n\
         policies: [{{action: file_read, paths: [\"${{workspace}}/**\"]}}]\n{absence}\n"
    );
    let request = json!({"action": "file_read", "params": {"path": workspace.join("a.txt")}});
    let script = "while ! test -e go; do sleep 0.01; done
        /usr/bin/python3 ask.py \"$1\" > reply.new 2>&1; mv reply.new reply; sleep 1000";
    let launch = Launch::new(daemon.policy(&text)).workspace(&workspace);
    let agent = daemon.spawn(&launch, &["sh", "-c", script, "sh", &request.to_string()]);
    (agent, workspace)
}

fn reply(workspace: &Path) -> Option<String> {
    fs::read_to_string(workspace.join("reply")).ok()
}

#[test]
fn what_needs_a_decision_waits_for_the_next_daemon() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let (_agent, workspace) = asking(&daemon, "");
    daemon.crash();
    fs::write(workspace.join("go"), "").expect("a file");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(reply(&workspace), None, "nobody has decided");
    daemon.start_again();
    wait_until("the reply", SOON, || reply(&workspace).is_some());
    let reply: Value = serde_json::from_str(&reply(&workspace).expect("a reply")).expect("JSON");
    assert_eq!((&reply["success"], &reply["data"]["content"]), (&json!(true), &json!("content")), "{reply}");
}

#[test]
fn or_is_refused_at_once_and_granted_never() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let (agent, workspace) = asking(&daemon, "without_daemon: {requests: refuse}");
    daemon.crash();
    fs::write(workspace.join("go"), "").expect("a file");
    wait_until("the refusal", SOON, || reply(&workspace).is_some());
    let refused = reply(&workspace).expect("a reply");
    assert!(refused.contains("without_daemon.requests") && !refused.contains("\"content\""), "{refused}");
    daemon.start_again();
    // The control: with a daemon it is done.
    let request = json!({"action": "file_read", "params": {"path": workspace.join("a.txt")}});
    assert_eq!(tests::done(&agent, &request)["content"], "content");
}

fn orphan<'d>(daemon: &'d Daemon, then: &str) -> Agent<'d> {
    let text = format!("extends: [base]\nwithout_daemon: {{orphan: {then}, orphan_after: 1s}}\n");
    daemon.spawn(&Launch::new(daemon.policy(&text)), &["sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"])
}

#[test]
fn an_agent_that_nobody_comes_back_to_is_stopped_or_killed_or_goes_on() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let [stopped, killed, kept] = ["stop", "kill", "keep"].map(|then| orphan(&daemon, then));
    let all = [&stopped, &killed, &kept];
    wait_until("all of them", SOON, || all.iter().all(|agent| own_processes(agent.uid()).len() == 3));
    daemon.crash();
    std::thread::sleep(Duration::from_millis(500));
    assert!(all.iter().all(|agent| own_processes(agent.uid()).len() == 3), "the control: not before the time is up");
    wait_until("the end of one", SOON, || own_processes(killed.uid()).is_empty());
    let states = |agent: &Agent<'_>| -> Vec<_> {
        own_processes(agent.uid()).into_iter().filter_map(judge::process_state).collect()
    };
    wait_until("the stop of one", SOON, || states(&stopped) == ['T', 'T', 'T']);
    assert_eq!(states(&kept), ['S', 'S', 'S'], "and the third goes on");
    daemon.start_again();
    let exit = |agent: &Agent<'_>| agent.inspect()["agent"]["exit"].clone();
    wait_until("its end", SOON, || exit(&killed)["reason"] == "daemon_gone");
    let details = stopped.inspect();
    assert_eq!(details["agent"]["state"], "stopped", "{details}");
    let review = details["agent"]["review"].as_str().expect("why it is stopped");
    assert!(review.contains("no agentosd came back"), "{review}");
    succeeded(stopped.tell(&["cont"]));
    wait_until("all go on", SOON, || states(&stopped) == ['S', 'S', 'S']);
    assert_eq!(kept.state(), "running");
}

#[test]
fn what_the_kernel_refuses_meanwhile_is_counted_and_told() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    let policy = daemon.policy("extends: [base]\nfilesystem: [{path: \"${workspace}\", access: write}]\n");
    let script = "cat /etc/shadow; touch first; while ! test -e go; do sleep 0.01; done
        for i in 1 2 3 4 5; do cat /etc/shadow; done; touch second; while ! test -e end; do sleep 0.01; done";
    let agent = daemon.spawn(&Launch::new(policy).workspace(&workspace), &["sh", "-c", script]);
    let appears = |name: &str| wait_until(name, SOON, || workspace.join(name).exists());
    appears("first");
    if agent.inspect()["denial_log"]["state"] == "not_listed" {
        return tests::skip("denial-log", "this host lists no denials");
    }
    wait_until("the first denial", SOON, || agent.inspect()["agent"]["denials"] == 1);
    daemon.crash();
    fs::write(workspace.join("go"), "").expect("a file");
    appears("second");
    daemon.start_again();
    assert_eq!(agent.inspect()["agent"]["denials"], 1, "what was listed is remembered");
    // With a daemon that listens they are listed again, and numbered on.
    assert!(!agent.exec(&["cat", "/etc/shadow"]).status.success());
    wait_until("the next denial", SOON, || agent.inspect()["agent"]["denials"] == 2);
    fs::write(workspace.join("end"), "").expect("a file");
    wait_until("the end", SOON, || agent.state() == "exited");
    wait_until("the kernel's count", SOON, || agent.inspect()["denial_log"]["state"] != "open");
    let listed = stdout(&succeeded(daemon.agentctl(&["denials", agent.name()])));
    let log = agent.inspect()["denial_log"].clone();
    println!("{log}\n{listed}");
    assert_eq!((&log["listed"], &log["counted"]), (&json!(2), &json!(7)), "{log}");
    assert!(listed.contains("7"), "the number is told: {listed}");
}
