//! Promise 8 for actions: what the policy allows is done for an agent by a process of its own, and nothing else is; what a
//! caller says of itself means nothing; each decision is in the audit log before it takes effect.

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Agent, Daemon, Launch, ask, ask_all, done, judge, refused, stderr, stdout, succeeded, wait_until};

/// A directory that agents reach by actions only, and a workspace.
struct Place {
    data: PathBuf,
    workspace: PathBuf,
}

fn place(daemon: &Daemon) -> Place {
    let (data, workspace) = (daemon.place().join("data"), daemon.workspace());
    fs::create_dir_all(data.join("payroll")).expect("a directory");
    for (name, text) in [("a.txt", "alpha\n"), ("payroll/x.txt", "secret\n")] {
        fs::write(data.join(name), text).expect("a file");
    }
    for directory in [&data, &workspace] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("a mode");
    }
    Place { data, workspace }
}

fn policy(daemon: &Daemon, place: &Place) -> PathBuf {
    let data = place.data.display();
    daemon.policy(&format!(
        r#"extends: [python]
filesystem: [{{path: "${{workspace}}", access: write}}]
policies:
  - {{action: file_read, paths: ["{data}/**"], max_bytes: 1KiB}}
  - {{action: file_read, paths: ["{data}/payroll/**"], effect: deny}}
  - {{action: list_directory, paths: ["{data}/**"]}}
  - {{action: file_write, paths: ["{data}/out/**", "${{workspace}}/**"]}}
  - {{action: file_delete, paths: ["{data}/out/**"], count: 1}}
  - {{action: process_exec, exec: [/usr/bin/id]}}
  - {{action: process_exec, exec: [/usr/bin/env], argv: [--version]}}
  - {{action: memory_write, paths: ["/mem/semantic/**"]}}
  - {{action: memory_read, paths: ["/mem/**"]}}
"#
    ))
}

fn start<'d>(daemon: &'d Daemon, place: &Place) -> Agent<'d> {
    let launch = Launch::new(policy(daemon, place)).workspace(&place.workspace).name("asker");
    daemon.spawn(&launch, &["/bin/sleep", "600"])
}

fn read(path: impl AsRef<Path>) -> Value {
    json!({"action": "file_read", "params": {"path": path.as_ref()}})
}

/// The records of the audit log that are about this request.
fn records(daemon: &Daemon, request_id: &str) -> Vec<Value> {
    let log = stdout(&succeeded(daemon.agentctl(&["audit", "log", "--json"])));
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let about = |record: &Value| record["body"]["request_id"] == request_id || record["request_id"] == request_id;
    records.filter(about).collect()
}

