//! Promise: what the kernel refuses an agent is listed, in words, with who tried, and it is said whether all is there.

use serde_json::Value;
use std::time::Duration;
use tests::{Agent, Daemon, Launch, stderr, stdout, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// True where this host lists denials; else the test says that it is skipped.
fn listed(daemon: &Daemon) -> bool {
    let output = tests::succeeded(daemon.agentctl(&["doctor", "--json"]));
    let text = stdout(&output);
    let probe = daemon.spawn(&Launch::new("base"), &["sleep", "100"]);
    let listed = !probe.inspect()["agent"]["denials"].is_null();
    if !listed {
        tests::skip("denial-log", &format!("this host has no denial log: {text}"));
    }
    listed
}

fn denials(agent: &Agent<'_>) -> Vec<Value> {
    let output = agent.tell(&["denials", "--json"]);
    let page: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("agentctl denials --json: {error}: {} {}", stdout(&output), stderr(&output)));
    page["denials"].as_array().expect("a list").clone()
}

fn completeness(agent: &Agent<'_>) -> Value {
    let output = agent.tell(&["denials", "--json"]);
    let page: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    page["completeness"].clone()
}

/// Waits for at least so many, and returns them.
fn wait_for(agent: &Agent<'_>, count: usize) -> Vec<Value> {
    wait_until("the denials", SOON, || denials(agent).len() >= count);
    denials(agent)
}

#[test]
fn a_forbidden_file_is_named_in_a_sentence() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let script = "cat /usr/share/dict/words /etc/passwd > /dev/null; cat /etc/shadow; sleep 100";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    let list = wait_for(&agent, 1);
    assert_eq!(list.len(), 1, "what is granted or absent is no denial: {list:?}");
    let denial = &list[0];
    assert_eq!(denial["sentence"], "read /etc/shadow: not granted by policy base");
    assert_eq!((denial["layer"].as_str(), denial["object"].as_str()), (Some("landlock"), Some("/etc/shadow")));
    assert_eq!(denial["exe"].as_str(), Some("/usr/bin/cat"));
    assert!(denial["pid"].as_i64().is_some_and(|pid| pid > 1), "{denial}");
    assert!(denial["time_us"].as_u64().is_some_and(|time| time > 1_700_000_000_000_000), "{denial}");
    let words = stdout(&agent.tell(&["denials"]));
    assert!(words.contains("/usr/bin/cat  read /etc/shadow: not granted by policy base  [landlock]"), "{words}");
    assert!(words.contains("1 listed so far; the agent still runs"), "{words}");
    assert!(agent.output().is_empty(), "and nothing was read");
}

#[test]
fn a_forbidden_system_call_is_named_with_who_tried() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", "unshare --mount true; sleep 100"]);
    let list = wait_for(&agent, 1);
    let denial = list.iter().find(|denial| denial["syscall"] == "unshare").unwrap_or_else(|| panic!("{list:?}"));
    assert_eq!(denial["layer"], "seccomp");
    assert_eq!(denial["exe"].as_str(), Some("/usr/bin/unshare"));
    assert!(denial["pid"].as_i64().is_some_and(|pid| pid > 1), "{denial}");
    assert!(denial["sentence"].as_str().is_some_and(|text| text.contains("unshare")), "{denial}");
}

#[test]
fn an_agent_cannot_put_refusals_of_its_own_into_the_list() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let (launch, _) = tests::hostile(&daemon, "memory: 64MiB, pids: 32");
    let agent = daemon.spawn(&launch, &[&tests::probe(), "own-filters"]);
    // The control: its own filters did answer, by killing a thread and a process; and what ours refused is listed.
    wait_until("the last refusal", SOON, || agent.output().contains("mount: "));
    let said = agent.output();
    assert!(said.contains("0x0: ") && said.contains("Operation not permitted"), "{said}");
    assert_eq!(said.matches(", 31)").count(), 2, "SIGSYS twice: {said}");
    let list = wait_for(&agent, 1);
    let refused: Vec<&str> = list.iter().filter_map(|denial| denial["sentence"].as_str()).collect();
    assert_eq!(refused, ["mount: system call refused by seccomp (all policies)"]);
}

