//! An agent's own `.agents/security.md` can only take away, and the modes and answers of a policy hold for actions.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Agent, Daemon, Launch, ask, done, refused, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// As users of the Python system have it.
const SECURITY: &str = "kernel:
  version: \"1.0\"
  mode: strict

signals:
  - SIGSTOP
  - SIGKILL

policies:
  - action: database_query
    mode: read_only
  - action: file_write
    requires_approval: true
";

fn policy(daemon: &Daemon, more: &str) -> PathBuf {
    daemon.policy(&format!(
        "extends: [python]\nfilesystem: [{{path: \"${{workspace}}\", access: write}}]\npolicies:\n  - {{action: file_read, paths: [\"${{workspace}}/**\"]}}\n  - {{action: file_write, paths: [\"${{workspace}}/**\"]}}\n{more}"
    ))
}

fn own_file(workspace: &Path, text: &str) {
    fs::create_dir_all(workspace.join(".agents")).expect("a directory");
    fs::write(workspace.join(".agents/security.md"), text).expect("a file");
}

fn write(workspace: &Path) -> Value {
    json!({"action": "file_write", "params": {"path": workspace.join("note.txt"), "content": "x"}})
}

fn start<'d>(daemon: &'d Daemon, policy: &Path, workspace: &Path) -> Agent<'d> {
    let launch = Launch::new(policy).workspace(workspace).name("own");
    daemon.spawn(&launch, &["/bin/sleep", "600"])
}

#[test]
fn the_agents_own_file_narrows_the_operators_policy_in_all_its_forms() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = policy(&daemon, "");
    for text in [
        SECURITY.to_owned(),
        format!("---\n{SECURITY}---\n\n# For people\n"),
        format!("# Rules\n\n```yaml\n{SECURITY}```\n\nNothing else.\n"),
    ] {
        let workspace = daemon.workspace();
        {
            let agent = start(&daemon, &policy, &workspace);
            let _control = done(&agent, &write(&workspace));
        }
        own_file(&workspace, &text);
        let agent = start(&daemon, &policy, &workspace);
        let check = json!({"method": "io.agentos.Kernel.Check", "parameters": write(&workspace)});
        let reply = ask(&agent, &check);
        assert_eq!(reply["decision"], "require_approval", "{reply}");
        assert!(reply["rule"].as_str().unwrap().contains("security.md"), "{reply}");
        let shown = stdout(&succeeded(agent.exec(&["/bin/cat", "/policy/sources/security.md"])));
        assert_eq!(shown, text);
    }
}

#[test]
fn a_file_that_would_grant_or_cannot_be_read_stops_the_start() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = policy(&daemon, "");
    let workspace = daemon.workspace();
    own_file(&workspace, "filesystem: [{path: /etc, access: read}]\n");
    let refused = daemon.run_inside(&Launch::new(&policy).workspace(&workspace), &["/bin/true"]);
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("security.md:1") && said.contains("filesystem"), "{said}");
    fs::remove_file(workspace.join(".agents/security.md")).expect("a file");
    std::os::unix::fs::symlink("/etc/shadow", workspace.join(".agents/security.md")).expect("a link");
    let refused = daemon.run_inside(&Launch::new(&policy).workspace(&workspace), &["/bin/true"]);
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("security.md") && !said.contains("root:"), "{said}");
    fs::remove_file(workspace.join(".agents/security.md")).expect("a link");
    // What is for the agent to read is no policy.
    fs::write(workspace.join("AGENTS.md"), "policies: [{action: file_write, effect: deny}]\n").expect("a file");
    let agent = start(&daemon, &policy, &workspace);
    let _written = done(&agent, &write(&workspace));
}

#[test]
fn in_strict_mode_a_forbidden_action_ends_the_agent_and_in_the_others_it_does_not() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let forbidden = json!({"action": "file_read", "params": {"path": "/etc/hostname"}});
    for (mode, ends) in [("permissive", false), ("strict", true)] {
        let workspace = daemon.workspace();
        let policy = policy(&daemon, &format!("kernel: {{version: \"1.0\", mode: {mode}}}\n"));
        let agent = start(&daemon, &policy, &workspace);
        let _allowed = done(&agent, &write(&workspace));
        if ends {
            // The client dies with the agent, with or without its answer.
            drop(agent.exec(&["/usr/bin/python3", "-c", include_str!("actions/ask.py"), &forbidden.to_string()]));
            wait_until("the end", SOON, || agent.state() == "exited");
            let events = stdout(&succeeded(daemon.agentctl(&["events", "--json"])));
            for word in ["\"violation\"", "SIGPOLICY", "file_read /etc/hostname", "\"killed\"", "\"policy\""] {
                assert!(events.contains(word), "{word}: {events}");
            }
        } else {
            assert_eq!(refused(&agent, &forbidden), "nothing_granted");
            assert_eq!(agent.state(), "running");
        }
    }
}

#[test]
fn in_audit_mode_what_is_refused_is_refused_and_recorded_and_nothing_more() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    let policy = policy(&daemon, "kernel: {version: \"1.0\", mode: audit}\n");
    let agent = start(&daemon, &policy, &workspace);
    let reply = ask(&agent, &json!({"action": "file_read", "params": {"path": "/etc/hostname"}}));
    assert_eq!(reply["error"]["reason"], "nothing_granted", "{reply}");
    let seq = reply["audit_seq"].to_string();
    let record = stdout(&succeeded(daemon.agentctl(&["audit", "show", &seq, "--json"])));
    assert!(record.contains("\"deny\"") && record.contains("nothing_granted"), "{record}");
    assert_eq!(agent.state(), "running");
}

#[test]
fn the_same_action_again_and_again_stops_the_agent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    let policy = policy(&daemon, "process: {limits: {repeats: 3}}\n");
    let agent = start(&daemon, &policy, &workspace);
    for _ in 0..3 {
        let _done = done(&agent, &write(&workspace));
    }
    let mut child = daemon
        .command(&[
            "exec",
            agent.name(),
            "--",
            "/usr/bin/python3",
            "-c",
            include_str!("actions/ask.py"),
            &write(&workspace).to_string(),
        ])
        .spawn()
        .expect("agentctl");
    wait_until("the stop", SOON, || agent.state() == "stopped");
    assert!(agent.inspect().to_string().contains("SIGLOOP"), "{}", agent.inspect());
    let _continued = succeeded(agent.tell(&["cont"]));
    wait_until("the answer", SOON, || child.try_wait().expect("a child").is_some());
    let _done = done(&agent, &write(&workspace));
}