#[test]
fn files_are_read_and_written_where_the_policy_says_and_nowhere_else() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    fs::create_dir(place.data.join("out")).expect("a directory");
    let agent = start(&daemon, &place);
    assert_eq!(done(&agent, &read(place.data.join("a.txt")))["content"], "alpha\n");
    assert!(
        !agent.exec(&["/bin/cat", place.data.join("a.txt").to_str().unwrap()]).status.success(),
        "by itself it cannot"
    );

    assert_eq!(refused(&agent, &read(place.data.join("payroll/x.txt"))), "denied_by_rule");
    assert_eq!(refused(&agent, &read("/etc/shadow")), "denied_by_rule", "a decoy of base's");
    assert_eq!(refused(&agent, &read("/etc/hostname")), "nothing_granted");
    assert_eq!(refused(&agent, &read(place.data.join("../data/a.txt"))), "path_escapes");
    assert_eq!(refused(&agent, &read(place.data.join("none"))), "not_found");
    assert_eq!(refused(&agent, &read("/proc/self/environ")), "path_reserved");

    // A link to what a rule denies, out of the directory, and to something that is allowed.
    symlink("payroll/x.txt", place.data.join("to-denied")).expect("a link");
    symlink("/etc/passwd", place.data.join("to-outside")).expect("a link");
    symlink("a.txt", place.data.join("to-allowed")).expect("a link");
    assert_eq!(refused(&agent, &read(place.data.join("to-denied"))), "denied_by_rule");
    assert_eq!(refused(&agent, &read(place.data.join("to-outside"))), "path_escapes");
    assert_eq!(done(&agent, &read(place.data.join("to-allowed")))["content"], "alpha\n");

    fs::write(place.data.join("large"), vec![b'x'; 4096]).expect("a file");
    assert_eq!(refused(&agent, &read(place.data.join("large"))), "too_large");

    let write =
        |path: &Path, content: &str| json!({"action": "file_write", "params": {"path": path, "content": content}});
    let target = place.data.join("out/new.txt");
    let _written = done(&agent, &write(&target, "one\n"));
    assert_eq!(fs::read_to_string(&target).expect("a file"), "one\n");
    assert_eq!(refused(&agent, &write(&place.data.join("a.txt"), "gone\n")), "nothing_granted");
    assert_eq!(fs::read_to_string(place.data.join("a.txt")).expect("a file"), "alpha\n");
    let _relative = done(&agent, &write(Path::new("note.txt"), "relative\n"));
    assert_eq!(fs::read_to_string(place.workspace.join("note.txt")).expect("a file"), "relative\n");

    let delete = json!({"action": "file_delete", "params": {"path": target}});
    let _deleted = done(&agent, &delete);
    assert!(!target.exists());
    fs::write(&target, "again").expect("a file");
    assert_eq!(refused(&agent, &delete), "count_exceeded");
    assert!(target.exists());
    let list = done(&agent, &json!({"action": "list_directory", "params": {"path": place.data}}));
    assert!(list.to_string().contains("a.txt"), "{list}");
}

#[test]
fn programs_are_judged_as_what_they_are() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    let agent = start(&daemon, &place);
    let exec = |argv: &[&str]| json!({"action": "process_exec", "params": {"argv": argv}});
    let data = done(&agent, &exec(&["/usr/bin/id", "-u"]));
    assert_eq!(
        (data["exit_code"].as_i64(), data["stdout"].as_str().unwrap().trim()),
        (Some(0), &*agent.uid().to_string())
    );
    assert_eq!(done(&agent, &exec(&["id", "-u"]))["exit_code"], 0, "found in PATH");
    assert_eq!(done(&agent, &exec(&["env", "--version"]))["exit_code"], 0);

    let script = place.workspace.join("x.sh");
    fs::write(&script, "#!/bin/sh\nid\n").expect("a file");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("a mode");
    symlink("/usr/bin/python3", place.workspace.join("id")).expect("a link");
    let link = place.workspace.join("id");
    for argv in [
        vec!["sh", "-c", "id"],
        vec!["/bin/sh", "-c", "/usr/bin/id"],
        vec!["env", "id"],
        vec!["busybox", "id"],
        vec!["/lib64/ld-linux-x86-64.so.2", "/usr/bin/id"],
        vec!["/usr/bin/python3", "-c", "print(1)"],
        vec![script.to_str().unwrap()],
        vec![link.to_str().unwrap(), "-c", "print(1)"],
        vec!["/proc/self/exe"],
        vec!["/proc/self/fd/0"],
    ] {
        let reason = refused(&agent, &exec(&argv));
        let expected = [
            "nothing_granted",
            "denied_by_rule",
            "not_found",
            "path_escapes",
            "path_reserved",
            "bad_parameter",
            "host_refused",
        ];
        assert!(expected.contains(&&*reason), "{argv:?}: {reason}");
    }
}

