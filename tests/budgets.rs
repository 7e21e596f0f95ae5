//! Promise 4: a budget that is spent has the answer that the policy names: the agent is killed, or stopped for somebody to
//! look, who gives it the same once more. Each is recorded.

use serde_json::Value;
use std::time::{Duration, Instant};
use tests::{Agent, Daemon, hostile, probe, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Starts the probe with `words` under `limits`, and `answer` to spent budgets.
fn start<'d>(daemon: &'d Daemon, limits: &str, (answer, words): (&str, &[&str])) -> Agent<'d> {
    let (launch, workspace) = hostile(daemon, limits);
    let probe = probe();
    let launch = match answer {
        "" => launch,
        answer => {
            let text = format!(
                "extends: [base]\non_violation: {{budgets: {answer}}}\n\
                 process: {{exec: [\"{probe}\"], limits: {{{limits}}}}}\n\
                 filesystem:\n- {{path: \"{probe}\", access: read}}\n- {{path: \"${{workspace}}\", access: write}}\n"
            );
            tests::Launch::new(daemon.policy(&text)).workspace(&workspace)
        }
    };
    let argv: Vec<_> = [probe.as_str()].into_iter().chain(words.iter().copied()).collect();
    daemon.spawn(&launch, &argv)
}

fn violations(agent: &Agent<'_>) -> Vec<Value> {
    let events: Value = serde_json::from_slice(&succeeded(agent.tell(&["events", "--json"])).stdout).expect("JSON");
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list").clone();
    events.into_iter().filter(|event| event["event"] == "violation").collect()
}

/// The one violation that there is: signal, rule and outcome.
fn only(agent: &Agent<'_>) -> (String, String, String) {
    let list = violations(agent);
    assert_eq!(list.len(), 1, "{list:?}");
    let word = |key: &str| list[0][key].as_str().expect("a word").to_owned();
    (word("signal"), word("rule"), word("outcome"))
}

fn budget(rule: &str, outcome: &str) -> (String, String, String) {
    ("SIGBUDGET".to_owned(), format!("process.limits.{rule}"), outcome.to_owned())
}

fn end(agent: &Agent<'_>) -> (Option<i32>, String) {
    let code = agent.tell(&["wait", "--timeout", "20s"]).status.code();
    (code, agent.inspect()["agent"]["exit"]["reason"].as_str().unwrap_or("none").to_owned())
}

#[test]
fn a_spent_budget_kills_unless_the_policy_says_otherwise() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let cases = [
        ("wall: 1s", "sleep", (124, "wall"), "wall"),
        ("output: 64KiB", "flood", (137, "output"), "output"),
        ("cpu_time: 1s", "hog-cpu", (137, "budget"), "cpu_time"),
    ];
    for (limits, behaviour, (code, reason), rule) in cases {
        let agent = start(&daemon, limits, ("", &[behaviour]));
        assert_eq!(end(&agent), (Some(code), reason.to_owned()), "{limits}");
        assert_eq!(only(&agent), budget(rule, "killed"), "{limits}");
    }
    let agent = start(&daemon, "memory: 32MiB", ("", &["membomb", "anon", "48M"]));
    assert_eq!(end(&agent), (Some(137), "memory".to_owned()));
    let told = violations(&agent);
    assert_eq!((told.len(), &told[0]["stopped_by"]), (1, &"cgroup".into()), "{told:?}");
    assert_eq!(told[0]["rule"], "process.limits.memory");
}

#[test]
fn processor_time_is_counted_over_all_processes_and_only_while_they_run() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let used = |agent: &Agent<'_>| agent.inspect()["usage"]["cpu_us"].as_u64().expect("usage");
    // The control: one that waits has all its time left however long it takes.
    let waits = start(&daemon, "cpu_time: 1s", ("", &["sleep"]));
    let begin = Instant::now();
    let agent = start(&daemon, "cpu_time: 2s", ("SIGSTOP", &["spin", "2"]));
    wait_until("the stop", SOON, || agent.state() == "stopped");
    assert!(begin.elapsed() >= Duration::from_millis(900), "two processors at most: {:?}", begin.elapsed());
    let first = used(&agent);
    assert!((2_000_000..2_600_000).contains(&first), "{first} us used of 2 s");
    assert_eq!((waits.state(), used(&waits) < 500_000), ("running".to_owned(), true));

    // Somebody has looked: two seconds more, and not one more than that.
    succeeded(agent.tell(&["cont"]));
    wait_until("it to go on", SOON, || used(&agent) > first + 500_000);
    wait_until("the second stop", SOON, || agent.state() == "stopped");
    let second = used(&agent) - first;
    assert!((1_900_000..2_700_000).contains(&second), "{second} us used of 2 s");
    assert_eq!(violations(&agent).len(), 2);
}

#[test]
fn an_agent_stopped_for_its_time_or_output_gets_the_same_once_more() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let timed = start(&daemon, "wall: 1s", ("SIGSTOP", &["ticks", "trace"]));
    let loud = start(&daemon, "output: 64KiB", ("SIGSTOP", &["flood"]));
    let logged = |agent: &Agent<'_>| agent.inspect()["usage"]["output_bytes"].as_u64().expect("usage");
    for (agent, rule) in [(&timed, "wall"), (&loud, "output")] {
        wait_until("the stop", SOON, || agent.state() == "stopped");
        assert_eq!(only(agent), budget(rule, "stopped for review"));
        let review = agent.inspect()["agent"]["review"].as_str().expect("a reason").to_owned();
        assert!(review.starts_with("SIGBUDGET: ") && review.contains(&format!("process.limits.{rule}")), "{review}");
    }
    let first = logged(&loud);
    for agent in [&timed, &loud] {
        succeeded(agent.tell(&["cont"]));
        wait_until("the second stop", SOON, || violations(agent).len() == 2 && agent.state() == "stopped");
    }
    let second = logged(&loud) - first;
    assert!((60_000..200_000).contains(&second), "{second} bytes after {first}");

    // A caller's own limit is no budget of the policy's: it ends the agent.
    let (launch, _) = hostile(&daemon, "wall: 1h");
    let output = daemon.run_inside(&launch.option("--timeout").option("300ms"), &[&probe(), "sleep"]);
    assert_eq!(output.status.code(), Some(124), "{}", tests::stderr(&output));
}
