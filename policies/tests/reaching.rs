//! How far what is allowed reaches on the host, and what a registered action takes.

use std::path::PathBuf;

use policies::{AccessRequest, ActionName, Kind, Narrowing, RequestPath, Shipped, Table, Variables, parse, resolve};
use serde_json::{Value, json};

/// A table of these entries of a policy that extends `base`, narrowed by these entries of the agent's own file.
fn table(keys: &str, own: &str) -> Table {
    let document = parse("p.yaml", &format!("extends: [base]\n{keys}\n")).unwrap_or_else(|error| panic!("{error}"));
    let policy = resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"));
    let own = Narrowing::read("own", own.as_bytes(), &policy.mediation.actions);
    let own = own.unwrap_or_else(|error| panic!("{error}"));
    let variables =
        Variables { workspace: Some("/srv/w*rk".into()), home: "/home/agent".into(), name: "a1".to_owned() };
    Table::compile(&policy, &variables, &[own]).expect("legal variables")
}

fn name(text: &str) -> ActionName {
    text.parse().expect("legal")
}

fn roots(table: &Table, action: &str, path: &str) -> Vec<String> {
    let paths = vec![RequestPath::new(path.as_ref()).expect("clean")];
    let request = AccessRequest { paths, ..AccessRequest::new(name(action), "a1") };
    table.roots(&request).iter().map(|root| root.display().to_string()).collect()
}