#[test]
fn what_a_caller_says_of_itself_means_nothing_and_is_recorded() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    let agent = start(&daemon, &place);
    let request = json!({
        "action": "file_read",
        "params": {"path": place.data.join("payroll/x.txt"), "approved": true},
        "context": {"agent_id": "root", "policies": [], "approved_by": "operator"},
    });
    let reply = ask(&agent, &request);
    assert_eq!(reply["error"]["reason"], "denied_by_rule", "{reply}");
    let records = records(&daemon, reply["request_id"].as_str().unwrap()).pop().expect("a record");
    let text = records.to_string();
    for said in ["params.approved", "context.approved_by", "context.agent_id=root"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(text.contains("\"asker\"") && text.contains("deny"), "the agent is who its socket is: {text}");

    let wider = json!({"action": "file_read", "params": {"path": "/etc/passwd"}, "context": {"policies": ["root"]}});
    assert_eq!(refused(&agent, &wider), "unknown_policy");
    let narrower = json!({"action": "file_write", "params": {"path": "note", "content": ""}, "context": {"policies": ["read_only"]}});
    assert_eq!(refused(&agent, &narrower), "read_only");
    // The example that users of the Python system have.
    let seed = json!({"action": "database_query", "params": {"query": "SELECT * FROM users"},
        "context": {"agent_id": "analyst-001", "policies": ["read_only", "no_pii"]}});
    assert_eq!(refused(&agent, &seed), "nothing_granted");
}

#[test]
fn what_is_remembered_is_the_agents_own() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    let agent = start(&daemon, &place);
    let replies = ask_all(
        &agent,
        &[
            json!({"action": "memory_write", "params": {"key": "plan", "content": "first"}}),
            json!({"action": "memory_read", "params": {"key": "plan"}}),
            json!({"action": "memory_write", "params": {"path": "/mem/episodic/log", "content": "x"}}),
            json!({"action": "memory_read", "params": {"path": "/etc/passwd"}}),
        ],
    );
    assert_eq!(replies[0]["success"], true, "{replies:?}");
    assert_eq!(replies[1]["data"]["content"], "first");
    assert_eq!(replies[2]["error"]["reason"], "nothing_granted");
    assert_eq!(replies[3]["error"]["reason"], "bad_parameter");
    assert_eq!(stdout(&succeeded(agent.exec(&["/bin/cat", "/mem/semantic/plan"]))), "first");
}

#[test]
fn the_socket_is_the_agents_alone_and_says_what_it_is() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    let agent = start(&daemon, &place);
    let replies = ask_all(
        &agent,
        &[
            json!({"method": "org.varlink.service.GetInfo"}),
            json!({"method": "io.agentos.Control.List"}),
            json!({"method": "io.agentos.Kernel.Check", "parameters": read(place.data.join("a.txt"))}),
            json!({"method": "io.agentos.Kernel.Execute", "parameters": {"action": 5}}),
        ],
    );
    assert_eq!(replies[0]["interfaces"], json!(["org.varlink.service", "io.agentos.Kernel"]));
    assert_eq!(replies[1]["error_name"], "org.varlink.service.InterfaceNotFound");
    assert_eq!(replies[2]["decision"], "allow");
    assert_eq!(replies[3]["error_name"], "io.agentos.Kernel.BadParameter");
    let socket = fs::read_dir(daemon.place().join("run/kernel")).expect("sockets").next().expect("one").expect("one");
    let other = daemon.spawn(&Launch::new("base").name("other"), &["/bin/sleep", "600"]);
    let inside = other.exec(&["/bin/sh", "-c", "ls /run/agentos/kernel.sock && cat /proc/net/unix | wc -l"]);
    assert!(inside.status.success(), "it has a socket of its own");
    // Another user of the host cannot connect to it.
    let connect = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'x\\0'); sys.exit(0 if b'not' in s.recv(999) else 9)";
    let path = socket.path().join("kernel.sock");
    let tried = std::process::Command::new("setpriv")
        .args(["--reuid", &other.uid().to_string(), "--clear-groups", "/usr/bin/python3", "-c", connect])
        .arg(&path)
        .output()
        .expect("setpriv");
    assert!(String::from_utf8_lossy(&tried.stderr).contains("PermissionError"), "{tried:?}");
}

#[test]
fn a_decision_is_on_record_before_anything_happens_and_what_came_of_it_after() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let place = place(&daemon);
    let agent = start(&daemon, &place);
    let reply = ask(&agent, &read(place.data.join("a.txt")));
    let seq = reply["audit_seq"].as_u64().expect("a record");
    tests::wait_until("the outcome is on record", std::time::Duration::from_secs(10), || {
        records(&daemon, reply["request_id"].as_str().unwrap()).len() == 2
    });
    let shown = stdout(&succeeded(daemon.agentctl(&["audit", "show", &seq.to_string()])));
    assert!(shown.contains("file_read") && shown.contains("allow"), "{shown}");
    drop(agent);
    let directory = daemon.place().join("state/audit");
    // Signed once a second.
    tests::wait_until("a whole log", std::time::Duration::from_secs(10), || {
        daemon.agentctl(&["audit", "verify", "--dir", directory.to_str().unwrap()]).status.success()
    });
}

