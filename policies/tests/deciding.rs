//! What is decided about requests, and by which rule.

use policies::{
    AccessRequest, Effect, Filter, Method, Mode, Narrowing, Reason, RequestHost, RequestPath, Shipped, Statement,
    Table, Variables, parse, resolve,
};

fn variables() -> Variables {
    Variables { workspace: Some("/srv/w*rk".into()), home: "/home/agent".into(), name: "a1".to_owned() }
}

/// A table of these entries of a policy that extends `base`.
fn table(keys: &str) -> Table {
    let document = parse("p.yaml", &format!("extends: [base]\n{keys}\n")).unwrap_or_else(|error| panic!("{error}"));
    let policy = resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"));
    Table::compile(&policy, &variables(), &[]).expect("legal variables")
}

fn request(action: &str) -> AccessRequest {
    AccessRequest::new(action.parse().expect("legal"), "a1")
}

fn on(action: &str, path: &str) -> AccessRequest {
    AccessRequest { paths: vec![RequestPath::new(path.as_ref()).expect("clean")], ..request(action) }
}

fn exec(program: &str, argv: &[&str]) -> AccessRequest {
    let program = RequestPath::new(program.as_ref()).expect("clean");
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    AccessRequest { program: Some(program), argv, ..request("process_exec") }
}

fn http(host: &str, port: u16, method: Method) -> AccessRequest {
    let host = RequestHost::new(host).expect("a name");
    AccessRequest { host: Some(host), port: Some(port), method: Some(method), ..request("http_request") }
}

fn query(database: &str, statement: Statement) -> AccessRequest {
    AccessRequest { database: Some(database.to_owned()), statement: Some(statement), ..request("database_query") }
}

#[track_caller]
fn decides(table: &Table, request: &AccessRequest, effect: Effect, reason: Reason) {
    let decision = table.decide(request);
    assert_eq!((decision.effect, decision.reason), (effect, reason), "{}", table.explain(request));
}

#[track_caller]
fn allows(table: &Table, request: &AccessRequest) {
    decides(table, request, Effect::Allow, Reason::Granted);
}

#[track_caller]
fn denies(table: &Table, request: &AccessRequest, reason: Reason) {
    decides(table, request, Effect::Deny, reason);
}

#[test]
fn what_nothing_grants_is_denied() {
    let table = table("");
    for request in [on("file_read", "/usr"), query("d", Statement::Read), http("a.example", 443, Method::Get)] {
        denies(&table, &request, Reason::NothingGranted);
        assert_eq!(table.decide(&request).rule, None);
    }
    denies(&table, &request("format_disk"), Reason::UnknownAction);
}

#[test]
fn a_request_that_cannot_be_decided_is_told_what_it_should_have_said() {
    let table = table("actions: [{name: deploy, command: [/bin/d]}]");
    for (request, hint) in [
        (request("file_raed"), "did you mean `file_read`?"),
        (request("deplyo"), "did you mean `deploy`?"),
        (request("file_read"), "`file_read` needs a path"),
        (AccessRequest { program: None, ..request("process_exec") }, "`process_exec` needs a program"),
        (AccessRequest { statement: None, ..query("d", Statement::Read) }, "`database_query` needs a statement"),
    ] {
        assert_eq!(table.explain(&request).hint.as_deref(), Some(hint));
    }
    assert_eq!(table.explain(&on("file_read", "/a")).hint, None);
}

#[test]
fn the_designs_example_means_what_it_looks_like() {
    let table = table("policies:\n  - {action: file_read, paths: [\"/data/**\"]}\n  - {action: \"*\", effect: deny}");
    allows(&table, &on("file_read", "/data/a/b"));
    denies(&table, &on("file_read", "/etc/passwd"), Reason::DeniedByRule);
    denies(&table, &on("file_write", "/data/a/b"), Reason::DeniedByRule);
    let request = on("file_read", "/data/a");
    assert_eq!(table.decide(&request).rule.map(|rule| rule.origin.to_string()), Some("p.yaml:3".to_owned()));
}

