//! What a change of a policy grants and takes, in words.

use policies::{Diff, Direction, Shipped, diff, parse, resolve};
use proptest::prelude::*;

fn difference(old: &str, new: &str) -> Diff {
    let policy = |text: &str| {
        let document = parse("p.yaml", &format!("extends: [base]\n{text}\n")).unwrap_or_else(|error| panic!("{error}"));
        resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"))
    };
    diff(&policy(old), &policy(new)).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn says(old: &str, new: &str, expected: &[&str]) {
    let shown = difference(old, new).to_string();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{shown}");
}

#[test]
fn what_is_written_otherwise_and_means_the_same_is_no_difference() {
    let one = "filesystem: [{path: /a, access: read}, {path: /b, access: write}]\npolicies: [{action: file_read}, {action: send_message}]";
    let other = "policies: [{action: send_message}, {action: file_read}]\nfilesystem: [{path: /b, access: write}, {path: /a, access: read}, {path: /a/c, access: read}]";
    says(one, other, &["no difference in what they grant"]);
}

#[test]
fn paths_execution_limits_and_environment_are_compared_by_what_they_come_to() {
    says(
        "filesystem: [{path: \"${workspace}\", access: write}, {path: /srv/x, access: none}]\nprocess: {env: [A], limits: {file_size: 1GiB, action_rate: 60/min, actions: 9}}",
        "filesystem: [{path: \"${workspace}\", access: read}, {path: /opt/y, access: read}]
process: {exec: [/opt/y], env: [B, C=1], limits: {memory: 4GiB, pids: 5, cpu_time: 1h, action_rate: 2/s, actions: 8, repeats: 200}}
memory: {episodic: 2GiB, semantic_shared: team}",
        &[
            "grants  reading /opt/y and what is beneath it  (p.yaml:2)",
            "grants  executing programs in /opt/y  (p.yaml:2)",
            "grants  the caller's variable B  (p.yaml:3)",
            "grants  memory: 2GiB → 4GiB  (p.yaml:3)",
            "grants  file_size: 1GiB → no limit  (p.yaml:3)",
            "grants  action_rate: 60/min → 2/s  (p.yaml:3)",
            "grants  repeats: 100 → 200  (p.yaml:3)",
            "grants  /mem/episodic: 1GiB → 2GiB  (p.yaml:4)",
            "grants  the shared store team as /mem/semantic  (p.yaml:4)",
            "takes   writing ${workspace} and what is beneath it  (p.yaml:2)",
            "takes   the caller's variable A  (p.yaml:3)",
            "takes   pids: 256 → 5  (p.yaml:3)",
            "takes   cpu_time: no limit → 1h  (p.yaml:3)",
            "takes   actions: 9 → 8  (p.yaml:3)",
            "alters  /srv/x, which is not granted: refused by name → not there  (p.yaml:2)",
            "alters  the variable C is 1  (p.yaml:3)",
        ],
    );
}

#[test]
fn doing_without_a_layer_of_the_kernel_is_a_grant() {
    says("", "optional_layers: [landlock_scope]", &["grants  starting on a kernel without landlock_scope  (p.yaml:2)"]);
    says("optional_layers: [memfd_noexec]", "", &["takes   starting on a kernel without memfd_noexec  (p.yaml:2)"]);
}

#[test]
fn a_rule_about_actions_goes_the_way_that_answers_go() {
    says(
        "policies:
  - {action: file_read, paths: [\"${workspace}/**\"]}
  - {action: file_write, paths: [\"/data/**\"], effect: deny}
  - {action: file_write}
  - {action: http_request, hosts: [a.example]}",
        "policies:
  - {action: file_read, paths: [\"${workspace}/**\"], max_bytes: 1MiB}
  - {action: file_write}
  - {action: http_request, hosts: [a.example]}
  - {action: http_request, hosts: [a.example], methods: [GET]}
  - {action: process_exec, exec: [/usr/bin/git], argv: [log, \"...\"], requires_approval: true}
network: [{host: \"*.b.example\", ports: [443]}]",
        &[
            "grants  a rule that allows executing programs by /usr/bin/git with `log …` once a person has approved it: process_exec /usr/bin/git log was denied (nothing_granted), is for a person to approve  (p.yaml:7)",
            "grants  a rule that allows connections of its own to *.b.example on port 443: network_connect GET any.b.example:443 was denied (nothing_granted), is allowed  (p.yaml:8)",
            "grants  no more rule that denies writing files at /data/**: file_write /data was denied (denied_by_rule), is allowed  (p.yaml:4)",
            "takes   a rule that allows reading files at ${workspace}/** up to 1MiB: file_read ${workspace} was allowed, is allowed (up to 1MiB)  (p.yaml:3)",
            "takes   no more rule that allows reading files at ${workspace}/**: file_read ${workspace} was allowed, is allowed (up to 1MiB)  (p.yaml:3)",
            "alters  a rule that allows HTTP requests to a.example with GET: no answer to what was tried is another  (p.yaml:6)",
        ],
    );
}

#[test]
fn an_exact_rule_that_hides_a_wider_one_is_seen_to_take() {
    let found = difference(
        "policies: [{action: \"*\"}]",
        "policies: [{action: \"*\"}, {action: file_read, mode: read_only, rate: 1/min}]",
    );
    assert_eq!(found.changes[0].direction, Direction::Takes, "{found}");
    let found = difference(
        "policies: [{action: \"*\", effect: deny}]",
        "policies: [{action: \"*\", effect: deny}, {action: file_read}]",
    );
    assert!(found.grants(), "{found}");
}

#[test]
fn modes_answers_and_commands_are_told() {
    says(
        "kernel: {version: \"1.0\", mode: strict}\nactions: [{name: lint, command: [/bin/a]}, {name: old, command: [/bin/o]}]",
        "actions: [{name: lint, command: [/bin/b], read_only: true}]\non_violation: {tripwires: SIGKILL, loops: deny}\nsignals: [SIGKILL]",
        &[
            "grants  the answer to a forbidden act: strict (the agent is killed) → permissive (refused)  (p.yaml:2)",
            "grants  lint counts as reading now  (p.yaml:2)",
            "takes   the registered action old: /bin/o  (p.yaml:3)",
            "alters  the signals that the kernel may answer with: all → SIGKILL  (p.yaml:4)",
            "alters  on_violation.tripwires: as the mode says → SIGKILL  (p.yaml:3)",
            "alters  on_violation.loops: as usual → deny  (p.yaml:3)",
            "alters  the command of lint: /bin/a → /bin/b  (p.yaml:2)",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_change_and_its_reverse_are_mirror_images(
        one in proptest::collection::vec(line(), 0..5), other in proptest::collection::vec(line(), 0..5),
    ) {
        let policy = |lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("policies:\n{}", lines.concat()),
        };
        let (there, back) = (difference(&policy(&one), &policy(&other)), difference(&policy(&other), &policy(&one)));
        let count = |diff: &Diff, direction| diff.changes.iter().filter(|change| change.direction == direction).count();
        prop_assert_eq!(there.changes.is_empty(), back.changes.is_empty());
        prop_assert_eq!(there.grants(), back.changes.iter().any(|change| change.direction == Direction::Takes), "{}\n{}", there, back);
        prop_assert_eq!(count(&there, Direction::Alters), count(&back, Direction::Alters), "{}\n{}", there, back);
        prop_assert!(difference(&policy(&one), &policy(&one)).changes.is_empty());
    }
}

fn line() -> impl Strategy<Value = String> {
    let action = proptest::sample::select(vec!["file_read", "file_write", "\"*\""]);
    let paths = proptest::sample::select(vec!["", ", paths: [\"/a/**\"]", ", paths: [/a/b]"]);
    let effect = proptest::sample::select(vec![
        "",
        ", effect: deny",
        ", requires_approval: true",
        ", max_bytes: 1KiB",
        ", rate: 1/s",
    ]);
    (action, paths, effect).prop_map(|(action, paths, effect)| format!("  - {{action: {action}{paths}{effect}}}\n"))
}
