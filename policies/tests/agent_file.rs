//! An agent's own file: what is taken, what is refused, and where an error is shown.

use policies::{
    AccessRequest, Effect, Mode, Narrowing, Reason, RequestPath, Shipped, Statement, Table, Variables, parse, resolve,
};

const SEED: &str = include_str!("data/security.yaml");

fn read(text: &str) -> Result<Narrowing, String> {
    Narrowing::read("security.md", text.as_bytes(), &[]).map_err(|error| error.to_string())
}

fn lines(narrowing: &Narrowing) -> Vec<u64> {
    narrowing.mediation().rules.iter().map(|rule| rule.origin.line).collect()
}

#[test]
fn the_seed_is_taken_as_yaml_as_front_matter_and_as_a_fenced_block() {
    let forms = [
        (SEED.to_owned(), 0),
        (format!("---\n{SEED}---\n# Security\n\nWords: `x`.\n"), 1),
        (format!("# Security\n\nText.\n\n```sh\nls\n```\n\n```yaml\n{SEED}```\n\nMore text: [a](b)\n"), 9),
    ];
    let plain = lines(&read(SEED).expect("valid"));
    for (text, offset) in forms {
        let narrowing = read(&text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
        assert_eq!(narrowing.mediation().mode.as_ref().map(|rule| rule.value), Some(Mode::Strict));
        assert_eq!(lines(&narrowing), plain.iter().map(|line| line + offset).collect::<Vec<_>>());
    }
}

#[test]
fn the_seed_narrows_what_the_operator_granted() {
    let text = "extends: [base]\npolicies: [{action: database_query}, {action: file_write}, {action: file_read}]";
    let policy = resolve(&parse("p.yaml", text).expect("valid"), &Shipped).expect("valid");
    let variables = Variables { workspace: None, home: "/home/a".into(), name: "a".into() };
    let table = Table::compile(&policy, &variables, &[read(SEED).expect("valid")]).expect("compiles");
    assert_eq!(table.mode(), Mode::Strict);
    let request = |action: &str| AccessRequest::new(action.parse().expect("legal"), "a");
    let query = |statement| AccessRequest {
        database: Some("d".into()),
        statement: Some(statement),
        ..request("database_query")
    };
    let on = |action| AccessRequest { paths: vec![RequestPath::new("/x".as_ref()).expect("clean")], ..request(action) };
    for (request, effect, reason) in [
        (query(Statement::Read), Effect::Allow, Reason::Granted),
        (query(Statement::Write), Effect::Deny, Reason::ReadOnly),
        (on("file_write"), Effect::RequireApproval, Reason::ApprovalRequired),
        (on("file_read"), Effect::Allow, Reason::Granted),
        (on("file_delete"), Effect::Deny, Reason::NothingGranted),
    ] {
        let decision = table.decide(&request);
        assert_eq!((decision.effect, decision.reason), (effect, reason), "{}", table.explain(&request));
    }
}

#[test]
fn a_layer_that_allows_something_of_an_action_allows_no_more_of_it() {
    let text = "extends: [base]\npolicies: [{action: file_read}]\nkernel: {version: \"1.0\", mode: strict}";
    let policy = resolve(&parse("p.yaml", text).expect("valid"), &Shipped).expect("valid");
    let variables = Variables { workspace: None, home: "/home/a".into(), name: "a".into() };
    let own = "kernel: {version: \"1.0\", mode: audit}\npolicies: [{action: file_read, paths: [\"/data/**\"]}]";
    let table = Table::compile(&policy, &variables, &[read(own).expect("valid")]).expect("compiles");
    let on = |path: &str| AccessRequest {
        paths: vec![RequestPath::new(path.as_ref()).expect("clean")],
        ..AccessRequest::new("file_read".parse().expect("legal"), "a")
    };
    assert_eq!(table.decide(&on("/data/x")).effect, Effect::Allow);
    assert_eq!(table.decide(&on("/etc/x")).reason, Reason::NotInLayer);
    assert_eq!(table.mode(), Mode::Strict, "the agent's own file cannot make the kernel milder");
}

#[test]
fn what_would_widen_is_refused_with_a_sentence() {
    for key in [
        "extends: [base]",
        "process: {}",
        "filesystem: []",
        "actions: []",
        "network: []",
        "memory: {}",
        "on_violation: {}",
    ] {
        let error = read(&format!("# x\n```yaml\n{key}\n```\n")).expect_err("an operator's key");
        let name = key.split(':').next().expect("a key");
        let expected =
            format!("security.md:3:1: `{name}` can only stand in an operator's policy: an agent's own file narrows it");
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains(&format!("3 | {key}")), "{error}");
    }
}

#[test]
fn errors_show_the_line_of_the_file_as_it_is() {
    let cases = [
        (
            "---\npolicies:\n  - {action: file_raed}\n---\n# Text\n",
            "security.md:3:14: unknown action `file_raed`; did you mean `file_read`?",
        ),
        ("text\n```yaml\npolicies: []\n", "security.md:2:1: the ```yaml block that begins here has no end"),
        ("```yaml\npolicies: []\n```\n```yml\npolicies: []\n```\n", "security.md:4:1: a second ```yaml block"),
        ("---\npolicies: []\n---\n```yaml\npolicies: []\n```\n", "security.md:4:1: there is front matter and"),
        ("\n\npolices: []\n", "security.md:3:1: unknown key `polices`; did you mean `policies`?"),
        (
            "policies: [{action: file_read, hosts: [a.example]}]",
            "security.md:1:12: a request of `file_read` has no such thing as `hosts`",
        ),
        (
            "policies: [{action: file_read, effect: deny, filters: [pii]}]",
            "security.md:1:12: `effect: deny` refuses all",
        ),
        ("policies: [{action: file_read, paths: []}]", "security.md:1:12: `paths` is an empty list"),
        (
            "policies: [{action: file_write, mode: read_only}]",
            "security.md:1:12: `file_write` always changes something",
        ),
        ("policies: [{action: process_exec, argv: [x]}]", "security.md:1:12: the same arguments mean different things"),
        ("# Only words, and no policy\n\nHello.\n", "security.md:3:1: "),
    ];
    for (text, expected) in cases {
        let error = read(text).expect_err(text);
        assert!(error.starts_with(expected), "{error}\ninstead of\n{expected}");
    }
    let error = Narrowing::read("s.md", b"a: 1\n\xff\n", &[]).expect_err("not UTF-8");
    assert_eq!((error.line, error.message.as_str()), (2, "the file is not UTF-8 text"));
}

#[test]
fn a_hostile_file_costs_nothing_to_speak_of() {
    let long = "#".repeat(policies::MAX_POLICY_BYTES + 1);
    assert!(read(&long).is_err());
    let patterns: Vec<String> = (0..1500).map(|index| format!("\"/**/a*{index}/**/b*\"")).collect();
    let wide = format!("policies: [{{action: file_read, paths: [{}]}}]", patterns.join(", "));
    let error = read(&wide).expect_err("too many patterns");
    assert!(error.contains("more than 16384 bytes together"), "{error}");
}
