use super::*;

fn parse(text: &str) -> Result<AgentFile, String> {
    AgentFile::parse(text)
}

#[test]
fn a_command_is_enough() {
    let file = parse("command: [/bin/sleep, \"60\"]\n").unwrap();
    assert_eq!(file.command, ["/bin/sleep", "60"]);
    assert_eq!((file.user, file.restart, file.max_restarts), (User::Uid(0), Restart::No, 5));
    assert_eq!((file.restart_window, file.backoff), (Duration::from_secs(600), Backoff::default()));
    assert!(file.policy.is_none() && file.depends_on.is_empty() && file.health.is_none());
}

#[test]
fn every_key_is_understood() {
    let file = parse(
        "command: [agent, --serve]
policy: coding-agent
workspace: {path: /srv/x, read_only: true}
env: {MODE: quiet, PORT: \"80\"}
user: ann
restart: on-failure
max_restarts: 3
restart_window: 1h
backoff: {first: 2s, most: 5m}
timeout: 2d
depends_on: [db, cache]
health: {command: [probe, -q], interval: 10s, timeout: 2s, retries: 2, start_period: 0s}
",
    )
    .unwrap();
    assert_eq!(file.workspace, Some(Workspace { path: "/srv/x".into(), read_only: true }));
    assert_eq!(file.env.get("PORT").map(String::as_str), Some("80"));
    assert_eq!((file.user, file.restart), (User::Name("ann".into()), Restart::OnFailure));
    assert_eq!(file.backoff, Backoff { first: Duration::from_secs(2), most: Duration::from_secs(300) });
    assert_eq!(file.timeout, Some(Duration::from_secs(2 * 86_400)));
    assert_eq!(file.depends_on.iter().map(AgentName::as_str).collect::<Vec<_>>(), ["db", "cache"]);
    let health = file.health.unwrap();
    assert_eq!((health.interval, health.timeout, health.retries), (Duration::from_secs(10), Duration::from_secs(2), 2));
}

/// `no` is a word here, and not a truth value.
#[test]
fn words_and_numbers_are_what_they_look_like() {
    for (text, restart) in [("no", Restart::No), ("always", Restart::Always), ("\"no\"", Restart::No)] {
        assert_eq!(parse(&format!("command: [x]\nrestart: {text}\n")).unwrap().restart, restart, "{text}");
    }
    for (text, user) in [("1000", User::Uid(1000)), ("\"1000\"", User::Uid(1000)), ("ann", User::Name("ann".into()))] {
        assert_eq!(parse(&format!("command: [x]\nuser: {text}\n")).unwrap().user, user, "{text}");
    }
    let only_first = parse("command: [x]\nbackoff: {first: 2m}\n").unwrap().backoff;
    assert_eq!(only_first, Backoff { first: Duration::from_secs(120), most: Duration::from_secs(120) });
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_was_expected() {
    for (text, line, said) in [
        ("command: [x]\nrestrat: always\n", 2, "restrat"),
        ("command: [x]\ncommand: [y]\n", 2, "command"),
        ("command: [x]\nrestart: sometimes\n", 2, "on-failure"),
        ("command: [x]\n\nmax_restarts: many\n", 3, ""),
        ("command: [x]\nmax_restarts: 0\n", 2, "1 to 1000"),
        ("command: [x]\nmax_restarts: -1\n", 2, ""),
        ("command: [x]\nrestart_window: 10\n", 2, "2h"),
        ("command: x\n", 1, ""),
        ("command: []\n", 1, "at least the program"),
        ("command: [\"\"]\n", 1, "at least the program"),
        ("command: [x, \"a\\0\"]\n", 1, "NUL"),
        ("command: [x]\nenv: {\"A=B\": c}\n", 2, "no variable"),
        ("command: [x]\nenv: [A]\n", 2, ""),
        ("command: [x]\nbackoff: {first: 5m, most: 1s}\n", 2, "no longer than most"),
        ("command: [x]\ndepends_on: [A]\n", 2, "no agent name"),
        ("command: [x]\ndepends_on: db\n", 2, ""),
        ("command: [x]\nhealth: {interval: 3s}\n", 2, "command"),
        ("command: [x]\nhealth: {command: [y], retries: 0}\n", 2, "1 to 1000"),
        ("command: [x]\nworkspace: {path: /x, mode: ro}\n", 2, "mode"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(&format!("line {line}")) && error.contains(said), "{text}: {error}");
    }
    for text in ["", "# nothing\n", "- x\n", "restart: always\n", "command: [x]\n---\ncommand: [y]\n"] {
        assert!(!parse(text).unwrap_err().is_empty(), "{text}");
    }
}

#[test]
fn an_error_shows_nothing_of_the_file_besides() {
    let error = parse("command: [x]\nenv: {KEY: secret}\nrestrat: always\n").unwrap_err();
    assert!(error.contains("line 3") && !error.contains("secret") && !error.contains('\n'), "{error}");
}

#[test]
fn what_is_too_large_is_not_read() {
    let large = format!("command: [x]\n#{}\n", "x".repeat(MAX_BYTES));
    assert!(parse(&large).unwrap_err().contains("65536"));
}
