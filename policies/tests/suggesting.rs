//! What is suggested for denials, and above all what never is.

use policies::{
    AccessRequest, Denied, Effect, Effective, Method, RequestHost, RequestPath, Section, Setting, Shipped, Statement,
    Suggestion, Table, Variables, parse, resolve, resolve_profile, suggest,
};
use proptest::prelude::*;

fn variables() -> Variables {
    Variables { workspace: Some("/srv/work".into()), home: "/home/agent".into(), name: "a".into() }
}

fn base() -> Effective {
    resolve_profile(&"base".parse().expect("legal"), &Shipped).expect("shipped")
}

fn policy(text: &str) -> Effective {
    resolve(&parse("p.yaml", text).unwrap_or_else(|error| panic!("{error}")), &Shipped).expect("valid")
}

fn suggested(text: &str, denied: &[Denied]) -> Suggestion {
    suggest(&Setting { policy: &policy(text), base: &base(), variables: &variables() }, denied).expect("binds")
}

/// The policy with the suggestion added, as its author would.
fn patched(suggestion: &Suggestion, parent: &'static str) -> Effective {
    struct With(&'static str);
    impl policies::Loader for With {
        fn load(
            &self,
            name: &policies::ProfileName,
        ) -> Result<Option<policies::SourceText>, Box<dyn std::error::Error + Send + Sync>> {
            match name.as_str() {
                "parent" => Ok(Some(policies::SourceText { origin: "parent".to_owned(), text: self.0.to_owned() })),
                _ => Shipped.load(name),
            }
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let text = format!("extends: [parent]\n{suggestion}");
    let document = parse("patched.yaml", &text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
    resolve(&document, &With(parent)).unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
}

fn kernel(number: u64, action: &str, path: &str) -> Denied {
    Denied::kernel(number, &format!("{action} {path}: not granted by policy p"), action, Some(path))
}

fn request(action: &str) -> AccessRequest {
    AccessRequest::new(action.parse().expect("legal"), "a")
}

fn on(action: &str, path: &str) -> AccessRequest {
    AccessRequest { paths: vec![RequestPath::new(path.as_ref()).expect("clean")], ..request(action) }
}

fn lines(suggestion: &Suggestion, section: Section) -> Vec<&str> {
    let lines = suggestion.additions.iter().filter(|addition| addition.section == section);
    lines.map(|addition| addition.line.as_str()).collect()
}

#[test]
fn each_line_stands_below_the_denials_that_caused_it() {
    let denied = [
        kernel(1, "read", "/opt/data/x.csv"),
        kernel(2, "execute and read", "/opt/tool"),
        kernel(3, "write and read", "/opt/data/x.csv"),
        kernel(4, "create file", "/srv/out"),
        kernel(5, "read", "/etc/shadow"),
        Denied::ungrantable(6, "mount: system call refused by seccomp (all policies)"),
    ];
    let suggestion = suggested("extends: [base]", &denied);
    assert_eq!(
        suggestion.to_string(),
        "# Suggested for p.yaml. Each line grants what was refused; read it before you add it.
process:
  exec:
    # 2: execute and read /opt/tool: not granted by policy p
    - /opt/tool
filesystem:
  # 2: execute and read /opt/tool: not granted by policy p
  - {path: /opt/tool, access: read}
  # 1: read /opt/data/x.csv: not granted by policy p
  # 3: write and read /opt/data/x.csv: not granted by policy p
  - {path: /opt/data/x.csv, access: write}
  # 4: create file /srv/out: not granted by policy p
  - {path: /srv/out, access: write}
# Not suggested:
#   5: read /etc/shadow: not granted by policy p
#     `base` forbids it (/etc/shadow, base (shipped):99)
#   6: mount: system call refused by seccomp (all policies)
#     no policy grants it
"
    );
    let bound = patched(&suggestion, "extends: [base]").bind(&variables()).expect("binds");
    for (path, access) in [("/opt/data/x.csv", "write"), ("/opt/tool", "read"), ("/srv/out/new", "write")] {
        assert_eq!(bound.rule_for(path.as_ref()).map(|rule| rule.access.word()), Some(access), "{path}");
    }
    assert!(bound.exec.contains(&"/opt/tool".into()));
}

#[test]
fn what_base_forbids_is_never_suggested_nor_what_contains_it() {
    for (action, path) in [
        ("read", "/etc/shadow"),
        ("write and read", "/root/.ssh/authorized_keys"),
        ("read", "/home/agent/.ssh/id_rsa"),
        ("read", "/run/docker.sock"),
        ("list", "/etc"),
        ("list", "/root"),
        ("list", "/"),
        ("create file", "/usr/bin"),
        ("execute", "/tmp/x"),
        ("read", "/proc/kcore"),
        ("read", "/dev/sda"),
        ("write", "/policy/rules.yaml"),
        ("write", "/sys/kernel/x"),
        ("create character device", "/srv"),
        ("signal", "process 1 (init)"),
    ] {
        let suggestion = suggested("extends: [base]", &[kernel(1, action, path)]);
        assert_eq!(suggestion.additions, [], "{action} {path}");
        assert_eq!(suggestion.withheld.len(), 1, "{action} {path}");
    }
    assert_eq!(
        suggested("extends: [base]", &[kernel(1, "read", "/etc/hosts.allow")]).additions.len(),
        1,
        "the control"
    );
}

#[test]
fn a_rule_that_was_written_to_take_away_is_not_undone() {
    let coder =
        "extends: [coding-agent]\nfilesystem: [{path: /opt/secret, access: none}, {path: /opt/x, access: read}]";
    for (denied, reason) in [
        (kernel(1, "write", "/srv/work/.git/hooks/pre-commit"), "narrows /srv/work/.git/hooks to `read`"),
        (kernel(1, "read", "/opt/secret/key"), "refuses /opt/secret by name"),
        (kernel(1, "write", "/srv/work/x"), "grants it as it is now"),
    ] {
        let suggestion = suggested(coder, &[denied]);
        assert!(suggestion.withheld[0].why.contains(reason), "{suggestion}");
    }
    let widened = suggested(coder, &[kernel(1, "write", "/opt/x/y")]);
    assert_eq!(lines(&widened, Section::Filesystem), ["{path: /opt/x/y, access: write}"]);
}

#[test]
fn a_request_is_suggested_exactly_and_the_patch_allows_it() {
    const PARENT: &str = "extends: [base]
policies:
  - {action: file_read, paths: [\"/data/**\"], max_bytes: 1MiB}
  - {action: \"*\", effect: deny}";
    let http = AccessRequest {
        host: RequestHost::new("api.example.com").ok(),
        port: Some(443),
        method: Some(Method::Post),
        ..request("http_request")
    };
    let exec = AccessRequest {
        program: RequestPath::new("/usr/bin/git".as_ref()).ok(),
        argv: vec!["log".to_owned(), "a*b".to_owned(), String::from("-p")],
        ..request("process_exec")
    };
    let query = |statement| AccessRequest {
        database: Some("sales".to_owned()),
        statement: Some(statement),
        ..request("database_query")
    };
    let to = (RequestHost::new("b.example").expect("a name"), 22);
    let requests = [
        on("file_write", "/srv/work/a[1].txt"),
        on("file_read", "/etc/x"),
        http,
        exec,
        query(Statement::Read),
        query(Statement::Write),
        request("send_message"),
        AccessRequest::connection("a", to, None).expect("legal"),
    ];
    let denied: Vec<Denied> =
        (1..).zip(&requests).map(|(number, request)| Denied::request(number, "denied", request.clone())).collect();
    let suggestion = suggested(PARENT, &denied);
    assert_eq!(
        lines(&suggestion, Section::Policies),
        [
            "{action: file_write, paths: [\"${workspace}/a?1?.txt\"]}",
            "{action: file_read, paths: [/etc/x]}",
            "{action: http_request, hosts: [\"api.example.com\"], ports: [443], methods: [POST]}",
            "{action: process_exec, exec: [/usr/bin/git], argv: [\"log\", \"a?b\", \"-p\"]}",
            "{action: database_query, databases: [sales], mode: read_only}",
            "{action: database_query, databases: [sales], statements: [write]}",
            "{action: send_message}",
        ]
    );
    assert_eq!(lines(&suggestion, Section::Network), ["{host: \"b.example\", ports: [22]}"]);
    let table = Table::compile(&patched(&suggestion, PARENT), &variables(), &[]).expect("compiles");
    for request in requests.iter().filter(|request| request.statement != Some(Statement::Write)) {
        assert_eq!(table.decide(request).effect, Effect::Allow, "{}", table.explain(request));
    }
    assert_eq!(table.decide(&on("file_read", "/etc/y")).effect, Effect::Deny);
}

#[test]
fn a_request_that_a_rule_refuses_on_purpose_causes_no_line() {
    let text = "extends: [base]
policies:
  - {action: file_read, max_bytes: 1MiB}
  - {action: file_read, paths: [\"/secret/**\"], effect: deny}
  - {action: database_query, mode: read_only}";
    let large = AccessRequest { size: "2MiB".parse().ok(), ..on("file_read", "/x") };
    let write = AccessRequest {
        database: Some("d".to_owned()),
        statement: Some(Statement::Write),
        ..request("database_query")
    };
    for (request, reason) in [
        (on("file_read", "/secret/key"), "a rule denies it: {action: file_read, effect: deny"),
        (large, "it is larger than allowed: {action: file_read, max_bytes: 1MiB} (p.yaml:3)"),
        (write, "where only reading is allowed: {action: database_query, mode: read_only} (p.yaml:5)"),
        (request("format_disk"), "there is no such action"),
        (on("file_read", "/x"), "the operator's policy grants it"),
    ] {
        let suggestion = suggested(text, &[Denied::request(7, "denied", request)]);
        assert_eq!(suggestion.additions, []);
        assert!(suggestion.withheld[0].why.contains(reason), "{suggestion}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_denial_of_a_hostile_agent_makes_a_patch_that_reads_otherwise(
        paths in proptest::collection::vec("/(\\PC|[\n\r\t#:{}\\[\\]*?$'\"\\\\/]){0,30}", 1..6),
        action in proptest::sample::select(vec!["read", "write", "execute", "create file"]),
    ) {
        let denied: Vec<Denied> = (1..).zip(&paths).map(|(number, path)| kernel(number, action, path)).collect();
        let suggestion = suggested("extends: [base]", &denied);
        let policy = patched(&suggestion, "extends: [base]");
        let added = policy.filesystem.iter().filter(|rule| rule.origin.file.as_ref() == "patched.yaml").count();
        prop_assert_eq!(added, lines(&suggestion, Section::Filesystem).len(), "{}", suggestion);
        let (bound, base) = (policy.bind(&variables()).expect("binds"), base().bind(&variables()).expect("binds"));
        for forbidden in base.filesystem.iter().filter(|rule| rule.access == policies::Access::None) {
            let now = bound.rule_for(&forbidden.path).map(|rule| rule.access);
            prop_assert_eq!(now, Some(policies::Access::None), "{}", forbidden.path.display());
        }
    }
}