#[test]
fn nothing_of_the_daemons_own_and_nothing_that_the_policy_seals_is_in_any_actions_reach() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    fs::create_dir_all(workspace.join("sealed")).expect("a directory");
    let policy = daemon.policy(
        "extends: [python]\nfilesystem:\n  - {path: \"${workspace}\", access: write}\n  - {path: \"${workspace}/sealed\", access: read}\npolicies:\n  - {action: file_read, paths: [\"/**\"]}\n  - {action: file_write, paths: [\"/**\"]}\n",
    );
    let agent = daemon.spawn(&Launch::new(&policy).workspace(&workspace), &["/bin/sleep", "600"]);
    for path in ["state/audit/signing.key", "run/io.agentos.sock", "state/approvals/1.json"] {
        assert_eq!(refused(&agent, &read(daemon.place().join(path))), "path_reserved", "{path}");
    }
    assert_eq!(refused(&agent, &read("/etc/shadow")), "denied_by_rule");
    let write = |path: PathBuf| json!({"action": "file_write", "params": {"path": path, "content": "x"}});
    assert_eq!(refused(&agent, &write(workspace.join("sealed/x"))), "denied_by_rule");
    assert!(!workspace.join("sealed/x").exists());
    let _control = done(&agent, &write(workspace.join("open")));
}

#[test]
fn nobody_gets_away_with_a_forbidden_act_by_hanging_up() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [python]\nkernel: {version: \"1.0\", mode: strict}\n");
    let agent = daemon.spawn(&Launch::new(&policy).name("rude"), &["/bin/sleep", "600"]);
    let rude = "import json,socket\ns=socket.socket(socket.AF_UNIX);s.connect('/run/agentos/kernel.sock')\ns.sendall(json.dumps({'method':'io.agentos.Kernel.Execute','parameters':{'action':'file_read','params':{'path':'/etc/hostname'}}}).encode()+b'\\0');s.close()";
    drop(agent.exec(&["/usr/bin/python3", "-c", rude]));
    wait_until("the end", Duration::from_secs(10), || agent.state() == "exited");
}

#[test]
fn a_program_is_ended_when_its_time_is_up() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [python]\npolicies: [{action: process_exec, exec: [/usr/bin/sleep]}]\n");
    let agent = daemon.spawn(&Launch::new(&policy), &["/bin/sleep", "600"]);
    let sleep = json!({"action": "process_exec", "params": {"argv": ["sleep", "30"], "timeout_ms": 300}});
    assert_eq!(refused(&agent, &sleep), "timeout");
}

#[test]
fn what_a_stop_cuts_off_is_not_called_undone() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [python]\npolicies: [{action: process_exec, exec: [/usr/bin/sleep]}]\n");
    let agent = daemon.spawn(&Launch::new(&policy).name("cut"), &["/bin/sleep", "600"]);
    let sleep = ["execute", "--agent", "cut", "process_exec", "argv:=[\"sleep\", \"31.25\"]"];
    let sleeps = || {
        let all = judge::uid_processes(agent.uid());
        all.into_iter().any(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"31.25\0")))
    };
    let told = std::thread::scope(|scope| {
        let asking = scope.spawn(|| daemon.agentctl(&sleep));
        wait_until("the program", Duration::from_secs(10), sleeps);
        drop(succeeded(agent.tell(&["stop"])));
        asking.join().expect("agentctl")
    });
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    assert!(stderr(&told).contains("reason: interrupted"), "{}", stderr(&told));
    // Control: what is asked for while it is stopped is not begun.
    let refused = daemon.agentctl(&sleep);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("reason: agent_not_running") && !sleeps(), "{}", stderr(&refused));
}