#[test]
fn the_roots_of_a_path_are_those_of_the_patterns_that_grant_it_the_longest_first() {
    let table = table(
        "policies:
  - {action: file_read, paths: [\"/data/**\", \"/data/a/*.csv\", \"/data/a/x.csv\", \"/**\", \"/dat?/a/**\", \"/other/**\"]}
  - {action: file_read, paths: [\"/data/a/**\"], requires_approval: true}
  - {action: file_read, paths: [\"/data/a/b/**\"], effect: deny}
  - {action: file_write, paths: [\"${workspace}/**\"]}
  - {action: memory_read}
  - {action: \"*\", paths: [\"/any/**\", \"/data/**\"]}",
        "policies: [{action: file_read, paths: [\"/data/a/x.csv\"]}]",
    );
    assert_eq!(roots(&table, "file_read", "/data/a/x.csv"), ["/data/a/x.csv", "/data/a", "/data", "/"]);
    assert_eq!(roots(&table, "file_read", "/data/y"), ["/data", "/"], "`*` counts only where no rule names the action");
    assert_eq!(roots(&table, "file_read", "/data/a/b/c"), ["/data/a", "/data", "/"], "a denying rule grants no root");
    assert_eq!(roots(&table, "file_write", "/srv/w*rk/x"), ["/srv/w*rk"], "a variable's value is no pattern");
    assert_eq!(roots(&table, "file_write", "/any/x"), ["/any"]);
    assert!(roots(&table, "file_write", "/etc/passwd").is_empty());
    assert!(roots(&table, "memory_read", "/mem/semantic/x").is_empty(), "a rule without paths gives none");
    let two = vec![RequestPath::new("/data/a".as_ref()).expect("clean"); 2];
    assert!(table.roots(&AccessRequest { paths: two, ..AccessRequest::new(name("file_read"), "a1") }).is_empty());
}

#[test]
fn a_program_starts_further_ones_only_where_every_layer_allows_them_without_a_condition() {
    for (rules, own, expected) in [
        // What is granted, as it is written.
        ("{action: process_exec, exec: [/usr/bin/git, \"/opt/tools/**\"]}", "{}", vec!["/opt/tools", "/usr/bin/git"]),
        ("{action: process_exec, exec: [\"/usr/**\", /usr/bin/git]}", "{}", vec!["/usr"]),
        ("{action: process_exec}", "{}", vec!["/"]),
        ("{action: \"*\", exec: [\"/opt/**\"]}", "{}", vec!["/opt"]),
        ("{action: process_exec, exec: [\"${workspace}/**\"]}", "{}", vec!["/srv/w*rk"]),
        // What is granted under a condition.
        ("{action: process_exec, exec: [/usr/bin/git], argv: [log, \"...\"]}", "{}", vec![]),
        ("{action: process_exec, exec: [/usr/bin/git], rate: 1/min}", "{}", vec![]),
        ("{action: process_exec, exec: [/usr/bin/git], count: 1}", "{}", vec![]),
        ("{action: process_exec, exec: [/usr/bin/git], requires_approval: true}", "{}", vec![]),
        ("{action: process_exec, exec: [\"/usr/bin/*\", \"/**/sh\"]}", "{}", vec![]),
        ("{action: file_read}", "{}", vec![]),
        // What another rule holds back, wherever it may meet it.
        (
            "{action: process_exec, exec: [/a/x, \"/b/**\"]}, {action: process_exec, exec: [/b/sh], effect: deny}",
            "{}",
            vec!["/a/x"],
        ),
        (
            "{action: process_exec, exec: [/a/x, \"/b/**\"]}, {action: process_exec, exec: [\"/**/sh\"], effect: deny}",
            "{}",
            vec!["/a/x"],
        ),
        (
            "{action: process_exec, exec: [/a/x, /a/sh]}, {action: process_exec, exec: [\"/**/sh\"], effect: deny}",
            "{}",
            vec!["/a/x"],
        ),
        (
            "{action: process_exec, exec: [/a/x]}, {action: process_exec, exec: [/a/x], argv: [push], requires_approval: true}",
            "{}",
            vec![],
        ),
        (
            "{action: process_exec, exec: [/a/x]}, {action: process_exec, exec: [/a/x], argv: [push]}",
            "{}",
            vec!["/a/x"],
        ),
        ("{action: process_exec, exec: [\"/a/**\"]}, {action: \"*\", effect: deny}", "{}", vec!["/a"]),
        ("{action: \"*\", exec: [\"/a/**\"]}, {action: process_exec, exec: [/a/x], effect: deny}", "{}", vec![]),
        // What the agent's own file takes.
        (
            "{action: process_exec, exec: [\"/a/**\", /b/x]}",
            "policies: [{action: process_exec, exec: [/a/y, /c/z]}]",
            vec!["/a/y"],
        ),
        (
            "{action: process_exec, exec: [\"/a/**\", /b/x]}",
            "policies: [{action: process_exec, exec: [/b/x], effect: deny}]",
            vec!["/a"],
        ),
        ("{action: process_exec, exec: [\"/a/**\"]}", "policies: [{action: \"*\", requires_approval: true}]", vec![]),
        ("{action: process_exec, exec: [\"/a/**\"]}", "policies: [{action: \"*\", mode: read_only}]", vec![]),
        ("{action: process_exec, exec: [\"/a/**\"]}", "policies: [{action: \"*\", filters: [pii]}]", vec!["/a"]),
        ("{action: process_exec, exec: [\"/a/**\"]}", "policies: [{action: file_read}]", vec!["/a"]),
        ("{action: file_read}", "policies: [{action: process_exec}]", vec![]),
    ] {
        let found = table(&format!("policies: [{rules}]"), own).executables();
        assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{rules} with {own}");
    }
}

const ACTIONS: &str = "policies: [{action: deploy}]
actions:
  - {name: deploy, command: [/bin/d], params: {version: {type: string, required: true, max_length: 5}, n: {type: integer}, r: {type: number}, dry: {type: boolean}}}
  - {name: lint, command: [/bin/l], read_only: true}";

#[test]
fn what_the_operator_has_registered_is_found_by_its_name() {
    let table = table(ACTIONS, "{}");
    assert_eq!(table.kind_of(&name("file_read")), Some(Kind::FileRead));
    assert_eq!(table.kind_of(&name("deploy")), Some(Kind::Registered { read_only: false }));
    assert_eq!(table.kind_of(&name("lint")), Some(Kind::Registered { read_only: true }));
    assert_eq!(table.kind_of(&name("nope")), None);
    assert_eq!(table.kind_of(&name("network_connect")), None, "no agent can ask for it");
    assert_eq!(table.registered(&name("deploy")).map(|action| &*action.command[0]), Some("/bin/d"));
    assert!(table.registered(&name("file_read")).is_none());
    let names: Vec<&str> = table.registered_actions().map(|action| action.name.as_str()).collect();
    assert_eq!(names, ["deploy", "lint"]);
}

#[test]
fn parameters_are_those_that_are_declared_and_the_error_says_what_was_expected() {
    let table = table(ACTIONS, "{}");
    let check = |action: &str, params: Value| {
        let action = table.registered(&name(action)).expect("registered");
        action.check(params.as_object().expect("an object")).map_err(|error| error.to_string())
    };
    for params in [
        json!({"version": "1.2.3"}),
        json!({"version": "", "n": -1, "r": 1.5, "dry": false}),
        json!({"version": "1", "n": u64::MAX, "r": 2}),
    ] {
        assert_eq!(check("deploy", params.clone()), Ok(()), "{params}");
    }
    assert_eq!(check("lint", json!({})), Ok(()));
    for (params, expected) in [
        (json!({}), "the parameter `version` is missing: expected a string"),
        (json!({"version": 1}), "the parameter `version` is a number: expected a string"),
        (json!({"version": null}), "the parameter `version` is null: expected a string"),
        (json!({"version": ["1"]}), "the parameter `version` is a list: expected a string"),
        (json!({"version": "1.2.34"}), "the parameter `version` has 6 bytes: expected at most 5"),
        (json!({"version": "ääää"}), "the parameter `version` has 8 bytes: expected at most 5"),
        (json!({"version": "1", "n": 1.5}), "the parameter `n` is a number: expected an integer"),
        (json!({"version": "1", "r": "1"}), "the parameter `r` is a string: expected a number"),
        (json!({"version": "1", "dry": 0}), "the parameter `dry` is a number: expected true or false"),
        (json!({"versoin": "1"}), "`deploy` has no parameter `versoin`: expected `version`"),
        (json!({"approved\n": true}), "`deploy` has no parameter `approved\\u{a}`: expected one of dry, n, r, version"),
    ] {
        assert_eq!(check("deploy", params.clone()), Err(expected.to_owned()), "{params}");
    }
    assert_eq!(check("lint", json!({"x": 1})), Err("`lint` has no parameter `x`: expected none".to_owned()));
}
