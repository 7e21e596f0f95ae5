//! Promise 8 for approvals: a held action is done when a person approves exactly it, once, in time; an agent can approve
//! nothing; what was decided lasts over a restart of the daemon.

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tests::{Agent, Daemon, Launch, ask, refused, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
const POLICY: &str = r#"extends: [python]
filesystem: [{path: "${workspace}", access: read}]
policies:
  - {action: file_write, paths: ["${workspace}/**"], requires_approval: true}
  - {action: process_exec, exec: [/usr/bin/id], requires_approval: true}
"#;

struct Held<'d> {
    daemon: &'d Daemon,
    agent: Agent<'d>,
    workspace: PathBuf,
}

fn held(daemon: &Daemon) -> Held<'_> {
    let workspace = daemon.workspace();
    fs::write(workspace.join("a.txt"), "old line\n").expect("a file");
    let launch = Launch::new(daemon.policy(POLICY)).workspace(&workspace).name("writer");
    Held { daemon, agent: daemon.spawn(&launch, &["/bin/sleep", "600"]), workspace }
}

impl Held<'_> {
    fn write(&self, content: &str) -> Value {
        json!({"action": "file_write", "params": {"path": self.workspace.join("a.txt"), "content": content}})
    }

    fn content(&self) -> String {
        fs::read_to_string(self.workspace.join("a.txt")).expect("a file")
    }

    /// Asks on a thread of its own, because the answer comes with the decision.
    fn asking<T>(&self, request: &Value, meanwhile: impl FnOnce() -> T) -> (Value, T) {
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&self.agent, request));
            let done = meanwhile();
            (asking.join().expect("an answer"), done)
        })
    }

    fn list(&self) -> Vec<Value> {
        let text = stdout(&succeeded(self.daemon.agentctl(&["approvals", "--json"])));
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        value.as_array().or_else(|| value["approvals"].as_array()).expect("a list").clone()
    }

    fn pending(&self) -> String {
        let mut id = String::new();
        wait_until("an action that waits", SOON, || {
            let found = self.list().first().and_then(|first| first["id"].as_str().map(str::to_owned));
            found.is_some_and(|found| {
                id = found;
                true
            })
        });
        id
    }
}

#[test]
fn an_action_is_held_until_a_person_approves_it_and_is_done_once() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let held = held(&daemon);
    let request = held.write("new line\n");
    let (reply, shown) = held.asking(&request, || {
        let id = held.pending();
        assert_eq!(held.content(), "old line\n", "nothing is done while it waits");
        let shown = stdout(&succeeded(daemon.agentctl(&["approvals", "show", &id])));
        let _approved = succeeded(daemon.agentctl(&["approvals", "approve", &id, "--yes"]));
        shown
    });
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(held.content(), "new line\n");
    for line in ["old line", "new line", "writer", "file_write"] {
        assert!(shown.contains(line), "the person sees the difference: {shown}");
    }
    assert!(held.list().is_empty(), "it is used up");
    // The same again is another action: what is there has changed.
    let (reply, ()) = held.asking(&held.write("third\n"), || {
        let id = held.pending();
        let _denied = succeeded(daemon.agentctl(&["approvals", "deny", &id, "--note", "not today"]));
    });
    assert_eq!(reply["error"]["reason"], "approval_denied");
    assert!(reply["error"]["message"].as_str().unwrap().contains("not today"), "{reply}");
    assert_eq!(held.content(), "new line\n");
}

#[test]
fn an_approval_fits_the_exact_action_only() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let held = held(&daemon);
    let (_, id) = held.asking(&held.write("one\n"), || {
        let id = held.pending();
        let _approved = succeeded(daemon.agentctl(&["approvals", "approve", &id, "--yes"]));
        id
    });
    assert_eq!(held.content(), "one\n");
    let with = |mut request: Value, id: &str| {
        request["context"] = json!({"approval": id});
        request
    };
    assert_eq!(refused(&held.agent, &with(held.write("two\n"), &id)), "approval_action_mismatch");
    assert_eq!(refused(&held.agent, &with(held.write("two\n"), "ap-999")), "approval_invalid");
    assert_eq!(held.content(), "one\n");
    // What was shown is not there any more when the approval comes.
    let (reply, ()) = held.asking(&held.write("two\n"), || {
        let id = held.pending();
        fs::write(held.workspace.join("a.txt"), "changed meanwhile\n").expect("a file");
        let _approved = succeeded(daemon.agentctl(&["approvals", "approve", &id, "--yes"]));
    });
    assert_eq!(reply["error"]["reason"], "approval_action_mismatch", "{reply}");
    assert_eq!(held.content(), "changed meanwhile\n");
}

#[test]
fn nobody_inside_can_approve_and_what_a_request_claims_does_not() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let held = held(&daemon);
    let mut claimed = held.write("claimed\n");
    claimed["params"]["approved"] = json!(true);
    claimed["context"] = json!({"approved_by": "root", "policies": []});
    let (reply, ()) = held.asking(&claimed, || {
        let id = held.pending();
        let replies = tests::ask_all(
            &held.agent,
            &[
                json!({"method": "io.agentos.Control.DecideApproval", "parameters": {"id": id, "digest": "", "approve": true}}),
                json!({"method": "io.agentos.Kernel.DecideApproval", "parameters": {"id": id, "digest": "", "approve": true}}),
            ],
        );
        assert!(replies.iter().all(|reply| reply["error_name"].is_string()), "{replies:?}");
        assert!(!held.agent.exec(&["/bin/ls", "/run/agentos/io.agentos.sock"]).status.success());
        let _denied = succeeded(daemon.agentctl(&["approvals", "deny", &id]));
    });
    assert_eq!(reply["error"]["reason"], "approval_denied");
    assert_eq!(held.content(), "old line\n");
}

