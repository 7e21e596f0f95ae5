//! Tables of cases: those of the shipped profiles, and what a table that is wrong or not met says.

use policies::{
    CaseTable, ProfileName, RequestWords, Shipped, Variables, parse, resolve, resolve_profile, shipped_cases,
};

fn policy(text: &str) -> policies::Effective {
    resolve(&parse("p.yaml", text).expect("valid"), &Shipped).expect("valid")
}

#[test]
fn every_shipped_profile_answers_its_cases_and_no_rule_of_it_is_untried() {
    for name in policies::shipped_names() {
        let name: ProfileName = name.parse().expect("legal");
        let (origin, text) = shipped_cases(&name).expect("every profile has cases");
        let table = CaseTable::read(&origin, text).unwrap_or_else(|error| panic!("{error}"));
        let policy = resolve_profile(&name, &Shipped).unwrap_or_else(|error| panic!("{error}"));
        let report = table.run(&policy).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.failures.is_empty() && report.untried.is_empty() && report.passed > 0, "{report}");
    }
}

#[test]
fn a_case_that_is_not_met_says_what_was_answered_and_why() {
    let policy = policy(
        "extends: [base]
policies:
  - {action: file_read, paths: [\"/data/**\"]}
  - {action: send_message}",
    );
    let table = CaseTable::read(
        "p.cases.yaml",
        "cases:
  - {action: file_read, path: /data/x, expect: deny}
  - {action: file_read, path: /etc/x, expect: deny, reason: denied_by_rule}
  - {action: file_read, path: /data/x, expect: allow}
views:
  - {path: /etc/shadow, access: absent}
  - {path: /tmp/x, access: write, exec: true}
",
    );
    let report = table.expect("valid").run(&policy).expect("runs");
    let shown = report.to_string();
    assert_eq!((report.passed, report.failures.len()), (1, 4), "{shown}");
    for line in [
        "p.cases.yaml:2: file_read /data/x: deny\n  answered: allow (granted)\n",
        "decided by {action: file_read, paths: [\"/data/**\"]} (p.yaml:3) of p.yaml",
        "p.cases.yaml:3: file_read /etc/x: deny (denied_by_rule)\n  answered: deny (nothing_granted)\n",
        "p.cases.yaml:6: view of /etc/shadow: absent\n  answered: none, not executable\n",
        "p.cases.yaml:7: view of /tmp/x: write, executable\n  answered: write, not executable\n",
        "no case tries {action: send_message} (p.yaml:4)\n",
        "1 passed, 4 failed\n",
    ] {
        assert!(shown.contains(line), "{line}\nis not in\n{shown}");
    }
}

#[test]
fn a_misspelt_action_or_a_forgotten_key_is_no_proof_that_something_is_denied() {
    let policy = policy("extends: [base]");
    let run = |case: &str| {
        let table = CaseTable::read("c", &format!("cases:\n  - {case}\n")).expect("valid");
        table.run(&policy).expect("runs").failures.len()
    };
    assert_eq!(run("{action: file_raed, path: /x, expect: deny}"), 1);
    assert_eq!(run("{action: file_read, expect: deny}"), 1);
    assert_eq!(run("{action: file_raed, path: /x, expect: deny, reason: unknown_action}"), 0);
    assert_eq!(run("{action: file_read, path: /x, expect: deny}"), 0);
}

#[test]
fn a_table_that_is_wrong_shows_the_place() {
    for (text, expected) in [
        ("cases: []\n", "c:1:1: the table has no `cases` and no `views`"),
        ("cases:\n  - {action: file_read, path: /x}\n", "c:2:5: the key `expect` is missing"),
        ("cases:\n  - {action: file_read, pth: /x, expect: deny}\n", "c:2:25: unknown key `pth`; did you mean `path`?"),
        ("cases:\n  - {action: file_read, path: x, expect: deny}\n", "c:2:31: the path `x` is not absolute"),
        (
            "cases:\n  - {action: x, narrow: [strct], expect: deny}\n",
            "c:2:26: there is no built-in narrowing `strct`; did you mean `strict`?",
        ),
        ("cases:\n  - {action: x, expect: alow}\n", "c:2:25: unknown word `alow`; did you mean `allow`?"),
        ("views:\n  - {path: /x, access: reed}\n", "c:2:24: unknown word `reed`; did you mean `read`?"),
    ] {
        let error = CaseTable::read("c", text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{error}\ninstead of\n{expected}");
    }
    let table =
        CaseTable::read("c", "cases: [{action: file_read, path: \"${workspace}/x\", expect: deny}]").expect("valid");
    let error = table.run(&policy("extends: [base]")).expect_err("no workspace").to_string();
    assert_eq!(error, "c:1: take `${workspace}/x` as a path: there is no workspace");
}

#[test]
fn words_of_a_command_line_are_read_as_strictly_as_a_file() {
    let read = |words: &[&str]| {
        let (action, words) = words.split_first().expect("an action");
        RequestWords::read(action, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    };
    let variables = Variables { workspace: Some("/srv/w".into()), home: "/home/a".into(), name: "a".into() };
    let request = read(&["file_write", "path=${workspace}/a", "path=/b: {c}"]).expect("words").request(&variables);
    let paths: Vec<Vec<u8>> = request.expect("legal").paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    assert_eq!(paths, [b"/srv/w/a".to_vec(), b"/b: {c}".to_vec()]);
    let words =
        read(&["process_exec", "program=/usr/bin/git", "arg=log", "arg=-p=\"x\"", "narrow=strict"]).expect("words");
    assert_eq!(words.request(&variables).expect("legal").argv, ["log", "-p=\"x\""]);
    assert_eq!(words.layers().map(policies::Narrowing::name).collect::<Vec<_>>(), ["strict"]);
    for (words, expected) in [
        (&["file_read", "/x"][..], "understand `/x`: write NAME=VALUE"),
        (&["file_read", "path=x"], "make a request of `paths=x`: the path `x` is not absolute"),
        (&["http_request", "port=x"], "make a request of `port=x`: `x` is not a port"),
        (&["http_request", "methd=GET"], "make a request of `methd=GET`: unknown key `methd`; did you mean `method`?"),
        (&["http_request", "method=get"], "make a request of `method=get`: unknown word `get`; did you mean `GET`?"),
        (&["File", "path=/x"], "make a request of `action=File`: `File` is not an action's name"),
        (&["file_read", "path=/x", "expect=allow"], "understand `expect`"),
    ] {
        let error = read(words).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}\ninstead of\n{expected}");
    }
    assert!(read(&["file_read", "path=/a/../b"]).expect("words").request(&variables).is_err());
}