#[test]
fn a_domain_of_the_agents_own_is_never_taken_for_the_policys() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let (launch, _) = tests::hostile(&daemon, "memory: 64MiB, pids: 32");
    // More than any table holds, and then the first again.
    let agent = daemon.spawn(&launch, &[&tests::probe(), "own-domains", "1200", "/etc/ld.so.cache"]);
    wait_until("the last refusal", Duration::from_secs(60), || agent.output().contains("done"));
    let said = agent.output();
    assert!(said.contains("outside: Ok") && said.contains("again: Err"), "the policy grants it: {said}");
    let list = wait_for(&agent, 1202);
    let sentence = |denial: &Value| denial["sentence"].as_str().expect("a sentence").to_owned();
    assert_eq!(
        sentence(&list[0]),
        "read /etc/ld.so.cache: refused by a Landlock domain that was made inside the agent"
    );
    let forged: Vec<_> = list.iter().map(sentence).filter(|text| text.contains("granted by policy")).collect();
    assert!(forged.is_empty(), "{forged:?}");
    // The control: what the policy refuses is said to be its own, among all these.
    assert!(!agent.exec(&["cat", "/etc/shadow"]).status.success());
    let last = wait_for(&agent, 1203).pop().expect("a denial");
    assert!(sentence(&last).starts_with("read /etc/shadow: not granted by policy "), "{last}");
}

#[test]
fn a_burst_is_listed_whole() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    // One process, no fork: a thousand refusals within milliseconds. `true` is no special builtin, so the shell goes on.
    let script = "i=0; while [ $i -lt 1000 ]; do true < /etc/shadow; i=$((i+1)); done 2> /dev/null; echo $i";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    assert_eq!(agent.tell(&["wait"]).status.code(), Some(0));
    assert_eq!(agent.output(), "1000\n");
    wait_until("the kernel's final count", SOON, || completeness(&agent)["state"] == "complete");
    assert_eq!(completeness(&agent)["counted"].as_u64(), Some(1000));
    let list = denials(&agent);
    assert_eq!(list.len(), 1000);
    for (number, denial) in (1..).zip(&list) {
        assert_eq!(denial["seq"].as_u64(), Some(number));
        assert_eq!(denial["object"], "/etc/shadow");
    }
    let words = stdout(&agent.tell(&["denials"]));
    assert!(words.contains("The list is complete: the kernel counted 1000 Landlock denials"), "{words}");
}

#[test]
fn each_agent_has_its_own_list() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let start = |path: &str| {
        let script = format!("for i in 1 2 3 4 5 6 7 8 9 10; do cat {path}; done; sleep 100");
        daemon.spawn(&Launch::new("base"), &["sh", "-c", &script])
    };
    let agents = [(start("/etc/shadow"), "/etc/shadow"), (start("/etc/sudoers"), "/etc/sudoers")];
    let quiet = daemon.spawn(&Launch::new("base"), &["sh", "-c", "cat /etc/passwd; sleep 100"]);
    for (agent, path) in &agents {
        let list = wait_for(agent, 10);
        assert_eq!(list.len(), 10);
        assert!(list.iter().all(|denial| denial["object"] == *path), "{list:?}");
    }
    assert!(denials(&quiet).is_empty());
}

#[test]
fn following_shows_what_comes_and_ends_with_the_agent() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !listed(&daemon) {
        return;
    }
    let script = "for f in shadow gshadow sudoers; do sleep 0.2; cat /etc/$f; done; exit 0";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    let output = agent.tell(&["denials", "-f"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    let mut from = 0;
    for file in ["/etc/shadow", "/etc/gshadow", "/etc/sudoers"] {
        let at = text[from..].find(&format!("read {file}:")).unwrap_or_else(|| panic!("{file} in order in {text}"));
        from += at;
    }
    assert!(text.contains("The list is complete: the kernel counted 3 Landlock denials"), "{text}");
}