#[test]
fn nothing_waits_for_ever_and_a_flood_is_bounded() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::configured("approval_wait: 5s\n");
    let held = held(&daemon);
    let reply = ask(&held.agent, &held.write("late\n"));
    assert_eq!(reply["error"]["reason"], "approval_timeout", "{reply}");
    assert_eq!(held.content(), "old line\n");
    // 22 different actions at one time: no more than 16 wait, the others are refused at once.
    let script = format!(
        "import json,socket,threading,time\ndef ask(n):\n s=socket.socket(socket.AF_UNIX);s.connect('/run/agentos/kernel.sock')\n s.sendall(json.dumps({{'method':'io.agentos.Kernel.Execute','parameters':{{'action':'file_write','params':{{'path':'{}','content':str(n)}}}}}}).encode()+b'\\0')\n print(s.recv(99999).decode()[:-1])\nts=[threading.Thread(target=ask,args=(n,)) for n in range(22)]\nfor t in ts: t.start();time.sleep(.1)\n[t.join() for t in ts]",
        held.workspace.join("a.txt").display()
    );
    let output = stdout(&held.agent.exec(&["/usr/bin/python3", "-c", &script]));
    let reasons: Vec<String> = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|reply| reply["parameters"]["error"]["reason"].as_str().map(str::to_owned))
        .collect();
    let flooded = reasons.iter().filter(|reason| *reason == "approval_flood").count();
    assert!(reasons.len() == 22 && flooded == 6, "{reasons:?}");
    let listed = stdout(&succeeded(daemon.agentctl(&["approvals"])));
    assert!(listed.contains('6'), "how many were refused is said: {listed}");
    assert_eq!(held.content(), "old line\n");
}

#[test]
fn a_decision_lasts_over_a_restart_of_the_daemon() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let workspace = daemon.workspace();
    fs::write(workspace.join("a.txt"), "old line\n").expect("a file");
    let policy = daemon.policy(POLICY);
    let launch = || Launch::new(&policy).workspace(&workspace).name("writer");
    let request = json!({"action": "file_write", "params": {"path": workspace.join("a.txt"), "content": "new\n"}});
    {
        // The agent asks and is killed with the daemon while it waits; the approval is given in between.
        let agent = daemon.spawn(&launch(), &["/bin/sleep", "600"]);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                agent.exec(&["/usr/bin/python3", "-c", include_str!("actions/ask.py"), &request.to_string()])
            });
            let mut id = String::new();
            wait_until("an action that waits", SOON, || {
                let text = stdout(&daemon.agentctl(&["approvals", "--json"]));
                let found = text.split('"').find(|word| word.starts_with("ap-")).map(str::to_owned);
                id = found.unwrap_or_default();
                !id.is_empty()
            });
            let killed = agent.tell(&["kill", "-9"]);
            assert!(killed.status.success(), "{}", stderr(&killed));
            let _approved = succeeded(daemon.agentctl(&["approvals", "approve", &id, "--yes"]));
            drop(asking.join());
        });
    }
    assert_eq!(fs::read_to_string(workspace.join("a.txt")).expect("a file"), "old line\n");
    daemon.crash_and_restart();
    let agent = daemon.spawn(&launch(), &["/bin/sleep", "600"]);
    let reply = ask(&agent, &request);
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(fs::read_to_string(workspace.join("a.txt")).expect("a file"), "new\n");
    // Once.
    fs::write(workspace.join("a.txt"), "old line\n").expect("a file");
    let (reply, ()) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&agent, &request));
        let mut id = String::new();
        wait_until("it waits again", SOON, || {
            let text = stdout(&daemon.agentctl(&["approvals", "--json"]));
            id = text.split('"').find(|word| word.starts_with("ap-")).unwrap_or_default().to_owned();
            !id.is_empty()
        });
        let _denied = succeeded(daemon.agentctl(&["approvals", "deny", &id]));
        (asking.join().expect("an answer"), ())
    });
    assert_eq!(reply["error"]["reason"], "approval_denied", "{reply}");
}

#[test]
fn a_person_sees_the_program_that_it_is_and_all_that_it_gets() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let held = held(&daemon);
    let request = json!({"action": "process_exec",
        "params": {"argv": ["id", "two\nlines"], "stdin": "hidden input", "cwd": held.workspace}});
    let (reply, shown) = held.asking(&request, || {
        let id = held.pending();
        let shown = stdout(&succeeded(daemon.agentctl(&["approvals", "show", &id])));
        let _denied = succeeded(daemon.agentctl(&["approvals", "deny", &id]));
        shown
    });
    assert_eq!(reply["error"]["reason"], "approval_denied");
    let directory = held.workspace.display().to_string();
    for said in ["/usr/bin/id", "hidden input", &*directory, "two"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let large = held.write(&"x".repeat(40 << 10));
    assert_eq!(refused(&held.agent, &large), "too_large");
}