#[test]
fn deny_beats_approval_beats_allow_among_rules_of_equal_standing() {
    let table = table(
        "policies:
  - {action: file_write, paths: [\"/a/**\"]}
  - {action: file_write, paths: [\"/a/b/**\"], requires_approval: true}
  - {action: file_write, paths: [\"/a/b/c/**\"], effect: deny}",
    );
    allows(&table, &on("file_write", "/a/x"));
    decides(&table, &on("file_write", "/a/b/x"), Effect::RequireApproval, Reason::ApprovalRequired);
    denies(&table, &on("file_write", "/a/b/c/x"), Reason::DeniedByRule);
}

#[test]
fn a_request_with_several_paths_needs_all_of_them() {
    let table = table("policies:\n  - {action: file_write, paths: [\"/a/**\"]}\n  - {action: file_write, paths: [/b]}");
    let both = |paths: &[&str]| {
        let paths = paths.iter().map(|path| RequestPath::new(path.as_ref()).expect("clean")).collect();
        AccessRequest { paths, ..request("file_write") }
    };
    allows(&table, &both(&["/a/x", "/b"]));
    denies(&table, &both(&["/a/x", "/c"]), Reason::NothingGranted);
    denies(&table, &both(&[]), Reason::IncompleteRequest);
}

#[test]
fn a_value_of_a_variable_is_no_pattern() {
    let table = table("policies: [{action: file_read, paths: [\"${workspace}/**\"]}]");
    allows(&table, &on("file_read", "/srv/w*rk/x"));
    denies(&table, &on("file_read", "/srv/work/x"), Reason::NothingGranted);
}

#[test]
fn read_only_lets_reading_pass_and_says_so_to_whoever_carries_it_out() {
    let table = table(
        "policies:
  - {action: database_query, mode: read_only, databases: [\"sales_*\"]}
  - {action: database_query, databases: [scratch]}
  - {action: http_request, mode: read_only, hosts: [a.example]}",
    );
    allows(&table, &query("sales_2026", Statement::Read));
    assert!(table.decide(&query("sales_2026", Statement::Read)).obligations.read_only);
    denies(&table, &query("sales_2026", Statement::Write), Reason::ReadOnly);
    allows(&table, &query("scratch", Statement::Write));
    denies(&table, &query("payroll", Statement::Read), Reason::NothingGranted);
    allows(&table, &http("a.example", 443, Method::Head));
    denies(&table, &http("a.example", 443, Method::Options), Reason::ReadOnly);
}

#[test]
fn a_program_is_allowed_by_its_path_and_its_arguments() {
    let table = table(
        "policies:
  - {action: process_exec, exec: [/usr/bin/git], argv: [log, \"...\"]}
  - {action: process_exec, exec: [/usr/bin/git], argv: [status]}
  - {action: process_exec, exec: [\"/opt/tools/*\"]}",
    );
    allows(&table, &exec("/usr/bin/git", &["log", "--oneline"]));
    allows(&table, &exec("/usr/bin/git", &["log"]));
    allows(&table, &exec("/usr/bin/git", &["status"]));
    allows(&table, &exec("/opt/tools/x", &["anything"]));
    for argv in [&["status", "--porcelain"][..], &["-c", "core.pager=x", "log"], &[], &["push"]] {
        denies(&table, &exec("/usr/bin/git", argv), Reason::NothingGranted);
    }
    denies(&table, &exec("/opt/tools/sub/x", &[]), Reason::NothingGranted);
}

#[test]
fn a_destination_is_a_host_a_port_and_a_method() {
    let table = table(
        "policies: [{action: http_request, hosts: [api.example.com, \"*.example.org\"], ports: [443], methods: [GET]}]
network: [{host: api.example.com, ports: [443]}, {host: \"*.example.org\", ports: [80], methods: [GET]}]",
    );
    allows(&table, &http("API.example.com.", 443, Method::Get));
    allows(&table, &http("a.b.example.org", 443, Method::Get));
    for (host, port, method) in [
        ("example.org", 443, Method::Get),
        ("api.example.com.evil.net", 443, Method::Get),
        ("api.example.com", 80, Method::Get),
        ("api.example.com", 443, Method::Post),
    ] {
        denies(&table, &http(host, port, method), Reason::NothingGranted);
    }
    let connect = |host: &str, port, method| {
        AccessRequest::connection("a1", (RequestHost::new(host).expect("a name"), port), method).expect("legal")
    };
    allows(&table, &connect("api.example.com", 443, None));
    allows(&table, &connect("x.example.org", 80, Some(Method::Get)));
    denies(&table, &connect("x.example.org", 80, None), Reason::NothingGranted);
    denies(&table, &connect("api.example.com", 22, None), Reason::NothingGranted);
}

#[test]
fn a_star_means_actions_and_never_the_agents_own_connections() {
    let table = table("policies: [{action: \"*\"}]");
    allows(&table, &http("anywhere.example", 1, Method::Post));
    let host = RequestHost::new("anywhere.example").expect("a name");
    denies(&table, &AccessRequest::connection("a1", (host, 443), None).expect("legal"), Reason::NothingGranted);
    denies(&table, &request("format_disk"), Reason::UnknownAction);
}

#[test]
fn what_comes_with_allowing_rules_adds_up() {
    let table = table(
        "policies:
  - {action: file_read, max_bytes: 2MiB, rate: 60/min}
  - {action: file_read, paths: [\"/data/**\"], max_bytes: 1MiB, filters: [pii], count: 10}",
    );
    let request = on("file_read", "/data/x");
    let obligations = table.decide(&request).obligations;
    assert_eq!(obligations.max_bytes, "1MiB".parse().ok());
    assert!(obligations.filters.contains(Filter::Pii));
    assert_eq!(obligations.budgets.len(), 2);
    let large = AccessRequest { size: "2MiB".parse().ok(), ..request };
    denies(&table, &large, Reason::TooLarge);
    assert!(table.decide(&large).obligations.budgets.is_empty(), "what is refused obliges to nothing");
    allows(&table, &AccessRequest { size: "2MiB".parse().ok(), ..on("file_read", "/other") });
}

#[test]
fn an_action_of_the_operators_is_one_like_the_others() {
    let table = table(
        "actions: [{name: deploy, command: [/opt/bin/deploy, --now]}, {name: lint, command: [/opt/bin/lint], read_only: true}]
policies: [{action: deploy, requires_approval: true}, {action: lint}]",
    );
    decides(&table, &request("deploy"), Effect::RequireApproval, Reason::ApprovalRequired);
    allows(&table, &request("lint"));
    let narrowed = table.narrowed(&Narrowing::built_in("read_only").expect("built in"));
    denies(&narrowed, &request("deploy"), Reason::ReadOnly);
    allows(&narrowed, &request("lint"));
}

#[test]
fn a_parents_deny_stays_whatever_its_child_allows() {
    let parent = policies::SourceText {
        origin: "parent.yaml".to_owned(),
        text: "extends: [base]\npolicies: [{action: file_read, effect: deny, paths: [\"/secret/**\"]}]".to_owned(),
    };
    struct With(policies::SourceText);
    impl policies::Loader for With {
        fn load(
            &self,
            name: &policies::ProfileName,
        ) -> Result<Option<policies::SourceText>, Box<dyn std::error::Error + Send + Sync>> {
            if name.as_str() == "parent" { Ok(Some(self.0.clone())) } else { Shipped.load(name) }
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let child = parse("child.yaml", "extends: [parent]\npolicies: [{action: file_read}]").expect("valid");
    let policy = resolve(&child, &With(parent)).expect("valid");
    let table = Table::compile(&policy, &variables(), &[]).expect("compiles");
    allows(&table, &on("file_read", "/public"));
    denies(&table, &on("file_read", "/secret/key"), Reason::DeniedByRule);
    let shown = table.explain(&on("file_read", "/secret/key")).to_string();
    let by = "decided by {action: file_read, effect: deny, paths: [\"/secret/**\"]} (parent.yaml:2) of child.yaml";
    assert!(shown.contains(by), "{shown}");
    assert!(shown.contains("child.yaml:2  {action: file_read}: lost to the stricter rule"), "{shown}");
}

#[test]
fn the_built_in_narrowings_take_away_what_their_names_say() {
    let table = table("policies: [{action: \"*\"}]\nkernel: {version: \"1.0\", mode: audit}");
    let by =
        |name: &str| table.narrowed(&Narrowing::built_in(name).unwrap_or_else(|| panic!("{name} is not built in")));
    let read_only = by("read_only");
    allows(&read_only, &on("file_read", "/a"));
    allows(&read_only, &query("d", Statement::Read));
    for request in [
        on("file_write", "/a"),
        on("file_delete", "/a"),
        on("memory_write", "/mem/a"),
        exec("/bin/true", &[]),
        request("send_message"),
        query("d", Statement::Write),
        http("a.example", 443, Method::Post),
    ] {
        denies(&read_only, &request, Reason::ReadOnly);
        allows(&table, &request);
    }
    let no_pii = by("no_pii");
    for (request, filtered) in
        [(on("file_read", "/a"), true), (query("d", Statement::Read), true), (on("file_write", "/a"), false)]
    {
        assert_eq!(no_pii.decide(&request).obligations.filters.contains(Filter::Pii), filtered, "{}", request.action);
        allows(&no_pii, &request);
    }
    let strict = by("strict");
    assert_eq!((table.mode(), strict.mode()), (Mode::Audit, Mode::Strict));
    allows(&strict, &on("file_read", "/a"));
    allows(&strict, &query("d", Statement::Read));
    for request in [on("file_write", "/a"), query("d", Statement::Write), http("a.example", 443, Method::Get)] {
        decides(&strict, &request, Effect::RequireApproval, Reason::ApprovalRequired);
    }
    for name in Narrowing::built_in_names() {
        assert!(Narrowing::built_in(name).is_some(), "{name} does not parse");
    }
}
